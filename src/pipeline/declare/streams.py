"""Streams, and what is made of them: each method gives a new value and checks it at once.

    clicks = Stream("clicks", CLICK, key="user", time="at")
    sources = Table("sources", SOURCE, key="source", everywhere=True)

    clicks.where(c.user.is_not_null())
        .join("origin", sources, on=c.source)
        .select(user=c.user, channel=c.origin.channel)
        .to("CLICKS_WITH_CHANNEL")

What cannot work is a SettingError in one sentence that names the stream, the step and the column.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.declarations import check_event_time, check_topic_name, columns_of
from pipeline.declare.compiled import Compiled
from pipeline.declare.expressions import Column, expression
from pipeline.declare.kinds import Scope
from pipeline.declare.outputs import header_columns, record_schema, record_type, record_type_of, with_formats
from pipeline.declare.relations import Relation, require_key, require_new, same_texts
from pipeline.declare.steps import AsOfJoin, Explode, Lookup, Repartition, WindowJoin
from pipeline.declare.tables import Table
from pipeline.errors import SettingError
from pipeline.tables.joins import JoinKind
from pipeline.tables.stream_join import StreamJoin
from pipeline.tables.types import ColumnType, column_type
from pipeline.tables.windows import Window
from pipeline.timebase import DAY_MS
from pipeline.topics import FOREVER, Kind, Schema, Topic

if TYPE_CHECKING:
    from pipeline.declare.groups import Grouped
    from pipeline.declare.statements import Statement

INNER, LEFT, RIGHT, OUTER = JoinKind.INNER, JoinKind.LEFT, JoinKind.RIGHT, JoinKind.OUTER


class Stream(Relation):
    """A topic as a stream of rows, and the steps that are done to them so far.

    `schema` is the Avro schema of a row, or its columns as {name: Avro type}. `key` names the column that is the
    record's key, `time` the column of the event time: epoch milliseconds in a long, one of Avro's timestamps, or a text
    in `time_format`; without it the record's own time is the event's. `retention_ms` is for how long the topic keeps
    records, None: for ever. `value_format`, `value_delimiter` and `key_format` say how records are written
    (docs/formats.md): values in Avro and keys as text unless they do.

    `headers` names the column of all headers of a record, an array of records of KEY, a text, and VALUE, bytes; or
    {column: header's name} are columns of single headers, bytes: of several of one name the last, null without any.
    """

    kind = "stream"
    is_windowed: bool = False
    """Whether its rows are the results of windows."""

    def __init__(
        self,
        name: str,
        schema: Schema,
        *,
        key: str,
        time: str | None = None,
        time_format: str | None = None,
        retention_ms: int | None = 7 * DAY_MS,
        headers: str | Mapping[str, str] | None = None,
        **formats: Any,
    ) -> None:
        where = f"stream {name}"
        check_topic_name(where, name)
        config = FOREVER if retention_ms is None else {}
        topic = Topic(
            name,
            Kind.EVENT,
            key=key,
            schema=record_schema(name, schema),
            event_time=time,
            event_time_format=time_format,
            retention_ms=7 * DAY_MS if retention_ms is None else retention_ms,
            config=config,
        )
        topic = replace(topic, headers=header_columns(where, topic, headers))
        columns = columns_of(where, topic)
        require_key(where, key, columns)
        check_event_time(where, topic, columns)
        self.topic = with_formats(where, topic, columns[key], formats)
        self.columns: Scope = columns
        self.key: str | None = key

    @classmethod
    def of(
        cls,
        topic: Topic,
        columns: Scope,
        key: str | None,
        statements: "tuple[Statement, ...]",
        is_windowed: bool = False,
    ) -> "Stream":
        """The stream of a topic that the application writes itself."""
        made = object.__new__(cls)
        made.topic, made.columns, made.key, made.statements = topic, columns, key, statements
        made.is_windowed = is_windowed
        return made

    def explode(self, array: Any = None, column: str = "", /, **arrays: Any) -> "Stream":
        """A row for each element of an array, in its order, with the element in the new `column`.

        Of several arrays, given as column=array, the first elements are in the first row, and so on: as many rows as
        the longest has elements, with nulls where another has no more.
        """
        where = f"{self}, explode"
        if (array is None) != bool(arrays) or (array is not None and not column):
            raise SettingError(f"{where}: there must be either an array and the name of its column, or column=array")
        steps: dict[str, Compiled] = {}
        columns = dict(self.columns)
        for name, given in arrays.items() if arrays else [(column, array)]:
            made = self.compiled("explode", given)
            if made.kind is None or made.kind.family != "array":
                kind = "null" if made.kind is None else made.kind.name
                raise SettingError(f"{where}: {made.text} is of type {kind}, but must be an array")
            require_new(where, name, columns)
            steps[name], columns[name] = made, column_type(made.kind.avro["items"])
        return self._then(Explode(tuple(steps.items())), columns)

    def repartition(self, name: str, key: Any) -> "Stream":
        """The rows keyed by an expression, each in the partition of its key; a row whose key is null is dropped.

        `name` is that of the topic in between, which is the application's own: never change it for a running one.
        """
        check_topic_name(f"{self}, repartition", name)
        if any(isinstance(step, WindowJoin) for step in self.steps):
            raise SettingError(f"{self}, repartition {name}: write the joined rows with .to(topic, key=...) instead")
        made = self.compiled("repartition", key)
        if made.kind is None or not made.kind.is_scalar:
            kind = "null" if made.kind is None else made.kind.name
            raise SettingError(f"{self}, repartition {name}: {made.text} is of type {kind}, but must be a scalar")
        column = made.text if isinstance(key, Column) else None
        return self._then(Repartition(name, made, made.kind), key=column)

    def join(
        self,
        name: str,
        other: "Table | Stream",
        *,
        on: Any = None,
        kind: JoinKind = LEFT,
        within: int | tuple[int, int] | None = None,
        grace: int | None = None,
    ) -> "Stream":
        """The rows with those of a table, or of another stream, of the same key in the new column `name`, a record.

        With a table that is everywhere, `on` is any expression. With any other table or stream, the key is that of
        the stream: call `repartition` first where it is another. With a stream, `within` is how far their times may
        lie apart, in milliseconds or as a pair (before, after), both ends inclusive.
        """
        where = f"{self}, join {name}"
        require_new(where, name, self.columns)
        if isinstance(other, Stream):
            return self._join_stream(where, name, other, on, kind, within, grace)
        if within is not None or grace is not None:
            raise SettingError(
                f"{where}: within and grace are for joins of two streams, but {other.topic.name} is a table"
            )
        kept = other.kept
        if kind not in (INNER, LEFT):
            raise SettingError(f"{where}: kind is '{kind}', but must be 'inner' or 'left': a table triggers nothing")
        columns = {**self.columns, name: record_type(other.topic)}
        if other.everywhere:
            if kept is not None:
                raise SettingError(
                    f"{where}: {other} is held everywhere as it lies in its topic: join it without select"
                )
            if on is None:
                raise SettingError(f"{where}: on is missing, but must say which column is {other.topic.name}'s key")
            made = self.compiled(f"join {name}", on)
            wanted = other.key_type(where)
            if made.kind is None or not same_texts(made.kind, wanted):
                own = "null" if made.kind is None else made.kind.name
                raise SettingError(
                    f"{where}: {made.text} is of type {own}, but must be {wanted.name} as {other.key}, the key of "
                    f"{other.topic.name}"
                )
            return self._then(Lookup(name, other, made, made.kind, kind), columns)
        of_key = other.key_type(where) if kept is None else columns_of(where, other.topic)[other.topic.key]
        self._require_keyed(where, on, other.topic.name, of_key)
        self.require_same_keys(where, other)
        if kept is not None:
            columns[name] = record_type_of(name, kept)
        return self._then(AsOfJoin(name, other, kind), columns, statements=(*self.statements, *other.statements))

    def _join_stream(
        self,
        where: str,
        name: str,
        other: "Stream",
        on: Any,
        kind: JoinKind,
        within: int | tuple[int, int] | None,
        grace: int | None,
    ) -> "Stream":
        if within is None:
            raise SettingError(f"{where}: within is missing, but must say how far the rows' times may lie apart, in ms")
        if other.key is None:
            raise SettingError(f"{where}: {other} has lost its key: call repartition on it first")
        self._require_keyed(where, on, other.name, other.key_type(where))
        if self.name == other.name and not any(isinstance(step, Repartition) for step in (*self.steps, *other.steps)):
            raise SettingError(f"{where}: a stream cannot be joined with itself: write one side to a topic first")
        self.require_same_keys(where, other)
        step = WindowJoin(StreamJoin(name, within, grace, kind), other, self.columns)
        right = record_type_of(name, other.columns)
        return self._then(step, {**self.columns, name: right}, statements=(*self.statements, *other.statements))

    def _require_keyed(self, where: str, on: Any, other: str, kind: ColumnType) -> None:
        wanted = self.key if on is None else expression(on)
        named = wanted.name_ if isinstance(wanted, Column) else wanted
        if self.key is None or not isinstance(named, str) or named != self.key:
            by, key = ("its key", "...") if on is None else (on, on)
            raise SettingError(
                f"{where}: rows lie by {self.key or 'no column'}, but {other} is joined by {by}: call "
                f"repartition(name, key={key}) first"
            )
        if not same_texts(self.columns[self.key], kind):
            raise SettingError(
                f"{where}: key {self.key} is of type {self.columns[self.key].name}, but that of {other} is {kind.name}"
            )

    def window(self, window: Window) -> "Grouped":
        """Windows of event time for the aggregates to come: Tumbling, Hopping or Session."""
        from pipeline.declare.groups import Grouped

        return Grouped(self, window=window)

    def group_by(self, *columns: Any, **named: Any) -> "Grouped":
        """Groups for the aggregates to come: columns, and name=expression for others."""
        from pipeline.declare.groups import Grouped

        return Grouped(self).group_by(*columns, **named)

    def to(
        self, topic: str, *, key: Any = None, schema: Schema | None = None, time: str | None = None, **formats: Any
    ) -> "Stream":
        """Write the rows to a topic; gives the stream of that topic.

        `key` is a column, or an expression: by default the key that the rows have. A key that is null is empty.
        `schema` is the Avro schema of the topic, of the same columns, where it is not to follow from them. `time` names
        the column of the event time, epoch milliseconds: then records keep the time of those that they come from, and
        retention counts from there; without it, the record's own time is the event's. `formats` as of a stream.
        """
        from pipeline.declare.statements import written

        return written(self, topic, key, schema, time, formats)

    def into(self, result: "Stream", *, key: Any = None) -> "Stream":
        """Write the rows, too, to the topic of `result`, which `to` gave; gives the stream of all its rows.

        That is INSERT INTO: columns, their types and the key must be those of `result`, and its formats hold. Rows of
        one stream keep their order; between those of several there is none.
        """
        from pipeline.declare.statements import inserted

        return inserted(self, result, key)

    def table(self) -> Table:
        """The same topic as a table: of what an aggregate without a window wrote, the latest row of each group."""
        if self.steps or self.key is None:
            raise SettingError(f"{self}, table: only what was written to a topic under a key is a table")
        if self.is_windowed:
            raise SettingError(f"{self}, table: each window of a group is a row of its own, but a table has one a key")
        return Table.of(self.topic, self.columns, self.key, self.statements)
