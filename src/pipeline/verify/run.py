"""The whole verification: wait for the workers, read everything, recompute, compare."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from pipeline import reading, topics
from pipeline.codecs import Decoder, Record
from pipeline.errors import VerifyError
from pipeline.kafka import READ_COMMITTED
from pipeline.registry import Registry
from pipeline.serving.pinot import Pinot, client
from pipeline.settings import Settings
from pipeline.topics import Topic
from pipeline.verify import source_side
from pipeline.verify.compare import differences, last_rows
from pipeline.verify.expected import Rows, Sources, check_sales, check_views, expected
from pipeline.verify.source_side import Cut, Read

POLL_S = 0.5
PINOT_LIMIT = 1_000_000
SOURCE_STAGE = (topics.PAGEVIEW, topics.USERS, topics.FLASH_SALES)
LATER_STAGES = (
    (topics.PAGEVIEW_BY_USER,),
    (topics.EXTENDED_PAGEVIEWS, topics.EXTENDED_FLASHSALES),
    (topics.PAGEVIEW_PARTIALS, topics.FLASHSALE_PARTIALS),
)


@dataclass(slots=True)
class OutputReport:
    """One output: number of rows expected, in the topic, in Pinot; what differs, as sentences."""

    expected: int
    topic: int = 0
    pinot: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """The result of a verification."""

    outputs: dict[str, OutputReport]
    consumed: int
    late: int
    dead_letters: int
    enriched_differences: int
    dead_letter_differences: int
    duplicates: int

    @property
    def ok(self) -> bool:
        """No difference anywhere."""
        return (
            not any(output.wrong for output in self.outputs.values())
            and self.enriched_differences == 0
            and self.dead_letter_differences == 0
        )

    def as_json(self) -> dict[str, Any]:
        """The contract of `pipeline verify --json`."""
        return {
            "ok": self.ok,
            "outputs": {
                name: {"expected": o.expected, "topic": o.topic, "pinot": o.pinot, "differences": len(o.wrong)}
                for name, o in self.outputs.items()
            },
            "consumed": self.consumed,
            "late": self.late,
            "dead_letters": self.dead_letters,
            "enriched_differences": self.enriched_differences,
            "dead_letter_differences": self.dead_letter_differences,
            "enriched_duplicates": self.duplicates,
        }


@dataclass(slots=True)
class Bounds:
    """What the outputs may hold: recomputed at the low cut, and at a high cut that moves on with the sources."""

    low: dict[str, Rows]
    high: dict[str, Rows]
    late: int
    reads: dict[str, Read]
    sources: Sources
    enriched_differences: int


async def verify(settings: Settings, timeout_s: float) -> Report:
    """Verify everything; raises VerifyError when the workers do not catch up within `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    registry = Registry(settings.registry_url)
    low_cuts = await ends_of(settings, SOURCE_STAGE)
    await _caught_up(settings, low_cuts, deadline)
    for stage in LATER_STAGES:
        await _caught_up(settings, await ends_of(settings, stage), deadline)
    found = {
        topic.name: last_rows(topic.name, await decoded_rows(settings, registry, topic)) for topic in topics.OUTPUTS
    }
    all_letters = await _dead_letters(settings, registry)
    letters = {letter for letter in all_letters if letter[0] in low_cuts}
    bounds = await _bounds(settings, registry, low_cuts, deadline)
    outputs = {}
    for name in found:
        wrong = differences(bounds.low[name], bounds.high[name], found[name])
        outputs[name] = OutputReport(len(bounds.high[name]), len(found[name]), 0, [f"topic: {text}" for text in wrong])
    bounds = await _compare_pinot(settings, registry, low_cuts, bounds, outputs, deadline)
    bad = {(name, *origin) for name, read in bounds.reads.items() for origin in read.bad}
    bad_before = {(name, p, o) for name, p, o in bad if o < low_cuts[name].get(p, 0)}
    return Report(
        outputs=outputs,
        consumed=sum(read.consumed for read in bounds.reads.values()),
        late=bounds.late,
        dead_letters=len(all_letters),
        enriched_differences=bounds.enriched_differences,
        dead_letter_differences=len(bad_before - letters) + len(letters - bad),
        duplicates=bounds.sources.enriched_views.duplicates + bounds.sources.enriched_sales.duplicates,
    )


async def _bounds(settings: Settings, registry: Registry, low_cuts: dict[str, Cut], deadline: float) -> Bounds:
    """Read the sources as they are now, wait until they have been enriched, and recompute at both cuts."""
    high_cuts = await ends_of(settings, SOURCE_STAGE)
    await _caught_up(settings, high_cuts, deadline)
    await _caught_up(settings, await ends_of(settings, LATER_STAGES[0]), deadline)
    sources, reads, enriched_differences = await read_sources(settings, registry, high_cuts)
    low, late = expected(settings, sources, low_cuts)
    high = low if low_cuts == high_cuts else expected(settings, sources, high_cuts)[0]
    return Bounds(low, high, late, reads, sources, enriched_differences)


async def read_sources(
    settings: Settings, registry: Registry, cuts: dict[str, Cut]
) -> tuple[Sources, dict[str, Read], int]:
    """What lies in the source topics before `cuts`, how it was read, and how many enriched rows are wrong."""
    reads = {
        topic.name: await source_side.read(settings, registry, topic, table=topic is topics.USERS, cut=cuts[topic.name])
        for topic in SOURCE_STAGE
    }
    views, users, sales = (reads[topic.name] for topic in SOURCE_STAGE)
    source_side.reject(users, source_side.good_user)
    source_side.reject(sales, source_side.good_sale)
    sources = Sources(
        {(r.partition, r.offset): r for r in views.records},
        {(r.partition, r.offset): r for r in sales.records},
        users.records,
        await source_side.enriched(settings, registry, topics.EXTENDED_PAGEVIEWS, cuts[topics.PAGEVIEW.name]),
        await source_side.enriched(settings, registry, topics.EXTENDED_FLASHSALES, cuts[topics.FLASH_SALES.name]),
    )
    pages, regions, products = [
        (await source_side.references(settings, registry, topic))[0]
        for topic in (topics.PAGES, topics.REGION, topics.PRODUCT)
    ]
    return sources, reads, check_views(sources, pages, regions) + check_sales(sources, products, regions)


async def ends_of(settings: Settings, stage: Iterable[Topic]) -> dict[str, Cut]:
    """End offsets, exclusive: {topic: {partition: offset}}."""
    cuts: dict[str, Cut] = {topic.name: {} for topic in stage}
    for tp, end in (await reading.end_offsets(settings, cuts, isolation_level=READ_COMMITTED)).items():
        cuts[tp.topic][tp.partition] = end
    return cuts


async def _caught_up(settings: Settings, cuts: dict[str, Cut], deadline: float) -> None:
    """Wait until the workers have committed every record below these offsets."""
    while True:
        behind = await _behind(settings, cuts)
        if not behind:
            return
        if time.monotonic() > deadline:
            where = ", ".join(f"{topic} by {count} records" for topic, count in behind.items())
            raise VerifyError(f"the workers of group {settings.app_id} have not caught up in time: behind in {where}")
        await asyncio.sleep(POLL_S)


async def _behind(settings: Settings, cuts: dict[str, Cut]) -> dict[str, int]:
    """{topic: records below the cut that the workers have not committed}; transaction markers are no records."""
    committed = await reading.committed(settings, settings.app_id)
    open_ranges = {
        TopicPartition(topic, partition): (committed.get(TopicPartition(topic, partition), 0), end)
        for topic, cut in cuts.items()
        for partition, end in cut.items()
    }
    behind: Counter[str] = Counter()
    async for records in reading.read_between(settings, open_ranges):
        behind[records[0].topic] += len(records)
    return dict(behind)


async def decoded_rows(settings: Settings, registry: Registry, topic: Topic) -> list[Record]:
    """All committed rows of a topic, in the order of their partitions' offsets."""
    assert topic.schema is not None
    decode = Decoder(topic.schema)
    rows: list[Record] = []
    async for batch in reading.read_batches(settings, topic.name):
        await registry.prepare(decode, [record.value for record in batch])
        for record in batch:
            if record.value is None:
                rows = [row for row in rows if row[topic.key].encode() != record.key]
            else:
                rows.append(decode(record.value))
    return rows


async def _dead_letters(settings: Settings, registry: Registry) -> set[tuple[str, int, int]]:
    rows = await decoded_rows(settings, registry, topics.DEAD_LETTERS)
    return {(row["topic"], row["partition"], row["offset"]) for row in rows}


async def _compare_pinot(
    settings: Settings,
    registry: Registry,
    low_cuts: dict[str, Cut],
    bounds: Bounds,
    outputs: dict[str, OutputReport],
    deadline: float,
) -> Bounds:
    """Pinot follows the topics a moment later: what differs is looked at again until the deadline."""
    pinot = client(settings)
    waiting = list(outputs)
    while True:
        tables = {name: last_rows(name, await asyncio.to_thread(_select_all, pinot, name)) for name in waiting}
        if await ends_of(settings, SOURCE_STAGE) != low_cuts:
            bounds = await _bounds(settings, registry, low_cuts, deadline)
        wrong = {name: differences(bounds.low[name], bounds.high[name], table) for name, table in tables.items()}
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


def _select_all(pinot: Pinot, table: str) -> list[Record]:
    return pinot.query(f"SELECT * FROM {table} LIMIT {PINOT_LIMIT}")
