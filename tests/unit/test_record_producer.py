"""Records on their way into aiokafka's batches, with its own accumulator and no broker."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalOperation, KafkaTimeoutError, ProducerClosed
from aiokafka.record.memory_records import MemoryRecords

from pipeline.records import Outgoing
from pipeline.transport.producer import MOST_WAITING, RecordProducer

TP = TopicPartition("out", 3)


async def known(topic: str) -> None:
    """The topic's leaders are known."""


@pytest.fixture
async def producer() -> AsyncIterator[RecordProducer]:
    """A producer whose batches nobody sends; each holds about 1,000 bytes."""
    made = RecordProducer(bootstrap_servers="127.0.0.1:1", enable_idempotence=True, acks="all", max_batch_size=1_000)
    made.client = SimpleNamespace(add_topic=known, _wait_on_metadata=known)
    yield made
    made._closed = True


def rows(start: int, count: int, size: int = 8) -> list[Outgoing]:
    return [Outgoing("out", b"k%d" % n, b"%d" % n * size, n, 3) for n in range(start, start + count)]


def waiting(producer: RecordProducer) -> list[Any]:
    return list(producer._message_accumulator._batches.get(TP, ()))


def written(batch: Any) -> list[tuple[int, bytes]]:
    records = MemoryRecords(bytes(batch.get_data_buffer()))
    return [(record.timestamp, record.key) for record in records.next_batch()]


async def test_records_join_the_batch_that_waits_to_be_sent(producer: RecordProducer) -> None:
    first = await producer.append("out", 3, rows(0, 2))
    second = await producer.append("out", 3, rows(2, 1))
    assert first == second
    (batch,) = waiting(producer)
    assert written(batch) == [(0, b"k0"), (1, b"k1"), (2, b"k2")]


async def test_more_records_than_fit_make_more_batches_in_order(producer: RecordProducer) -> None:
    futures = await producer.append("out", 3, rows(0, 60, size=50))
    batches = waiting(producer)
    assert len(batches) > 2
    assert futures == [batch.future for batch in batches]
    assert [key for batch in batches for _, key in written(batch)] == [b"k%d" % n for n in range(60)]


async def test_a_batch_that_is_being_sent_takes_no_more(producer: RecordProducer) -> None:
    (first,) = await producer.append("out", 3, rows(0, 1))
    waiting(producer)[0].get_data_buffer()  # as it is sent, and may come back to be sent again
    later = await producer.append("out", 3, rows(1, 1))
    assert first not in later[1:]
    assert written(waiting(producer)[1]) == [(1, b"k1")]


async def test_too_many_waiting_batches_hold_up_the_next_ones(producer: RecordProducer) -> None:
    await producer.append("out", 3, rows(0, 60 * MOST_WAITING, size=50))
    held = asyncio.create_task(producer.append("out", 3, rows(0, 1)))
    await asyncio.sleep(0.01)
    assert not held.done()
    accumulator = producer._message_accumulator
    while len(waiting(producer)) > MOST_WAITING:
        accumulator._batches[TP].popleft().drain_ready()
    await asyncio.wait_for(held, 1)


async def test_nothing_is_taken_by_a_producer_that_is_closed_or_has_failed(producer: RecordProducer) -> None:
    producer._message_accumulator._exception = KafkaTimeoutError()
    with pytest.raises(KafkaTimeoutError):
        await producer.append("out", 3, rows(0, 1))
    producer._closed = True
    with pytest.raises(ProducerClosed):
        await producer.append("out", 3, rows(0, 1))


async def test_nothing_is_taken_outside_a_transaction() -> None:
    made = RecordProducer(bootstrap_servers="127.0.0.1:1", acks="all", transactional_id="t")
    made.client = SimpleNamespace(add_topic=known, _wait_on_metadata=known)
    with pytest.raises(IllegalOperation):
        await made.append("out", 3, rows(0, 1))
    made._closed = True
