"""What of Faust's and aiokafka's private parts the transport touches: an upgrade that moves one of them fails here.

The same list in words: docs/architecture.md.
"""

import inspect
from importlib.metadata import version
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch
from aiokafka.producer.sender import AddPartitionsToTxnHandler, Sender, TxnOffsetCommitHandler
from aiokafka.producer.transaction_manager import TransactionManager
from faust.assignor.partition_assignor import PartitionAssignor
from faust.stores.memory import Store
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver

from pipeline.tables.store import PartitionStore, StateTable
from pipeline.transport.app import BatchApp
from pipeline.transport.consumer import BatchConsumer, BatchConsumerThread, BatchTransport
from pipeline.transport.fetching import fetch_promptly
from pipeline.transport.group_producer import GroupProducer, MemberOffsetsHandler, NextPartitionsHandler
from pipeline.transport.recovery import BatchAssignor, BatchRecovery, BatchTableManager

OVERRIDDEN: list[tuple[type, type, list[str]]] = [
    (
        BatchConsumer,
        driver.Consumer,
        [
            "_new_consumer_thread",
            "getmany",
            "_getmany",
            "_add_gap",
            "ack",
            "_new_offset",
            "_filter_tps_with_pending_acks",
            "seek_to_committed",
            "on_buffer_full",
            "verify_event_path",
            "on_partitions_revoked",
        ],
    ),
    (BatchConsumerThread, driver.AIOKafkaConsumerThread, ["on_start", "_create_worker_consumer", "_fetch_records"]),
    (BatchTransport, driver.Transport, ["Consumer"]),
    (BatchApp, faust.App, ["on_start", "_new_transport", "_create_directories"]),
    (BatchTableManager, TableManager, ["recovery", "_update_channels"]),
    (BatchRecovery, Recovery, ["on_rebalance", "_restart_recovery", "_slurp_changelogs", "_publish_stats"]),
    (BatchAssignor, PartitionAssignor, ["_global_table_standby_assignments"]),
    (StateTable, faust.Table, ["_new_store"]),
    (PartitionStore, Store, ["__post_init__"]),
    (MemberOffsetsHandler, TxnOffsetCommitHandler, ["create_request", "handle_response"]),
    (NextPartitionsHandler, AddPartitionsToTxnHandler, ["handle_response"]),
    (GroupProducer, AIOKafkaProducer, ["begin_transaction"]),
]

USED: list[tuple[Any, list[str]]] = [
    (Consumer, ["_wait_next_records", "_read_offset", "_unacked_messages", "flow_active"]),
    (driver.Consumer, ["_thread"]),
    (driver.AIOKafkaConsumerThread, ["_ensure_consumer", "call_thread", "thread_loop"]),
    (TableManager, ["_recovery", "_tables_finalized", "_tables_registered"]),
    (Recovery, ["signal_recovery_start", "_wait", "_set_recovery_started", "on_recovery_completed", "_generation_id"]),
    (
        AIOKafkaConsumer,
        ["_isolation_level", "_fetcher", "_subscription", "_coordinator", "_closed"],
    ),
    (
        fetcher.Fetcher,
        [
            "_records",
            "_wait_consume_future",
            "_create_fetch_waiter",
            "_fetch_waiters",
            "_notify",
            "_subscriptions",
            "_closed",
            "_get_actions_per_node",
            "_fetch_max_wait_ms",
            "_prefetch_backoff",
        ],
    ),
    (fetcher.FetchResult, ["_partition_records", "check_assignment", "_update_position", "has_more"]),
    (
        fetcher.PartitionRecords,
        [
            "_records",
            "next_fetch_offset",
            "_check_crcs",
            "_isolation_level",
            "_consume_aborted_up_to",
            "_contains_abort_marker",
            "_records_iterator",
            "_aborted_producers",
        ],
    ),
    (fetcher.FetchError, ["check_raise"]),
    (TopicPartitionState, ["_position"]),
    (GroupCoordinator, ["generation", "member_id", "group_id", "_send_req", "ensure_coordinator_known"]),
    (AIOKafkaProducer, ["_sender", "_closed", "client", "_message_accumulator", "_txn_manager"]),
    (AIOKafkaClient, ["add_topic", "_wait_on_metadata"]),
    (MessageAccumulator, ["_batches", "_append_batch", "create_builder", "_exception", "_closed"]),
    (MessageBatch, ["_builder", "future", "wait_drain"]),
    (BatchBuilder, ["_builder", "_relative_offset", "_closed", "close"]),
    (Sender, ["_do_txn_offset_commit", "_do_add_partitions_to_txn", "_find_coordinator", "_txn_manager"]),
    (
        TransactionManager,
        ["consumer_group_to_add", "maybe_add_partition_to_txn", "txn_partitions", "_txn_consumer_group"],
    ),
]


def has(owner: Any, name: str) -> bool:
    """Whether a class has a member, or sets it as an attribute in its own code or that of its bases."""
    own = [base for base in inspect.getmro(owner) if base is not object]
    return hasattr(owner, name) or any(f"self.{name}" in inspect.getsource(base) for base in own)


def test_the_versions_are_those_that_were_looked_at() -> None:
    assert (version("faust-streaming"), version("aiokafka").split(".")[:2]) == ("0.15.3", ["0", "14"])


@pytest.mark.parametrize(("ours", "theirs", "names"), OVERRIDDEN, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_overridden_is_there_and_takes_the_same(ours: type, theirs: type, names: list[str]) -> None:
    assert issubclass(ours, theirs)
    for name in names:
        assert name in vars(ours), f"{ours.__name__}.{name} is gone: take it out of this list, too"
        base = getattr(theirs, name, None)
        assert base is not None, f"{theirs.__name__} has no {name} any more"
        if inspect.isfunction(base) and inspect.isfunction(vars(ours)[name]) and name != "__init__":
            assert list(inspect.signature(vars(ours)[name]).parameters) == list(inspect.signature(base).parameters), (
                name
            )


@pytest.mark.parametrize(("owner", "names"), USED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_used_is_there(owner: Any, names: list[str]) -> None:
    assert [name for name in names if not has(owner, name)] == []


@pytest.mark.parametrize(
    ("theirs", "call", "ours"),
    [
        (Sender, "self._do_txn_offset_commit(", GroupProducer.__init__),
        (Sender, "self._do_add_partitions_to_txn(", GroupProducer.__init__),
        (Sender, "txn_manager.consumer_group_to_add(", GroupProducer.__init__),
        (fetcher.Fetcher, "self._get_actions_per_node(", fetch_promptly),
    ],
)
def test_what_is_replaced_in_an_instance_is_what_is_called(theirs: type, call: str, ours: Any) -> None:
    assert call in inspect.getsource(theirs)
    assert call.rpartition(".")[2].rstrip("(") in inspect.getsource(ours)
