"""What streams and tables have in common: a topic, and the steps that are done to its rows so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from pipeline.declare.compiled import Compiled, compiled, predicate
from pipeline.declare.expressions import Column, Expression, expression
from pipeline.declare.kinds import ExpressionError, Scope
from pipeline.declare.steps import PSEUDO, Repartition, Require, Select, Step, Where
from pipeline.errors import SettingError
from pipeline.names import check_topic_name
from pipeline.tables.types import ColumnType
from pipeline.topics import KeyFormat, Topic

R = TypeVar("R", bound="Relation")


class Relation:
    """Rows of a topic, and what is done to them. `columns` are those that they have after all steps, `key` the one that
    is the record's key (None: it is not among them), `statements` what has to run so that the topic has rows.
    """

    kind: str
    topic: Topic
    columns: Scope
    key: str | None
    steps: tuple[Step, ...] = ()
    shapes: tuple[Scope, ...] = ()
    """The columns after each step."""
    statements: "tuple[Statement, ...]" = ()
    state: str | None = None

    @property
    def name(self) -> str:
        """The topic that its rows come from."""
        return self.topic.name

    @property
    def key_format(self) -> str:
        """How the keys are written by which the rows lie in partitions."""
        return KeyFormat.TEXT if any(isinstance(step, Repartition) for step in self.steps) else self.topic.key_format

    def require_same_keys(self, where: str, other: "Relation") -> None:
        """Raise SettingError unless equal keys of both lie in partitions of equal numbers."""
        if self.key_format != other.key_format:
            raise SettingError(
                f"{where}: keys of {self} are in the format {self.key_format}, and those of {other} in "
                f"{other.key_format}, but must be in one format: equal keys would lie in different partitions"
            )

    def key_type(self, where: str) -> ColumnType:
        """The type of the key that others are joined by; raises SettingError where it is not among the columns."""
        if self.key is None:
            raise SettingError(
                f"{where}: the key of {self} is none of its columns, but must be one: select it, too, or group by one"
            )
        return self.columns[self.key]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def _with(self, **changed: Any) -> Self:
        made = object.__new__(type(self))
        made.__dict__ = self.__dict__ | changed
        return made

    @property
    def scope(self) -> Scope:
        """The types of what expressions may name here."""
        return {**PSEUDO, **self.columns}

    def compiled(self, what: str, given: Any, make: Callable[[Expression, Scope], Compiled] = compiled) -> Compiled:
        """An expression over the rows as they are here; raises SettingError that says where it stands."""
        try:
            return make(expression(given), self.scope)
        except ExpressionError as error:
            raise SettingError(f"{self}, {what}: {error}") from None

    def where(self, condition: Any) -> Self:
        """Only the rows for which the condition is true: neither false nor null."""
        return then(self, Where(self.compiled("where", condition, predicate)))

    def require(self, condition: Any, reason: str) -> Self:
        """Refuse rows for which the condition is not true: each becomes a dead letter that says the reason."""
        return then(self, Require(self.compiled("require", condition, predicate), reason))

    def select(self, *same: Any, **columns: Any) -> Self:
        """Rows of these columns only: columns as they are, and name=expression for others, in this order."""
        chosen: dict[str, Any] = {}
        for one in same:
            if not isinstance(one, Column):
                raise SettingError(f"{self}, select: {one} needs a name: write name={one}")
            require_new(f"{self}, select", one.name_, chosen)
            chosen[one.name_] = one
        for name, given in columns.items():
            require_new(f"{self}, select", name, chosen)
            chosen[name] = given
        if not chosen:
            raise SettingError(f"{self}, select: there is no column, but must be at least one")
        made = tuple((name, self.compiled(f"select, column {name}", given)) for name, given in chosen.items())
        types = {}
        for name, one in made:
            if one.kind is None:
                raise SettingError(f"{self}, select, column {name}: NULL has no type: write cast(None, 'STRING')")
            types[name] = one.kind
        key = next(
            (name for name, given in chosen.items() if isinstance(given, Column) and given.name_ == self.key), None
        )
        return then(self, Select(made), types, key=key)

    def named(self, state: str) -> Self:
        """A name for what is kept for the aggregates over these rows, which they share: never change it.

        Aggregates over equal rows with one name are folded together, and their partials lie in one topic. Of a table
        that streams are joined with, it names the versions of its rows.
        """
        check_topic_name(f"{self}, named", state)
        return self._with(state=state)


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """Rows that are written to a topic; how, and which of them, the kinds of statements.py say."""

    stream: Relation
    output: Topic

    @property
    def is_written(self) -> bool:
        """Whether the output is a topic; else only its name is used."""
        return True


def then(rows: R, step: Step, columns: Scope | None = None, **changed: Any) -> R:
    """The rows after one more step, of the same class; `columns` are those after it, where they are not as before."""
    columns = rows.columns if columns is None else columns
    return rows._with(steps=(*rows.steps, step), shapes=(*rows.shapes, columns), columns=columns, **changed)


def same_texts(one: ColumnType, other: ColumnType) -> bool:
    """Whether equal keys of both types are equal texts, by which they are found."""
    return (one.family, one.scale) == (other.family, other.scale)


def require_key(where: str, key: str, columns: Mapping[str, Any]) -> None:
    """Raise SettingError unless a key is one of the columns, and a scalar."""
    if not key:
        raise SettingError(
            f"{where}: key is missing, but must say which of the columns {', '.join(columns)} is the key"
        )
    if key not in columns:
        raise SettingError(f"{where}: key is {key!r}, but must be one of the columns {', '.join(columns)}")
    if not columns[key].is_scalar:
        raise SettingError(f"{where}: key {key} is of type {columns[key].name}, but must be a scalar")


def scalar_type(where: str, made: Compiled, named: str = "") -> ColumnType:
    """The type of an expression; raises SettingError where it is no scalar: `named` says before it what it is."""
    if made.kind is None or not made.kind.is_scalar:
        kind = "null" if made.kind is None else made.kind.name
        raise SettingError(f"{where}: {named}{made.text} is of type {kind}, but must be a scalar")
    return made.kind


def require_new(where: str, name: str, columns: Mapping[str, Any]) -> None:
    """Raise SettingError when a column has the name already."""
    if name in columns:
        raise SettingError(f"{where}: there is a column {name} already, but must be another name")
    if name in PSEUDO:
        raise SettingError(f"{where}: {name} is a column that every row has, but must be another name")
