"""Rows of tables on their way: each record changes the row of its key, and steps may leave no row of it.

The rows that are there go down the tree as those of streams do. Which keys have no row, or none that qualifies, is
known from all the records that came with them: `Changes` has both.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

from pipeline.agents.blocks import Block, raw_keys, texts
from pipeline.agents.keeping import ByPartition, Stateful
from pipeline.agents.letters import DeadLetters
from pipeline.agents.partials import dump
from pipeline.agents.writing import written_key
from pipeline.declare.compiled import Compiled
from pipeline.declare.joins import ForeignKeyJoin, TableTableJoin
from pipeline.declare.statements import KEPT_WITH_ROWS, TableStatement
from pipeline.formats import KeyEncoder, ValueEncoder
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.forms import RowForm
from pipeline.tables.grouped_table import GroupedTable
from pipeline.tables.joins import JoinedRow, KeyedRows, Side
from pipeline.tables.state import State
from pipeline.tables.store import StateTable
from pipeline.tables.table_join import PartitionTableJoin
from pipeline.tables.types import ColumnType
from pipeline.timebase import now_ms
from pipeline.topics import Topic

ROW = "#row"
"""The column with a row's place among the changes that it belongs to."""


class Changes:
    """Records of a table: `rows` are those that have a row, with its place among all in the column ROW.

    `versions` never fall for a key.
    """

    def __init__(
        self,
        keys: Sequence[bytes | None],
        offsets: Sequence[int],
        times_ms: Sequence[int],
        versions: Sequence[int],
        rows: Block,
    ) -> None:
        self.keys = keys
        self.offsets = offsets
        self.times_ms = times_ms
        self.versions = versions
        self.rows = rows

    def then(self, step: Callable[[Block], Block]) -> "Changes":
        """The same records after a step, which may leave fewer rows."""
        return Changes(self.keys, self.offsets, self.times_ms, self.versions, step(self.rows))

    def records(self, columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any] | None]:
        """For each record its row of these columns of the rows, or null."""
        found: list[dict[str, Any] | None] = [None] * len(self.keys)
        names, places = tuple(columns), self.rows.column(ROW)
        rows = zip(*columns.values(), strict=True) if columns else repeat((), len(places))
        for place, values in zip(places, rows, strict=True):
            found[place] = dict(zip(names, values, strict=True))
        return found

    def kept(self, form: RowForm) -> KeyedRows:
        """As operators that keep them take them: whole rows of a form's columns, in that form."""
        records = self.records({name: self.rows.column(name) for name in form.names})
        return self.keyed([None if record is None else form.plain(record) for record in records])

    def keyed(self, records: Sequence[dict[str, Any] | None]) -> KeyedRows:
        """As operators take them."""
        return KeyedRows(self.offsets, self.times_ms, texts(self.keys), records)


Go = Callable[[Changes], list[Outgoing]]


class KeepTable:
    """Rows into the topic of a table; one that was written and is there no more goes out once more, as retired.

    Which were written is kept in `table`. Without one, each record without a row retires its key: that is enough where
    every row that there is goes out.
    """

    def __init__(
        self,
        statement: TableStatement,
        table: StateTable | None,
        encoder: ValueEncoder,
        letters: DeadLetters,
        key: ColumnType,
        keys: KeyEncoder | None = None,
    ) -> None:
        self._keys = keys
        self._statement = statement
        self._table = table
        self._encode = encoder
        self._letters = letters
        self._key = key
        self._columns = tuple(statement.stream.columns)

    def __call__(self, changes: Changes) -> list[Outgoing]:
        """One record for each row, and for each that is retired.

        State: (key,) -> [version, whether it is retired], of the latest change that was written. A retirement that
        comes again is sent again; one of a row that was never written is not sent at all.
        """
        out: list[Outgoing] = []
        batch = changes.rows.batch
        state = None if self._table is None else self._table.state_of(batch.partition)
        records = changes.records({name: changes.rows.column(name) for name in self._columns})
        for place, record in enumerate(records):
            key, version = changes.keys[place], changes.versions[place]
            if key is None:
                continue
            text = key.decode("utf-8", "surrogateescape")
            if state is not None and record is None:
                known = state.get((text,))
                if known is None or (known[1] and version > known[0]):
                    continue
            row = record or self._gone(text)
            kept = (changes.times_ms[place], version, record is None)
            try:
                value = self._encode(row | dict(zip(KEPT_WITH_ROWS, kept, strict=True)))
            except (ValueError, TypeError, ArithmeticError) as error:
                reason = f"what becomes of it does not fit the schema of {self._statement.output.name}: {error}"
                out.append(self._letters.letter(batch, min(place, len(batch) - 1), reason))
                continue
            if state is not None:
                state.put((text,), [version, record is None])
            written = key if self._keys is None else written_key(self._keys, key)
            out.append(Outgoing(self._statement.output.name, written, value, kept[0], batch.partition))
        return out if self._table is None or state is None else self._table.changes(state, batch.partition) + out

    def _gone(self, text: str) -> dict[str, Any]:
        """A row of which only the key is left."""
        row: dict[str, Any] = dict.fromkeys(self._columns)
        if self._statement.output.key in row:
            row[self._statement.output.key] = self._key.group(text)
        return row


class FoldTable(ByPartition[list[GroupedTable]]):
    """First stage of aggregates over a table: a row that changes leaves its group and enters another."""

    def __init__(
        self,
        aggregates: Sequence[Aggregate],
        columns: Mapping[str, Compiled],
        partials: Topic,
        table: StateTable,
    ) -> None:
        super().__init__(table)
        self._aggregates = aggregates
        self._columns = columns
        self._partials = partials

    def make(self, partition: int, state: State) -> list[GroupedTable]:
        """One for each aggregate."""
        return [GroupedTable(one, partition, state) for one in self._aggregates]

    def __call__(self, changes: Changes) -> list[Outgoing]:
        """Changelog records, then a partial for each group that a record leaves or enters."""
        partition = changes.rows.batch.partition
        columns = {name: changes.rows.value(made) for name, made in self._columns.items()}
        rows = changes.keyed(changes.records(columns))
        partials = [partial for fold in self.of(partition) for partial in fold.fold(rows).partials]
        sent = [Outgoing(self._partials.name, p.group.encode(), dump(p), now_ms()) for p in partials]
        return self.table.changes(self.table.state_of(partition), partition) + sent


class JoinTables(ByPartition[PartitionTableJoin]):
    """A join of two tables: changes of either side go in, those of the joined rows come out and go on.

    `behind` is what keeps state after it.
    """

    def __init__(self, step: TableTableJoin, table: StateTable, go_on: Go, behind: Sequence[Stateful]) -> None:
        super().__init__(table)
        self.behind = behind
        self._step = step
        self._go_on = go_on
        self._forms = (RowForm(step.left_columns), RowForm(step.right.columns))

    def make(self, partition: int, state: State) -> PartitionTableJoin:
        """The join of one partition."""
        return PartitionTableJoin(self._step.join, state)

    def take(self, side: Side, changes: Changes) -> list[Outgoing]:
        """Changelog records, then what becomes of the joined rows."""
        partition = changes.rows.batch.partition
        joined = self.of(partition).take(side, changes.kept(self._forms[side]))
        out = self.table.changes(self.table.state_of(partition), partition)
        if not joined.rows:
            return out
        made = joined_changes(changes.rows.batch, changes.rows.errors, self._step, self._forms, joined.rows)
        return out + self._go_on(made)


def joined_changes(
    batch: RecordBatch,
    errors: dict[tuple[int, str], None],
    step: TableTableJoin | ForeignKeyJoin,
    forms: tuple[RowForm, RowForm],
    rows: Sequence[JoinedRow],
) -> Changes:
    """The changes of joined rows, which `batch` brought forth; `forms` are those in which both sides are kept."""
    keys = raw_keys(row.key for row in rows)
    versions, times_ms = [row.version for row in rows], [row.time_ms for row in rows]
    there = [place for place, row in enumerate(rows) if not row.retired]
    left, right = forms
    lefts = [None if (row := rows[place].left) is None else left.row(row) for place in there]
    rights = [None if (row := rows[place].right) is None else right.row(row) for place in there]
    columns: dict[str, Sequence[Any]] = {
        name: [None if row is None else row[name] for row in lefts] for name in step.left_columns
    }
    columns |= {step.name: rights, ROW: there}
    last = len(batch) - 1
    made = Block.of_columns(batch, [last] * len(there), [times_ms[place] for place in there], columns)
    made.errors = errors
    return Changes(keys, versions, times_ms, versions, made.keyed([keys[place] for place in there]))
