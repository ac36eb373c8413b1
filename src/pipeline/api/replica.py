"""A copy of the workers' totals in this process, which follows their changelogs as committed readers see them.

Whoever asks is answered from one copy, whichever workers hold the state, while they come and go, and after kill -9:
what a transaction has not committed is not in it. How fresh it is, is measured: the brokers are asked how far the
changelogs go, and once the copy has come so far, it holds everything that was committed before they were asked.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from pipeline.api.totals import TableTotals, Totals
from pipeline.errors import PipelineError
from pipeline.kafka import READ_COMMITTED, reader
from pipeline.reading import offsets
from pipeline.settings import Settings
from pipeline.tables.aggregate import Row
from pipeline.timebase import now_ms
from pipeline.transport.fetching import fetch_promptly, next_batches

FETCH_S = 0.5
MOST_RECORDS = 2_000
LOOK_S = 0.001
CONFIRM_S = 0.5
"""How often the copy's freshness is confirmed when nobody asks."""
AGAIN_S = 1.0

log = logging.getLogger(__name__)


class NotFreshError(PipelineError):
    """The copy is not as fresh as it was asked to be."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one record of a changelog has made of a table: `rows` are those of the group, or of one of its windows.

    Without rows, the window with this start is kept no longer, or the group has none. `number` counts the table's
    changes in this process.
    """

    number: int
    group: str
    start_ms: int
    rows: tuple[Row, ...]


@dataclass(slots=True)
class Recent:
    """The latest changes of one table, once somebody has asked for them, and what is told when more come."""

    most: int
    changes: dict[int, Change] = field(default_factory=dict)
    next: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)
    is_followed: bool = False

    def add(self, table: TableTotals, group: str, start_ms: int) -> None:
        """One more; the oldest is forgotten."""
        if self.is_followed:
            self.changes[self.next] = Change(self.next, group, start_ms, tuple(table.rows_at(group, start_ms)))
            self.changes.pop(self.next - self.most, None)
        self.next += 1

    def tell(self) -> None:
        """Wake who waits."""
        self.more.set()
        self.more = asyncio.Event()

    def since(self, number: int, most: int) -> list[Change] | None:
        """Up to `most` changes from a number on; None where they are not kept."""
        if not self.next - len(self.changes) <= number <= self.next:
            return None
        return [self.changes[place] for place in range(number, min(number + most, self.next))]


class Replica:
    """Follows the changelogs of these topics into `totals`; `run` does it until it is cancelled."""

    def __init__(self, settings: Settings, totals: Totals, changelogs: Collection[str]) -> None:
        self.totals = totals
        self.generation = now_ms()
        """Changes of another process, or of before everything was read again, are counted differently."""
        self.recent: dict[str, Recent] = {}
        self.problem: str | None = "it has just been started"
        self._settings = settings
        self._changelogs = sorted(changelogs)
        self._positions: dict[TopicPartition, int] = {}
        self._confirmed: tuple[float, int] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._asked = asyncio.Event()
        self._forget()

    def _forget(self) -> None:
        """Everything is to be read from the beginning."""
        self.totals.clear()
        self._positions.clear()
        self._confirmed = None
        self.generation += 1
        for recent in self.recent.values():
            recent.tell()
        self.recent = {name: Recent(self._settings.api_kept_changes) for name in self.totals.tables}

    @property
    def is_read(self) -> bool:
        """Whether the copy has come to the end of the changelogs once."""
        return self._confirmed is not None or not self._changelogs

    async def fresh(self, stale_ms: int | None = None) -> int:
        """Wait until everything is in the copy that was committed before now less `stale_ms`; gives the moment
        (epoch ms) before which everything that was committed is in it. None: as the settings say.

        Raises NotFreshError after `api_timeout_s`.
        """
        if not self._changelogs:
            return now_ms()
        stale_ms = self._settings.api_stale_ms if stale_ms is None else stale_ms
        confirmed = self._confirmed
        if confirmed is not None and (time.monotonic() - confirmed[0]) * 1_000 <= stale_ms:
            return confirmed[1]
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._asked.set()
        try:
            await asyncio.wait_for(waiter, self._settings.api_timeout_s)
        except TimeoutError:
            raise NotFreshError(self._why_not_fresh()) from None
        assert self._confirmed is not None
        return self._confirmed[1]

    def _why_not_fresh(self) -> str:
        because = f": {self.problem}" if self.problem else ""
        if self._confirmed is None:
            return f"the workers' state is still being read{because}"
        behind_s = time.monotonic() - self._confirmed[0]
        return f"what is known is {behind_s:.1f} s old, and no newer state could be read{because}"

    async def run(self) -> None:
        """Follow, and begin again where the brokers go away."""
        while self._changelogs:
            try:
                await self._follow()
            except OffsetOutOfRangeError:
                log.warning("a changelog is not the one that was followed any more: all of them are read again")
                self._forget()
            except (KafkaError, OSError, PipelineError, TimeoutError) as error:
                told = str(error) or type(error).__name__
                if told != self.problem:
                    log.warning("changelogs cannot be followed: %s", told)
                self.problem = told
                await asyncio.sleep(AGAIN_S)

    async def _follow(self) -> None:
        bounds = await offsets(self._settings, self._changelogs, isolation_level=READ_COMMITTED)
        for tp, position in self._positions.items():
            begin, end = bounds.get(tp, (0, -1))
            if not begin <= position <= end:
                log.warning("%s has other records than those that were followed: everything is read again", tp.topic)
                self._forget()
                break
        self._positions = {tp: self._positions.get(tp, begin) for tp, (begin, _) in bounds.items()}
        # on the connections of the first, brokers answer fetches, which wait for records, before all else
        async with reader(self._settings) as consumer, reader(self._settings) as asking:
            fetch_promptly(consumer)
            consumer.assign(list(self._positions))
            for tp, position in self._positions.items():
                consumer.seek(tp, position)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._apply(consumer))
                tasks.create_task(self._confirm(consumer, asking))

    async def _apply(self, consumer: AIOKafkaConsumer) -> None:
        partitions = list(self._positions)
        while True:
            changed: set[str] = set()
            for batch in (await next_batches(consumer, partitions, FETCH_S, MOST_RECORDS)).values():
                for key, value in zip(batch.keys, batch.values, strict=True):
                    found = None if key is None else self.totals.apply(key, value)
                    if found is not None:
                        changed.add(self._note(*found))
                self._positions[TopicPartition(batch.topic, batch.partition)] = batch.next_offset
            for name in changed:
                self.recent[name].tell()
            await asyncio.sleep(0)

    def _note(self, table: TableTotals, group: str, start_ms: int) -> str:
        name = table.statement.output.name
        self.recent[name].add(table, group, start_ms)
        return name

    async def _confirm(self, consumer: AIOKafkaConsumer, asking: AIOKafkaConsumer) -> None:
        """Ask how far the changelogs go, wait until the copy has come so far, tell who waits; again and again."""
        while True:
            with_nobody = asyncio.create_task(asyncio.sleep(CONFIRM_S))
            asked = asyncio.create_task(self._asked.wait())
            try:
                await asyncio.wait({with_nobody, asked}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                with_nobody.cancel()
                asked.cancel()
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            began = (time.monotonic(), now_ms())
            try:
                ends = await asking.end_offsets(list(self._positions))
                while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                    await asyncio.sleep(LOOK_S)
            except BaseException:
                self._waiting = [*waiting, *self._waiting]
                self._asked.set()
                raise
            self._confirmed, self.problem = began, None
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)
