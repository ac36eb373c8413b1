"""Expressions, typed against the columns of a row and compiled into one comprehension over a batch's columns.

The types are those of Avro (tables/types.py), the rules of nulls, promotion and comparison ksqlDB's. What has no value
(a division by zero, a text that is no number) is null, as in ksqlDB, and is told: see `Compiled`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import functions
from pipeline.declare.expressions import Expression
from pipeline.declare.kinds import ExpressionError, Kind, Scope
from pipeline.declare.writer import Writer


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression over columns.

    `reads` names what it reads: columns, and fields of columns that are records as "column.field". `kind` is its type
    (None: it is NULL); `source` is Python's text of it.
    """

    text: str
    reads: tuple[str, ...]
    kind: Kind
    source: str
    _run: Callable[..., list[Any]]

    def column(self, columns: Callable[[str], Sequence[Any]], count: int) -> tuple[Sequence[Any], dict[int, str]]:
        """The values for `count` rows, and {row: reason} of those that have none because of an error; they are null."""
        inputs = [columns(name) for name in self.reads]
        if self.source == "v0":
            return inputs[0], {}
        try:
            return self._run(range(count), *inputs), {}
        except Exception:  # whichever row it was: each is looked at by itself
            return self._one_by_one(inputs, count)

    def _one_by_one(self, inputs: Sequence[Sequence[Any]], count: int) -> tuple[list[Any], dict[int, str]]:
        values: list[Any] = []
        errors: dict[int, str] = {}
        for place in range(count):
            try:
                values += self._run(range(1), *([column[place]] for column in inputs))
            except Exception as error:
                values.append(None)
                errors[place] = f"{self.text} has no value: {_reason(error)}"
        return values, errors

    @property
    def is_taken(self) -> bool:
        """Whether it is a column as it is, or a field of one that is a record."""
        return self.source == "v0"

    @property
    def is_column(self) -> bool:
        """Whether it is a column as it is."""
        return self.is_taken and "." not in self.reads[0]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that it reads, whole or a field of them."""
        return tuple(dict.fromkeys(name.partition(".")[0] for name in self.reads))


def _reason(error: Exception) -> str:
    if isinstance(error, functions.EvaluationError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def compiled(given: Expression, scope: Scope) -> Compiled:
    """Type and compile an expression over columns of these types; raises ExpressionError where it makes no sense."""
    writer = Writer(scope)
    source, kind = writer.write(given)
    names = ["place", *(f"v{number}" for number in range(len(writer.inputs)))]
    over = ", ".join(["places", *(f"c{number}" for number in range(len(writer.inputs)))])
    body = f"def run({over}):\n    return [{source} for {', '.join(names)} in zip({over})]\n"
    if len(names) == 1:
        body = f"def run(places):\n    return [{source} for place in places]\n"
    environment: dict[str, Any] = dict(writer.constants)
    exec(body, environment)  # the text is made here of operators and numbered names only: no word of the user is in it
    return Compiled(str(given), tuple(writer.inputs), kind, source, environment["run"])


def predicate(given: Expression, scope: Scope) -> Compiled:
    """The same for what must be true or false."""
    made = compiled(given, scope)
    if made.kind is not None and made.kind.family != "boolean":
        raise ExpressionError(f"{given} is of type {made.kind.name}, but must be boolean")
    return made


def field_of(row: Mapping[str, Any], name: str) -> Any:
    """What an expression reads of one row: a column, or a field of one that is a record ("column.field")."""
    column, _, field = name.partition(".")
    value = row[column]
    return value if not field or value is None else value[field]
