"""Aggregates over the groups of a stream or table, in windows or without: what is checked as they are put together.

The stream that they make, by `to`, is in fluent.py.
"""

from dataclasses import replace
from typing import Any, Self

from pipeline.columns import columns_of
from pipeline.declare.aggregates import Aggregated
from pipeline.declare.compiled import Compiled, predicate
from pipeline.declare.expressions import Column
from pipeline.declare.joins import TwoSided
from pipeline.declare.outputs import Formats, settled_schema, with_formats
from pipeline.declare.relations import Relation
from pipeline.declare.results import bound, check_output, output_topic
from pipeline.declare.statements import AggregateStatement
from pipeline.declare.streams import BaseStream
from pipeline.declare.tables import BaseTable
from pipeline.errors import SettingError
from pipeline.names import check_names
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.several import Several
from pipeline.tables.sliced_windows import are_sliced
from pipeline.tables.types import ColumnType
from pipeline.tables.windows import Unwindowed, Window
from pipeline.topics import Schema

Named = tuple[tuple[str, Compiled], ...]
SUBTRACTING = "COUNT, SUM, AVG, STDDEV_SAMP, STDDEV_SAMPLE, CORRELATION, COLLECT_LIST, HISTOGRAM"
"""Functions that are taken of tables, whose rows leave their groups; as in ksqlDB."""


def _checked(stream: Relation, window: Any) -> Window:
    if not isinstance(window, Window):
        raise SettingError(
            f"{stream}, window: {window!r} is no window, but must be Tumbling(ms), Hopping(ms, ms) or Session(ms)"
        )
    return window


class BaseGrouped:
    """What a `Grouped` is, as far as it has been said: rows, their groups and windows, what is computed for each."""

    def __init__(self, stream: Relation, window: Window | None = None) -> None:
        self._stream = stream
        self._window = _checked(stream, Unwindowed() if window is None else window)
        self._groups: Named | None = None
        self._aggregates: dict[str, Aggregated] = {}
        self._final = False
        self._having: Any = None

    def _with(self, **changed: Any) -> Self:
        made = object.__new__(type(self))
        made.__dict__ = self.__dict__ | changed
        return made

    def window(self, window: Window) -> Self:
        """Windows of event time: Tumbling, Hopping or Session."""
        if isinstance(self._stream, BaseTable):
            raise SettingError(f"{self._stream}, window: a table is aggregated without a window")
        return self._with(_window=_checked(self._stream, window))

    def group_by(self, *columns: Any, **named: Any) -> Self:
        """Groups: columns, and name=expression for others; without any, all rows are one group."""
        stream = self._stream
        chosen: dict[str, Compiled] = {}
        if any(isinstance(step, TwoSided) for step in stream.steps):
            raise SettingError(f"{stream}, group_by: joined rows are grouped from a topic: call .to(...) first")
        for one in columns:
            if isinstance(one, str):
                raise SettingError(f"{stream}, group_by: {one!r} is a text, but must be a column: write c.{one}")
            if not isinstance(one, Column):
                raise SettingError(f"{stream}, group_by: {one} needs a name: write name={one}")
            chosen[one.name_] = stream.compiled("group_by", one)
        check_names(f"{stream}, group_by", "column", [*(one.name_ for one in columns), *named])
        for name, given in named.items():
            chosen[name] = stream.compiled(f"group_by, column {name}", given)
        for name, made in chosen.items():
            if made.kind is None or not made.kind.is_scalar:
                kind = "null" if made.kind is None else made.kind.name
                raise SettingError(
                    f"{stream}, group_by: {name} is of type {kind}, but must be a scalar: it is the key of the result"
                )
        return self._with(_groups=tuple(chosen.items()))

    def aggregate(self, *unnamed: Any, **aggregates: Aggregated) -> Self:
        """What is computed for each group: columns of the result by their names."""
        if unnamed:
            raise SettingError(
                f"{self._stream}, aggregate: {unnamed[0]} needs the name of its column: aggregate(n=...)"
            )
        if not aggregates:
            raise SettingError(f"{self._stream}, aggregate: there is no function, but must be at least one")
        for name, one in aggregates.items():
            if not isinstance(one, Aggregated):
                raise SettingError(
                    f"{self._stream}, aggregate: {name} is {one!r}, but must be an aggregate function such as Count()"
                )
        return self._with(_aggregates=aggregates)

    def having(self, condition: Any) -> Self:
        """Only results for which this is true, of columns of the result; one that was and is no longer is retired."""
        return self._with(_having=condition)

    def final(self) -> Self:
        """One result a window, when it has closed: EMIT FINAL."""
        return self._with(_final=True)

    def _input(
        self,
        where: str,
        name: str,
        one: Aggregated,
        number: int,
        computed: dict[str, Compiled],
        types: dict[str, ColumnType],
    ) -> str:
        """The name of the column that an argument of a function reads, which is added to those that are computed."""
        made = self._stream.compiled(f"aggregate {name}", one.arguments[number])
        column = made.text if made.is_column else f"{name}#{number}"
        if made.kind is None:
            raise SettingError(f"{where}: {one} is of NULL, which has no type")
        if column in computed and computed[column].text != made.text:
            raise SettingError(f"{where}: group {column} is named as a column that {one} reads: name it otherwise")
        computed[column], types[column] = made, made.kind
        return column

    def _kept(self, name: str) -> AggregateStatement:
        """That the results are kept under a name; see `Grouped.materialize`."""
        if self._final:
            raise SettingError(
                f"{self._stream}, materialize {name}: EMIT FINAL results are told once, when their window has closed, "
                "and then forgotten: leave out .final()"
            )
        return self._statement(name, name, None, {}, silent=True)

    def _statement(
        self, topic: str, name: str | None, schema: Schema | None, formats: Formats, *, silent: bool = False
    ) -> AggregateStatement:
        """That the results are written to a topic; see `Grouped.to`."""
        stream, groups = self._stream, self._groups
        where = f"{stream}, to {topic}"
        if groups is None:
            raise SettingError(f"{where}: there is no group_by, but must be one: group_by() makes all rows one group")
        if not self._aggregates:
            raise SettingError(f"{where}: there is no aggregate, but must be one")
        computed: dict[str, Compiled] = dict(groups)
        types = {name: made.kind for name, made in groups if made.kind is not None}
        functions = []
        for column, one in self._aggregates.items():
            inputs = [self._input(where, column, one, number, computed, types) for number in range(len(one.arguments))]
            try:
                functions.append(one.bind(inputs, column, [types[read] for read in inputs]))
            except SettingError as error:
                raise SettingError(f"{where}, column {column}: {error}") from None
            if isinstance(stream, BaseTable) and not hasattr(functions[-1], "subtract"):
                raise SettingError(
                    f"{where}: {column} is {one}, but must be one that can take a row back: {SUBTRACTING}"
                )
        names = tuple(name for name, _ in groups)
        function = functions[0] if len(functions) == 1 else Several(tuple(functions))
        sliced = are_sliced(self._window)
        aggregate = Aggregate(name or topic, names, function, topic, self._window, self._final, sliced, silent)
        aggregate = bound(where, aggregate, types)
        output = output_topic(aggregate, retires=self._having is not None)
        if schema is not None:
            output = replace(output, schema=settled_schema(where, topic, schema, columns_of(where, output)))
        output = with_formats(where, output, types[names[0]] if len(names) == 1 else None, formats)
        check_output(where, aggregate, output)
        statement = AggregateStatement(stream, output, tuple(computed.items()), aggregate, having=None)
        if self._having is None:
            return statement
        return replace(statement, having=statement.result(BaseStream).compiled("having", self._having, predicate))
