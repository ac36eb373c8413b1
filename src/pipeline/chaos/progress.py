"""How far the application has come, sampled all the time: what is in flight, when all is caught up, longest pauses."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import pairwise

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from pipeline import reading
from pipeline.errors import ChaosError, StackError
from pipeline.kafka import READ_COMMITTED, admin_client
from pipeline.settings import Settings

SAMPLE_S = 0.25
RECENT_S = 5.0
READY_WAIT_S = 60.0
KEPT = 20_000
ASK_TIMEOUT_S = 5.0

Offsets = dict[TopicPartition, int]


class Timeline:
    """When the sources' acknowledged count and the group's position moved; seconds of one clock."""

    def __init__(self) -> None:
        self._acknowledged = -1
        self._position = -1
        self.acknowledged_s: deque[float] = deque(maxlen=KEPT)
        self.moved_s: deque[float] = deque(maxlen=KEPT)
        self._partitions: dict[int, int] = {}
        self._partitions_moved_s: dict[int, deque[float]] = {}

    def note_acknowledged(self, at_s: float, count: int) -> None:
        """The sources' acknowledged count."""
        if count > self._acknowledged >= 0:
            self.acknowledged_s.append(at_s)
        self._acknowledged = count

    def note_position(self, at_s: float, position: int) -> None:
        """The sum of the group's committed offsets."""
        if position > self._position >= 0:
            self.moved_s.append(at_s)
        self._position = position

    def note_partition(self, at_s: float, partition: int, offset: int) -> None:
        """The group's committed offset in one partition of a source that never pauses."""
        if offset > self._partitions.get(partition, offset):
            self._partitions_moved_s.setdefault(partition, deque(maxlen=KEPT)).append(at_s)
        self._partitions[partition] = offset

    def missing(self, now_s: float, recent_s: float = RECENT_S) -> str:
        """What has not moved within the last seconds, as words; empty when work is in flight."""
        still = []
        if not self.acknowledged_s or now_s - self.acknowledged_s[-1] > recent_s:
            still.append("no source record was acknowledged")
        if not self.moved_s or now_s - self.moved_s[-1] > recent_s:
            still.append("the workers committed nothing")
        return f"{' and '.join(still)} in the last {recent_s:.0f} s" if still else ""

    def longest_pause_s(self, start_s: float, end_s: float) -> float:
        """The longest time between two moves of the workers within an interval, its ends counting as moves."""
        return _longest_gap_s(self.moved_s, start_s, end_s)

    def longest_partition_pause_s(self, start_s: float, end_s: float) -> float:
        """The same for the partition that stood still for longest."""
        return max((_longest_gap_s(moved, start_s, end_s) for moved in self._partitions_moved_s.values()), default=0.0)


def _longest_gap_s(moved_s: Iterable[float], start_s: float, end_s: float) -> float:
    inside = [at for at in moved_s if start_s < at < end_s]
    return max(after - before for before, after in pairwise([start_s, *inside, end_s]))


def behind(goal: Mapping[TopicPartition, int], committed: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """{partition: distance in offsets} where the group has not come as far as the goal."""
    return {tp: end - committed.get(tp, 0) for tp, end in goal.items() if committed.get(tp, 0) < end}


class Monitor:
    """Samples the group's committed offsets and the sources' count in the background.

    `sources` are topics that the group reads and others write; into `steady`, one of them, records come all the time.
    """

    def __init__(
        self, settings: Settings, sources: Iterable[str], steady: str, acknowledged: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._sources = sorted(sources)
        self._steady = steady
        self._acknowledged = acknowledged
        self.timeline = Timeline()
        self.committed: Offsets = {}

    async def run(self) -> None:
        """Sample until cancelled; while the brokers do not answer nothing moves."""
        while True:
            with suppress(StackError, KafkaError, TimeoutError, OSError):
                async with admin_client(self._settings) as client:
                    while True:
                        async with asyncio.timeout(ASK_TIMEOUT_S):
                            found = await client.list_consumer_group_offsets(self._settings.app_id)
                        self.committed |= {tp: meta.offset for tp, meta in found.items() if meta.offset >= 0}
                        self._note()
                        await asyncio.sleep(SAMPLE_S)
            self._note()
            await asyncio.sleep(SAMPLE_S)

    def _note(self) -> None:
        now_s = time.monotonic()
        self.timeline.note_acknowledged(now_s, self._acknowledged())
        self.timeline.note_position(now_s, sum(self.committed.values()))
        for tp, offset in self.committed.items():
            if tp.topic == self._steady:
                self.timeline.note_partition(now_s, tp.partition, offset)

    async def require_in_flight(self) -> None:
        """Return when records come in and the workers move; raises ChaosError when they do not within a minute."""
        deadline = time.monotonic() + READY_WAIT_S
        while missing := self.timeline.missing(time.monotonic()):
            if time.monotonic() > deadline:
                raise ChaosError(f"no fault can strike work in flight: {missing}")
            await asyncio.sleep(SAMPLE_S)

    async def goal(self) -> Offsets:
        """The end offsets of the source topics as they are now, once the brokers tell them."""
        while True:
            with suppress(StackError):
                return await reading.end_offsets(self._settings, self._sources, isolation_level=READ_COMMITTED)
            await asyncio.sleep(SAMPLE_S)

    async def consumed(self, goal: Offsets, timeout_s: float) -> float | None:
        """The time (monotonic) when every record below the goal had been committed; None: not within the timeout.

        Markers of transactions are no records: where only a little is left, the records are counted.
        """
        deadline, counted_s = time.monotonic() + timeout_s, 0.0
        while (now_s := time.monotonic()) < deadline:
            left = behind(goal, self.committed)
            if not left:
                return now_s
            if max(left.values()) <= reading.COUNT_BELOW and now_s - counted_s > 1:
                counted_s = now_s
                if not await self._records_left({tp: (goal[tp] - n, goal[tp]) for tp, n in left.items()}):
                    return now_s
            await asyncio.sleep(SAMPLE_S)
        return None

    async def _records_left(self, bounds: dict[TopicPartition, tuple[int, int]]) -> bool:
        with suppress(StackError, KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(ASK_TIMEOUT_S):
                async for _ in reading.read_between(self._settings, bounds):
                    return True
                return False
        return True
