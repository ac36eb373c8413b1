"""Reads the topics, MySQL and the cluster's state after a run, once each, and has everything checked."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from aiokafka import TopicPartition
from sqlalchemy import select

from pipeline import reading, topics
from pipeline.chaos.checks import (
    Check,
    Marks,
    Origin,
    Presence,
    Range,
    check_ends,
    check_letters,
    check_none,
    check_sales,
    compare_origins,
)
from pipeline.chaos.ledger import Ledger, SalesLedger
from pipeline.chaos.poison import Poisons
from pipeline.codecs import Decoder, Record
from pipeline.errors import PipelineError
from pipeline.kafka import READ_COMMITTED, READ_UNCOMMITTED, describe_topics
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.sources.database import engine
from pipeline.sources.models import FlashSale
from pipeline.topics import Topic
from pipeline.verify.run import verify

log = logging.getLogger(__name__)

SETTLE_S = 20.0
VERIFY_SHOWN = 5


class Inspection:
    """All checks of one run, whose sources have stopped; `checks` are the results by name."""

    def __init__(
        self, settings: Settings, ledger: Ledger, sales: SalesLedger, poisons: Poisons, began_s: float = 0.0
    ) -> None:
        """`began_s` is when the faults began, in Unix seconds: what is wrong is told with its time from there."""
        self._settings = settings
        self._began_s = began_s
        self._registry = Registry(settings)
        self._ledger = ledger
        self._sales = sales
        self._poisons = poisons
        self._falling: list[str] = []
        self.checks: dict[str, Check] = {}
        self.events = 0

    async def run(self, tell: Callable[[str], None], verify_timeout_s: float) -> None:
        """Everything in turn; a check that cannot be made has failed."""
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "verify": lambda: self._verify(verify_timeout_s),
            "lag": self._lag,
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
        report = await verify(self._settings, timeout_s)
        found = report.as_json()
        found["examples"] = [text for output in report.outputs.values() for text in output.wrong][:VERIFY_SHOWN]
        self.checks["verify"] = Check(report.ok, found)

    async def _lag(self) -> None:
        lag = await reading.group_lag(self._settings, self._settings.app_id)
        behind = {f"{topic}/{p}": n for topic, by_partition in lag.items() for p, n in by_partition.items() if n}
        missing = {t.name: "never committed" for t in topics.EVENTS if t.name not in lag}
        self.checks["lag"] = check_none(behind | missing)

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
        """One pass over each source topic: ledger, poison, sales; then letters and enriched rows against them."""
        presence, poisoned, sale_ids = Presence(self._ledger), list[Origin](), Counter[int]()
        good = {topic.name: Marks() for topic in topics.EVENTS}
        for topic in topics.EVENTS:
            async for batch in reading.read_batches(self._settings, topic.name):
                self.events += len(batch)
                for r in batch:
                    bad = self._poisons.holds(r.topic, r.key, r.value, r.timestamp)
                    if topic is not topics.FLASH_SALES or bad:
                        presence.take((r.topic, r.partition), r.offset, r.value)
                    elif r.key is not None and r.key.isdigit():
                        sale_ids[int(r.key)] += 1
                    if bad:
                        poisoned.append((r.topic, r.partition, r.offset))
                    else:
                        good[r.topic].add(r.partition, r.offset)
        self.checks["ledger"] = presence.result()
        self._falling += presence.falling
        self.checks["sales"] = check_sales(self._sales, await _sales_in(self._settings), sale_ids)
        self.checks["dead_letters"] = check_letters(poisoned, await self._letters())
        for name, source, enriched in (
            ("pageview_rows", topics.PAGEVIEW, topics.EXTENDED_PAGEVIEWS),
            ("sale_rows", topics.FLASH_SALES, topics.EXTENDED_FLASHSALES),
        ):
            check = compare_origins(good[source.name], await self._origins(enriched))
            check.found["ranges"] = [str(r) for r in await self._moments(source, check.found["ranges"])]
            self.checks[name] = check

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
        async for row in self._rows(topics.DEAD_LETTERS):
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


async def _sales_in(settings: Settings) -> dict[int, int]:
    """{sale id: cents} of MySQL's table."""
    database = engine(settings)
    try:
        async with database.connect() as connection:
            sale = FlashSale
            rows = await connection.stream(select(sale.sale_id, sale.sale_price * sale.quantity * 100))
            return {int(row[0]): int(row[1] or 0) async for row in rows}
    finally:
        await database.dispose()
