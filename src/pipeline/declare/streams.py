"""Streams by themselves: a topic of which each row counts.

What makes other relations of a stream, such as `join` and `to`, is in fluent.py.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self, TypeVar

from pipeline.columns import check_event_time, columns_of
from pipeline.declare.compiled import Compiled
from pipeline.declare.expressions import Column
from pipeline.declare.joins import WindowJoin
from pipeline.declare.kinds import Scope
from pipeline.declare.outputs import header_columns, record_schema, with_formats
from pipeline.declare.relations import Relation, Statement, require_key, require_new, scalar_type, then
from pipeline.declare.steps import Distinct, Explode, Repartition
from pipeline.declare.tables import BaseTable
from pipeline.errors import SettingError
from pipeline.names import check_topic_name
from pipeline.tables.types import column_type
from pipeline.timebase import DAY_MS
from pipeline.topics import FOREVER, Kind, Schema, Topic

T = TypeVar("T", bound=BaseTable)


class BaseStream(Relation):
    """What a `Stream` is and knows of itself: as this, statements know it."""

    kind = "stream"
    is_windowed: bool = False
    """Whether its rows are the results of windows."""

    def __init__(
        self,
        name: str,
        schema: Schema,
        *,
        key: str = "",
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
        statements: tuple[Statement, ...],
        is_windowed: bool = False,
    ) -> Self:
        """The stream of a topic that the application writes itself."""
        made = object.__new__(cls)
        made.topic, made.columns, made.key, made.statements = topic, columns, key, statements
        made.is_windowed = is_windowed
        return made

    def explode(self, array: Any = None, column: str = "", /, **arrays: Any) -> Self:
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
        return then(self, Explode(tuple(steps.items())), columns)

    def distinct(self, name: str, *by: Any, within: int) -> Self:
        """The rows without copies: of those that are alike in `by`, the first within so many ms of event time.

        A row is a copy where one that is alike went on whose time is at most `within` apart, inclusive, either way. One
        that comes when the stream's time is more than `within` past it is late: nothing can be told of it any more. A
        row for which one of `by` is null is no copy. The key must be among `by`: copies lie in one partition. `name` is
        that of what is kept: never change it for a running application.
        """
        where = f"{self}, distinct {name}"
        check_topic_name(where, name)
        if any(isinstance(step, WindowJoin | Explode) for step in self.steps):
            raise SettingError(f"{where}: call it before rows are exploded, and on joined rows once they are written")
        if not by:
            raise SettingError(f"{where}: there is no column, but must be at least one")
        if within < 0:
            raise SettingError(f"{where}: within is {within}, but must be at least 0 ms")
        made = [self.compiled("distinct", one) for one in by]
        if self.key is None or not any(one.is_column and one.text == self.key for one in made):
            raise SettingError(
                f"{where}: {', '.join(one.text for one in made)} has not the key, {self.key}, but must: copies are "
                "looked for in their partition only; repartition the rows first"
            )
        return then(self, Distinct(name, tuple((one, scalar_type(where, one)) for one in made), within))

    def repartition(self, name: str, key: Any) -> Self:
        """The rows keyed by an expression, each in the partition of its key; a row whose key is null is dropped.

        `name` is that of the topic in between, which is the application's own: never change it for a running one.
        """
        check_topic_name(f"{self}, repartition", name)
        if any(isinstance(step, WindowJoin) for step in self.steps):
            raise SettingError(f"{self}, repartition {name}: write the joined rows with .to(topic, key=...) instead")
        made = self.compiled("repartition", key)
        kind = scalar_type(f"{self}, repartition {name}", made)
        column = made.text if isinstance(key, Column) else None
        return then(self, Repartition(name, made, kind), key=column)

    def _as_table(self, made: type[T]) -> T:
        """The same topic as a table, of a class of tables."""
        if self.steps or (self.key is None and not self.statements):
            raise SettingError(f"{self}, table: only what was written to a topic under a key is a table")
        if self.is_windowed:
            raise SettingError(f"{self}, table: each window of a group is a row of its own, but a table has one a key")
        return made.of(self.topic, self.columns, self.key, self.statements)
