"""A producer whose transactions commit offsets in the name of a member of a consumer group, and begin without delay."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import ConcurrentTransactions
from aiokafka.producer.sender import AddPartitionsToTxnHandler, TxnOffsetCommitHandler
from aiokafka.producer.transaction_manager import TransactionManager

from pipeline.records import Outgoing
from pipeline.transport.group import Member, TxnOffsetCommitRequest
from pipeline.transport.producer import RecordProducer

NEXT_ATTEMPT_S = 0.005
"""A coordinator takes no partitions before the markers of the last transaction are written, which takes 10 to 40 ms."""


class MemberOffsetsHandler(TxnOffsetCommitHandler):  # type: ignore[misc]
    """aiokafka's handler of offsets in a transaction, in the member's name."""

    def __init__(self, sender: Any, offsets: dict[TopicPartition, Any], member: Member) -> None:
        super().__init__(sender, offsets, member.group_id)
        self._member = member

    def create_request(self) -> TxnOffsetCommitRequest:
        """The request with the membership in it."""
        return TxnOffsetCommitRequest(self._sender._txn_manager, self._member, self._offsets)

    def handle_response(self, resp: Any) -> Any:
        """The response in the form of the version that aiokafka knows; a former member's is an error for good."""
        errors = [(topic, [(number, code) for number, code, _ in numbers]) for topic, numbers, _ in resp.topics]
        return super().handle_response(SimpleNamespace(errors=errors))


class NextPartitionsHandler(AddPartitionsToTxnHandler):  # type: ignore[misc]
    """aiokafka's handler of partitions for a transaction, which asks again soon while the one before is being ended."""

    def handle_response(self, resp: Any) -> float | None:
        """Seconds until the next attempt; None when all is done."""
        wait_s: float | None = super().handle_response(resp)
        concurrent = any(
            code == ConcurrentTransactions.errno for _, partitions in resp.errors for _, code in partitions
        )
        return NEXT_ATTEMPT_S if wait_s is not None and concurrent else wait_s


class GroupProducer(RecordProducer):
    """A transactional producer that commits offsets in the name of `member`, to be set before it does.

    Nothing may be written to a partition before the coordinator knows that the transaction has it, and each such
    request waits for its replicas. So the coordinator is told at once, in one request, of the partitions that the last
    two transactions wrote to, and of the group before there are offsets to commit: a commit has less to wait for.
    """

    member: Member | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._written: set[TopicPartition] = set()
        self._written_before: set[TopicPartition] = set()
        self._sender._do_add_partitions_to_txn = self._add_partitions
        self._sender._do_txn_offset_commit = self._commit_offsets
        self._txn_manager.consumer_group_to_add = self._group_to_add

    async def begin_transaction(self) -> None:
        """Begin a transaction that most likely writes to what the last two wrote to."""
        await super().begin_transaction()
        for tp in self._written & self._written_before:
            self._txn_manager.maybe_add_partition_to_txn(tp)
        self._written, self._written_before = set(), self._written

    async def append(self, topic: str, partition: int, records: Iterable[Outgoing]) -> "list[asyncio.Future[Any]]":
        """As RecordProducer does."""
        self._written.add(TopicPartition(topic, partition))
        return await super().append(topic, partition, records)

    def _group_to_add(self) -> str | None:
        """The group, as soon as the coordinator has begun this transaction, which it does with the first partition."""
        transactions = self._txn_manager
        if self.member is not None and transactions.is_in_transaction() and transactions.txn_partitions:
            return None if transactions._txn_consumer_group else self.member.group_id
        group_id: str | None = TransactionManager.consumer_group_to_add(transactions)
        return group_id

    async def _add_partitions(self, partitions: set[TopicPartition]) -> None:
        sender = self._sender
        node = await sender._find_coordinator(CoordinationType.TRANSACTION, self._txn_manager.transactional_id)
        await NextPartitionsHandler(sender, partitions).do(node)

    async def _commit_offsets(self, offsets: dict[TopicPartition, Any], group_id: str) -> None:
        sender = self._sender
        node = await sender._find_coordinator(CoordinationType.GROUP, group_id)
        assert self.member is not None
        await MemberOffsetsHandler(sender, offsets, self.member).do(node)
