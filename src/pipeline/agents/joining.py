"""Joins of an agent's rows: with tables that every worker holds whole, with tables as of their times, with streams."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.agents.blocks import Block, Make
from pipeline.agents.letters import LateLetters
from pipeline.declare.steps import AsOfJoin, Lookup, WindowJoin
from pipeline.declare.tables import Table
from pipeline.records import Outgoing
from pipeline.tables.forms import RowForm
from pipeline.tables.joins import Joined, JoinedRow, JoinKind, KeyedRows, Side
from pipeline.tables.lookup import Lookup as Rows
from pipeline.tables.store import StateTable
from pipeline.tables.stream_join import PartitionStreamJoin
from pipeline.tables.versions import Versions

Next = Callable[[Block], list[Outgoing]]


def texts(keys: Sequence[bytes | None]) -> list[str | None]:
    """Keys as states have them; one that is no text has none of its own there."""
    return [None if key is None else key.decode("utf-8", "surrogateescape") for key in keys]


class LookupRows:
    """Rows with those of a table that this worker holds whole, by any column."""

    def __init__(self, step: Lookup, table: Rows) -> None:
        self._step = step
        self._table = table

    def __call__(self, block: Block) -> Block:
        """The rows with the table's in a column more."""
        step = self._step
        values = block.value(step.key)
        keys = values if step.key_type.family == "string" else step.key_type.texts(values)
        found = list(map(self._table.get, keys))
        block = block.with_columns({step.name: lambda: found})
        return block.where([row is not None for row in found]) if step.kind is JoinKind.INNER else block


class TableVersions:
    """The versions of a table's rows in each partition, and the rows of now."""

    def __init__(self, declared: Table, table: StateTable, kept_ms: int) -> None:
        self.table = table
        self.form = RowForm(declared.columns)
        self._kept_ms = kept_ms
        self._partitions: dict[int, Versions] = {}

    def of(self, partition: int) -> Versions:
        """The versions of one partition: each row is one column, in its plain form."""
        if partition not in self._partitions:
            self._partitions[partition] = Versions(self.table.state_of(partition), 1, self._kept_ms)
        return self._partitions[partition]

    def forget(self, partition: int) -> None:
        """Read a partition's rows afresh."""
        self._partitions.pop(partition, None)

    def reset(self) -> None:
        """Partitions have come or gone: read all rows afresh."""
        self._partitions.clear()


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
        keys = [key or "" for key in texts(block.keys)]
        rows = [row[1] for row in versions.as_of(keys, block.times_ms)]
        versions.joined(max(block.times_ms))
        form = self._versions.form
        found = [None if row is None else form.row(row) for row in rows]
        block = block.with_columns({self._step.name: lambda: found})
        return block.where([row is not None for row in found]) if self._step.kind is JoinKind.INNER else block


class StreamWindow:
    """A join of two streams: rows of either side go in, joined rows come out and go on."""

    def __init__(self, step: WindowJoin, table: StateTable, late: LateLetters, go_on: Next) -> None:
        self._step = step
        self.table = table
        self._late = late
        self._go_on = go_on
        self._columns = (step.left_columns, step.right.columns)
        self._forms = tuple(RowForm(columns) for columns in self._columns)
        self._partitions: dict[int, PartitionStreamJoin] = {}
        self.null_keys = 0

    def reset(self) -> None:
        """Partitions have come or gone: read all rows afresh."""
        self._partitions.clear()

    def forget(self, partition: int) -> None:
        """Read the partition's rows afresh."""
        self._partitions.pop(partition, None)

    def take(self, side: Side, block: Block) -> list[Outgoing]:
        """Changelog records, what becomes of the joined rows, letters for what came too late to be held."""
        batch = block.batch
        partition = batch.partition
        if partition not in self._partitions:
            self._partitions[partition] = PartitionStreamJoin(self._step.join, self.table.state_of(partition))
        join = self._partitions[partition]
        joined = join.take(side, self._keyed(side, block))
        self.null_keys += joined.null_keys
        changes = self.table.changes(join.state, partition)
        letters = [self._late.letter(batch, late) for late in joined.late]
        return changes + letters + (self._go_on(self._block(block, joined)) if joined.rows else [])

    def _keyed(self, side: Side, block: Block) -> KeyedRows:
        names, plain = tuple(self._columns[side]), self._forms[side].plain
        columns = [block.column(name) for name in names]
        records = [plain(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]
        return KeyedRows(block.offsets, block.times_ms, texts(block.keys), records)

    def _block(self, block: Block, joined: Joined) -> Block:
        rows = joined.rows
        left, right = self._forms
        lefts = [None if row.left is None else left.row(row.left) for row in rows]
        rights = [None if row.right is None else right.row(row.right) for row in rows]
        makes: Mapping[str, Make] = {
            **{name: _field(lefts, name) for name in self._step.left_columns},
            self._step.name: lambda: rights,
        }
        last = len(block.batch) - 1
        made = Block(block.batch, [last] * len(rows), [row.time_ms for row in rows], makes, block.errors)
        return made.keyed([_key(row) for row in rows])


def _key(row: JoinedRow) -> bytes | None:
    return None if row.key is None else row.key.encode("utf-8", "surrogateescape")


def _field(rows: Sequence[Mapping[str, Any] | None], name: str) -> Make:
    return lambda: [None if row is None else row[name] for row in rows]
