"""What is done to the rows of a stream, one step after the other: values that streams.py makes and agents run."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.declare.compiled import Compiled
from pipeline.declare.kinds import Scope
from pipeline.tables.foreign_join import ForeignJoin
from pipeline.tables.joins import JoinKind
from pipeline.tables.stream_join import StreamJoin
from pipeline.tables.table_join import TableJoin
from pipeline.tables.types import ColumnType, column_type

if TYPE_CHECKING:
    from pipeline.declare.streams import Stream
    from pipeline.declare.tables import Table

ROWTIME, ROWPARTITION, ROWOFFSET = "ROWTIME", "ROWPARTITION", "ROWOFFSET"
PSEUDO: Scope = {
    ROWTIME: column_type("long"),
    ROWPARTITION: column_type("int"),
    ROWOFFSET: column_type("long"),
}
"""Columns that every row has: its event time (epoch milliseconds), and where its source record lies."""


@dataclass(frozen=True, slots=True)
class Where:
    """Only rows for which this is true."""

    condition: Compiled

    def __str__(self) -> str:
        return f"WHERE {self.condition.text}"


@dataclass(frozen=True, slots=True)
class Require:
    """Rows for which this is not true become dead letters with this reason, and go no further."""

    condition: Compiled
    reason: str

    def __str__(self) -> str:
        return f"REQUIRE {self.condition.text}"


@dataclass(frozen=True, slots=True)
class Select:
    """Rows of these columns, and no others."""

    columns: tuple[tuple[str, Compiled], ...]

    def __str__(self) -> str:
        return "SELECT " + ", ".join(n if e.text == n else f"{e.text} AS {n}" for n, e in self.columns)


@dataclass(frozen=True, slots=True)
class Explode:
    """A row for each element of an array, in its order, with the element in a column more; none for null and [].

    Of several arrays the first elements are in the first row, and so on; where one has no more, its column is null.
    """

    arrays: tuple[tuple[str, Compiled], ...]

    def __str__(self) -> str:
        return ", ".join(f"EXPLODE({array.text}) AS {column}" for column, array in self.arrays)


@dataclass(frozen=True, slots=True)
class Lookup:
    """The row of a table that every worker holds whole, in a column of its own: the row known at that moment."""

    name: str
    table: "Table"
    key: Compiled
    key_type: ColumnType
    kind: JoinKind

    def __str__(self) -> str:
        return f"{self.kind.upper()} JOIN {self.table.topic.name} {self.name} ON {self.key.text} (held by every worker)"


@dataclass(frozen=True, slots=True)
class AsOfJoin:
    """The version of a table's row that was valid at the row's event time, in a column of its own."""

    name: str
    table: "Table"
    kind: JoinKind

    def __str__(self) -> str:
        return f"{self.kind.upper()} JOIN {self.table.topic.name} {self.name} (as of the row's time)"


@dataclass(frozen=True, slots=True)
class Repartition:
    """The rows go to the partition of another key, by way of a topic of the application's own."""

    name: str
    key: Compiled
    key_type: ColumnType

    def __str__(self) -> str:
        return f"PARTITION BY {self.key.text} (topic {self.name})"


@dataclass(frozen=True, slots=True)
class WindowJoin:
    """Rows of another stream with the same key, whose times lie within a given distance; theirs in a column."""

    join: StreamJoin
    right: "Stream"
    left_columns: Scope

    @property
    def name(self) -> str:
        """The column of the right row."""
        return self.join.name

    def __str__(self) -> str:
        before, after = self.join.reach_ms
        grace = "" if self.join.grace_ms is None else f" GRACE PERIOD {self.join.grace_ms} ms"
        return f"{self.join.kind.upper()} JOIN {self.right.name} {self.name} WITHIN ({before} ms, {after} ms){grace}"


@dataclass(frozen=True, slots=True)
class TableTableJoin:
    """Rows of another table with the same key; theirs in a column. Either side triggers."""

    join: TableJoin
    right: "Table"
    left_columns: Scope

    @property
    def name(self) -> str:
        """The column of the right row."""
        return self.join.name

    def __str__(self) -> str:
        return f"{self.join.kind.upper()} JOIN {self.right.name} {self.name} (two tables)"


@dataclass(frozen=True, slots=True)
class ForeignKeyJoin:
    """The row of another table that a column names, in a column of its own. Either side triggers; see ADR 20."""

    join: ForeignJoin
    right: "Table"
    left_columns: Scope
    key: Compiled
    key_type: ColumnType

    @property
    def name(self) -> str:
        """The column of the right row."""
        return self.join.name

    def __str__(self) -> str:
        of = f"{self.right.name} {self.name} ON {self.key.text} = {self.name}->{self.right.key}"
        return f"{self.join.kind.upper()} JOIN {of} (by a foreign key)"


TwoSided = WindowJoin | TableTableJoin | ForeignKeyJoin
"""Joins of which both sides trigger: each has a tree that feeds it."""
Step = (
    Where | Require | Select | Explode | Lookup | AsOfJoin | Repartition | WindowJoin | TableTableJoin | ForeignKeyJoin
)
