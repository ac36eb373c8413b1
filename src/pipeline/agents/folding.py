"""First stage of aggregates over one node's rows: partials to where their groups lie."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from time import monotonic

from pipeline.agents.blocks import EXPLODED_BITS, Block
from pipeline.agents.keeping import ByPartition
from pipeline.agents.letters import LateLetters
from pipeline.agents.partials import dump
from pipeline.declare.compiled import Compiled
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.fold import PartitionFold
from pipeline.tables.partials import Folded, Partial, Rows, SessionPartial, Watermark
from pipeline.tables.state import State
from pipeline.tables.store import StateTable
from pipeline.timebase import now_ms
from pipeline.topics import Topic


class Folding(ByPartition[PartitionFold]):
    """Aggregates over rows that an agent has at hand; `columns` are the expressions that they group by and fold in."""

    def __init__(
        self,
        aggregates: Sequence[Aggregate],
        columns: Mapping[str, Compiled],
        partials: Topic,
        table: StateTable,
        partitions: int,
        late: LateLetters,
        counts: Counter[str],
    ) -> None:
        super().__init__(table)
        self._aggregates = aggregates
        self._columns = columns
        self._partials = partials
        self._partitions = partitions
        self._late = late
        self._counts = counts
        self._active_at: dict[int, float] = {}

    def make(self, partition: int, state: State) -> PartitionFold:
        """The folds of one partition, with their marker."""
        return PartitionFold(self._aggregates, partition, state)

    def reset(self) -> None:
        """Partitions have come or gone: read everything afresh, and wait for each partition anew."""
        super().reset()
        self._active_at.clear()

    def __call__(self, block: Block) -> list[Outgoing]:
        """Changelog records, then one partial for each (group, window) that the rows touch."""
        columns = {name: block.value(made) for name, made in self._columns.items()}
        rows = Rows(block.offsets, block.times_ms, (), block.origins, columns)
        return self.fold(block.batch, rows, block.is_exploded)

    def fold(self, batch: RecordBatch, rows: Rows, is_exploded: bool = False) -> list[Outgoing]:
        """The same for rows as operators take them."""
        partition = batch.partition
        fold = self.of(partition)
        folded = fold.fold(rows)
        self._count(folded)
        bits = EXPLODED_BITS if is_exploded else 0
        letters = [self._late.letter(batch, late._replace(offset=late.offset >> bits)) for late in folded.late]
        changes = self.table.changes(fold.state, partition)
        self._active_at[partition] = monotonic()
        return changes + letters + [self._partial(p) for p in folded.partials] + self._watermarks(folded.watermark)

    def idle(self, partitions: Collection[int], limit_s: float) -> list[Outgoing]:
        """Watermarks that tell not to wait for those of these partitions which have had no batch for `limit_s`."""
        now, out = monotonic(), []
        for partition in partitions:
            if now - self._active_at.setdefault(partition, now) >= limit_s:
                out += self._watermarks(self.of(partition).watermark()._replace(idle=True))
        return out

    def _partial(self, partial: Partial | SessionPartial) -> Outgoing:
        return Outgoing(self._partials.name, partial.group.encode(), dump(partial), now_ms())

    def _watermarks(self, watermark: Watermark | None) -> list[Outgoing]:
        """The watermark to every partition of the partials: each merges some groups of this one."""
        if watermark is None:
            return []
        time_ms, value = now_ms(), dump(watermark)
        return [Outgoing(self._partials.name, b"", value, time_ms, partition) for partition in range(self._partitions)]

    def _count(self, folded: Folded) -> None:
        self._counts["late"] += len(folded.late)
        self._counts["duplicates"] += folded.duplicates
        self._counts["null_groups"] += folded.null_groups
