"""The panels of a page: what each shows of SQL, or of an output of the application; see pages.py."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.codecs import schema
from pipeline.declare.relations import Relation
from pipeline.declare.statements import AggregateStatement
from pipeline.errors import SettingError
from pipeline.names import COLUMN_NAME
from pipeline.tables.windows import Hopping, Session

NUMBERS = ("int", "long", "float", "double")
KINDS = ("bars", "stacked", "lines")
WIDEST = 6
MOST_WINDOWS, MOST_SESSIONS, MOST_ROWS = 60, 100, 200
Also = str | Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What every panel may have besides: `unit` is written behind its numbers ("views", "%", "ms"), a sign of money
    ("$") before them. `width` is of six columns, 0: as is usual for its kind. `refresh_s`: seconds between its queries,
    where they are to be rarer than the page's. `note` is a line below the title.
    """

    unit: str = ""
    width: int = 0
    refresh_s: float | None = None
    note: str = ""

    KIND: ClassVar[str] = ""
    WIDTH: ClassVar[int] = 2

    def _check(self, title: str) -> None:
        where = f"page, {type(self).__name__} {title!r}"
        if not isinstance(title, str) or not title.strip():
            raise SettingError(f"page, {type(self).__name__}: title is {title!r}, but must be a text")
        if self.width not in range(WIDEST + 1):
            raise SettingError(f"{where}: width is {self.width!r}, but must be 1 to {WIDEST} columns, or 0")
        if self.refresh_s is not None and not self.refresh_s >= 1:
            raise SettingError(f"{where}: refresh_s is {self.refresh_s!r}, but must be at least 1 second")


@dataclass(frozen=True, slots=True)
class KPI(Shown):
    """One number: `value` of the SQL's row, the sum where there are several; the change is against its `previous`.

    `trend` is an output with windows (tumbling or hopping): its column `value`, summed over all groups, is the
    sparkline, and the change is that of the last closed window against the one before. Without both, the sparkline is
    what the page has seen since it was started.
    """

    title: str
    sql: str
    trend: Relation | None = None
    value: str = "value"

    def __post_init__(self) -> None:
        self._check(self.title)
        _check_sql(self, self.sql)
        if self.trend is not None:
            _check_windows(self, self.trend, None, self.value)


@dataclass(frozen=True, slots=True)
class TimeSeries(Shown):
    """Lines of `y` over time: `x` is a column of epoch milliseconds, `by` one whose values have a line each."""

    title: str
    sql: str
    x: str = "time_ms"
    y: str = "value"
    by: str | None = None

    WIDTH: ClassVar[int] = 4

    def __post_init__(self) -> None:
        self._check(self.title)
        _check_sql(self, self.sql)
        _check_names(self, x=self.x, y=self.y, by=self.by)


@dataclass(frozen=True, slots=True)
class Bars(Shown):
    """A bar for each row, in the SQL's order: `x` is its name, `y` its length; `also`: columns that are told, too."""

    title: str
    sql: str
    x: str
    y: str
    also: Also = None

    def __post_init__(self) -> None:
        self._check(self.title)
        _check_sql(self, self.sql)
        _check_names(self, x=self.x, y=self.y)
        _check_also(self, self.also)


@dataclass(frozen=True, slots=True)
class Windows(Shown):
    """The `last` windows of an output, tumbling or hopping: `value` by the group `by`; by other groups it is added up.

    `kind`: "bars" side by side, "stacked", which is right only for what may be added up, or "lines". A window that has
    not ended is marked.
    """

    title: str
    output: Relation
    by: str | None = None
    value: str = "value"
    last: int = 10
    kind: str = "bars"

    WIDTH: ClassVar[int] = 3

    def __post_init__(self) -> None:
        self._check(self.title)
        _check_windows(self, self.output, self.by, self.value)
        _check_last(self, self.last, MOST_WINDOWS)
        if self.kind not in KINDS:
            raise SettingError(f"{_where(self)}: kind is {self.kind!r}, but must be one of {', '.join(KINDS)}")


@dataclass(frozen=True, slots=True)
class Sessions(Shown):
    """The `last` sessions of an output, from first to last event, in a row for each value of its group `by`."""

    title: str
    output: Relation
    by: str | None = None
    value: str = "value"
    last: int = 30

    WIDTH: ClassVar[int] = 3

    def __post_init__(self) -> None:
        self._check(self.title)
        statement = written(self, self.output)
        if not isinstance(statement.aggregate.window, Session):
            raise SettingError(f"{_where(self)}: {self.output} has no sessions, but must be of Session windows")
        _check_columns(self, statement, self.by, self.value)
        _check_last(self, self.last, MOST_SESSIONS)


@dataclass(frozen=True, slots=True)
class Grid(Shown):
    """A table of the SQL's rows and columns; a column that ends in `_ms` holds epoch milliseconds, told as times."""

    title: str
    sql: str

    WIDTH: ClassVar[int] = 6

    def __post_init__(self) -> None:
        self._check(self.title)
        _check_sql(self, self.sql)


@dataclass(frozen=True, slots=True)
class Map(Shown):
    """Countries of the world, the stronger in colour the larger their `value`. `place` is an ISO 3166 code, of two or
    three letters, or an English name; `also` are columns that are told, too.
    """

    title: str
    sql: str
    place: str = "country"
    value: str = "value"
    also: Also = None

    WIDTH: ClassVar[int] = 4

    def __post_init__(self) -> None:
        self._check(self.title)
        _check_sql(self, self.sql)
        _check_names(self, place=self.place, value=self.value)
        _check_also(self, self.also)


Panel = KPI | TimeSeries | Bars | Windows | Sessions | Grid | Map


def written(panel: Panel, output: Relation) -> AggregateStatement:
    """The aggregate that writes a panel's output; raises SettingError where it is none."""
    found = [s for s in getattr(output, "statements", ()) if s.output.name == output.name]
    if not isinstance(output, Relation) or output.steps or not found or not isinstance(found[-1], AggregateStatement):
        raise SettingError(
            f'{_where(panel)}: output is {output}, but must be an aggregate that .to("TOPIC") has written'
        )
    return found[-1]


def outputs(panel: Panel) -> tuple[Relation, ...]:
    """The outputs that a panel names."""
    named = panel.trend if isinstance(panel, KPI) else getattr(panel, "output", None)
    return () if named is None else (named,)


def _where(panel: Panel) -> str:
    return f"page, {type(panel).__name__} {panel.title!r}"


def _check_sql(panel: Panel, sql: str) -> None:
    if not isinstance(sql, str) or re.match(r"\s*SELECT\b", sql, re.IGNORECASE) is None:
        raise SettingError(f"{_where(panel)}: sql is {sql!r}, but must be a SELECT")
    if sql.rstrip().endswith(";"):
        raise SettingError(f"{_where(panel)}: sql ends with ';', but must be one query without it")


def _check_names(panel: Panel, **columns: str | None) -> None:
    for name, column in columns.items():
        if column is None and name == "by":
            continue
        if not isinstance(column, str) or COLUMN_NAME.fullmatch(column) is None:
            raise SettingError(f"{_where(panel)}: {name} is {column!r}, but must be the name of a column of its sql")


def also_of(given: Also) -> tuple[str, ...]:
    """Further columns as a tuple."""
    return (given,) if isinstance(given, str) else tuple(given or ())


def _check_also(panel: Panel, given: Also) -> None:
    for column in also_of(given):
        _check_names(panel, also=column)


def _check_windows(panel: Panel, output: Relation, by: str | None, value: str) -> None:
    statement = written(panel, output)
    if not isinstance(statement.aggregate.window, Hopping):
        raise SettingError(f"{_where(panel)}: {output} has no time windows, but must be of Tumbling or Hopping ones")
    _check_columns(panel, statement, by, value)


def _check_columns(panel: Panel, statement: AggregateStatement, by: str | None, value: str) -> None:
    """That an aggregate has these columns, of types that can be drawn."""
    groups = statement.aggregate.group_columns
    if by is not None and by not in groups:
        known = " or ".join(groups) or "None: all rows are one group"
        raise SettingError(f"{_where(panel)}: by is {by!r}, but must be a group of {statement.output.name}: {known}")
    computed = {field["name"] for field in statement.aggregate.function.fields()}
    fields = schema(statement.output.schema or {})["fields"]
    numbers = [field["name"] for field in fields if field["name"] in computed and _is_number(field["type"])]
    if value not in numbers:
        raise SettingError(
            f"{_where(panel)}: value is {value!r}, but must be a number that {statement.output.name} computes: "
            f"{' or '.join(numbers) or 'it has none'}"
        )


def _is_number(avro: object) -> bool:
    branches = avro if isinstance(avro, list) else [avro]
    return all(branch in (*NUMBERS, "null") for branch in branches)


def _check_last(panel: Panel, last: int, most: int) -> None:
    if not isinstance(last, int) or not 1 <= last <= most:
        raise SettingError(f"{_where(panel)}: last is {last!r}, but must be 1 to {most}")
