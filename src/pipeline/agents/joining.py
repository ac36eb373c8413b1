"""Joins of an agent's rows: with tables that every worker holds whole, with tables as of their times, with streams."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.agents.blocks import Block, Cell, Make, raw_keys
from pipeline.agents.keeping import ByPartition
from pipeline.agents.letters import LateLetters
from pipeline.declare.joins import AsOfJoin, Lookup, WindowJoin
from pipeline.declare.tables import BaseTable
from pipeline.records import Outgoing
from pipeline.tables.forms import ColumnsForm, RowForm
from pipeline.tables.joins import Joined, JoinKind, KeyedRows, Side
from pipeline.tables.lookup import Lookup as Rows
from pipeline.tables.lookup import looked_up
from pipeline.tables.state import State
from pipeline.tables.store import StateTable
from pipeline.tables.stream_join import PartitionStreamJoin
from pipeline.tables.versions import Versions

Next = Callable[[Block], list[Outgoing]]


class LookupRows:
    """Rows with those of a table that this worker holds whole, by any column."""

    def __init__(self, step: Lookup, table: Rows) -> None:
        self._step = step
        self._table = table
        self._fields = tuple(step.table.columns)

    def __call__(self, block: Block) -> Block:
        """The rows with the table's in a column more, of which each field can be had without the others."""
        step, table = self._step, self._table
        keys: Sequence[Any] = step.key_type.texts(block.value(step.key))
        makes: dict[str, Make] = {f"{step.name}.{field}": _looked_up(keys, table, field) for field in self._fields}
        block = block.with_columns({step.name: lambda: list(map(table.get, keys)), **makes})
        if step.kind is not JoinKind.INNER:
            return block
        return block.where([row is not None for row in block.column(step.name)])


def _looked_up(keys: Sequence[Any], table: Rows, field: str) -> Make:
    return lambda: looked_up(keys, table, field)


class TableVersions(ByPartition[Versions]):
    """The versions of a table's rows in each partition, and the rows of now.

    A version is the whole row in one column or, where a join needs only some columns of it, these one by one.
    """

    def __init__(self, declared: BaseTable, table: StateTable, kept_ms: int) -> None:
        super().__init__(table)
        kept = declared.kept
        self.columns = None if kept is None else ColumnsForm(kept, declared.never_null)
        self.form = RowForm(declared.columns)
        self._kept_ms = kept_ms

    def make(self, partition: int, state: State) -> Versions:
        """The versions of one partition."""
        return Versions(state, 1 if self.columns is None else len(self.columns.names), self._kept_ms)

    def plain(self, row: Mapping[str, Any] | None) -> list[Any]:
        """The columns of a version, from the row; of none where it is deleted."""
        if self.columns is not None:
            return self.columns.plain(row)
        return [None if row is None else self.form.plain(row)]


class AsOfRows:
    """Rows with the versions of a table's rows that were valid at their times."""

    def __init__(self, step: AsOfJoin, versions: TableVersions) -> None:
        self._step = step
        self._versions = versions

    def __call__(self, block: Block) -> Block:
        """The rows with the table's in a column more."""
        if not len(block):
            return block.with_columns({self._step.name: list})
        versions = self._versions.of(block.batch.partition)
        keys = [key or "" for key in block.key_texts]
        rows = versions.as_of(keys, block.times_ms)
        versions.joined(max(block.times_ms))
        name, form = self._step.name, self._versions.columns
        if form is not None:
            makes: dict[str, Make] = {f"{name}.{field}": _of_versions(form, field, rows) for field in form.names}
            block = block.with_columns({**makes, name: lambda: form.rows(rows, first=1)})
            return block.where(form.there(rows, first=1)) if self._step.kind is JoinKind.INNER else block
        whole = self._versions.form
        found = [None if row[1] is None else whole.row(row[1]) for row in rows]
        block = block.with_columns({name: lambda: found})
        return block.where([row is not None for row in found]) if self._step.kind is JoinKind.INNER else block


def _of_versions(form: ColumnsForm, field: str, rows: Sequence[Sequence[Any]]) -> Make:
    return lambda: form.column(field, rows, first=1)


class StreamWindow(ByPartition[PartitionStreamJoin]):
    """A join of two streams: rows of either side go in, joined rows come out and go on."""

    def __init__(self, step: WindowJoin, table: StateTable, late: LateLetters, go_on: Next) -> None:
        super().__init__(table)
        self._step = step
        self._late = late
        self._go_on = go_on
        self._columns = (step.left_columns, step.right.columns)
        self._forms = tuple(RowForm(columns) for columns in self._columns)
        self.null_keys = 0

    def make(self, partition: int, state: State) -> PartitionStreamJoin:
        """The join of one partition."""
        return PartitionStreamJoin(self._step.join, state)

    def take(self, side: Side, block: Block) -> list[Outgoing]:
        """Changelog records, what becomes of the joined rows, letters for what came too late to be held."""
        batch = block.batch
        join = self.of(batch.partition)
        joined = join.take(side, self._keyed(side, block))
        self.null_keys += joined.null_keys
        changes = self.table.changes(join.state, batch.partition)
        letters = [self._late.letter(batch, late) for late in joined.late]
        return changes + letters + (self._go_on(self._block(block, joined)) if joined.rows else [])

    def _keyed(self, side: Side, block: Block) -> KeyedRows:
        names, plain = tuple(self._columns[side]), self._forms[side].plain
        columns = [block.column(name) for name in names]
        records = [plain(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]
        return KeyedRows(block.offsets, block.times_ms, block.key_texts, records)

    def _block(self, block: Block, joined: Joined) -> Block:
        rows = joined.rows
        left, right = self._forms
        lefts = [None if row.left is None else left.row(row.left) for row in rows]
        rights = [None if row.right is None else right.row(row.right) for row in rows]
        cells = {name: Cell(_field(lefts, name)) for name in self._step.left_columns}
        cells[self._step.name] = Cell(None, rights)
        last = len(block.batch) - 1
        made = Block(block.batch, [last] * len(rows), [row.time_ms for row in rows], cells, block.errors)
        return made.of_no_record().keyed(raw_keys(row.key for row in rows))


def _field(rows: Sequence[Mapping[str, Any] | None], name: str) -> Make:
    return lambda: [None if row is None else row[name] for row in rows]
