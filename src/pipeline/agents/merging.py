"""Second stage of aggregates, where the groups lie: partials become totals, and results go to the output topics."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.agents.keeping import ByPartition
from pipeline.agents.letters import DeadLetters
from pipeline.agents.partials import load
from pipeline.declare.compiled import Compiled, field_of
from pipeline.formats import KeyEncoder, ValueEncoder
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.aggregate import HAVING, Aggregate, Row
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.result_rows import output_row
from pipeline.tables.results import Result
from pipeline.tables.state import State
from pipeline.tables.store import StateTable
from pipeline.topics import Topic


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
