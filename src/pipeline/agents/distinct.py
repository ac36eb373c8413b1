"""Rows without copies, on their way through an agent."""

from pipeline.agents.blocks import Block
from pipeline.agents.keeping import ByPartition
from pipeline.agents.letters import LateLetters
from pipeline.agents.tree import Next
from pipeline.declare.steps import Distinct
from pipeline.records import Outgoing
from pipeline.tables.distinct_rows import PartitionDistinct
from pipeline.tables.groups import together
from pipeline.tables.state import State
from pipeline.tables.store import StateTable


class DistinctRows(ByPartition[PartitionDistinct]):
    """Lets the first of rows that are alike go on."""

    def __init__(self, step: Distinct, table: StateTable, late: LateLetters, go_on: Next) -> None:
        super().__init__(table)
        self._step = step
        self._late = late
        self._go_on = go_on

    def make(self, partition: int, state: State) -> PartitionDistinct:
        """What is known of one partition."""
        return PartitionDistinct(self._step.name, self._step.within_ms, state)

    def __call__(self, block: Block) -> list[Outgoing]:
        """Changelog records, letters for what comes too late to be judged, what becomes of the rows that go on."""
        batch = block.batch
        rows = self.of(batch.partition)
        columns = [kind.texts(block.value(made)) for made, kind in self._step.by]
        ids = columns[0] if len(columns) == 1 else [together(texts) for texts in zip(*columns, strict=True)]
        kept = rows.take(ids, block.times_ms, block.offsets)
        changes = self.table.changes(rows.state, batch.partition)
        letters = [self._late.letter(batch, late) for late in kept.late]
        left = block.where(kept.mask)
        return changes + letters + (self._go_on(left) if len(left) else [])
