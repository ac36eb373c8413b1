"""What a declared page asks of Pinot: the SQL of its panels, and what follows from the outputs that they name."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipeline.codecs import schema
from pipeline.declare.application import Application
from pipeline.declare.pages import Page
from pipeline.declare.panels import KPI, Panel, Sessions, Windows, written
from pipeline.declare.relations import Relation
from pipeline.topics import Topic

TABLE, TREND = "table-", "-trend"
MOST_ROWS = 1_000
LIMITED = re.compile(r"\b(LIMIT\s+\d+(\s*(,|OFFSET)\s*\d+)?|OPTION\s*\(.*\))\s*$", re.IGNORECASE | re.DOTALL)
TRENDS = 24
MOST_GROUPS = 200


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a page: `sql` of the moment (epoch ms) when it is asked, at least `every_s` seconds apart."""

    name: str
    sql: Callable[[int], str]
    every_s: float


def name_of(place: int) -> str:
    """The name of the panel at this place: of its query, and in the page."""
    return f"p{place}"


def queries(application: Application, page: Page) -> list[Query]:
    """All queries of a page: rows and newest event of each table, then those of its panels."""
    columns = [one.column for one in page.filters]
    topics = [statement.output for statement in application.in_pinot]
    found = [Query(f"{TABLE}{topic.name}", _always(counted(topic)), page.refresh_s) for topic in topics]
    for place, panel in enumerate(page.panels):
        every_s = max(page.refresh_s, panel.refresh_s or 0.0)
        found.append(Query(name_of(place), panel_sql(panel), every_s))
        if isinstance(panel, KPI) and panel.trend is not None:
            found.append(Query(f"{name_of(place)}{TREND}", trend_sql(panel, columns), every_s))
    return found


def panel_sql(panel: Panel) -> Callable[[int], str]:
    """A panel's query."""
    if isinstance(panel, Windows):
        return windows_sql(panel.output, _names(panel.by), panel.value, panel.last, panel)
    if isinstance(panel, Sessions):
        return sessions_sql(panel)
    return _always(limited(panel.sql))


def trend_sql(panel: KPI, columns: Iterable[str]) -> Callable[[int], str]:
    """The windows of a KPI's trend, by those of its groups that viewers filter by."""
    assert panel.trend is not None
    groups = written(panel, panel.trend).aggregate.group_columns
    by = [column for column in columns if column in groups]
    return windows_sql(panel.trend, by, panel.value, TRENDS + 2, panel)


def windows_sql(output: Relation, by: Sequence[str], value: str, last: int, panel: Panel) -> Callable[[int], str]:
    """The latest windows by these groups, newest first, none that begins after the moment of asking."""
    topic = written(panel, output).output
    told = [*by, "window_start_ms", "window_end_ms"]
    names = ", ".join(map(quoted, told))
    limit = (last + 1) * (MOST_GROUPS if by else 1)
    return lambda now: (
        f"SELECT {names}, SUM({quoted(value)}) AS {quoted(value)} FROM {quoted(topic.name)} "
        f'WHERE "window_start_ms" <= {now}{_living(topic)} '
        f'GROUP BY {names} ORDER BY "window_start_ms" DESC LIMIT {limit}'
    )


def sessions_sql(panel: Sessions) -> Callable[[int], str]:
    """The latest sessions, newest first, none that begins after the moment of asking."""
    topic = written(panel, panel.output).output
    names = ", ".join(map(quoted, [*_names(panel.by), "window_start_ms", "window_end_ms", panel.value]))
    return lambda now: (
        f'SELECT {names} FROM {quoted(topic.name)} WHERE "window_start_ms" <= {now}{_living(topic)} '
        f'ORDER BY "window_end_ms" DESC LIMIT {panel.last}'
    )


def counted(topic: Topic) -> str:
    """How many rows a table has, and its newest event."""
    where = " WHERE retired = false" if retires(topic) else ""
    return f'SELECT COUNT(*) AS n, MAX("event_time_ms") AS newest FROM {quoted(topic.name)}{where} LIMIT 1'


def limited(sql: str) -> str:
    """SQL with a LIMIT: without one, Pinot gives ten rows."""
    return sql if LIMITED.search(sql) else f"{sql.rstrip()} LIMIT {MOST_ROWS}"


def retires(topic: Topic) -> bool:
    """Whether rows of a topic may be retired."""
    return any(field["name"] == "retired" for field in schema(topic.schema or {})["fields"])


def quoted(name: str) -> str:
    """A name in SQL, whatever words are SQL's own; neither topics nor columns have a quote in theirs."""
    return f'"{name}"'


def _living(topic: Topic) -> str:
    return " AND retired = false" if retires(topic) else ""


def _names(by: str | None) -> list[str]:
    return [] if by is None else [by]


def _always(sql: str) -> Callable[[int], str]:
    return lambda now: sql
