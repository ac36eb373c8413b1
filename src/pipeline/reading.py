"""Topics read whole or in part, their offsets, and how far a group is behind; without joining any group."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_fixed

from pipeline.errors import StackError
from pipeline.kafka import READ_COMMITTED, READ_UNCOMMITTED, admin_client, describe_topics, reader
from pipeline.kafka_refusals import broker_error
from pipeline.settings import Settings

STALL_S = 30.0
COUNT_BELOW = 1_000
COORDINATOR_WAIT_S = 10.0


async def _partitions(settings: Settings, names: Iterable[str]) -> list[TopicPartition]:
    """The partitions of these topics; raises StackError when one does not exist."""
    names = list(names)
    known = await describe_topics(settings, names)
    for name in names:
        if name not in known:
            raise StackError(
                f"topic {name} does not exist: run `pipeline provision` first; `pipeline peek` lists those that do"
            )
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
            raise broker_error(settings, "offsets cannot be read", error) from error
    return {tp: (begin[tp], end[tp]) for tp in partitions}


async def end_offsets(
    settings: Settings, names: Iterable[str], *, isolation_level: str = READ_UNCOMMITTED
) -> dict[TopicPartition, int]:
    """{partition: one past its last offset} of these topics; see `offsets`."""
    return {tp: end for tp, (_, end) in (await offsets(settings, names, isolation_level=isolation_level)).items()}


async def offsets_from(settings: Settings, name: str, from_ms: int) -> dict[int, int]:
    """{partition: the offset of its first record whose time is `from_ms` (epoch ms) or later}, where there is one."""
    partitions = await _partitions(settings, [name])
    async with reader(settings, READ_UNCOMMITTED) as consumer:
        try:
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, from_ms))
        except (TimeoutError, KafkaError) as error:
            raise broker_error(settings, "offsets cannot be read", error) from error
    return {tp.partition: place.offset for tp, place in found.items() if place is not None}


async def committed(settings: Settings, group: str) -> dict[TopicPartition, int]:
    """{partition: offset that a consumer group goes on from}, where it has committed one."""
    async with admin_client(settings) as client:
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(lambda error: isinstance(error, KafkaError) and error.retriable),
                stop=stop_after_delay(COORDINATOR_WAIT_S),
                wait=wait_fixed(0.2),
                reraise=True,
            ):
                with attempt:  # a new cluster makes its offsets topic when a group is first asked about
                    found = await client.list_consumer_group_offsets(group)
        except (TimeoutError, KafkaError) as error:
            raise broker_error(settings, f"offsets of group {group} cannot be read", error) from error
    return {tp: meta.offset for tp, meta in found.items() if meta.offset >= 0}


async def group_lag(settings: Settings, group: str) -> dict[str, dict[int, int]]:
    """{topic: {partition: lag}} of a consumer group, for partitions where it has committed an offset.

    A partition that is not in it has no committed offset: nothing is known to have been read there.

    The lag is in records that a read_committed reader would get. Offsets alone would not do: the end marker of every
    transaction takes one, so that whoever has read everything would never reach the end. So the records are counted
    where the distance is small (up to COUNT_BELOW offsets), and above that the distance itself is the lag.
    """
    known = await describe_topics(settings)
    offsets_of = {tp: offset for tp, offset in (await committed(settings, group)).items() if tp.topic in known}
    ends = await end_offsets(settings, sorted({tp.topic for tp in offsets_of}), isolation_level=READ_COMMITTED)
    lags = {tp: max(0, ends[tp] - offset) for tp, offset in sorted(offsets_of.items()) if tp in ends}
    close = {tp: (offsets_of[tp], ends[tp]) for tp, lag in lags.items() if 0 < lag <= COUNT_BELOW}
    if close:
        lags.update(dict.fromkeys(close, 0))
        async for records in read_between(settings, close):
            lags[TopicPartition(records[0].topic, records[0].partition)] += len(records)
    lag: dict[str, dict[int, int]] = {}
    for tp, records_left in lags.items():
        lag.setdefault(tp.topic, {})[tp.partition] = records_left
    return lag


async def read_between(
    settings: Settings,
    bounds: Mapping[TopicPartition, tuple[int, int]],
    *,
    isolation_level: str = READ_COMMITTED,
    max_records: int = 20_000,
) -> AsyncIterator[list[ConsumerRecord]]:
    """Lists of records of one partition each, of the offsets `[start, end)` of each partition, then it ends.

    Offsets rise within a partition; partitions are interleaved. A start before the oldest record kept means that.
    Raises StackError when nothing moves for STALL_S seconds.
    """
    open_ends = {tp: end for tp, (start, end) in bounds.items() if start < end}
    if not open_ends:
        return
    async with reader(settings, isolation_level) as consumer:
        consumer.assign(list(open_ends))
        positions = {tp: bounds[tp][0] for tp in open_ends}
        for tp, start in positions.items():
            consumer.seek(tp, start)
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
                where = ", ".join(
                    f"{tp.topic}/{tp.partition} at {positions[tp]} of {open_ends[tp]}" for tp in open_ends
                )
                raise StackError(f"no record came for {STALL_S:.0f} s from {where}")


async def read_batches(
    settings: Settings,
    topic: str,
    *,
    isolation_level: str = READ_COMMITTED,
    start: Mapping[int, int] | None = None,
) -> AsyncIterator[list[ConsumerRecord]]:
    """Lists of records of one partition each, from the beginning to the end offset as of the call; see `read_between`.

    `start` moves the first offset of some partitions: {partition: offset}.
    """
    moved = start or {}
    bounds = {
        tp: (max(begin, moved.get(tp.partition, begin)), end)
        for tp, (begin, end) in (await offsets(settings, [topic], isolation_level=isolation_level)).items()
    }
    async for records in read_between(settings, bounds, isolation_level=isolation_level):
        yield records


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
