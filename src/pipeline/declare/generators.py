"""Where an application's example data come from: generators of rows for its source topics.

    Generator(clicks, per_s=50, source=one_of("search", "mail"), user=texts("user-{}", 1_000))
    Rows(sources, [{"source": "search", "channel": "organic"}])

A column that is not given gets values that its type allows; the column of the event time gets the present. How values
are drawn is in `draws`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import exp, log
from random import Random
from typing import Any

from fastavro.validation import validate

from pipeline.declare.draws import By, Draw, OfRow, drawn, now, numbers, one_of, texts
from pipeline.declare.fluent import Stream, Table
from pipeline.declare.kinds import Scope
from pipeline.errors import SettingError
from pipeline.tables.types import ColumnType, column_type
from pipeline.timebase import HOUR_MS, SECOND_MS
from pipeline.topics import Topic

MOST_DEFAULT = 100
TRIED_MS = 1_800_000_000_000
"""The time of the row that is drawn to see whether all is well."""


class Drawn:
    """Rows of which some columns are given and others drawn, each after those that it belongs to.

    `given` are columns that every row names. Raises SettingError when a column belongs to one that comes later.
    """

    def __init__(self, where: str, name: str, columns: Scope, given: Collection[str], draws: Mapping[str, Any]) -> None:
        self._where, self._name, self._columns = where, name, columns
        self._bound = {column: draw for column, draw in draws.items() if isinstance(draw, By | OfRow)}
        self._free = {column: drawn(draw) for column, draw in draws.items() if column not in self._bound}
        known = {*given, *self._free}
        for column, draw in self._bound.items():
            if isinstance(draw, By) and draw.column not in known:
                raise SettingError(
                    f"{where}, column {column}: it belongs to {draw.column}, but must belong to a column that is drawn "
                    f"before it: {', '.join(sorted(known))}"
                )
            known.add(column)

    def maker(self, seed: int) -> Callable[[int, Mapping[str, Any]], dict[str, Any]]:
        """Gives the next row, for a time in epoch milliseconds and what is given of it."""
        random, free, bound, columns = Random(f"{self._name}/{seed}"), self._free, self._bound, self._columns

        def row(now_ms: int, given: Mapping[str, Any]) -> dict[str, Any]:
            made = {name: draw(random, now_ms) for name, draw in free.items()}
            made.update(given)
            for name, draw in bound.items():
                if name not in given:
                    made[name] = draw.value(name, made, seed, now_ms)
            return {name: made.get(name) for name in columns}

        return row

    def check(self, row: Mapping[str, Any]) -> None:
        """Raise SettingError when a row does not fit the columns' types; null fits all."""
        for name, value in row.items():
            kind = self._columns[name]
            if value is not None and not validate(value, kind.avro, raise_errors=False):
                raise SettingError(f"{self._where}, column {name}: {value!r} is made, but must be of type {kind.name}")


class Rows:
    """Rows of a table, written each time the generators start; `draws` give the columns that a row does not name.

    Raises SettingError when there is no such column, or a row cannot be drawn so.
    """

    def __init__(self, table: Table, rows: Sequence[Mapping[str, Any]], **draws: Any) -> None:
        where = f"{table}, rows"
        self.of = table
        self.rows = tuple(rows)
        for row in (*self.rows, draws):
            unknown = row.keys() - table.columns.keys()
            if unknown:
                raise SettingError(
                    f"{where}: there is no column {', '.join(sorted(unknown))}, only {', '.join(table.columns)}"
                )
        given = set.intersection(*(set(row) for row in self.rows)) if self.rows else set()
        self._row = Drawn(where, table.topic.name, table.columns, given, draws)
        for record in self.records(0, TRIED_MS)[:1]:
            self._row.check(record)

    @property
    def topic(self) -> Topic:
        """Where they go."""
        return self.of.topic

    @property
    def columns(self) -> Scope:
        """The columns of the rows."""
        return self.of.columns

    def records(self, seed: int, now_ms: int) -> list[dict[str, Any]]:
        """The rows with all columns, as of a time in epoch ms; null where neither a row nor a draw names one."""
        make = self._row.maker(seed)
        return [make(now_ms, row) for row in self.rows]


class Generator:
    """Rows of a stream or table, so many a second; `draws` are the values of its columns, or constants.

    A share `late` of them, in [0, 1], are of `late_ms` ago: of a time between both, each possible, small ones more
    often. `given` are the columns whose values were asked for. Raises SettingError when a column cannot be drawn so.
    """

    def __init__(
        self,
        of: Stream | Table,
        per_s: float = 10.0,
        *,
        late: float = 0.0,
        late_ms: tuple[int, int] = (SECOND_MS, HOUR_MS),
        **draws: Any,
    ) -> None:
        where = f"{of}, generator"
        self.topic = of.topic
        if per_s <= 0:
            raise SettingError(f"{where}: per_s is {per_s}, but must be above 0")
        if not 0 <= late <= 1 or not 0 < late_ms[0] <= late_ms[1]:
            raise SettingError(
                f"{where}: late is {late} and late_ms {late_ms}, but must be in 0 .. 1, and the least and the most "
                "milliseconds, above 0"
            )
        if isinstance(of, Stream) and (of.steps or of.statements):
            raise SettingError(f"{where}: only a source can be generated, but it is the result of a statement")
        unknown = draws.keys() - of.columns.keys()
        if unknown:
            raise SettingError(
                f"{where}: there is no column {', '.join(sorted(unknown))}, only {', '.join(of.columns)}"
            )
        self.of = of
        self.per_s = per_s
        self.columns = of.columns
        self.given = frozenset(draws)
        self._late, self._late_ms = late, late_ms
        chosen = {name: draws[name] if name in draws else self._default(where, name, of.columns) for name in of.columns}
        self._row = Drawn(where, self.topic.name, of.columns, set(), chosen)
        self._row.check(self.maker(0)(TRIED_MS))

    def _default(self, where: str, name: str, columns: Scope) -> Draw:
        kind = columns[name]
        if name != self.topic.event_time:
            return by_type(f"{where}, column {name}", name, kind)
        if self.topic.event_time_format is not None:
            raise SettingError(f"{where}: say how to make {name}, the time as text in {self.topic.event_time_format}")
        return now() if kind.family == "long" else (lambda _, now_ms: datetime.fromtimestamp(now_ms / 1000, UTC))

    def maker(self, seed: int) -> Callable[[int], dict[str, Any]]:
        """Gives the next row, for a time in epoch milliseconds; the same seed gives the same rows."""
        make = self._row.maker(seed)
        return lambda now_ms: make(now_ms, {})

    def times(self, seed: int) -> Callable[[int], int]:
        """Gives the time of the next row, for the present: the same, or earlier where it is late; epoch ms."""
        if not self._late:
            return lambda now_ms: now_ms
        random, (least, most) = Random(f"late {self.topic.name}/{seed}"), self._late_ms
        return lambda now_ms: (
            now_ms - int(exp(random.uniform(log(least), log(most)))) if random.random() < self._late else now_ms
        )


def by_type(where: str, name: str, kind: ColumnType) -> Draw:
    """Values that a type allows: few different ones, so that groups and joins have something to meet."""
    match kind.family:
        case "string":
            return texts(f"{name}-{{}}", MOST_DEFAULT)
        case "int" | "long":
            return numbers(1, MOST_DEFAULT)
        case "float" | "double":
            return numbers(0.0, float(MOST_DEFAULT))
        case "boolean":
            return one_of(True, False)
        case "decimal":
            return lambda random, _: Decimal(random.randint(0, 9_999)).scaleb(-kind.scale)
        case "date":
            return lambda _, now_ms: datetime.fromtimestamp(now_ms / 1000, UTC).date()
        case "array":
            item = by_type(where, name, column_type(kind.avro["items"]))
            return lambda random, now_ms: [item(random, now_ms) for _ in range(random.randint(0, 3))]
        case "record":
            fields = {f["name"]: by_type(where, f["name"], column_type(f["type"])) for f in kind.avro["fields"]}
            return lambda random, now_ms: {field: draw(random, now_ms) for field, draw in fields.items()}
    if kind.family.endswith("timestamp-millis") or kind.family.endswith("timestamp-micros"):
        return lambda _, now_ms: datetime.fromtimestamp(now_ms / 1000, UTC)
    raise SettingError(f"{where}: say how to make values of type {kind.name}")
