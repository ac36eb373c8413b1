"""A consumer is closed although its brokers are away: what aiokafka cancels of its own is no end of ours."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.kafka import close_consumer


class Consumer:
    """Closing it ends as aiokafka's does while a fetch waits for a broker that is away."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self._client = SimpleNamespace(close=self._close)

    async def stop(self) -> None:
        fetch = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        fetch.cancel()
        await fetch

    async def _close(self) -> None:
        self.closed.append("client")


async def test_a_fetch_that_was_cancelled_is_no_error() -> None:
    consumer: Any = Consumer()
    await close_consumer(consumer)
    assert consumer.closed == ["client"]


async def test_who_is_cancelled_meanwhile_stays_so() -> None:
    consumer: Any = Consumer()
    task = asyncio.create_task(close_consumer(consumer))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert consumer.closed == []
