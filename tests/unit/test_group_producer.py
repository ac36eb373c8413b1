"""What the coordinator is told of a transaction, and when; with aiokafka's own book-keeping and no broker."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ConcurrentTransactions, CoordinatorLoadInProgressError

from pipeline.records import Outgoing
from pipeline.transport.group import Member
from pipeline.transport.group_producer import NEXT_ATTEMPT_S, GroupProducer, NextPartitionsHandler


async def known(topic: str) -> None:
    """The topic's leaders are known."""


@pytest.fixture
async def producer() -> AsyncIterator[GroupProducer]:
    made = GroupProducer(bootstrap_servers="127.0.0.1:1", acks="all", transactional_id="t", retry_backoff_ms=100)
    made.client = SimpleNamespace(add_topic=known, _wait_on_metadata=known)
    made._txn_manager.set_pid_and_epoch(7, 0)
    made.member = Member("group", 1, "me")
    yield made
    made._closed = True


async def write(producer: GroupProducer, *partitions: int) -> None:
    for partition in partitions:
        await producer.append("out", partition, [Outgoing("out", b"k", b"v", 1, partition)])


def told(producer: GroupProducer) -> set[int]:
    """The partitions that the coordinator is to be told of now; it knows them afterwards."""
    manager = producer._txn_manager
    waiting = set(manager.partitions_to_add())
    for tp in waiting:
        manager.partition_added(tp)
    return {tp.partition for tp in waiting}


def end(producer: GroupProducer) -> None:
    """Everything is written, the transaction is committed."""
    told(producer)
    producer._message_accumulator._batches.clear()
    producer._txn_manager.committing_transaction()
    producer._txn_manager.complete_transaction()


async def test_a_transaction_begins_with_the_partitions_that_the_last_two_wrote_to(producer: GroupProducer) -> None:
    for partitions, expected in (((1, 2), set()), ((2, 3), set()), ((2, 4), {2}), ((), {2}), ((4,), set())):
        await producer.begin_transaction()
        assert told(producer) == expected
        await write(producer, *partitions)
        assert told(producer) == set(partitions) - expected
        end(producer)


async def test_the_group_is_added_once_something_is_and_only_once(producer: GroupProducer) -> None:
    manager = producer._txn_manager
    assert manager.consumer_group_to_add() is None
    await producer.begin_transaction()
    assert manager.consumer_group_to_add() is None
    await write(producer, 1)
    assert manager.consumer_group_to_add() is None
    told(producer)
    assert manager.consumer_group_to_add() == "group"
    manager.consumer_group_added("group")
    assert manager.consumer_group_to_add() is None
    end(producer)
    assert manager.consumer_group_to_add() is None


async def test_offsets_alone_bring_the_group_into_a_transaction(producer: GroupProducer) -> None:
    await producer.begin_transaction()
    producer._txn_manager.add_offsets_to_txn({TopicPartition("in", 0): 5}, "group")
    assert producer._txn_manager.consumer_group_to_add() == "group"


@pytest.mark.parametrize(
    ("error", "wait_s"), [(ConcurrentTransactions, NEXT_ATTEMPT_S), (CoordinatorLoadInProgressError, 0.1)]
)
async def test_while_the_last_transaction_ends_it_is_asked_again_soon(
    producer: GroupProducer, error: Any, wait_s: float
) -> None:
    await producer.begin_transaction()
    await write(producer, 1)
    handler = NextPartitionsHandler(producer._sender, producer._txn_manager.partitions_to_add())
    assert handler.handle_response(SimpleNamespace(errors=[("out", [(1, error.errno)])])) == wait_s
    assert handler.handle_response(SimpleNamespace(errors=[("out", [(1, 0)])])) is None
    assert producer._txn_manager.txn_partitions == {TopicPartition("out", 1)}
