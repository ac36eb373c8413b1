"""The whole verification: wait for the workers, read everything, recompute, compare."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from pipeline import topics
from pipeline.access import rights
from pipeline.codecs import Record
from pipeline.kafka_rights import require_rights
from pipeline.registry import Registry
from pipeline.serving.pinot import client
from pipeline.settings import FLASH_SALES, Settings
from pipeline.topics import Topic
from pipeline.verify import source_side
from pipeline.verify.compare import differences, last_rows
from pipeline.verify.expected import Rows, Sources, expected, users_between
from pipeline.verify.joins import JoinReport, check_sales, check_views
from pipeline.verify.report import OutputReport, Report
from pipeline.verify.retention import Retention, removed_until_ms
from pipeline.verify.source_side import Cut, Enriched, Origin, Read, SourceRecord
from pipeline.verify.waiting import (
    NO_PARTITION,
    POLL_S,
    UNKNOWN_ID,
    Letters,
    begins_of,
    caught_up,
    dead_letters,
    decoded_rows,
    ends_of,
)

SOURCE_STAGE = (topics.PAGEVIEW, topics.USERS, topics.FLASH_SALES)
ENRICHED_STAGE = (topics.EXTENDED_PAGEVIEWS, topics.EXTENDED_FLASHSALES)
LATER_STAGES = (
    (topics.PAGEVIEW_BY_USER,),
    ENRICHED_STAGE,
    (topics.PAGEVIEW_PARTIALS, topics.FLASHSALE_PARTIALS),
)


@dataclass(slots=True)
class Bounds:
    """What the outputs may hold: recomputed at the low cut, and at a high cut that moves on with the sources."""

    low: dict[str, Rows]
    high: dict[str, Rows]
    late: int
    reads: dict[str, Read]
    sources: Sources
    joins: JoinReport
    retention: Retention
    users_between: dict[tuple[Any, ...], list[Record]]

    def differences(self, settings: Settings, topic: Topic, found: Rows, *, in_topic: bool) -> list[str]:
        """A sentence for every key of an output whose row is not what it has to be."""
        rows = self.low[topic.name], self.high[topic.name], found
        low, high, found = self.retention.comparable(settings, topic, rows, in_topic=in_topic)
        return differences(low, high, found, self.users_between if topic is topics.USER_TRANSFORMED else None)


async def verify(settings: Settings, timeout_s: float) -> Report:
    """Verify every output by the application's oracle in SQL; those of flash sales by brute force, too.

    Raises VerifyError when the workers do not catch up within `timeout_s` seconds, or the oracle cannot be run.
    """
    from pipeline.verify.sql.run import verify_by_sql

    await require_rights(settings, rights(settings)["verify"])
    if settings.app != FLASH_SALES:
        return await verify_by_sql(settings, timeout_s)
    report = await verify_by_brute_force(settings, timeout_s)
    report.by_sql = await verify_by_sql(settings, timeout_s)
    return report


async def verify_by_brute_force(settings: Settings, timeout_s: float) -> Report:
    """Verify flash sales; raises VerifyError when the workers do not catch up within `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    registry = Registry(settings)
    low_cuts = await ends_of(settings, SOURCE_STAGE)
    await caught_up(settings, low_cuts, deadline)
    for stage in LATER_STAGES:
        await caught_up(settings, await ends_of(settings, stage), deadline)
    found = {
        topic.name: last_rows(topic.name, await decoded_rows(settings, registry, topic)) for topic in topics.OUTPUTS
    }
    all_letters = await dead_letters(settings, registry)
    letters = {letter for letter in all_letters if letter[0] in low_cuts and letter[1] != NO_PARTITION}
    bounds = await _bounds(settings, registry, low_cuts, all_letters, deadline)
    outputs = {}
    for topic in topics.OUTPUTS:
        wrong = bounds.differences(settings, topic, found[topic.name], in_topic=True)
        wrong = [f"topic: {text}" for text in wrong]
        outputs[topic.name] = OutputReport(len(bounds.high[topic.name]), len(found[topic.name]), 0, wrong)
    not_compared = {name: count for name, count in bounds.retention.left_out.items() if count}
    bounds = await _compare_pinot(settings, registry, low_cuts, bounds, outputs, all_letters, deadline)
    bad = {(name, *origin) for name, read in bounds.reads.items() for origin in read.bad}
    bad_before = {(name, p, o) for name, p, o in bad if o < low_cuts[name].get(p, 0)}
    kept = await begins_of(settings, (*SOURCE_STAGE, topics.DEAD_LETTERS))
    missing_letters = set() if any(kept[topics.DEAD_LETTERS.name].values()) else bad_before - letters
    unjustified = {(name, p, o) for name, p, o in letters - bad if o >= kept[name].get(p, 0)}
    if bounds.joins.unknown:
        not_compared["views joined with a user of long ago"] = bounds.joins.unknown
    return Report(
        outputs=outputs,
        consumed=sum(read.consumed for read in bounds.reads.values()),
        late=bounds.late,
        dead_letters=len(all_letters),
        enriched_differences=bounds.joins.wrong,
        dead_letter_differences=len(missing_letters) + len(unjustified),
        duplicates=bounds.sources.enriched_views.duplicates + bounds.sources.enriched_sales.duplicates,
        raced=bounds.joins.raced,
        first_raced_ms=bounds.joins.first_raced_ms,
        not_compared=not_compared,
    )


async def _bounds(
    settings: Settings, registry: Registry, low_cuts: dict[str, Cut], letters: Letters, deadline: float
) -> Bounds:
    """Read the sources as they are now, wait until they have been enriched, and recompute at both cuts."""
    high_cuts = await ends_of(settings, SOURCE_STAGE)
    await caught_up(settings, high_cuts, deadline)
    await caught_up(settings, await ends_of(settings, LATER_STAGES[0]), deadline)
    begins = await begins_of(settings, (*SOURCE_STAGE, *ENRICHED_STAGE, *topics.OUTPUTS))
    sources, reads = await read_sources(settings, registry, high_cuts, letters)
    retention = _without_removed(sources, begins)
    joins = await check_joins(settings, registry, sources, users_removed=retention.users_removed)
    low, late = expected(settings, sources, low_cuts)
    high = low if low_cuts == high_cuts else expected(settings, sources, high_cuts)[0]
    between = users_between(sources.users, low_cuts[topics.USERS.name], high_cuts[topics.USERS.name])
    return Bounds(low, high, late, reads, sources, joins, retention, between)


async def check_joins(
    settings: Settings, registry: Registry, sources: Sources, *, users_removed: bool = False
) -> JoinReport:
    """The enriched rows held against the source records and all versions of the tables."""
    pages, regions, products = [
        (await source_side.references(settings, registry, topic))[0]
        for topic in (topics.PAGES, topics.REGION, topics.PRODUCT)
    ]
    joins = check_views(settings, sources, pages, regions, users_removed=users_removed)
    joins.wrong += check_sales(sources, products, regions)
    return joins


async def read_sources(
    settings: Settings, registry: Registry, cuts: dict[str, Cut], letters: Letters
) -> tuple[Sources, dict[str, Read]]:
    """What lies in the source topics before `cuts`, and how it was read.

    A large record is a bad one if there is a letter about it: what becomes of it may be too large for a message. So is
    one whose schema was not known then: the registry may have learned it since.
    """
    reads = {
        topic.name: await source_side.read(settings, registry, topic, table=topic is topics.USERS, cut=cuts[topic.name])
        for topic in SOURCE_STAGE
    }
    views, users, sales = (reads[topic.name] for topic in SOURCE_STAGE)
    source_side.reject(users, source_side.good_user)
    source_side.reject(sales, source_side.good_sale)
    for name, found in reads.items():
        refused = {
            (p, o) for (topic, p, o), reason in letters.items() if topic == name and reason.startswith(UNKNOWN_ID)
        }
        refused |= {origin for origin in found.large if (name, *origin) in letters}
        source_side.reject(found, lambda record, refused=refused: (record.partition, record.offset) not in refused)  # type: ignore[misc]
    return Sources(
        {(r.partition, r.offset): r for r in views.records},
        {(r.partition, r.offset): r for r in sales.records},
        users.records,
        await source_side.enriched(settings, registry, topics.EXTENDED_PAGEVIEWS, cuts[topics.PAGEVIEW.name]),
        await source_side.enriched(settings, registry, topics.EXTENDED_FLASHSALES, cuts[topics.FLASH_SALES.name]),
    ), reads


def _without_removed(sources: Sources, begins: dict[str, Cut]) -> Retention:
    """What retention has removed; rows are dropped of which either the source or the enriched record is gone."""
    views, sales = (
        _dropped(records, enriched, time_ms, begins[source.name], begins[joined.name])
        for records, enriched, time_ms, source, joined in (
            (sources.views, sources.enriched_views, attrgetter("time_ms"), topics.PAGEVIEW, topics.EXTENDED_PAGEVIEWS),
            (sources.sales, sources.enriched_sales, _sale_time, topics.FLASH_SALES, topics.EXTENDED_FLASHSALES),
        )
    )
    removed = frozenset(topic.name for topic in topics.OUTPUTS if any(begins[topic.name].values()))
    return Retention(views, sales, any(begins[topics.USERS.name].values()), removed)


def _dropped(
    records: dict[Origin, SourceRecord],
    enriched: Enriched,
    time_ms: Callable[[SourceRecord], int],
    source_begins: Cut,
    enriched_begins: Cut,
) -> float:
    """Drop what has lost its partner; returns the time up to which events may have been removed."""
    rows = enriched.rows
    joined = removed_until_ms(((p, row["event_time_ms"]) for p, row in rows.values()), enriched_begins)
    read = removed_until_ms(((p, time_ms(record)) for (p, _), record in records.items()), source_begins)
    for origin in [(p, offset) for p, offset in rows if offset < source_begins.get(p, 0)]:
        del rows[origin]
    for origin in [o for o, record in records.items() if o not in rows and time_ms(record) <= joined]:
        del records[origin]
    return max(joined, read)


def _sale_time(record: SourceRecord) -> int:
    return source_side.sale_time(record.value or {"sale_datetime": None}) or 0


async def _compare_pinot(
    settings: Settings,
    registry: Registry,
    low_cuts: dict[str, Cut],
    bounds: Bounds,
    outputs: dict[str, OutputReport],
    letters: Letters,
    deadline: float,
) -> Bounds:
    """Pinot follows the topics a moment later: what differs is looked at again until the deadline."""
    pinot = client(settings)
    waiting = list(outputs)
    while True:
        tables = {name: last_rows(name, await asyncio.to_thread(pinot.rows, name)) for name in waiting}
        if await ends_of(settings, SOURCE_STAGE) != low_cuts:
            bounds = await _bounds(settings, registry, low_cuts, letters, deadline)
        wrong = {
            topic.name: bounds.differences(settings, topic, tables[topic.name], in_topic=False)
            for topic in topics.OUTPUTS
            if topic.name in tables
        }
        for name, table in tables.items():
            outputs[name].pinot = len(table)
        waiting = [name for name in waiting if wrong[name]]
        if not waiting:
            return bounds
        if time.monotonic() > deadline:
            for name in waiting:
                outputs[name].wrong += [f"Pinot: {text}" for text in wrong[name]]
            return bounds
        await asyncio.sleep(POLL_S)
