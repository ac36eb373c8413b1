"""What is written to a topic: rows of a stream, or aggregates over it."""

from dataclasses import dataclass
from typing import Any

from pipeline.declarations import check_topic_name, columns_of
from pipeline.declare.compiled import Compiled
from pipeline.declare.outputs import result_schema
from pipeline.declare.streams import Stream
from pipeline.errors import SettingError
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.types import ColumnType
from pipeline.topics import Kind, Topic


@dataclass(frozen=True, slots=True, eq=False)
class StreamStatement:
    """`CREATE STREAM output AS SELECT ... FROM stream`. `key` None: rows keep the key that they have."""

    stream: Stream
    output: Topic
    key: tuple[Compiled, ColumnType] | None

    def result(self) -> Stream:
        """The stream of the output topic."""
        return _stream_of(self)


@dataclass(frozen=True, slots=True, eq=False)
class AggregateStatement:
    """`CREATE TABLE output AS SELECT group, FUNCTION FROM stream WINDOW ... GROUP BY group [HAVING ...]`.

    `computed` are the columns that are grouped by and folded in, by the names under which the aggregate knows them.
    """

    stream: Stream
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


Statement = StreamStatement | AggregateStatement


def written(stream: Stream, name: str, key: Any) -> Stream:
    """The stream of a topic that the rows of another are written to; see `Stream.to`."""
    where = f"{stream}, to {name}"
    check_topic_name(where, name)
    made = None if key is None else stream.compiled(f"to {name}, key", key)
    if made is not None and (made.kind is None or not made.kind.is_scalar):
        kind = "null" if made.kind is None else made.kind.name
        raise SettingError(f"{where}: key {made.text} is of type {kind}, but must be a scalar")
    column = stream.key if made is None else made.text
    output = Topic(name, Kind.ENRICHED, key=column or "", schema=result_schema(where, name, stream.columns))
    statement = StreamStatement(stream, output, None if made is None or made.kind is None else (made, made.kind))
    return statement.result()


def _stream_of(statement: Statement) -> Stream:
    stream, output = statement.stream, statement.output
    columns = columns_of(f"topic {output.name}", output)
    return stream._with(
        topic=output,
        columns=columns,
        key=output.key if output.key in columns else None,
        steps=(),
        shapes=(),
        statements=(*stream.statements, statement),
        state=None,
    )
