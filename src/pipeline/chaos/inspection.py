"""Reads the topics and the cluster's state after a run, once each, and has everything checked."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from aiokafka import TopicPartition

from pipeline import reading
from pipeline.applications.loading import Runnable
from pipeline.chaos.checks import (
    Check,
    Marks,
    Origin,
    Presence,
    Range,
    check_ends,
    check_letters,
    check_none,
)
from pipeline.chaos.load import Load
from pipeline.chaos.shop import Shop
from pipeline.codecs import Decoder, Record
from pipeline.errors import PipelineError
from pipeline.kafka import READ_COMMITTED, READ_UNCOMMITTED, describe_topics
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.topics import DEAD_LETTERS, Topic
from pipeline.verifying import verified

log = logging.getLogger(__name__)

SETTLE_S = 20.0
LOOK_S = 0.5
VERIFY_SHOWN = 5


class Inspection:
    """All checks of one run, whose sources have stopped; `checks` are the results by name."""

    def __init__(
        self, settings: Settings, found: Runnable, load: Load, shop: Shop | None = None, began_s: float = 0.0
    ) -> None:
        """`shop` checks what only flash sales has.

        `began_s` is when the faults began, in Unix seconds: what is wrong is told with its time from there.
        """
        self._settings = settings
        self._found = found
        self._load = load
        self._shop = shop
        self._began_s = began_s
        self._registry = Registry(settings)
        self._falling: list[str] = []
        self.checks: dict[str, Check] = {}
        self.events = 0

    async def run(self, tell: Callable[[str], None], verify_timeout_s: float) -> None:
        """Everything in turn; a check that cannot be made has failed."""
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "verify": lambda: self._verify(verify_timeout_s),
            "lag": lambda: self._lag(verify_timeout_s),
            "transactions": self._transactions,
            "sources": self._sources,
            "under_replicated": self._replicas,
        }
        for name, step in steps.items():
            tell(f"checking: {name}")
            try:
                await step()
            except PipelineError as error:
                self.checks[name] = Check(False, str(error))
        self.checks["offsets_rise"] = Check(not self._falling, self._falling[:VERIFY_SHOWN])

    async def _verify(self, timeout_s: float) -> None:
        report = await verified(self._settings, timeout_s)
        if isinstance(report, str):
            self.checks["verify"] = Check(True, report, made=False)
            return
        found = report.as_json()
        found["examples"] = report.differences[:VERIFY_SHOWN]
        self.checks["verify"] = Check(report.ok, found)

    async def _lag(self, timeout_s: float) -> None:
        """Nothing is left. Where `verify` has not waited for the workers, that is done here."""
        deadline = time.monotonic() + (0.0 if self.checks["verify"].made else timeout_s)
        while True:
            lag = await reading.group_lag(self._settings, self._settings.app_id)
            behind = {f"{topic}/{p}": n for topic, by_partition in lag.items() for p, n in by_partition.items() if n}
            missing = {t.name: "never committed" for t in self._found.sources if t.name not in lag}
            check = self.checks["lag"] = check_none(behind | missing)
            if check.ok or time.monotonic() > deadline:
                return
            await asyncio.sleep(LOOK_S)

    async def _transactions(self) -> None:
        """Ends for both kinds of readers; looked at again for a while, since watermarks of idle partitions go on."""
        names = sorted(await describe_topics(self._settings))
        deadline = time.monotonic() + SETTLE_S
        while True:
            committed = await reading.end_offsets(self._settings, names, isolation_level=READ_COMMITTED)
            uncommitted = await reading.end_offsets(self._settings, names, isolation_level=READ_UNCOMMITTED)
            check = self.checks["transactions"] = check_ends(committed, uncommitted)
            if check.ok or time.monotonic() > deadline:
                return
            await asyncio.sleep(1)

    async def _replicas(self) -> None:
        states = await describe_topics(self._settings)
        self.checks["under_replicated"] = check_none(
            {name: state.under_replicated for name, state in states.items() if state.under_replicated}
        )

    async def _sources(self) -> None:
        """One pass over each source topic: ledger, poison, what is carried; then letters and rows against them.

        Topics that are compacted are left out: a record that is not the last of its key may be gone.
        """
        load, poisoned = self._load, list[Origin]()
        compacted = {topic.name for topic in self._found.topics if topic.retention_ms is None}
        names = sorted(({topic.name for topic in self._found.sources} | load.topics) - compacted)
        presence = Presence(load.ledger, names)
        good = {name: Marks() for name in names}
        for name in names:
            async for batch in reading.read_batches(self._settings, name):
                self.events += len(batch)
                for r in batch:
                    bad = load.poisons.holds(r.topic, r.key, r.value, r.timestamp)
                    if bad or name in load.topics:
                        presence.take((r.topic, r.partition), r.offset, r.value)
                    elif self._shop is not None:
                        self._shop.note(name, r.key)
                    if bad:
                        poisoned.append((r.topic, r.partition, r.offset))
                    else:
                        good[name].add(r.partition, r.offset)
        self.checks["ledger"] = presence.result()
        self._falling += presence.falling
        if self._shop is not None:
            self.checks["sales"] = await self._shop.sales()
        self.checks["dead_letters"] = check_letters(poisoned, await self._letters())
        if self._shop is not None:
            for check_name, (source, check) in (await self._shop.rows(good, self._origins)).items():
                check.found["ranges"] = [str(r) for r in await self._moments(source, check.found["ranges"])]
                self.checks[check_name] = check

    async def _origins(self, topic: Topic) -> Marks:
        """How often each origin has a row, for read_committed readers."""
        marks = Marks()
        async for row in self._rows(topic):
            marks.add(row["origin_partition"], row["origin_offset"])
        return marks

    async def _moments(self, topic: Topic, ranges: list[Range]) -> list[Range]:
        """With the time at which the first record of each range was written: which fault was it?"""
        told = []
        for found in ranges:
            start = {TopicPartition(topic.name, found.partition): (found.first, found.first + 1)}
            async for records in reading.read_between(self._settings, start):
                at_s = records[0].timestamp / 1000 - self._began_s
                found = replace(found, moment=f", {at_s:.1f} s after the faults began")
            told.append(found)
        return told

    async def _letters(self) -> Counter[Origin]:
        letters: Counter[Origin] = Counter()
        async for row in self._rows(DEAD_LETTERS):
            letters[row["topic"], row["partition"], row["offset"]] += 1
        return letters

    async def _rows(self, topic: Topic) -> AsyncIterator[Record]:
        assert topic.schema is not None
        decode, last = Decoder(topic.schema), dict[int, int]()
        async for batch in reading.read_batches(self._settings, topic.name):
            await self._registry.prepare(decode, [record.value for record in batch])
            for record in batch:
                if record.offset <= last.get(record.partition, -1):
                    self._falling.append(f"{topic.name}/{record.partition}: {record.offset}")
                last[record.partition] = record.offset
                yield decode(record.value)
