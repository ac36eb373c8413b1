"""What Kafka's exactly-once protocol needs of a consumer group and aiokafka does not speak yet (KIP-447).

Offsets are committed in a transaction together with the member's id and generation, so that the broker refuses a
worker that is no longer in the group; and committed offsets are asked for in their stable form, which waits for
transactions that are still open.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

STRING = CompactString("utf-8")
UNSTABLE_OFFSET_COMMIT = 88
RETRY_S = 0.1


class Member(NamedTuple):
    """Who commits: a consumer's membership of its group in one generation."""

    group_id: str
    generation_id: int
    member_id: str

    @classmethod
    def of(cls, consumer: AIOKafkaConsumer) -> "Member":
        """The membership that a consumer has now."""
        coordinator = consumer._coordinator
        return cls(coordinator.group_id, coordinator.generation, coordinator.member_id)


def by_topic(*columns: tuple[str, Any]) -> tuple[str, CompactArray]:
    """The protocol's way to give columns for partitions of several topics."""
    tags = ("tags", TaggedFields)
    return "topics", CompactArray(("topic", STRING), ("partitions", CompactArray(*columns, tags)), tags)


class TxnOffsetCommitResponse_v3(Response):  # type: ignore[misc]
    """As Kafka's protocol guide has it."""

    API_KEY = 28
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        by_topic(("partition", Int32), ("error_code", Int16)),
        ("tags", TaggedFields),
    )


class TxnOffsetCommitRequest_v3(RequestStruct):  # type: ignore[misc]
    """As Kafka's protocol guide has it."""

    API_KEY = 28
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = TxnOffsetCommitResponse_v3
    SCHEMA = Schema(
        ("transactional_id", STRING),
        ("group_id", STRING),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", STRING),
        ("group_instance_id", STRING),
        by_topic(("partition", Int32), ("offset", Int64), ("leader_epoch", Int32), ("metadata", STRING)),
        ("tags", TaggedFields),
    )


class TxnOffsetCommitRequest(Request[TxnOffsetCommitRequest_v3]):  # type: ignore[misc]
    """Offsets of a group, as part of a transaction, from one of its members."""

    API_KEY = 28

    def __init__(self, transaction: Any, member: Member, offsets: dict[TopicPartition, Any]) -> None:
        self._transaction = transaction
        self._member = member
        self._offsets = offsets

    def build(self, request_struct_class: type[TxnOffsetCommitRequest_v3]) -> TxnOffsetCommitRequest_v3:
        """The request in the version that the broker speaks."""
        topics: defaultdict[str, list[Any]] = defaultdict(list)
        for tp, offset in sorted(self._offsets.items()):
            topics[tp.topic].append((tp.partition, offset.offset, -1, offset.metadata, {}))
        return request_struct_class(
            self._transaction.transactional_id,
            self._member.group_id,
            self._transaction.producer_id,
            self._transaction.producer_epoch,
            self._member.generation_id,
            self._member.member_id,
            None,
            [(topic, partitions, {}) for topic, partitions in topics.items()],
            {},
        )


class OffsetFetchResponse_v7(Response):  # type: ignore[misc]
    """As Kafka's protocol guide has it."""

    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        by_topic(
            ("partition", Int32),
            ("offset", Int64),
            ("leader_epoch", Int32),
            ("metadata", STRING),
            ("error_code", Int16),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class OffsetFetchRequest_v7(RequestStruct):  # type: ignore[misc]
    """As Kafka's protocol guide has it."""

    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = OffsetFetchResponse_v7
    SCHEMA = Schema(
        ("group_id", STRING),
        ("topics", CompactArray(("topic", STRING), ("partitions", CompactArray(Int32)), ("tags", TaggedFields))),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class StableOffsetFetchRequest(Request[OffsetFetchRequest_v7]):  # type: ignore[misc]
    """Committed offsets, of which the broker says where a transaction is still open."""

    API_KEY = 9

    def __init__(self, group_id: str, partitions: Iterable[TopicPartition]) -> None:
        self._group_id = group_id
        self._partitions = partitions

    def build(self, request_struct_class: type[OffsetFetchRequest_v7]) -> OffsetFetchRequest_v7:
        """The request in the version that the broker speaks."""
        topics: defaultdict[str, list[int]] = defaultdict(list)
        for tp in self._partitions:
            topics[tp.topic].append(tp.partition)
        return request_struct_class(self._group_id, [(name, numbers, {}) for name, numbers in topics.items()], True, {})


async def stable_offsets(consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """{partition: committed offset, or -1} of what is assigned, once no transaction that may change it is open."""
    coordinator = consumer._coordinator
    while True:
        partitions = consumer.assignment()
        if not partitions:
            return {}
        await coordinator.ensure_coordinator_known()
        try:
            response = await coordinator._send_req(StableOffsetFetchRequest(coordinator.group_id, partitions))
            return _offsets(response)
        except KafkaError as error:
            if getattr(error, "errno", None) != UNSTABLE_OFFSET_COMMIT and not error.retriable:
                raise
        await asyncio.sleep(RETRY_S)


async def seek_to_stable(consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """Go on from the stable offsets, from the beginning where there is none; returns them."""
    offsets = await stable_offsets(consumer)
    for tp, offset in offsets.items():
        if offset >= 0:
            consumer.seek(tp, offset)
    if fresh := [tp for tp, offset in offsets.items() if offset < 0]:
        await consumer.seek_to_beginning(*fresh)
    return offsets


class UnstableOffsetCommit(KafkaError):  # type: ignore[misc]
    """A transaction that has offsets of the group in it is still open."""

    errno = UNSTABLE_OFFSET_COMMIT


def _offsets(response: Any) -> dict[TopicPartition, int]:
    found = {}
    for topic, partitions, _ in response.topics:
        for number, offset, _, _, code, _ in partitions:
            if code or response.error_code:
                code = code or response.error_code
                raise UnstableOffsetCommit() if code == UNSTABLE_OFFSET_COMMIT else for_code(code)()
            found[TopicPartition(topic, number)] = offset
    if response.error_code:
        raise for_code(response.error_code)()
    return found
