"""The loop of every agent: which batches it is given, and when they are acknowledged."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.records import RecordBatch
from pipeline.transport.consumer import BatchConsumer, batches

BATCHES = [RecordBatch("t", 0, [n], [0], [b"k"], [b"v"]) for n in range(3)]


class Stream:
    """A stream of events, all fetched in generation 1 of the group."""

    def __init__(self, *values: Any) -> None:
        self.values = values or BATCHES
        self.acknowledged: list[Any] = []
        self.flushes = 0
        self.finished: list[tuple[Any, int]] = []
        consumer = SimpleNamespace(
            ack_batch=lambda message, batch: self.acknowledged.append((batch, self.flushes)),
            finished=lambda message: self.finished.append((message.value, self.app.batches_in_work)),
        )
        self.app = SimpleNamespace(
            serving_generation=1,
            batches_waiting=0,
            batches_in_work=0,
            batches_done=0,
            consumer=consumer,
            outbox=SimpleNamespace(flush=self.flush),
        )

    async def flush(self) -> None:
        self.flushes += 1

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Any]:
        for value in self.values:
            yield SimpleNamespace(value=value, message=SimpleNamespace(generation_id=1, value=value))


async def ready(batch: RecordBatch) -> None:
    """Nothing to fetch."""


@pytest.mark.parametrize(
    ("values", "events"),
    [(BATCHES, [0, 1, 2]), ([tuple(BATCHES)], [0, 0, 0]), ([tuple(BATCHES[:2]), BATCHES[2]], [0, 0, 1])],
)
async def test_the_batches_of_an_event_are_acknowledged_together_once_they_are_flushed(
    values: list[Any], events: list[int]
) -> None:
    stream, seen = Stream(*values), []
    async for batch in batches(stream, ready):  # type: ignore[arg-type]
        seen.append((batch, stream.flushes, stream.app.batches_in_work))
    assert seen == [(BATCHES[n], events[n], events.count(events[n])) for n in range(3)]
    assert stream.acknowledged == [(BATCHES[n], events[n] + 1) for n in range(3)]
    assert (stream.app.batches_in_work, stream.app.batches_done) == (0, 3)
    assert stream.finished == [(value, 0) for value in values]


@pytest.mark.parametrize(("values", "before"), [(BATCHES, BATCHES[:1]), ([tuple(BATCHES)], [])])
async def test_batches_that_wait_are_not_in_work_and_are_dropped_when_a_rebalance_comes_meanwhile(
    values: list[Any], before: list[RecordBatch]
) -> None:
    stream = Stream(*values)

    async def prepare(batch: RecordBatch) -> None:
        assert stream.app.batches_waiting > 0
        assert stream.app.batches_in_work == 0
        if batch is BATCHES[1]:
            stream.app.serving_generation = 2

    assert [batch async for batch in batches(stream, prepare)] == before  # type: ignore[arg-type]
    assert [batch for batch, _ in stream.acknowledged] == before
    assert (stream.app.batches_waiting, stream.app.batches_in_work) == (0, 0)
    assert [value for value, _ in stream.finished] == values


class Consumer(BatchConsumer):
    """A consumer of which only the account of topics in hand is used."""

    def __init__(self, generation: int) -> None:
        self.app: Any = SimpleNamespace(serving_generation=generation)
        self.looked = 0
        self._thread: Any = SimpleNamespace(look_again=self._look_again)
        self._in_hand = {}

    def _look_again(self) -> None:
        self.looked += 1


def message(topic: str, generation: int) -> Any:
    return SimpleNamespace(topic=topic, generation_id=generation)


def test_a_topic_is_in_hand_until_its_agent_has_come_to_the_end_of_the_event() -> None:
    consumer = Consumer(1)
    consumer._in_hand |= {"a": 1, "b": 1}
    consumer.finished(message("a", 1))
    assert (consumer.topics_in_hand(), consumer.looked) == ({"b"}, 1)


def test_events_of_a_former_generation_hold_up_nothing_and_free_nothing() -> None:
    consumer = Consumer(2)
    consumer._in_hand |= {"dropped": 1, "a": 2}
    consumer.finished(message("a", 1))
    assert (consumer.topics_in_hand(), consumer.looked) == ({"a"}, 0)
