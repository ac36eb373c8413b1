"""The loop of every agent: which batches it is given, and when they are acknowledged."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.records import RecordBatch
from pipeline.transport.consumer import batches

BATCHES = [RecordBatch("t", 0, [n], [0], [b"k"], [b"v"]) for n in range(3)]


class Stream:
    """A stream of events, all fetched in generation 1 of the group."""

    def __init__(self, *values: Any) -> None:
        self.values = values or BATCHES
        self.acknowledged: list[Any] = []
        consumer = SimpleNamespace(ack_batch=lambda message, batch: self.acknowledged.append(batch))
        self.app = SimpleNamespace(
            serving_generation=1, batches_waiting=0, batches_in_work=0, batches_done=0, consumer=consumer
        )

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Any]:
        for value in self.values:
            yield SimpleNamespace(value=value, message=SimpleNamespace(generation_id=1, value=value))


async def ready(batch: RecordBatch) -> None:
    """Nothing to fetch."""


@pytest.mark.parametrize("values", [BATCHES, [tuple(BATCHES)], [tuple(BATCHES[:2]), BATCHES[2]]])
async def test_a_batch_is_acknowledged_after_the_body(values: list[Any]) -> None:
    stream, before = Stream(*values), []
    async for batch in batches(stream, ready):  # type: ignore[arg-type]
        before.append((batch, list(stream.acknowledged), stream.app.batches_in_work))
    assert before == [(BATCHES[n], BATCHES[:n], 1) for n in range(3)]
    assert (stream.acknowledged, stream.app.batches_in_work, stream.app.batches_done) == (BATCHES, 0, 3)


@pytest.mark.parametrize("values", [BATCHES, [tuple(BATCHES)]])
async def test_a_batch_that_waits_is_not_in_work_and_is_dropped_when_a_rebalance_comes_meanwhile(
    values: list[Any],
) -> None:
    stream = Stream(*values)

    async def prepare(batch: RecordBatch) -> None:
        assert (stream.app.batches_waiting, stream.app.batches_in_work) == (1, 0)
        if batch is BATCHES[1]:
            stream.app.serving_generation = 2

    assert [batch async for batch in batches(stream, prepare)] == BATCHES[:1]  # type: ignore[arg-type]
    assert stream.acknowledged == BATCHES[:1]
    assert (stream.app.batches_waiting, stream.app.batches_in_work) == (0, 0)
