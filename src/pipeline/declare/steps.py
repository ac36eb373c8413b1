"""What is done to rows, one step after the other: values that streams and tables make and agents run.

Joins are steps, too, but know the relation that they join with: they are in joins.py.
"""

from dataclasses import dataclass

from pipeline.declare.compiled import Compiled
from pipeline.declare.kinds import Scope
from pipeline.tables.types import ColumnType, column_type

ROWTIME, ROWPARTITION, ROWOFFSET = "ROWTIME", "ROWPARTITION", "ROWOFFSET"
PSEUDO: Scope = {
    ROWTIME: column_type("long"),
    ROWPARTITION: column_type("int"),
    ROWOFFSET: column_type("long"),
}
"""Columns that every row has: its event time (epoch milliseconds), and where its source record lies."""


class Step:
    """One step; as a text it is what `pipeline explain` says of it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Where(Step):
    """Only rows for which this is true."""

    condition: Compiled

    def __str__(self) -> str:
        return f"WHERE {self.condition.text}"


@dataclass(frozen=True, slots=True)
class Require(Step):
    """Rows for which this is not true become dead letters with this reason, and go no further."""

    condition: Compiled
    reason: str

    def __str__(self) -> str:
        return f"REQUIRE {self.condition.text}"


@dataclass(frozen=True, slots=True)
class Select(Step):
    """Rows of these columns, and no others."""

    columns: tuple[tuple[str, Compiled], ...]

    def __str__(self) -> str:
        return "SELECT " + ", ".join(n if e.text == n else f"{e.text} AS {n}" for n, e in self.columns)


@dataclass(frozen=True, slots=True)
class Explode(Step):
    """A row for each element of an array, in its order, with the element in a column more; none for null and [].

    Of several arrays the first elements are in the first row, and so on; where one has no more, its column is null.
    """

    arrays: tuple[tuple[str, Compiled], ...]

    def __str__(self) -> str:
        return ", ".join(f"EXPLODE({array.text}) AS {column}" for column, array in self.arrays)


@dataclass(frozen=True, slots=True)
class Distinct(Step):
    """Of rows that are alike in these expressions and near each other in time, the first only."""

    name: str
    by: tuple[tuple[Compiled, ColumnType], ...]
    within_ms: int

    def __str__(self) -> str:
        return f"DISTINCT ON ({', '.join(made.text for made, _ in self.by)}) WITHIN {self.within_ms} ms"


@dataclass(frozen=True, slots=True)
class Repartition(Step):
    """The rows go to the partition of another key, by way of a topic of the application's own."""

    name: str
    key: Compiled
    key_type: ColumnType

    def __str__(self) -> str:
        return f"PARTITION BY {self.key.text} (topic {self.name})"
