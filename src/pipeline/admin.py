"""Topics: brought to their declared form, described, and read whole.

Everything here asks the brokers directly and takes part in no consumer group. Errors of the brokers come out as
StackError (nothing answers, or not in time) and ProvisionError (a topic is not and cannot be made what is declared).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from pipeline.errors import ProvisionError, StackError
from pipeline.kafka import READ_COMMITTED, READ_UNCOMMITTED, admin_client, reader
from pipeline.settings import Settings
from pipeline.topics import ALL, Topic

TOPIC_ALREADY_EXISTS = 36
DYNAMIC_TOPIC_CONFIG = 1
LEADERS_WAIT_S = 30.0
STALL_S = 30.0


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition as the brokers' metadata shows it; `leader` is None while there is none."""

    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as the brokers' metadata shows it, partitions in order."""

    name: str
    partitions: tuple[PartitionState, ...]

    @property
    def replicas(self) -> int:
        """Replicas of the partition that has the fewest."""
        return min((len(p.replicas) for p in self.partitions), default=0)

    @property
    def in_sync(self) -> int:
        """In-sync replicas of the partition that has the fewest."""
        return min((len(p.in_sync) for p in self.partitions), default=0)

    @property
    def under_replicated(self) -> int:
        """Partitions with a replica that is not in sync."""
        return sum(len(p.in_sync) < len(p.replicas) for p in self.partitions)

    @property
    def has_leaders(self) -> bool:
        """True when every partition has a leader."""
        return bool(self.partitions) and all(p.leader is not None for p in self.partitions)


@dataclass(frozen=True, slots=True)
class TopicChange:
    """What `create_topics` did for one topic: `done` is "created", "altered" or "there"."""

    name: str
    done: str
    settings: tuple[str, ...] = ()


def topic_states(metadata: Iterable[Mapping[str, Any]]) -> dict[str, TopicState]:
    """Metadata's list of topics as {name: state}; topics that the brokers report with an error are left out."""
    return {
        entry["topic"]: TopicState(
            entry["topic"],
            tuple(
                PartitionState(
                    p["partition"],
                    p["leader"] if p["leader"] >= 0 else None,
                    tuple(p["replicas"]),
                    tuple(p["isr"]),
                )
                for p in sorted(entry["partitions"], key=lambda p: int(p["partition"]))
            ),
        )
        for entry in metadata
        if entry["error_code"] == 0
    }


def changed_settings(wanted: Mapping[str, str], entries: Iterable[tuple[Any, ...]]) -> dict[str, str] | None:
    """All topic settings to write where one of the wanted differs, or None when none does.

    `entries` are those of a DescribeConfigs response from version 1: (name, value, read only, source, ...). The
    request replaces every setting of the topic, so that those set by others are carried over.
    """
    entries = list(entries)
    now = {entry[0]: entry[1] for entry in entries}
    if all(now.get(name) == value for name, value in wanted.items()):
        return None
    own = {entry[0]: entry[1] for entry in entries if entry[3] == DYNAMIC_TOPIC_CONFIG and entry[1] is not None}
    return {**own, **wanted}


def check_partitions(settings: Settings, state: TopicState) -> None:
    """Raise ProvisionError when an existing topic has not the partitions of the settings."""
    if len(state.partitions) != settings.partitions:
        raise ProvisionError(
            f"topic {state.name} has {len(state.partitions)} partitions, but setting partitions is "
            f"{settings.partitions}: keys would change their partition, so delete the topic or change the setting"
        )


async def create_topics(settings: Settings, topics: Iterable[Topic] = ALL) -> list[TopicChange]:
    """Create or correct these topics, and wait until every partition has a leader; repeatable.

    Partitions of an existing topic are checked, its settings altered where they differ, its replicas left alone.
    Raises ProvisionError when that cannot be, StackError when no broker answers.
    """
    wanted = {topic.name: topic for topic in topics}
    async with admin_client(settings) as client:
        try:
            known = topic_states(await client.describe_topics())
            for name in wanted.keys() & known.keys():
                check_partitions(settings, known[name])
            missing = [topic for name, topic in wanted.items() if name not in known]
            created = await _create(client, settings, missing)
            there = [topic for topic in wanted.values() if topic.name not in created]
            altered = await _alter(client, there)
            await _await_leaders(client, settings, wanted)
        except (TimeoutError, KafkaError) as error:
            raise ProvisionError(f"topics cannot be provisioned: {error or type(error).__name__}") from error
    return [
        TopicChange(name, "created")
        if name in created
        else TopicChange(name, "altered" if name in altered else "there", altered.get(name, ()))
        for name in wanted
    ]


async def _create(client: AIOKafkaAdminClient, settings: Settings, topics: list[Topic]) -> set[str]:
    """Create missing topics; returns those that were created here and not by somebody else meanwhile."""
    if not topics:
        return set()
    response = await client.create_topics(
        [
            NewTopic(t.name, settings.partitions, settings.replication, topic_configs=dict(t.kafka_config))
            for t in topics
        ]
    )
    created = set()
    for name, code, message in response.topic_errors:
        if code == 0:
            created.add(name)
        elif code != TOPIC_ALREADY_EXISTS:
            raise ProvisionError(
                f"topic {name} with partitions={settings.partitions}, replication={settings.replication} was not "
                f"created: {for_code(code).__name__}: {message}"
            )
    return created


async def _alter(client: AIOKafkaAdminClient, topics: list[Topic]) -> dict[str, tuple[str, ...]]:
    """Correct the settings of existing topics; returns {topic: settings that differed}."""
    if not topics:
        return {}
    declared = {topic.name: topic.kafka_config for topic in topics}
    (response,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in declared])
    changes: dict[str, dict[str, str]] = {}
    altered: dict[str, tuple[str, ...]] = {}
    for code, message, _, name, entries in response.resources:
        if code:
            raise ProvisionError(f"settings of topic {name} cannot be read: {for_code(code).__name__}: {message}")
        change = changed_settings(declared[name], entries)
        if change is not None:
            now = {entry[0]: entry[1] for entry in entries}
            changes[name] = change
            altered[name] = tuple(f"{k}={v}" for k, v in declared[name].items() if now.get(k) != v)
    if changes:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, change) for name, change in changes.items()]
        for code, message, _, name in (await client.alter_configs(resources))[0].resources:
            if code:
                raise ProvisionError(
                    f"settings {', '.join(altered[name])} of topic {name} were refused: "
                    f"{for_code(code).__name__}: {message}"
                )
    return altered


async def _await_leaders(client: AIOKafkaAdminClient, settings: Settings, names: Iterable[str]) -> None:
    """Wait until the metadata shows every partition of these topics with a leader."""
    deadline = time.monotonic() + LEADERS_WAIT_S
    while True:
        known = topic_states(await client.describe_topics())
        waiting = [
            name
            for name in names
            if name not in known or not known[name].has_leaders or len(known[name].partitions) != settings.partitions
        ]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise ProvisionError(f"no leader after {LEADERS_WAIT_S:.0f} s for partitions of {', '.join(waiting)}")
        await asyncio.sleep(0.1)


async def describe_topics(settings: Settings, names: Iterable[str] | None = None) -> dict[str, TopicState]:
    """{name: state} of the topics that exist, or of those among `names` that do."""
    async with admin_client(settings) as client:
        try:
            known = topic_states(await client.describe_topics())
        except (TimeoutError, KafkaError) as error:
            raise StackError(f"topics cannot be described: {error or type(error).__name__}") from error
    return known if names is None else {name: known[name] for name in names if name in known}


async def _partitions(settings: Settings, names: Iterable[str]) -> list[TopicPartition]:
    """The partitions of these topics; raises StackError when one does not exist."""
    names = list(names)
    known = await describe_topics(settings, names)
    for name in names:
        if name not in known:
            raise StackError(f"topic {name} does not exist: run `pipeline provision` first")
    return [TopicPartition(name, p.partition) for name in names for p in known[name].partitions]


async def offsets(
    settings: Settings, names: Iterable[str], *, isolation_level: str = READ_UNCOMMITTED
) -> dict[TopicPartition, tuple[int, int]]:
    """{partition: (begin, end)} of these topics: `begin` is the oldest offset kept, `end` is one past the last.

    With read_committed, `end` stops before the first record of an open transaction.
    """
    partitions = await _partitions(settings, names)
    async with reader(settings, isolation_level) as consumer:
        try:
            begin, end = await asyncio.gather(consumer.beginning_offsets(partitions), consumer.end_offsets(partitions))
        except (TimeoutError, KafkaError) as error:
            raise StackError(f"offsets cannot be read: {error or type(error).__name__}") from error
    return {tp: (begin[tp], end[tp]) for tp in partitions}


async def end_offsets(
    settings: Settings, names: Iterable[str], *, isolation_level: str = READ_UNCOMMITTED
) -> dict[TopicPartition, int]:
    """{partition: one past its last offset} of these topics; see `offsets`."""
    return {tp: end for tp, (_, end) in (await offsets(settings, names, isolation_level=isolation_level)).items()}


async def group_lag(settings: Settings, group: str) -> dict[str, dict[int, int]]:
    """{topic: {partition: lag}} of a consumer group: end offset less committed offset, where it has committed.

    Offsets are counted, so that a transaction's end marker counts as one: in topics written by transactions a
    group that has read everything may show a lag of one or a few per partition, see `unread`.
    """
    async with admin_client(settings) as client:
        try:
            committed = await client.list_consumer_group_offsets(group)
        except (TimeoutError, KafkaError) as error:
            raise StackError(f"offsets of group {group} cannot be read: {error or type(error).__name__}") from error
    known = await describe_topics(settings)
    committed = {tp: meta.offset for tp, meta in committed.items() if meta.offset >= 0 and tp.topic in known}
    ends = await end_offsets(settings, sorted({tp.topic for tp in committed}))
    lag: dict[str, dict[int, int]] = {}
    for tp in sorted(committed):
        if tp in ends:
            lag.setdefault(tp.topic, {})[tp.partition] = max(0, ends[tp] - committed[tp])
    return lag


async def read_batches(
    settings: Settings,
    topic: str,
    *,
    isolation_level: str = READ_COMMITTED,
    start: Mapping[int, int] | None = None,
    max_records: int = 20_000,
) -> AsyncIterator[list[ConsumerRecord]]:
    """Lists of records of one partition each, from the beginning to the end offset as of the call, then it ends.

    `start` moves the first offset of some partitions: {partition: offset}. Offsets rise within a partition;
    partitions are interleaved. Raises StackError when nothing moves for STALL_S seconds.
    """
    bounds = await offsets(settings, [topic], isolation_level=isolation_level)
    moved = start or {}
    first = {tp: max(begin, moved.get(tp.partition, begin)) for tp, (begin, _) in bounds.items()}
    open_ends = {tp: end for tp, (_, end) in bounds.items() if first[tp] < end}
    if not open_ends:
        return
    async with reader(settings, isolation_level) as consumer:
        consumer.assign(list(open_ends))
        for tp in open_ends:
            consumer.seek(tp, first[tp])
        positions = {tp: first[tp] for tp in open_ends}
        alive = time.monotonic()
        while open_ends:
            fetched = await consumer.getmany(*open_ends, timeout_ms=200, max_records=max_records)
            for tp, records in fetched.items():
                end = open_ends[tp]
                kept = records if records[-1].offset < end else [r for r in records if r.offset < end]
                if kept:
                    yield kept
            # end markers and what compaction removed move the position too, without a record
            for tp in list(open_ends):
                position = await consumer.position(tp)
                if position != positions[tp]:
                    positions[tp], alive = position, time.monotonic()
                if position >= open_ends[tp]:
                    del open_ends[tp]
            if time.monotonic() - alive > STALL_S:
                where = ", ".join(f"{tp.partition} at {positions[tp]} of {end}" for tp, end in open_ends.items())
                raise StackError(f"topic {topic} cannot be read further for {STALL_S:.0f} s: partition {where}")


async def read_topic(
    settings: Settings,
    topic: str,
    *,
    isolation_level: str = READ_COMMITTED,
    start: Mapping[int, int] | None = None,
) -> AsyncIterator[ConsumerRecord]:
    """Every record of a topic from the beginning to the end offset as of the call; see `read_batches`."""
    async for batch in read_batches(settings, topic, isolation_level=isolation_level, start=start):
        for record in batch:
            yield record
