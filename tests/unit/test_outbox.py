"""At least once: what a flush waits for, and in which order."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from aiokafka.errors import NotEnoughReplicasError

from pipeline.records import Outgoing, RecordBatch
from pipeline.transport.outbox import AtLeastOnceOutbox


class Producer:
    """A producer whose records are with the brokers only when the test says so; they fail when `error` is set."""

    def __init__(self) -> None:
        self.log: list[tuple[str, list[bytes | None]]] = []
        self.error: Exception | None = None
        self.acknowledged = asyncio.Event()

    async def append(self, topic: str, partition: int, records: Iterable[Outgoing]) -> "list[asyncio.Future[Any]]":
        self.log.append((topic, [record.value for record in records]))
        if self.error is not None:
            raise self.error
        return [asyncio.ensure_future(self.acknowledged.wait())]

    async def start(self) -> None:
        """Nothing to connect to."""

    async def flush(self) -> None:
        """Nothing is ever left."""

    async def stop(self) -> None:
        """Nothing to disconnect from."""


@pytest.fixture
async def at_least_once() -> AsyncIterator[tuple[AtLeastOnceOutbox, Producer]]:
    """An outbox and its producer, which are stopped afterwards."""
    producer = Producer()
    outbox = AtLeastOnceOutbox(lambda: producer, 5)  # type: ignore[arg-type, return-value]
    await outbox.on_start()
    yield outbox, producer
    await outbox.on_stop()


def batch(offset: int) -> RecordBatch:
    return RecordBatch("source", 3, [offset], [0], [b"k"], [b"v"])


def row(value: bytes) -> Outgoing:
    return Outgoing("out", b"k", value, 7, 0)


def change(value: bytes) -> Outgoing:
    return Outgoing("app-table-changelog", b"k", value, 7, 0)


async def test_at_least_once_the_state_is_safe_before_the_rows_go_out(
    at_least_once: tuple[AtLeastOnceOutbox, Producer],
) -> None:
    outbox, producer = at_least_once
    await outbox.deliver([row(b"1"), change(b"2")], batch(0))
    flush = asyncio.create_task(outbox.flush())
    await asyncio.sleep(0.01)
    assert producer.log == [("app-table-changelog", [b"2"])]
    producer.acknowledged.set()
    await flush
    assert producer.log == [("app-table-changelog", [b"2"]), ("out", [b"1"])]


async def test_batches_that_come_during_a_flush_share_the_next_one(
    at_least_once: tuple[AtLeastOnceOutbox, Producer],
) -> None:
    outbox, producer = at_least_once
    await outbox.deliver([row(b"1"), change(b"1")], batch(0))
    flushes = [asyncio.create_task(outbox.flush())]
    await asyncio.sleep(0.01)
    for value in (b"2", b"3"):
        await outbox.deliver([row(value), change(value)], batch(0))
        flushes.append(asyncio.create_task(outbox.flush()))
    producer.acknowledged.set()
    await asyncio.gather(*flushes)
    rows = [values for topic, values in producer.log if topic == "out"]
    assert rows == [[b"1"], [b"2", b"3"]]


async def test_at_least_once_nothing_is_flushed_after_records_that_could_not_be_sent(
    at_least_once: tuple[AtLeastOnceOutbox, Producer],
) -> None:
    outbox, producer = at_least_once
    await outbox.deliver([row(b"1")], batch(0))
    producer.error = NotEnoughReplicasError()
    with pytest.raises(NotEnoughReplicasError):
        await outbox.flush()
    for again in (outbox.flush(), outbox.deliver([row(b"2")], batch(1))):
        with pytest.raises(RuntimeError, match="nothing more may be written"):
            await again
