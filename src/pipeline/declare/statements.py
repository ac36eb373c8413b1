"""What is written to a topic: rows of a stream or table, or aggregates over them."""

from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.columns import columns_of
from pipeline.declare.compiled import Compiled
from pipeline.declare.joins import AsOfJoin, Lookup
from pipeline.declare.kinds import Scope
from pipeline.declare.outputs import Formats, result_schema, settled_schema, with_formats
from pipeline.declare.relations import Relation, Statement, scalar_type
from pipeline.declare.steps import ROWOFFSET, ROWPARTITION, Distinct, Repartition, Require, Select, Where
from pipeline.declare.streams import BaseStream
from pipeline.declare.tables import BaseTable
from pipeline.errors import SettingError
from pipeline.names import check_topic_name
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.types import ColumnType, column_type
from pipeline.tables.windows import Unwindowed
from pipeline.topics import Kind, Schema, Topic

S = TypeVar("S", bound=BaseStream)
T = TypeVar("T", bound=BaseTable)


@dataclass(frozen=True, slots=True, eq=False)
class StreamStatement(Statement):
    """`CREATE STREAM output AS SELECT ... FROM stream`, or `INSERT INTO output SELECT ... FROM stream`.

    `key` None: rows keep the key that they have.
    """

    key: tuple[Compiled, ColumnType] | None

    @property
    def origin(self) -> tuple[str, str] | None:
        """The columns of the source record's partition and offset, where they are written and name one row.

        By them a row that a replay wrote again is known.
        """
        steps = self.stream.steps
        plain = all(
            isinstance(step, Where | Require | Select | Distinct | Lookup | AsOfJoin | Repartition) for step in steps
        )
        if not plain or not steps or not isinstance(last := steps[-1], Select):
            return None
        found = {made.text: name for name, made in last.columns}
        names = found.get(ROWPARTITION), found.get(ROWOFFSET)
        return None if names[0] is None or names[1] is None else (names[0], names[1])

    @property
    def placed_by(self) -> str:
        """The format of the keys by which its rows lie in partitions."""
        return self.stream.key_format if self.key is None else self.output.key_format

    def result(self, made: type[S], before: tuple[Statement, ...] = ()) -> S:
        """The stream of the output topic, of a class of streams; `before` are the topic's other writers."""
        return _stream_of(self, made, before)


@dataclass(frozen=True, slots=True, eq=False)
class TableStatement(Statement):
    """`CREATE TABLE output AS SELECT ... FROM table`; a row that is not there any more is retired."""

    @property
    def filters(self) -> bool:
        """Whether a row that is there may not qualify, so that what was shown has to be known."""
        return any(isinstance(step, Where) for step in self.stream.steps)

    @property
    def state(self) -> str:
        """The name of what is kept for it."""
        return self.output.name

    def result(self, made: type[T]) -> T:
        """The table of the output topic, of a class of tables."""
        columns = {**self.stream.columns, **KEPT_WITH_ROWS}
        return made.of(self.output, columns, self.stream.key, (*self.stream.statements, self))


@dataclass(frozen=True, slots=True, eq=False)
class AggregateStatement(Statement):
    """`CREATE TABLE output AS SELECT group, FUNCTION FROM stream WINDOW ... GROUP BY group [HAVING ...]`.

    `stream` may be a table: then a row that changes leaves its group and enters another.

    `computed` are the columns that are grouped by and folded in, by the names under which the aggregate knows them.
    """

    computed: tuple[tuple[str, Compiled], ...]
    aggregate: Aggregate
    having: Compiled | None

    @property
    def state(self) -> str:
        """The name of what is kept for it, which aggregates over the same rows may share."""
        return self.stream.state or self.output.name

    @property
    def is_written(self) -> bool:
        """Whether the output is a topic; else results are kept to be asked for."""
        return not self.aggregate.silent

    @property
    def is_windowed(self) -> bool:
        """Whether each window of a group is a row of its own."""
        return not isinstance(self.aggregate.window, Unwindowed)

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that tell its rows apart: those of the group, and the window's start where there are windows."""
        return (*self.aggregate.group_columns, *(("window_start_ms",) if self.is_windowed else ()))

    def result(self, made: type[S]) -> S:
        """The stream of the changes of its rows, of a class of streams."""
        return _stream_of(self, made, is_windowed=self.is_windowed)


def written(
    stream: Relation, name: str, key: Any, schema: Schema | None, time: str | None, formats: Formats
) -> StreamStatement:
    """That the rows of a stream are written to a topic; see `Stream.to`."""
    where = f"{stream}, to {name}"
    check_topic_name(where, name)
    made = _key(where, stream, f"to {name}, key", key)
    column = stream.key if made is None else made[0].text
    made_schema = settled_schema(where, name, schema, stream.columns)
    if time is not None and (time not in stream.columns or stream.columns[time].avro != "long"):
        raise SettingError(f"{where}: time is {time!r}, but must be a column of type long, epoch milliseconds")
    topic = Topic(name, Kind.ENRICHED, key=column or "", schema=made_schema, event_time=time)
    of_key = stream.columns.get(stream.key or "") if made is None else made[1]
    return StreamStatement(stream, with_formats(where, topic, of_key, formats), made)


def _key(where: str, stream: Relation, what: str, key: Any) -> tuple[Compiled, ColumnType] | None:
    if key is None:
        return None
    made = stream.compiled(what, key)
    return made, scalar_type(where, made, "key ")


def inserted(stream: Relation, result: Relation, key: Any) -> StreamStatement:
    """That the rows of one more stream are written to the topic of `result`; see `Stream.into`."""
    where = f"{stream}, into {result.name}"
    writers = [s for s in result.statements if s.output is result.topic and isinstance(s, StreamStatement)]
    if result.steps or not writers:
        raise SettingError(f"{where}: {result} is not what the rows of a stream were written to with .to(topic)")
    if result.name in (stream.name, *(statement.output.name for statement in stream.statements)):
        raise SettingError(f"{where}: rows of {result.name} would go into it again, and so on without an end")
    _require_same_columns(where, stream, result)
    made = _key(where, stream, f"into {result.name}, key", key)
    column, wanted = (stream.key if made is None else made[0].text) or "", result.topic.key
    if column != wanted:
        raise SettingError(
            f"{where}: rows are keyed by {column or 'no column'}, but those in it are by {wanted or 'no column'}"
        )
    statement = StreamStatement(stream, result.topic, made)
    if (one := statement.placed_by) != (other := writers[0].placed_by):
        raise SettingError(
            f"{where}: rows lie by keys in the format {one}, but those in it by keys in {other}: call "
            f"repartition(name, key={wanted or '...'}) first, so that equal keys are in one partition"
        )
    return statement


def _require_same_columns(where: str, stream: Relation, result: Relation) -> None:
    """Raise SettingError unless both have the same columns of the same types, in whichever order."""
    for name in (*result.columns, *stream.columns):
        if name not in stream.columns or name not in result.columns:
            has, lacks = (stream, result) if name in stream.columns else (result, stream)
            raise SettingError(f"{where}: {has} has a column {name}, but {lacks} has none: select equal columns")
        one, other = (result_schema(where, result.name, {name: of.columns[name]}) for of in (stream, result))
        if one != other:
            raise SettingError(
                f"{where}: column {name} is of type {stream.columns[name].name}, but must be "
                f"{result.columns[name].name} as in {result}"
            )


KEPT_WITH_ROWS: Scope = {
    "event_time_ms": column_type("long"),
    "version": column_type("long"),
    "retired": column_type("boolean"),
}
"""What rows of tables have beside their columns: when they changed, what never falls, whether they are gone."""


def table_written(table: BaseTable, name: str, schema: Schema | None, formats: Formats) -> TableStatement:
    """That the rows of a table are written to a topic; see `Table.to`."""
    where = f"{table}, to {name}"
    check_topic_name(where, name)
    if table.everywhere:
        raise SettingError(f"{where}: {table} is held everywhere, but must lie in partitions to be written")
    for column in KEPT_WITH_ROWS:
        if column in table.columns:
            raise SettingError(f"{where}: there is a column {column}, but rows of tables get one: select another name")
    columns = {**table.columns, **KEPT_WITH_ROWS}
    topic = Topic(name, Kind.OUTPUT, key=table.key or "", schema=settled_schema(where, name, schema, columns))
    return TableStatement(table, with_formats(where, topic, table.columns.get(table.key or ""), formats))


def _stream_of(
    statement: Statement, made: type[S], before: tuple[Statement, ...] = (), *, is_windowed: bool = False
) -> S:
    output = statement.output
    columns = columns_of(f"topic {output.name}", output)
    key = output.key if output.key in columns else None
    return made.of(output, columns, key, (*before, *statement.stream.statements, statement), is_windowed)
