"""The two stages of every aggregation: fold where the rows lie, merge where the group lies."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import repeat

from pipeline.agents.folding import Folding
from pipeline.agents.keeping import ByPartition
from pipeline.agents.letters import DeadLetters, LateLetters
from pipeline.agents.partials import load
from pipeline.agents.processor import DecodingProcessor, Schemas
from pipeline.codecs import fields
from pipeline.declare.compiled import Compiled, field_of
from pipeline.formats import KeyEncoder, ValueEncoder
from pipeline.handover import Columns, Handover
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.aggregate import HAVING, Aggregate, Row
from pipeline.tables.groups import group_row
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Joined, Rows
from pipeline.tables.results import Result
from pipeline.tables.state import State
from pipeline.tables.store import StateTable
from pipeline.tables.windows import Session, Unwindowed
from pipeline.timebase import format_ms
from pipeline.topics import Topic

ORIGIN = ("origin_partition", "origin_offset")


class Fold(DecodingProcessor):
    """First stage of all aggregates over one enriched topic."""

    def __init__(
        self,
        topic: Topic,
        aggregates: Sequence[Aggregate],
        partials: Topic,
        table: StateTable,
        partitions: int,
        registry: Schemas,
        letters: DeadLetters,
        late: LateLetters,
        joined: Mapping[str, Joined],
    ) -> None:
        super().__init__(topic, registry, letters)
        self._joined = joined
        assert topic.schema is not None
        self._has_origin = set(ORIGIN) <= set(fields(topic.schema))
        self._aggregates = aggregates
        self._folding = Folding(aggregates, {}, partials, table, partitions, late, self.counts)
        self.tables = [table]

    def reset(self) -> None:
        """Partitions have come or gone: read markers and rows afresh."""
        self._folding.reset()
        if self._decode.handover is not None:
            self._decode.handover.clear()  # another worker may read it now

    def forget(self, partition: int) -> None:
        """Read the partition's markers and rows afresh."""
        self._folding.forget(partition)

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Changelog records, then one partial per touched (group, window)."""
        letters: list[Outgoing] = []
        rows = self._rows(batch, letters)
        return letters + self._folding.fold(batch, rows)

    def idle(self, partitions: Collection[int], limit_s: float) -> list[Outgoing]:
        """Watermarks that tell not to wait for those of these partitions which have had no batch for `limit_s`."""
        return self._folding.idle(partitions, limit_s)

    def take_over_from(self, encoder: ValueEncoder) -> None:
        """Take what this process itself has written as it was, without reading it back; the columns that are used."""
        if self.topic.event_time is None or self.topic.event_time_format is not None or not self._has_origin:
            return  # what is handed over is taken as it is: event times have to be milliseconds
        used = {name for a in self._aggregates for name in (*a.group_columns, *a.function.inputs)}
        keys = {key for key, _ in self._joined.values()}
        names = {self.topic.event_time, *ORIGIN, *keys, *used} - set(self._joined)
        encoder.handover = self._decode.handover = Handover(sorted(names))

    def _rows(self, batch: RecordBatch, letters: list[Outgoing]) -> Rows:
        """The good records; where the topic's rows do not tell their origin, they are their own."""
        if (columns := self._handed_over(batch)) is not None:
            origins = list(zip(*(columns[name] for name in ORIGIN), strict=True))
            return Rows(batch.offsets, columns[self.topic.event_time or ""], (), origins, self._joined, columns)
        records, places, times_ms = self.timed(batch, letters)
        whole = len(places) == len(batch)
        offsets = batch.offsets if whole else [batch.offsets[place] for place in places]
        if self._has_origin:
            origins = [(record["origin_partition"], record["origin_offset"]) for record in records]
        else:
            origins = list(zip(repeat(batch.partition), offsets, strict=False))
        return Rows(offsets, times_ms, records, origins, self._joined)

    def _handed_over(self, batch: RecordBatch) -> Columns | None:
        """The batch's columns, when this process has written all of it; then it is good."""
        columns = self._decode.handed_over(batch.values)
        if columns is not None:
            self.counts["consumed"] += len(batch)
        return columns


class Merge(ByPartition[PartitionMerge]):
    """Second stage of all aggregates whose partials lie in one topic: results go to the output topics.

    `encoders` and `keys` are by aggregate; without `keys`, a result's key is its group's text.
    """

    def __init__(
        self,
        topic: Topic,
        aggregates: Sequence[Aggregate],
        table: StateTable,
        partitions: int,
        encoders: Mapping[str, ValueEncoder],
        letters: DeadLetters,
        having: Mapping[str, Compiled] | None = None,
        keys: Mapping[str, KeyEncoder] | None = None,
    ) -> None:
        super().__init__(table)
        self.topic = topic
        self._having = having or {}
        self.counts: Counter[str] = Counter()
        self._aggregates = {aggregate.name: aggregate for aggregate in aggregates}
        self.tables: Sequence[StateTable] = [table]
        self._letters = letters
        self._partitions = partitions
        self._encoders = encoders
        self._keys = keys or {}

    def make(self, partition: int, state: State) -> PartitionMerge:
        """The merges of one partition."""
        return PartitionMerge(self._aggregates.values(), self._partitions, state)

    async def prepare(self, batch: RecordBatch) -> None:
        """Partials are the application's own: nothing to fetch."""

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Changelog records, then one row per touched (group, window)."""
        self.counts["consumed"] += len(batch)
        merge = self.of(batch.partition)
        sent = (load(value) for value in batch.values if value is not None)
        replayed = batch.offsets[0] <= merge.applied
        results = merge.merge(sent, batch.offsets[0], batch.offsets[-1])
        rows = [row for result in results for row in self._rows(batch, result, merge.state, replayed)]
        return self.table.changes(merge.state, batch.partition) + rows

    def _rows(self, batch: RecordBatch, result: Result, state: State, replayed: bool) -> list[Outgoing]:
        """The row of a result; none where HAVING is not true, a retired one where it was true before.

        What a replay finds retired may have been retired by what it repeats: it goes out again.
        """
        row = output_row(self._aggregates[result.aggregate], result)
        having = self._having.get(result.aggregate)
        if having is None:
            return [self._row(batch, result, row)]
        key = (HAVING, result.aggregate, result.group, result.start_ms)
        passes, errors = having.column(lambda name: [field_of(row, name)], 1)
        letters = [self._letters.letter(batch, len(batch) - 1, reason) for reason in errors.values()]
        if passes[0] and not result.retired:
            if state.get(key) is None:
                state.put(key, [1])
            return [*letters, self._row(batch, result, row | {"retired": False})]
        shown = state.get(key) is not None
        state.delete(key)
        return [*letters, self._row(batch, result, row | {"retired": True})] if shown or replayed else letters

    def _row(self, batch: RecordBatch, result: Result, row: Row) -> Outgoing:
        """The record of a row; a dead letter where its schema cannot hold it. The group goes on, exact as it is."""
        aggregate = self._aggregates[result.aggregate]
        try:
            value = self._encoders[result.aggregate](row)
            key = keys.of_text(result.group) if (keys := self._keys.get(result.aggregate)) else result.group.encode()
        except (ValueError, TypeError, ArithmeticError) as error:
            self.counts["bad"] += 1
            group = ", ".join(aggregate.group_columns) or "all rows"
            return self._letters.letter(
                batch,
                len(batch) - 1,
                f"the result of {aggregate.output} for {group} {result.group!r} from {result.start_ms} ms "
                f"does not fit its schema and was not sent; it is when it fits again: {error}: {row}",
            )
        return Outgoing(aggregate.output, key, value, result.time_ms)


def output_row(aggregate: Aggregate, result: Result) -> Row:
    """The columns of a result, as the output's schema has them."""
    state = aggregate.function.zero() if result.retired else result.state
    row: Row = {**group_row(aggregate, result.group), **aggregate.function.columns(state)}
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
