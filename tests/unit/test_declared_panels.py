"""Declared pages without a browser: SQL of panels, what a refresh gives, and figures as plain functions of rows."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline import (
    KPI,
    Application,
    Bars,
    Count,
    CountDistinct,
    Filter,
    Grid,
    Hopping,
    Map,
    Page,
    Session,
    Sessions,
    Stream,
    TimeSeries,
    Tumbling,
    Windows,
    c,
    minutes,
    seconds,
)
from pipeline.dashboard.declared import kpis, labels, world
from pipeline.dashboard.declared.board import Answer, Board, PageSource
from pipeline.dashboard.declared.callbacks import Ticks, limit_s, stale_s
from pipeline.dashboard.declared.choosing import Chosen
from pipeline.dashboard.declared.drawing import Drawn, draw
from pipeline.dashboard.declared.layout import spans
from pipeline.dashboard.declared.queries import limited, panel_sql, queries, trend_sql
from pipeline.dashboard.declared.views import build, changed
from pipeline.dashboard.declared.worldmap import shade
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.snapshot import Poller, freshness
from pipeline.dashboard.theme import DARK, LIGHT
from pipeline.declare.panels import Panel
from pipeline.errors import QueryError
from pipeline.settings import load
from pipeline.timebase import MINUTE_MS, SECOND_MS

CLICKS = Stream("clicks", {"user": "STRING", "source": "STRING", "country": "STRING"}, key="user")
GROUPS = CLICKS.group_by(c.source, c.country).aggregate(clicks=Count(), users=CountDistinct(c.user))
TUMBLING = GROUPS.window(Tumbling(minutes(1))).to("TUMBLING")
HOPPING = GROUPS.having(c.clicks > 1).window(Hopping(minutes(1), seconds(30))).to("HOPPING")
SESSION = GROUPS.window(Session(seconds(30))).to("SESSION")
TOTALS = GROUPS.to("TOTALS")
SQL = "SELECT source, country, clicks AS value FROM TOTALS"
NOW = 1_795_860_000_000
EVIL = "<img src=x onerror='window.owned=1'>\u202e"
F = Formats()


def application(*panels: Panel, filters: tuple[str, ...] = (), refresh_s: float = 15) -> tuple[Application, Page]:
    page = Page("Clicks", *panels, filters=[Filter(one) for one in filters], refresh_s=refresh_s)
    return Application("clicks", TUMBLING, HOPPING, SESSION, TOTALS, pinot=True, page=page), page


def test_windows_are_asked_by_group_newest_first_without_those_ahead() -> None:
    sql = panel_sql(Windows("A", TUMBLING, by="source", value="clicks", last=5))(NOW)
    assert sql == (
        'SELECT "source", "window_start_ms", "window_end_ms", SUM("clicks") AS "clicks" FROM "TUMBLING" '
        f'WHERE "window_start_ms" <= {NOW} GROUP BY "source", "window_start_ms", "window_end_ms" '
        'ORDER BY "window_start_ms" DESC LIMIT 1200'
    )


def test_rows_that_may_be_retired_are_left_out() -> None:
    """Of HAVING and of sessions: Pinot keeps the row that says so."""
    assert f"<= {NOW} AND retired = false GROUP BY" in panel_sql(Windows("A", HOPPING, value="clicks"))(NOW)
    sql = panel_sql(Sessions("A", SESSION, by="country", value="users", last=7))(NOW)
    assert sql == (
        'SELECT "country", "window_start_ms", "window_end_ms", "users" FROM "SESSION" '
        f'WHERE "window_start_ms" <= {NOW} AND retired = false ORDER BY "window_end_ms" DESC LIMIT 7'
    )


def test_a_trend_is_by_what_viewers_filter_by() -> None:
    kpi = KPI("A", SQL, trend=TUMBLING, value="clicks")
    assert trend_sql(kpi, ["country", "device"])(NOW).startswith('SELECT "country", "window_start_ms"')
    assert trend_sql(kpi, [])(NOW).startswith('SELECT "window_start_ms", "window_end_ms", SUM("clicks")')


@pytest.mark.parametrize(
    ("sql", "asked"),
    [
        ("SELECT a FROM T", "SELECT a FROM T LIMIT 1000"),
        ("SELECT a FROM T\n", "SELECT a FROM T LIMIT 1000"),
        ("SELECT a FROM T limit 20", "SELECT a FROM T limit 20"),
        ("SELECT a FROM T LIMIT 20, 10", "SELECT a FROM T LIMIT 20, 10"),
        ("SELECT a FROM T LIMIT 5 OFFSET 2 ", "SELECT a FROM T LIMIT 5 OFFSET 2 "),
        ("SELECT a FROM T OPTION(timeoutMs=5)", "SELECT a FROM T OPTION(timeoutMs=5)"),
        ("SELECT limit_1 FROM T WHERE b = 'LIMIT 3'", "SELECT limit_1 FROM T WHERE b = 'LIMIT 3' LIMIT 1000"),
    ],
)
def test_sql_without_a_limit_gets_one(sql: str, asked: str) -> None:
    assert limited(sql) == asked


def test_every_table_is_counted_and_each_query_has_its_pace() -> None:
    app, page = application(Grid("A", SQL, refresh_s=60), KPI("B", SQL, trend=TUMBLING, value="clicks", refresh_s=2))
    found = {query.name: query for query in queries(app, page)}
    assert list(found) == ["table-TUMBLING", "table-HOPPING", "table-SESSION", "table-TOTALS", "p0", "p1", "p1-trend"]
    assert [found[name].every_s for name in ("table-TOTALS", "p0", "p1", "p1-trend")] == [15, 60, 15, 15]
    assert found["table-SESSION"].sql(NOW) == (
        'SELECT COUNT(*) AS n, MAX("event_time_ms") AS newest FROM "SESSION" WHERE retired = false LIMIT 1'
    )


class Pinot:
    """Answers by the table that is asked; an error where there is none."""

    def __init__(self, **tables: list[dict[str, Any]]) -> None:
        self.tables = tables
        self.asked: list[str] = []

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        self.asked.append(sql)
        if "COUNT(*)" in sql and "counts" in self.tables:
            return self.tables["counts"]
        table = re.search(r'FROM "?(\w+)', sql)
        assert table is not None
        if table[1] not in self.tables:
            raise QueryError(f"there is no table {table[1]}")
        return self.tables[table[1]]


COUNTS = [{"n": 3, "newest": float(NOW - 5_000)}]


def test_a_query_that_fails_keeps_its_rows_and_says_why() -> None:
    app, page = application(Grid("A", SQL), Grid("B", "SELECT x FROM OTHER"))
    pinot = Pinot(counts=COUNTS, TOTALS=[{"source": "a"}])
    source = PageSource(pinot, queries(app, page), {}, lambda: NOW, iter(range(0, 1000, 20)).__next__)
    board = source()
    assert board.answers["p0"] == Answer(({"source": "a"},))
    assert board.answers["p1"] == Answer(error="there is no table OTHER")
    assert (board.rows, board.newest_event_ms) == (12, NOW - 5_000)
    pinot.tables = {"counts": COUNTS, "OTHER": [{"x": 1}]}
    board = source()
    assert board.answers["p0"] == Answer(({"source": "a"},), "there is no table TOTALS")
    assert board.answers["p1"] == Answer(({"x": 1},))
    pinot.tables = {}
    with pytest.raises(QueryError, match="there is no table TUMBLING"):
        source()


def test_a_panel_of_a_slower_pace_is_asked_less_often_and_again_soon_after_an_error() -> None:
    app, page = application(Grid("A", SQL, refresh_s=100), refresh_s=10)
    times = iter([0, 10, 20, 110, 120])
    pinot = Pinot(counts=COUNTS)
    source = PageSource(pinot, queries(app, page), {}, lambda: NOW, times.__next__)
    source()
    pinot.tables["TOTALS"] = []
    asked = []
    for _ in range(4):
        pinot.asked.clear()
        source()
        asked.append(sum(sql.startswith("SELECT source") for sql in pinot.asked))
    assert asked == [1, 0, 1, 0]


def test_an_event_ahead_is_not_newer_than_now_and_no_rows_have_no_newest() -> None:
    app, page = application(Grid("A", SQL))
    pinot = Pinot(counts=[{"n": 1, "newest": float(NOW + 99_000)}], TOTALS=[])
    assert PageSource(pinot, queries(app, page), {}, lambda: NOW)().newest_event_ms == NOW
    pinot.tables["counts"] = [{"n": 0, "newest": float("-inf")}]
    board = PageSource(pinot, queries(app, page), {}, lambda: NOW)()
    assert (board.newest_event_ms, board.rows) == (None, 0)


def test_a_kpi_without_trend_shows_what_the_page_has_seen() -> None:
    app, page = application(KPI("A", SQL))
    pinot = Pinot(counts=COUNTS, TOTALS=[{"value": 5.0}, {"value": 7.0}])
    clock = iter([NOW, NOW + 60_000])
    source = PageSource(pinot, queries(app, page), {"p0": kpis.total}, clock.__next__, iter([0, 20]).__next__)
    source()
    pinot.tables["TOTALS"] = [{"value": 20.0}]
    board = source()
    assert board.history["p0"] == ((NOW, 12), (NOW + 60_000, 20))
    assert build(page, board, Chosen((), F), "light", NOW).kpis["p0"] == {
        "value": "20",
        "unit": "",
        "change": "",
        "direction": "none",
        "hint": f"+8 since {F.hour(NOW)}",
        "spark": [12, 20],
    }


def test_a_kpi_changes_against_what_was_before() -> None:
    kpi = KPI("A", SQL, unit="views")
    found = kpis.shown(kpi, [{"value": 110, "previous": 100}], [], (), NOW, F)
    assert (found["value"], found["unit"]) == ("110", "views")
    assert (found["change"], found["direction"], found["hint"]) == (f"{kpis.UP}+10.0%", "up", "100 views before")
    assert kpis.shown(kpi, [{"n": 1, "previous": 0}], [], (), NOW, F)["change"] == ""
    assert kpis.shown(kpi, [], [], (), NOW, F)["value"] == labels.NOTHING
    assert kpis.shown(kpi, [{"value": None}], [], (), NOW, F)["value"] == labels.NOTHING


def test_a_trend_is_of_closed_windows_only_with_zeros_between() -> None:
    kpi = KPI("A", SQL, trend=TUMBLING, value="clicks")
    minute = NOW // MINUTE_MS * MINUTE_MS
    rows = [
        {"window_start_ms": start, "window_end_ms": start + MINUTE_MS, "clicks": value}
        for start, value in (
            (minute, 99.0),
            (minute - MINUTE_MS, 8.0),
            (minute - MINUTE_MS, 2.0),
            (minute - 2 * MINUTE_MS, 20.0),
            (minute - 4 * MINUTE_MS, 5.0),
        )
    ]
    found = kpis.shown(kpi, [{"value": 134}], rows, (), NOW, F)
    assert found["spark"] == [5, 0, 20, 10]
    assert (found["change"], found["hint"]) == (
        f"{kpis.DOWN}{F.percent(-0.5, signed=True)}",
        "10 in 1 min, 20 before",
    )


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1_234_567, "", "1,234,567"),
        (1_234_567.0, "views", "1,234,567 views"),
        (41.2345, "", "41.23"),
        (1234.567, "ms", "1,234.6 ms"),
        (0.012345, "", "0.0123"),
        (12.5, "%", "12.50%"),
        (98765.432, "$", "$98,765.43"),
        (-0.5, "$", "-$0.50"),
        (None, "views", labels.NOTHING),
        (float("nan"), "", labels.NOTHING),
        (True, "", labels.NOTHING),
    ],
)
def test_numbers_have_their_units(value: Any, unit: str, text: str) -> None:
    assert labels.label(value, unit, F) == text


def test_cells_of_tables() -> None:
    found = [
        labels.cell("last_ms", NOW, F),
        labels.cell("took_ms", 250, F),
        labels.cell("n", 2.5, F),
        labels.cell("ok", True, F),
        labels.cell("tags", ["a", None, "b\x07"], F),
        labels.cell("text", EVIL, F),
        labels.cell("text", None, F),
    ]
    assert found == [
        "Nov 28, 10:00:00",
        "250",
        "2.50",
        "yes",
        f"a, {labels.NOTHING}, b\\x07",
        "<img src=x onerror='window.owned=1'>\\u202e",
        labels.NOTHING,
    ]
    assert labels.heading("last_view_ms") == "Last view"


def drawn(panel: Any, rows: list[dict[str, Any]], **known: list[str]) -> Drawn:
    return draw(panel, rows, LIGHT, F, NOW, "nothing yet", known)


PANELS: list[tuple[Any, list[dict[str, Any]]]] = [
    (Bars("A", SQL, x="source", y="value", also="country"), [{"source": EVIL, "value": 3, "country": EVIL}]),
    (TimeSeries("A", SQL, by="source"), [{"source": EVIL, "value": 3, "time_ms": NOW}]),
    (Map("A", SQL, also="source"), [{"country": "DE", "value": 3, "source": EVIL}, {"country": EVIL, "value": 1}]),
    *(
        (
            Windows("A", TUMBLING, by="source", value="clicks", kind=kind),
            [{"source": EVIL, "window_start_ms": NOW, "window_end_ms": NOW + 60_000, "clicks": 3.0}],
        )
        for kind in ("bars", "stacked", "lines")
    ),
    (
        Sessions("A", SESSION, by="source", value="clicks"),
        [{"source": EVIL, "window_start_ms": NOW - 9_000, "window_end_ms": NOW, "clicks": 3}],
    ),
]


@pytest.mark.parametrize(("panel", "rows"), PANELS)
def test_texts_of_rows_are_no_markup(panel: Any, rows: list[dict[str, Any]]) -> None:
    made = drawn(panel, [{"source": "", **row} for row in rows], source=[EVIL])
    shown = json.dumps([trace | {"y": 0, "x": 0} for trace in made.figure["data"]]) + json.dumps(
        made.figure["layout"].get("annotations", [])
    )
    assert "<img" not in shown
    assert "&lt;img" in shown
    assert "\u202e" not in shown + "".join(made.notes)


@pytest.mark.parametrize(("panel", "rows"), PANELS)
def test_a_panel_without_rows_says_so(panel: Any, rows: list[dict[str, Any]]) -> None:
    figure = drawn(panel, []).figure
    assert (figure["data"], figure["layout"]["annotations"][0]["text"]) == ([], "nothing yet")


def test_sql_without_the_columns_of_its_panel_is_told() -> None:
    made = drawn(Bars("A", SQL, x="source", y="value"), [{"origin": "a", "n": 1}])
    assert made.notes == ("Its SQL gives origin, n, but the panel shows source and value",)


def test_the_window_that_is_open_is_marked() -> None:
    panel = Windows("A", TUMBLING, by="source", value="clicks", last=2, unit="clicks")
    minute = NOW // MINUTE_MS * MINUTE_MS
    rows = [
        {"source": s, "window_start_ms": minute - n * MINUTE_MS, "window_end_ms": 0, "clicks": 5.0 + n}
        for n in range(3)
        for s in ("a", "b")
    ]
    first, second = drawn(panel, rows, source=["a", "b"]).figure["data"]
    assert [first["y"], first["marker"]["pattern"]["shape"]] == [[6, 5], ["", "/"]]
    assert [text.rpartition("<br>")[2] for text in first["customdata"]] == [
        "<b>6 clicks</b>",
        "<b>5 clicks</b> so far",
    ]
    assert (first["marker"]["color"], second["marker"]["color"]) == LIGHT.groups[:2]
    filtered = drawn(panel, [row for row in rows if row["source"] == "b"], source=["a", "b"]).figure["data"]
    assert [trace["marker"]["color"] for trace in filtered] == [LIGHT.groups[1]], "a filter changes no colour"


def test_at_most_six_groups_are_shown_the_largest() -> None:
    rows = [
        {"source": f"s{n}", "window_start_ms": NOW, "window_end_ms": NOW + 1, "clicks": n * n - 3.0} for n in range(9)
    ]
    made = drawn(Windows("A", TUMBLING, by="source", value="clicks"), rows, source=[f"s{n}" for n in range(9)])
    assert [trace["name"] for trace in made.figure["data"]] == ["s3", "s4", "s5", "s6", "s7", "s8"]
    assert made.notes == ("the largest 6 of 9",)
    assert len({trace["marker"]["color"] for trace in made.figure["data"]}) == 6


def test_bars_stand_in_the_order_of_the_sql_and_the_rest_is_told() -> None:
    rows = [{"source": f"s{n}", "value": 100 - n, "age": 20.5} for n in range(14)]
    made = drawn(Bars("A", SQL, x="source", y="value", also="age", unit="users"), rows)
    trace = made.figure["data"][0]
    assert (len(trace["y"]), trace["customdata"][-1]) == (12, "s0<br><b>100 users</b> · age 20.50")
    assert made.notes == ("12 of 14 shown",)


def test_a_map_knows_countries_by_code_and_by_name() -> None:
    rows = [{"country": name, "value": n} for n, name in enumerate(["Atlantis", "DE", "usa", "South Korea", "SG"])]
    made = drawn(Map("A", SQL, unit="users"), rows)
    assert [trace["name"] for trace in made.figure["data"][1:]] == [
        "Singapore",
        "South Korea",
        "United States of America",
        "Germany",
    ]
    assert made.figure["data"][1]["mode"] == "markers", "too small for an outline"
    assert made.notes == ("not on the map: Atlantis",)
    assert drawn(Map("A", SQL), rows[:1]).figure["layout"]["annotations"][0]["text"] == "No country among these names"


def test_every_country_has_a_place_within_the_map() -> None:
    assert len(world.countries()) > 240
    for one in world.countries():
        points = [one.at] if one.at else [p for ring in one.rings for p in zip(ring[::2], ring[1::2], strict=True)]
        assert points
        assert all(world.WEST <= x <= world.EAST and world.SOUTH <= y <= world.NORTH for x, y in points), one.name
    assert world.country("united kingdom") is world.country("GBR") is world.country("U.K.")


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_strongest_colour_of_a_map_is_the_accent(theme: Any) -> None:
    assert shade(theme, 1.0) == theme.css["accent"]
    assert shade(theme, 0.0) not in (theme.css["card"], theme.css["grid"])


@pytest.mark.parametrize(
    ("widths", "placed"),
    [
        ([4, 2, 3, 3], [4, 2, 3, 3]),
        ([3], [6]),
        ([2, 2], [3, 3]),
        ([2, 4, 4, 6], [2, 4, 6, 6]),
        ([4, 3], [6, 6]),
        ([], []),
        ([1] * 7, [1, 1, 1, 1, 1, 1, 6]),
    ],
)
def test_panels_fill_their_rows(widths: list[int], placed: list[int]) -> None:
    assert spans(widths) == placed


def test_filters_leave_rows_of_their_values_and_say_where_they_do_not_apply() -> None:
    _, page = application(Grid("A", SQL), Grid("B", "SELECT n FROM OTHER"), filters=("source", "country"))
    board = Board(
        {"p0": Answer(({"source": "a", "country": "x"}, {"source": "b", "country": "y"})), "p1": Answer(({"n": 1},))}
    )
    chosen = Chosen.of({"filters": {"source": ["b", 7, ""], "country": "x", "other": ["q"]}}, page.filters, F)
    assert chosen.filters == (("source", ("b",)), ("country", ()))
    view = build(page, board, chosen, "dark", NOW)
    assert view.grids["p0"] == {
        "columns": [["Source", False], ["Country", False]],
        "rows": [["b", "y"]],
        "empty": view.grids["p0"]["empty"],
    }
    assert [view.notes["p0"], view.notes["p1"]] == [("", ""), ("not filtered by source", "")]
    assert view.options == {"source": ["a", "b"], "country": ["x", "y"]}
    none = build(page, board, Chosen.of({"filters": {"source": ["z"]}}, page.filters, F), "dark", NOW)
    assert (none.grids["p0"]["rows"], none.grids["p0"]["empty"]) == ([], "Nothing matches these filters")


@pytest.mark.parametrize("given", [None, [], {}, {"filters": 3}, {"filters": {"source": {"a": 1}}}])
def test_what_is_no_choice_counts_as_none(given: Any) -> None:
    assert Chosen.of(given, [Filter("source")], F).filters == (("source", ()),)


def test_an_answer_has_only_what_changed() -> None:
    app, page = application(
        KPI("K", SQL), Bars("B", SQL, x="source", y="value"), Grid("G", "SELECT x FROM OTHER"), filters=("source",)
    )
    pinot = Pinot(counts=COUNTS, TOTALS=[{"source": "a", "value": 1}], OTHER=[{"x": 1}])
    clock = iter(range(0, 10_000, 100))
    poller = Poller(PageSource(pinot, queries(app, page), {"p0": kpis.total}, lambda: NOW, clock.__next__), 15.0)
    poller.refresh()
    ticks = Ticks(page, poller, load(), lambda: NOW)
    first = ticks.answer(None, {"filters": {}}, "light")
    assert set(first["panels"]) == {"kpis", "grids", "notes", "options"}
    assert first["figures"]["p1"]["data"][0]["x"] == [1]
    again = json.loads(json.dumps(first["seen"]))
    same = ticks.answer(again, {"filters": {}}, "light")
    assert [str(type(same[name]).__name__) for name in ("panels", "seen")] == ["NoUpdate", "NoUpdate"]
    pinot.tables["TOTALS"] = [{"source": "a", "value": 2}]
    poller.refresh()
    moved = ticks.answer(again, {"filters": {}}, "light")
    assert list(moved["panels"]) == ["kpis"]
    assert moved["seen"] != again
    assert ticks.answer(["x", 1, "", "", ""], {"filters": {}}, "light")["panels"]["kpis"], "another process's key"


def test_a_page_is_live_at_its_own_pace() -> None:
    app, page = application(Grid("A", SQL), refresh_s=60)
    pinot = Pinot(counts=COUNTS, TOTALS=[])
    poller = Poller(PageSource(pinot, queries(app, page), {}, lambda: NOW, iter([0, 60]).__next__), 60.0, lambda: NOW)
    poller.refresh()
    later = NOW + 100 * SECOND_MS
    assert freshness(poller.current, later, limit_s(page), stale_s(page, load())).state == "live"
    pinot.tables = {}
    poller.refresh()
    assert poller.current.error == "there is no table TUMBLING"
    assert freshness(poller.current, NOW + 181 * SECOND_MS, limit_s(page), 1.0).state == "unreachable"


def test_what_changed_is_by_panel() -> None:
    _, page = application(Grid("A", SQL), Grid("B", SQL))
    old = build(page, Board({"p0": Answer(({"x": 1},))}), Chosen((), F), "light", NOW)
    new = build(page, Board({"p0": Answer(({"x": 2},))}), Chosen((), F), "light", NOW)
    assert list(changed(old, new)) == ["grids"]
    assert list(changed(old, new)["grids"]) == ["p0"]
    assert changed(old, old) == {}
