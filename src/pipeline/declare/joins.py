"""Joins: the steps that `join` of a stream or table makes, which agents run, and what is checked before."""

from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.columns import columns_of
from pipeline.declare.compiled import Compiled
from pipeline.declare.expressions import Column, expression
from pipeline.declare.kinds import Scope
from pipeline.declare.outputs import record_type, record_type_of
from pipeline.declare.relations import Relation, require_new, same_texts, then
from pipeline.declare.steps import Repartition, Step
from pipeline.declare.tables import BaseTable
from pipeline.errors import SettingError
from pipeline.tables.foreign_join import ForeignJoin
from pipeline.tables.joins import JoinKind
from pipeline.tables.stream_join import StreamJoin
from pipeline.tables.table_join import TableJoin
from pipeline.tables.types import ColumnType
from pipeline.topics import KeyFormat

INNER, LEFT, RIGHT, OUTER = JoinKind.INNER, JoinKind.LEFT, JoinKind.RIGHT, JoinKind.OUTER
S = TypeVar("S", bound=Relation)
T = TypeVar("T", bound=BaseTable)
Within = int | tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Lookup(Step):
    """The row of a table that every worker holds whole, in a column of its own: the row known at that moment."""

    name: str
    table: BaseTable
    key: Compiled
    key_type: ColumnType
    kind: JoinKind

    def __str__(self) -> str:
        return f"{self.kind.upper()} JOIN {self.table.topic.name} {self.name} ON {self.key.text} (held by every worker)"


@dataclass(frozen=True, slots=True)
class AsOfJoin(Step):
    """The version of a table's row that was valid at the row's event time, in a column of its own."""

    name: str
    table: BaseTable
    kind: JoinKind

    def __str__(self) -> str:
        return f"{self.kind.upper()} JOIN {self.table.topic.name} {self.name} (as of the row's time)"


@dataclass(frozen=True, slots=True)
class TwoSided(Step):
    """A join of which both sides trigger: each has a tree that feeds it. The right row is in a column of its own."""

    join: StreamJoin | TableJoin | ForeignJoin
    right: Relation
    left_columns: Scope

    @property
    def name(self) -> str:
        """The column of the right row."""
        return self.join.name


@dataclass(frozen=True, slots=True)
class WindowJoin(TwoSided):
    """Rows of another stream with the same key, whose times lie within a given distance; theirs in a column."""

    join: StreamJoin

    def __str__(self) -> str:
        before, after = self.join.reach_ms
        grace = "" if self.join.grace_ms is None else f" GRACE PERIOD {self.join.grace_ms} ms"
        return f"{self.join.kind.upper()} JOIN {self.right.name} {self.name} WITHIN ({before} ms, {after} ms){grace}"


@dataclass(frozen=True, slots=True)
class TableTableJoin(TwoSided):
    """Rows of another table with the same key; theirs in a column."""

    join: TableJoin
    right: BaseTable

    def __str__(self) -> str:
        return f"{self.join.kind.upper()} JOIN {self.right.name} {self.name} (two tables)"


@dataclass(frozen=True, slots=True)
class ForeignKeyJoin(TwoSided):
    """The row of another table that a column names; see ADR 20."""

    join: ForeignJoin
    right: BaseTable
    key: Compiled
    key_type: ColumnType

    def __str__(self) -> str:
        of = f"{self.right.name} {self.name} ON {self.key.text} = {self.name}->{self.right.key}"
        return f"{self.join.kind.upper()} JOIN {of} (by a foreign key)"


def stream_with_table(
    stream: S, name: str, table: Relation, on: Any, kind: JoinKind, within: Within, grace: int | None
) -> S:
    """The rows of a stream with those of a table in a column more; see `Stream.join`."""
    where = f"{stream}, join {name}"
    if not isinstance(table, BaseTable):
        raise SettingError(f"{where}: {table} is neither a stream nor a table of a topic, but must be one of both")
    require_new(where, name, stream.columns)
    if within is not None or grace is not None:
        raise SettingError(f"{where}: within and grace are for joins of two streams, but {table.topic.name} is a table")
    kept = table.kept
    if kind not in (INNER, LEFT):
        raise SettingError(f"{where}: kind is '{kind}', but must be 'inner' or 'left': a table triggers nothing")
    columns = {**stream.columns, name: record_type(table.topic)}
    if table.everywhere:
        if kept is not None:
            raise SettingError(f"{where}: {table} is held everywhere as it lies in its topic: join it without select")
        if on is None:
            raise SettingError(f"{where}: on is missing, but must say which column is {table.topic.name}'s key")
        made, made_type = _naming(where, stream, name, on, table, table.topic.name)
        return then(stream, Lookup(name, table, made, made_type, kind), columns)
    of_key = table.key_type(where) if kept is None else columns_of(where, table.topic)[table.topic.key]
    _require_keyed(where, stream, on, table.topic.name, of_key)
    stream.require_same_keys(where, table)
    if kept is not None:
        columns[name] = record_type_of(name, kept)
    return then(stream, AsOfJoin(name, table, kind), columns, statements=(*stream.statements, *table.statements))


def stream_with_stream(
    stream: S, name: str, other: Relation, on: Any, kind: JoinKind, within: Within, grace: int | None
) -> S:
    """The rows of a stream with those of another in a column more; see `Stream.join`."""
    where = f"{stream}, join {name}"
    require_new(where, name, stream.columns)
    if within is None:
        raise SettingError(f"{where}: within is missing, but must say how far the rows' times may lie apart, in ms")
    if other.key is None:
        raise SettingError(f"{where}: {other} has lost its key: call repartition on it first")
    _require_keyed(where, stream, on, other.name, other.key_type(where))
    if stream.name == other.name and not any(isinstance(step, Repartition) for step in (*stream.steps, *other.steps)):
        raise SettingError(f"{where}: a stream cannot be joined with itself: write one side to a topic first")
    stream.require_same_keys(where, other)
    return _joined(stream, WindowJoin(StreamJoin(name, within, grace, kind), other, stream.columns))


def _joined(rows: S, step: TwoSided) -> S:
    """The rows after a join, with the right ones in a column more."""
    columns = {**rows.columns, step.name: record_type_of(step.name, step.right.columns)}
    return then(rows, step, columns, statements=(*rows.statements, *step.right.statements))


def _naming(
    where: str, rows: Relation, name: str, on: Any, table: BaseTable, called: object
) -> tuple[Compiled, ColumnType]:
    """What names rows of a table by their key, and its type; raises SettingError where it is none of theirs."""
    made, wanted = rows.compiled(f"join {name}", on), table.key_type(where)
    if made.kind is None or not same_texts(made.kind, wanted):
        own = "null" if made.kind is None else made.kind.name
        raise SettingError(
            f"{where}: {made.text} is of type {own}, but must be {wanted.name} as {table.key}, the key of {called}"
        )
    return made, made.kind


def _require_keyed(where: str, stream: Relation, on: Any, other: str, kind: ColumnType) -> None:
    wanted = stream.key if on is None else expression(on)
    named = wanted.name_ if isinstance(wanted, Column) else wanted
    if stream.key is None or not isinstance(named, str) or named != stream.key:
        by, key = ("its key", "...") if on is None else (on, on)
        raise SettingError(
            f"{where}: rows lie by {stream.key or 'no column'}, but {other} is joined by {by}: call "
            f"repartition(name, key={key}) first"
        )
    own = stream.columns[stream.key]
    if not same_texts(own, kind):
        raise SettingError(f"{where}: key {stream.key} is of type {own.name}, but that of {other} is {kind.name}")


def table_with_table(table: T, name: str, other: BaseTable, on: Any, kind: JoinKind) -> T:
    """The rows of a table with those of another in a column more; see `Table.join`."""
    where = f"{table}, join {name}"
    require_new(where, name, table.columns)
    if not isinstance(other, BaseTable):
        raise SettingError(f"{where}: {other} is no table, but must be one: a table is joined with tables")
    for one in (table, other):
        if one.everywhere:
            raise SettingError(f"{where}: {one} is held everywhere, but must lie in partitions to be joined here")
    if on is not None and not (isinstance(on, Column) and on.name_ == table.key):
        return _by_foreign_key(where, table, name, other, on, kind)
    if table.name == other.name:
        raise SettingError(f"{where}: a table cannot be joined with itself")
    mine, theirs = table.key_type(where), other.key_type(where)
    if not same_texts(mine, theirs):
        raise SettingError(f"{where}: keys are of type {mine.name} and {theirs.name}, but must be of one type")
    table.require_same_keys(where, other)
    return _joined(table, TableTableJoin(TableJoin(name, kind), other, table.columns))


def _by_foreign_key(where: str, table: T, name: str, other: BaseTable, on: Any, kind: JoinKind) -> T:
    made, made_type = _naming(where, table, name, on, other, other)
    if kind not in (INNER, LEFT):
        raise SettingError(f"{where}: kind is '{kind}', but must be 'inner' or 'left' where on is not the key")
    if other.key_format not in (KeyFormat.TEXT, KeyFormat.KAFKA):
        raise SettingError(
            f"{where}: keys of {other} are in the format {other.key_format}, but must be in text or kafka, which "
            "write equal keys in one way only: their partition has to be known"
        )
    return _joined(table, ForeignKeyJoin(ForeignJoin(name, kind), other, table.columns, made, made_type))
