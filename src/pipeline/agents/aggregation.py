"""The two stages of every aggregation: fold where the rows lie, merge where the group lies."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import orjson

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import AvroProcessor, Schemas
from pipeline.codecs import Encoder
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.aggregate import Aggregate, Row
from pipeline.tables.fold import PartitionFold
from pipeline.tables.merge import PartitionMerge, Result
from pipeline.tables.partials import Folded, Partial, Rows, SessionPartial
from pipeline.tables.store import StateTable
from pipeline.tables.windows import Session, Unwindowed
from pipeline.timebase import format_ms
from pipeline.topics import Topic

log = logging.getLogger(__name__)


def dump_partial(partial: Partial | SessionPartial) -> bytes:
    """A partial as it travels: a JSON list that begins with its kind."""
    return orjson.dumps(["session" if isinstance(partial, SessionPartial) else "window", *partial])


def load_partial(value: bytes) -> Partial | SessionPartial:
    """What `dump_partial` made."""
    kind, *columns = orjson.loads(value)
    return SessionPartial(*columns) if kind == "session" else Partial(*columns)


class Fold(AvroProcessor):
    """First stage of all aggregates over one enriched topic."""

    def __init__(
        self,
        topic: Topic,
        aggregates: Sequence[Aggregate],
        partials: Topic,
        table: StateTable,
        registry: Schemas,
        letters: DeadLetters,
    ) -> None:
        super().__init__(topic, registry, letters)
        self._aggregates = aggregates
        self._partials = partials
        self._table = table
        self._folds: dict[int, PartitionFold] = {}

    def reset(self) -> None:
        """Partitions have come or gone: read markers and rows afresh."""
        self._folds.clear()

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Changelog records, then one partial per touched (group, window)."""
        letters: list[Outgoing] = []
        good = list(self.decoded(batch, letters))
        rows = Rows(
            [batch.offsets[index] for index, _ in good],
            [record["event_time_ms"] for _, record in good],
            [record for _, record in good],
            [(record["origin_partition"], record["origin_offset"]) for _, record in good],
        )
        fold = self._fold(batch.partition)
        folded = fold.fold(rows)
        self._count(folded, batch)
        changes = self._table.changes(fold.state, batch.partition)
        return changes + letters + [self._partial(partial) for partial in folded.partials]

    def _fold(self, partition: int) -> PartitionFold:
        if partition not in self._folds:
            self._folds[partition] = PartitionFold(self._aggregates, partition, self._table.state_of(partition))
        return self._folds[partition]

    def _partial(self, partial: Partial | SessionPartial) -> Outgoing:
        time_ms = partial.time_ms if isinstance(partial, Partial) else max((u[1] for u in partial.upserts), default=0)
        return Outgoing(self._partials.name, partial.group.encode(), dump_partial(partial), time_ms)

    def _count(self, folded: Folded, batch: RecordBatch) -> None:
        self.counts["late"] += len(folded.late)
        self.counts["duplicates"] += folded.duplicates
        self.counts["null_groups"] += folded.null_groups
        for late in folded.late:
            log.warning(
                "late: %s partition %d offset %d for %s: window [%s, %s] closed %d ms before",
                batch.topic,
                batch.partition,
                late.offset,
                late.aggregate,
                format_ms(late.start_ms),
                format_ms(late.end_ms),
                late.late_by_ms,
            )


class Merge:
    """Second stage of all aggregates whose partials lie in one topic: results go to the output topics."""

    def __init__(
        self, topic: Topic, aggregates: Sequence[Aggregate], table: StateTable, encoders: Mapping[str, Encoder]
    ) -> None:
        self.topic = topic
        self.counts: Counter[str] = Counter()
        self._aggregates = {aggregate.name: aggregate for aggregate in aggregates}
        self._table = table
        self._encoders = encoders

    async def prepare(self, batch: RecordBatch) -> None:
        """Partials are the application's own: nothing to fetch."""

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Changelog records, then one row per touched (group, window)."""
        self.counts["consumed"] += len(batch)
        state = self._table.state_of(batch.partition)
        merge = PartitionMerge(self._aggregates.values(), state)
        results = merge.merge(load_partial(value) for value in batch.values if value is not None)
        return self._table.changes(state, batch.partition) + [self._row(result) for result in results]

    def _row(self, result: Result) -> Outgoing:
        aggregate = self._aggregates[result.aggregate]
        value = self._encoders[result.aggregate](output_row(aggregate, result))
        return Outgoing(aggregate.output, result.group.encode(), value, result.time_ms)


def output_row(aggregate: Aggregate, result: Result) -> Row:
    """The columns of a result, as the output's schema has them."""
    state = aggregate.function.zero() if result.retired else result.state
    row: Row = {aggregate.group_by: result.group, **aggregate.function.columns(state)}
    if not isinstance(aggregate.window, Unwindowed):
        row |= {
            "window_start": format_ms(result.start_ms),
            "window_end": format_ms(result.end_ms),
            "window_start_ms": result.start_ms,
            "window_end_ms": result.end_ms,
        }
    if isinstance(aggregate.window, Session):
        row["retired"] = result.retired
    return {**row, "event_time_ms": result.time_ms, "version": result.version}
