"""What is written to a topic: rows of a stream, or aggregates over it."""

from dataclasses import dataclass
from typing import Any

from pipeline.declarations import check_topic_name, columns_of
from pipeline.declare.compiled import Compiled
from pipeline.declare.kinds import Scope
from pipeline.declare.outputs import Formats, settled_schema, with_formats
from pipeline.declare.steps import ROWOFFSET, ROWPARTITION, AsOfJoin, Lookup, Repartition, Require, Select, Where
from pipeline.declare.streams import Stream
from pipeline.declare.tables import Table
from pipeline.errors import SettingError
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.types import ColumnType, column_type
from pipeline.tables.windows import Unwindowed
from pipeline.topics import Kind, Schema, Topic


@dataclass(frozen=True, slots=True, eq=False)
class StreamStatement:
    """`CREATE STREAM output AS SELECT ... FROM stream`. `key` None: rows keep the key that they have."""

    stream: Stream
    output: Topic
    key: tuple[Compiled, ColumnType] | None

    @property
    def origin(self) -> tuple[str, str] | None:
        """The columns of the source record's partition and offset, where they are written and name one row.

        By them a row that a replay wrote again is known.
        """
        steps = self.stream.steps
        plain = all(isinstance(step, Where | Require | Select | Lookup | AsOfJoin | Repartition) for step in steps)
        if not plain or not steps or not isinstance(last := steps[-1], Select):
            return None
        found = {made.text: name for name, made in last.columns}
        names = found.get(ROWPARTITION), found.get(ROWOFFSET)
        return None if names[0] is None or names[1] is None else (names[0], names[1])

    def result(self) -> Stream:
        """The stream of the output topic."""
        return _stream_of(self)


@dataclass(frozen=True, slots=True, eq=False)
class TableStatement:
    """`CREATE TABLE output AS SELECT ... FROM table`; a row that is not there any more is retired."""

    stream: Table
    output: Topic

    @property
    def filters(self) -> bool:
        """Whether a row that is there may not qualify, so that what was shown has to be known."""
        return any(isinstance(step, Where) for step in self.stream.steps)

    @property
    def state(self) -> str:
        """The name of what is kept for it."""
        return self.output.name


@dataclass(frozen=True, slots=True, eq=False)
class AggregateStatement:
    """`CREATE TABLE output AS SELECT group, FUNCTION FROM stream WINDOW ... GROUP BY group [HAVING ...]`.

    `stream` may be a table: then a row that changes leaves its group and enters another.

    `computed` are the columns that are grouped by and folded in, by the names under which the aggregate knows them.
    """

    stream: Stream | Table
    computed: tuple[tuple[str, Compiled], ...]
    aggregate: Aggregate
    output: Topic
    having: Compiled | None

    @property
    def state(self) -> str:
        """The name of what is kept for it, which aggregates over the same rows may share."""
        return self.stream.state or self.output.name

    def result(self) -> Stream:
        """The stream of the changes of its rows."""
        return _stream_of(self)


Statement = StreamStatement | TableStatement | AggregateStatement


def written(stream: Stream, name: str, key: Any, schema: Schema | None, time: str | None, formats: Formats) -> Stream:
    """The stream of a topic that the rows of another are written to; see `Stream.to`."""
    where = f"{stream}, to {name}"
    check_topic_name(where, name)
    made = None if key is None else stream.compiled(f"to {name}, key", key)
    if made is not None and (made.kind is None or not made.kind.is_scalar):
        kind = "null" if made.kind is None else made.kind.name
        raise SettingError(f"{where}: key {made.text} is of type {kind}, but must be a scalar")
    column = stream.key if made is None else made.text
    made_schema = settled_schema(where, name, schema, stream.columns)
    if time is not None and (time not in stream.columns or stream.columns[time].avro != "long"):
        raise SettingError(f"{where}: time is {time!r}, but must be a column of type long, epoch milliseconds")
    topic = Topic(name, Kind.ENRICHED, key=column or "", schema=made_schema, event_time=time)
    of_key = stream.columns.get(stream.key or "") if made is None else made.kind
    output = with_formats(where, topic, of_key, formats)
    statement = StreamStatement(stream, output, None if made is None or made.kind is None else (made, made.kind))
    return statement.result()


KEPT_WITH_ROWS: Scope = {
    "event_time_ms": column_type("long"),
    "version": column_type("long"),
    "retired": column_type("boolean"),
}
"""What rows of tables have beside their columns: when they changed, what never falls, whether they are gone."""


def table_written(table: Table, name: str, schema: Schema | None, formats: Formats) -> Table:
    """The table of a topic that the rows of another are written to; see `Table.to`."""
    where = f"{table}, to {name}"
    check_topic_name(where, name)
    if table.everywhere:
        raise SettingError(f"{where}: {table} is held everywhere, but must lie in partitions to be written")
    for column in KEPT_WITH_ROWS:
        if column in table.columns:
            raise SettingError(f"{where}: there is a column {column}, but rows of tables get one: select another name")
    columns = {**table.columns, **KEPT_WITH_ROWS}
    topic = Topic(name, Kind.OUTPUT, key=table.key or "", schema=settled_schema(where, name, schema, columns))
    output = with_formats(where, topic, table.columns.get(table.key or ""), formats)
    statement = TableStatement(table, output)
    return Table.of(output, columns, table.key, (*table.statements, statement))


def _stream_of(statement: StreamStatement | AggregateStatement) -> Stream:
    source, output = statement.stream, statement.output
    columns = columns_of(f"topic {output.name}", output)
    key = output.key if output.key in columns else None
    windowed = isinstance(statement, AggregateStatement) and not isinstance(statement.aggregate.window, Unwindowed)
    return Stream.of(output, columns, key, (*source.statements, statement), windowed)
