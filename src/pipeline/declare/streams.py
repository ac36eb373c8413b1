"""Streams and tables, and what is made of them: each method gives a new value and checks it at once.

    clicks = Stream("clicks", CLICK, key="user", time="at")
    sources = Table("sources", SOURCE, key="source", everywhere=True)

    clicks.where(c.user.is_not_null())
        .join("origin", sources, on=c.source)
        .select(user=c.user, channel=c.origin.channel)
        .to("CLICKS_WITH_CHANNEL")

What cannot work is a SettingError in one sentence that names the stream, the step and the column.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.declarations import check_event_time, check_topic_name, column_types, columns_of
from pipeline.declare.compiled import Compiled, ExpressionError, Scope, compiled, predicate
from pipeline.declare.expressions import Column, Expression, expression
from pipeline.declare.outputs import record_schema, record_type
from pipeline.declare.steps import (
    PSEUDO,
    AsOfJoin,
    Explode,
    Lookup,
    Repartition,
    Select,
    Step,
    Where,
    WindowJoin,
)
from pipeline.errors import SettingError
from pipeline.tables.joins import JoinKind
from pipeline.tables.stream_join import StreamJoin
from pipeline.tables.types import column_type
from pipeline.tables.windows import Window
from pipeline.timebase import DAY_MS
from pipeline.topics import Kind, Schema, Topic

if TYPE_CHECKING:
    from pipeline.declare.groups import Grouped
    from pipeline.declare.statements import Statement

INNER, LEFT, RIGHT, OUTER = JoinKind.INNER, JoinKind.LEFT, JoinKind.RIGHT, JoinKind.OUTER


class Table:
    """A topic as a table: the latest row of each key; a record without a value removes its key.

    `schema` is the Avro schema of a row, or its columns as {name: Avro type}. `key` names the column that is the
    record's key. A stream is joined with the row that was valid at its own row's time, partition by partition. With
    `everywhere`, every worker holds the whole table, and a stream is joined with it by any column, with the row that is
    known at that moment: for small tables that change rarely.
    """

    def __init__(self, name: str, schema: Schema, *, key: str, everywhere: bool = False) -> None:
        where = f"table {name}"
        check_topic_name(where, name)
        kind = Kind.REFERENCE if everywhere else Kind.EVENT
        self.topic = Topic(name, kind, key=key, schema=record_schema(name, schema), retention_ms=None)
        self.columns: Scope = columns_of(where, self.topic)
        self.everywhere = everywhere
        _require_key(where, key, self.columns)

    @property
    def key(self) -> str:
        """The column that is the record's key."""
        return self.topic.key

    def __str__(self) -> str:
        return f"table {self.topic.name}"


class Stream:
    """A topic as a stream of rows, and the steps that are done to them so far.

    `schema` is the Avro schema of a row, or its columns as {name: Avro type}. `key` names the column that is the
    record's key, `time` the column of the event time: epoch milliseconds in a long, one of Avro's timestamps, or a text
    in `time_format`; without it the record's own time is the event's. `retention_ms` is for how long the topic keeps
    records, None: for ever.
    """

    def __init__(
        self,
        name: str,
        schema: Schema,
        *,
        key: str,
        time: str | None = None,
        time_format: str | None = None,
        retention_ms: int | None = 7 * DAY_MS,
    ) -> None:
        where = f"stream {name}"
        check_topic_name(where, name)
        config = {"retention.ms": "-1"} if retention_ms is None else {}
        self.topic = Topic(
            name,
            Kind.EVENT,
            key=key,
            schema=record_schema(name, schema),
            event_time=time,
            event_time_format=time_format,
            retention_ms=7 * DAY_MS if retention_ms is None else retention_ms,
            config=config,
        )
        columns = columns_of(where, self.topic)
        _require_key(where, key, columns)
        check_event_time(where, self.topic, columns)
        self.columns: Scope = columns
        self.key: str | None = key
        self.steps: tuple[Step, ...] = ()
        self.shapes: tuple[Scope, ...] = ()  # the columns after each step
        self.statements: tuple[Statement, ...] = ()
        self.state: str | None = None

    @property
    def name(self) -> str:
        """The topic that its rows come from."""
        return self.topic.name

    def __str__(self) -> str:
        return f"stream {self.name}"

    def _with(self, **changed: Any) -> "Stream":
        made = object.__new__(Stream)
        made.__dict__ = self.__dict__ | changed
        return made

    def _then(self, step: Step, columns: Scope | None = None, **changed: Any) -> "Stream":
        columns = self.columns if columns is None else columns
        return self._with(steps=(*self.steps, step), shapes=(*self.shapes, columns), columns=columns, **changed)

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

    def where(self, condition: Any) -> "Stream":
        """Only the rows for which the condition is true: neither false nor null."""
        return self._then(Where(self.compiled("where", condition, predicate)))

    def select(self, *same: Any, **columns: Any) -> "Stream":
        """Rows of these columns only: columns as they are, and name=expression for others, in this order."""
        chosen: dict[str, Any] = {}
        for one in same:
            if not isinstance(one, Column):
                raise SettingError(f"{self}, select: {one} needs a name: write name={one}")
            _require_new(f"{self}, select", one.name_, chosen)
            chosen[one.name_] = one
        for name, given in columns.items():
            _require_new(f"{self}, select", name, chosen)
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
        return self._then(Select(made), types, key=key)

    def explode(self, array: Any, column: str) -> "Stream":
        """A row for each element of an array, in its order, with the element in the new `column`."""
        made = self.compiled("explode", array)
        if made.kind is None or made.kind.family != "array":
            kind = "null" if made.kind is None else made.kind.name
            raise SettingError(f"{self}, explode: {made.text} is of type {kind}, but must be an array")
        _require_new(f"{self}, explode", column, self.columns)
        return self._then(Explode(made, column), {**self.columns, column: column_type(made.kind.avro["items"])})

    def repartition(self, name: str, key: Any) -> "Stream":
        """The rows keyed by an expression, each in the partition of its key; a row whose key is null is dropped.

        `name` is that of the topic in between, which is the application's own: never change it for a running one.
        """
        check_topic_name(f"{self}, repartition", name)
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
        _require_new(where, name, self.columns)
        if isinstance(other, Stream):
            return self._join_stream(where, name, other, on, kind, within, grace)
        if within is not None or grace is not None:
            raise SettingError(
                f"{where}: within and grace are for joins of two streams, but {other.topic.name} is a table"
            )
        if kind not in (INNER, LEFT):
            raise SettingError(f"{where}: kind is '{kind}', but must be 'inner' or 'left': a table triggers nothing")
        columns = {**self.columns, name: record_type(other.topic)}
        if other.everywhere:
            if on is None:
                raise SettingError(f"{where}: on is missing, but must say which column is {other.topic.name}'s key")
            made = self.compiled(f"join {name}", on)
            wanted = other.columns[other.key]
            if made.kind is None or made.kind.family != wanted.family:
                own = "null" if made.kind is None else made.kind.name
                raise SettingError(
                    f"{where}: {made.text} is of type {own}, but must be {wanted.name} as {other.key}, the key of "
                    f"{other.topic.name}"
                )
            return self._then(Lookup(name, other, made, made.kind, kind), columns)
        self._require_keyed(where, on, other.topic.name, other.columns[other.key].family)
        return self._then(AsOfJoin(name, other, kind), columns)

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
        self._require_keyed(where, on, other.name, other.columns[other.key].family)
        if self.name == other.name and not any(isinstance(step, Repartition) for step in (*self.steps, *other.steps)):
            raise SettingError(f"{where}: a stream cannot be joined with itself: write one side to a topic first")
        step = WindowJoin(StreamJoin(name, within, grace, kind), other, self.columns)
        right = record_type_of(name, other.columns)
        return self._then(step, {**self.columns, name: right}, statements=(*self.statements, *other.statements))

    def _require_keyed(self, where: str, on: Any, other: str, family: str) -> None:
        wanted = self.key if on is None else expression(on)
        named = wanted.name_ if isinstance(wanted, Column) else wanted
        if self.key is None or not isinstance(named, str) or named != self.key:
            by, key = ("its key", "...") if on is None else (on, on)
            raise SettingError(
                f"{where}: rows lie by {self.key or 'no column'}, but {other} is joined by {by}: call "
                f"repartition(name, key={key}) first"
            )
        if self.columns[self.key].family != family:
            raise SettingError(
                f"{where}: key {self.key} is of type {self.columns[self.key].name}, but that of {other} is {family}"
            )

    def named(self, state: str) -> "Stream":
        """A name for what is kept for the aggregates over these rows, which they share: never change it.

        Aggregates over equal rows with one name are folded together, and their partials lie in one topic.
        """
        check_topic_name(f"{self}, named", state)
        return self._with(state=state)

    def window(self, window: Window) -> "Grouped":
        """Windows of event time for the aggregates to come: Tumbling, Hopping or Session."""
        from pipeline.declare.groups import Grouped

        return Grouped(self, window=window)

    def group_by(self, *columns: Any, **named: Any) -> "Grouped":
        """Groups for the aggregates to come: columns, and name=expression for others."""
        from pipeline.declare.groups import Grouped

        return Grouped(self).group_by(*columns, **named)

    def to(self, topic: str, *, key: Any = None) -> "Stream":
        """Write the rows to a topic; gives the stream of that topic.

        `key` is a column, or an expression: by default the key that the rows have. A key that is null is empty.
        """
        from pipeline.declare.statements import written

        return written(self, topic, key)


def record_type_of(name: str, columns: Scope) -> Any:
    """The type of a record of these columns."""
    return column_type(
        {"type": "record", "name": name, "fields": [{"name": n, "type": ["null", k.avro]} for n, k in columns.items()]}
    )


def _require_key(where: str, key: str, columns: Mapping[str, Any]) -> None:
    if key not in columns:
        raise SettingError(f"{where}: key is {key!r}, but must be one of the columns {', '.join(columns)}")
    if not columns[key].is_scalar:
        raise SettingError(f"{where}: key {key} is of type {columns[key].name}, but must be a scalar")


def _require_new(where: str, name: str, columns: Mapping[str, Any]) -> None:
    if name in columns:
        raise SettingError(f"{where}: there is a column {name} already, but must be another name")
    if name in PSEUDO:
        raise SettingError(f"{where}: {name} is a column that every row has, but must be another name")


__all__ = ["INNER", "LEFT", "OUTER", "RIGHT", "Stream", "Table", "column_types"]
