"""Which records are looked at: the newest, those from a place on, and those to come; never all of a large topic."""

import math
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from pipeline.errors import SettingError
from pipeline.kafka import READ_COMMITTED, reader
from pipeline.peek import MOST_LOOKED_AT
from pipeline.peek.decode import AnyDecoder, Shown
from pipeline.reading import offsets, read_between
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.timebase import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, to_ms

FIRST_STEP, MOST_STEP = 500, 10_000
CAREFUL_STEP = 5
"""Records of a partition that are read first where bytes are bounded: they may be of any size."""
AGO = re.compile(r"(\d+)([smhd])")
UNIT_MS = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


@dataclass(frozen=True, slots=True)
class Seen:
    """A record, decoded. `time_ms` is its timestamp in the broker, epoch milliseconds; headers' names may repeat."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: Shown
    value: Shown
    headers: tuple[tuple[str, Shown], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "timestamp_ms": self.time_ms,
            "key": self.key.value,
            "key_form": self.key.form,
            "value": self.value.value,
            "value_form": self.value.form,
            "notes": [shown.note for shown in (self.key, self.value) if shown.note],
            "headers": [[name, shown.value] for name, shown in self.headers],
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records of which partitions (None: all) are wanted: by a key's whole text, by a part of any text."""

    partitions: Collection[int] | None = None
    key: str | None = None
    text: str | None = None
    isolation_level: str = READ_COMMITTED

    @property
    def is_all(self) -> bool:
        """Whether no record is left out."""
        return self.key is None and self.text is None

    def takes(self, seen: Seen) -> bool:
        """Whether a record is wanted; capitals do not matter in `text`."""
        if self.key is not None and seen.key.text != self.key:
            return False
        if self.text is None:
            return True
        part = self.text.casefold()
        shown = (seen.key, seen.value, *(value for _, value in seen.headers))
        return any(part in each.text.casefold() for each in shown) or any(
            part in name.casefold() for name, _ in seen.headers
        )


@dataclass(slots=True)
class Found:
    """The records found, oldest first, how many were looked at, and whether older or later ones were not."""

    records: list[Seen]
    looked_at: int
    is_cut: bool = False


@dataclass(slots=True)
class Budget:
    """What one look may cost: records, bytes of keys and values, and seconds from now on."""

    records: int = MOST_LOOKED_AT
    bytes: float = math.inf
    seconds: float = math.inf
    looked_at: int = 0
    _read: int = 0
    _began_s: float = field(default_factory=time.monotonic)

    def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Count records that were read."""
        self.looked_at += len(records)
        self._read += sum(len(part) for record in records for part in (record.key, record.value) if part is not None)

    @property
    def is_spent(self) -> bool:
        """Whether no more may be read, of records only between two steps."""
        return self.looked_at >= self.records or self.is_over

    @property
    def is_over(self) -> bool:
        """Whether the present step has to end: too many bytes, or too late."""
        return self._read >= self.bytes or time.monotonic() - self._began_s >= self.seconds


Bounds = Mapping[TopicPartition, tuple[int, int]]
"""{partition: (begin, end)}: where a topic begins, and one past its last record."""


class Peek:
    """Looks into one topic of a cluster, up to `bounds` as they were asked for."""

    def __init__(self, settings: Settings, topic: str, wanted: Wanted, budget: Budget | None = None) -> None:
        self._settings = settings
        self._topic = topic
        self._wanted = wanted
        self._budget = budget or Budget()
        self._decoder = AnyDecoder(Registry(settings))

    async def bounds(self) -> Bounds:
        """{partition: (begin, end)} of the partitions wanted; raises SettingError where one does not exist."""
        found = await offsets(self._settings, [self._topic], isolation_level=self._wanted.isolation_level)
        if self._wanted.partitions is None:
            return found
        kept = {tp: bound for tp, bound in found.items() if tp.partition in self._wanted.partitions}
        if missing := set(self._wanted.partitions) - {tp.partition for tp in kept}:
            raise SettingError(
                f"topic {self._topic} has no partition {', '.join(map(str, sorted(missing)))}, but {len(found)}, from 0"
            )
        return kept

    async def newest(self, bounds: Bounds, count: int) -> Found:
        """The last `count` records wanted, of each partition by offset, merged by time.

        Partitions are read backwards in growing steps until they have so many, or the budget is spent. A step that it
        ends is left out, since newer records may be missing from it.
        """
        budget, step = self._budget, count if self._wanted.is_all else FIRST_STEP
        step = min(step, CAREFUL_STEP) if budget.bytes < math.inf else step
        open_until = {tp: end for tp, (begin, end) in bounds.items() if begin < end}
        found: dict[TopicPartition, list[Seen]] = {tp: [] for tp in bounds}
        while open_until and not budget.is_spent:
            part = {tp: (max(bounds[tp][0], end - step), end) for tp, end in open_until.items()}
            older: dict[TopicPartition, deque[Seen]] = {tp: deque(maxlen=count) for tp in part}
            async for seen in self._read(part):
                for each in seen:
                    older[TopicPartition(self._topic, each.partition)].append(each)
            if budget.is_over:
                break
            for tp, records in older.items():
                found[tp] = [*records, *found[tp]][-count:]
            open_until = {
                tp: start for tp, (start, _) in part.items() if start > bounds[tp][0] and len(found[tp]) < count
            }
            step = min(4 * step, MOST_STEP)
        merged = sorted((seen for records in found.values() for seen in records), key=_by_time)
        return Found(merged[-count:], budget.looked_at, is_cut=bool(open_until))

    async def onwards(self, bounds: Bounds, starts: Mapping[TopicPartition, int], count: int) -> Found:
        """The first `count` records wanted from these offsets on, merged by time; see `newest`."""
        budget, size = self._budget, FIRST_STEP
        part = {tp: (starts.get(tp, end), end) for tp, (_, end) in bounds.items()}
        found = {tp: list[Seen]() for tp in bounds}
        while part and not budget.is_spent:
            now = {tp: (start, min(end, start + size)) for tp, (start, end) in part.items()}
            async for seen in self._read(now):
                for each in seen:
                    if len(kept := found[TopicPartition(self._topic, each.partition)]) < count:
                        kept.append(each)
            if budget.is_over:
                break
            part = {
                tp: (now[tp][1], end) for tp, (_, end) in part.items() if now[tp][1] < end and len(found[tp]) < count
            }
            size = MOST_STEP
        merged = sorted((seen for records in found.values() for seen in records), key=_by_time)
        return Found(merged[:count], budget.looked_at, is_cut=bool(part))

    async def follow(self, starts: Mapping[TopicPartition, int]) -> AsyncIterator[Seen]:
        """Every record wanted from these offsets on, as they come; it never ends by itself."""
        async with reader(self._settings, self._wanted.isolation_level) as consumer:
            consumer.assign(list(starts))
            for tp, offset in starts.items():
                consumer.seek(tp, offset)
            while True:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for seen in await self._decoded(records):
                        if self._wanted.takes(seen):
                            yield seen

    async def at_time(self, bounds: Bounds, time_ms: int) -> dict[TopicPartition, int]:
        """{partition: offset of the first record of this time or later}; the end where there is none."""
        async with reader(self._settings) as consumer:
            found = await consumer.offsets_for_times(dict.fromkeys(bounds, max(0, time_ms)))
        return {tp: found[tp].offset if found.get(tp) else end for tp, (_, end) in bounds.items()}

    async def _read(self, part: Mapping[TopicPartition, tuple[int, int]]) -> AsyncIterator[list[Seen]]:
        """The records wanted of each list of records between these offsets, for as long as the budget lasts."""
        level = self._wanted.isolation_level
        async for records in read_between(self._settings, part, isolation_level=level, max_records=2_000):
            self._budget.take(records)
            yield [seen for seen in await self._decoded(records) if self._wanted.takes(seen)]
            if self._budget.is_over:
                return

    async def _decoded(self, records: list[ConsumerRecord]) -> list[Seen]:
        await self._decoder.prepare(part for record in records for part in (record.key, record.value))
        return [_seen(record, self._decoder) for record in records]


def _seen(record: ConsumerRecord, decode: Callable[[bytes | None], Shown]) -> Seen:
    headers = tuple((name, decode(value)) for name, value in record.headers or ())
    key, value = decode(record.key), decode(record.value)
    return Seen(record.topic, record.partition, record.offset, record.timestamp, key, value, headers)


def _by_time(seen: Seen) -> tuple[int, int, int]:
    return seen.time_ms, seen.partition, seen.offset


def start_time(text: str, now: int, what: str = "--from") -> int:
    """A time as people write it, in epoch milliseconds: 5m (ago; s, m, h, d), ISO 8601 (in UTC unless it says more).

    Raises SettingError with what would be right; `what` is what the time is called.
    """
    if ago := AGO.fullmatch(text):
        return now - int(ago[1]) * UNIT_MS[ago[2]]
    if text.isdigit() and len(text) >= 10:
        return int(text)
    try:
        return to_ms(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise SettingError(
            f"{what} is {text!r}, but must be like 5m (ago; s, m, h, d), 2026-11-28, 2026-11-28T10:00 (UTC), epoch "
            "milliseconds, or beginning"
        ) from None
