"""Figures show the numbers: values, order, colours, what is still open, and something instead of nothing."""

from datetime import datetime
from zoneinfo import ZoneInfo

import plotly.graph_objects as go
import pytest
from dashboard_data import H22, H23, NEXT, NOW, filters, numbers_of, shop
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dashboard.choices import Filters
from pipeline.dashboard.figure_base import Figure
from pipeline.dashboard.figures import bars, figures, trend
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.numbers import FIGURES
from pipeline.dashboard.snapshot import Cell, Session
from pipeline.dashboard.theme import DARK, LIGHT, THEMES, Theme
from pipeline.dashboard.timeaxis import TICKS, TimeAxis
from pipeline.dashboard.window_figures import sessions, windows
from pipeline.timebase import HOUR_MS

ALL = Filters()
FORMATS = Formats()
money, count = FORMATS.money, FORMATS.count
GAP_MS = 900_000
EMPTY = "Waiting for the first events"


def all_figures(theme: Theme = LIGHT, chosen: Filters = ALL, formats: Formats = FORMATS) -> dict[str, Figure]:
    return figures(numbers_of(shop(), chosen), theme, formats, HOUR_MS, NOW, EMPTY, HOUR_MS, GAP_MS)


def test_labels_are_exact() -> None:
    assert [money(cents) for cents in (0, 5, 99, 100, 123_456, 123_456_789_012_345_678)] == [
        "$0.00",
        "$0.05",
        "$0.99",
        "$1.00",
        "$1,234.56",
        "$1,234,567,890,123,456.78",
    ]
    assert (money(-1), money(-100_050)) == ("-$0.01", "-$1,000.50")
    assert count(1_234_567) == "1,234,567"


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_plotly_accepts_every_figure(theme: Theme) -> None:
    found = all_figures(theme)
    assert tuple(found) == FIGURES
    for figure in (*found.values(), bars((), theme, count, EMPTY, slots=5)):
        go.Figure(figure)  # raises on a property that does not exist


def test_zoom_survives_every_update() -> None:
    assert {figure["layout"]["uirevision"] for figure in all_figures().values()} == {"constant"}


def test_bars_are_sorted_with_the_largest_on_top() -> None:
    figure = all_figures()["sales_by_group"]
    (bar,) = figure["data"]
    assert bar["y"] == figure["layout"]["yaxis"]["categoryarray"] == ["Fashion", "Electronics"]
    assert bar["x"] == [400.07, 1100.11]
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["$400.07", "$1,100.11"]
    assert bar["orientation"] == "h"


def test_counts_are_not_money() -> None:
    figure = all_figures()["pageviews_by_region"]
    assert figure["data"][0]["x"] == [7, 16]
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["7", "16"]


def test_a_long_name_leaves_room_for_its_bar() -> None:
    figure = bars((("Smartphone Accessories", 2), ("Desks", 1)), LIGHT, count, EMPTY, slots=2)
    assert figure["layout"]["yaxis"]["ticktext"] == ["Desks", "Smartphone Acces\N{HORIZONTAL ELLIPSIS}"]
    assert figure["data"][0]["y"] == ["Desks", "Smartphone Accessories"]
    assert figure["data"][0]["customdata"][1].startswith("Smartphone Accessories<br>")


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_a_name_keeps_its_colour_under_every_filter(theme: Theme) -> None:
    everything = all_figures(theme)["sales_by_group"]["data"][0]
    colours = dict(zip(everything["y"], everything["marker"]["color"], strict=True))
    only_fashion = all_figures(theme, filters(None, None, ["Fashion"], []))
    assert only_fashion["sales_by_group"]["data"][0]["marker"]["color"] == [colours["Fashion"]]
    assert set(only_fashion["top_products"]["data"][0]["marker"]["color"]) == {colours["Fashion"]}
    assert colours["Fashion"] == theme.names["Fashion"]
    assert theme.colour("Garden") == theme.colour("Garden") in theme.others


def test_bars_keep_place_and_thickness_when_few_are_left() -> None:
    many, few = all_figures(), all_figures(chosen=filters(None, None, [], ["South"]))
    assert many["sales_by_region"]["layout"]["bargap"] == few["sales_by_region"]["layout"]["bargap"]
    low, high = few["sales_by_region"]["layout"]["yaxis"]["range"]
    assert (high - low, high) == (9, 0.5)


def test_the_open_hour_is_drawn_differently() -> None:
    closed, still_open = all_figures()["trend"]["data"]
    assert closed["x"] == ["2024-10-04 22:00:00", "2024-10-04 23:00:00"]
    assert closed["y"] == [300.03, 400.04]
    assert still_open["x"] == ["2024-10-05 00:00:00"]
    assert still_open["y"] == [800.11]
    assert "pattern" in still_open["marker"]
    assert "pattern" not in closed["marker"]
    assert still_open["customdata"] == ["Oct 5, 00:00-01:00<br><b>$800.11</b> so far"]
    assert closed["customdata"][0] == "Oct 4, 22:00-23:00<br><b>$300.03</b>"


def test_the_time_axis_reaches_to_now_unless_the_data_are_old() -> None:
    windows = ((H22, 1),)
    axis = trend(windows, LIGHT, FORMATS, HOUR_MS, NEXT, EMPTY)["layout"]["xaxis"]
    assert axis["range"] == ["2024-10-04 13:00:00", "2024-10-05 01:00:00"]
    old = trend(windows, LIGHT, FORMATS, HOUR_MS, NEXT + 1000 * HOUR_MS, EMPTY)["layout"]["xaxis"]
    assert old["range"] == ["2024-10-04 11:00:00", "2024-10-04 23:00:00"]


@pytest.mark.parametrize("name", FIGURES)
def test_an_empty_chart_says_so(name: str) -> None:
    nothing = all_figures(chosen=filters("2030-01-01", None, [], ["Atlantis"]))
    figure = nothing[name]
    assert figure["data"] == []
    assert [note["text"] for note in figure["layout"]["annotations"]] == [EMPTY]
    assert not figure["layout"]["xaxis"]["visible"]


def test_windows_that_have_not_ended_are_hatched() -> None:
    found = all_figures()
    electronics, fashion = found["tumbling"]["data"]
    assert (electronics["y"], fashion["y"]) == ([5, 11], [7, 2])
    assert electronics["marker"]["pattern"]["shape"] == ["", "/"]
    assert electronics["customdata"][1].endswith("<b>11</b> so far")
    assert found["hopping"]["data"][0]["marker"]["pattern"]["shape"] == ["/", "/"]
    (session,) = found["sessions"]["data"]
    assert session["marker"]["pattern"]["shape"] == ["", "/"]
    assert session["x"] == [1000, 60_000]
    assert session["text"] == ["12", "13"]


def test_sales_in_windows_are_money() -> None:
    found = all_figures()
    electronics, fashion = found["sales_hopping"]["data"]
    assert (electronics["y"], fashion["y"]) == ([0, 800.08], [400.04, 0])
    assert fashion["customdata"][0] == "Fashion, Oct 4, 23:00-00:00<br><b>$400.04</b>"
    assert electronics["customdata"][1].endswith("<b>$800.08</b> so far")
    assert found["sales_hopping"]["layout"]["yaxis"]["tickprefix"] == "$"
    (session,) = found["sales_sessions"]["data"]
    assert session["text"] == ["$300", "$0"]
    assert session["customdata"][1].endswith("<b>$0.03</b> so far")


def clock(text: str, zone: str = "Europe/Berlin") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


BERLIN = Formats(zone="Europe/Berlin")
SUMMER = clock("2026-10-25T02:00")  # CEST; an hour later the clocks show 02:00 again, CET
AROUND = [(SUMMER + n * HOUR_MS, 100 * (n + 5)) for n in range(-3, 5)]


def test_the_hour_that_comes_twice_has_two_columns_and_two_names() -> None:
    figure = trend(AROUND, LIGHT, BERLIN, HOUR_MS, SUMMER + 4 * HOUR_MS, EMPTY)
    bars = [x for trace in figure["data"] for x in trace["x"]]
    assert bars == [f"2026-10-{25 if n > -3 else 24} {(n + 2) % 24:02d}:00:00" for n in range(-3, 5)]
    told = [text.split("<br>")[0] for trace in figure["data"] for text in trace["customdata"]]
    assert told[2:6] == [
        "Oct 25, 01:00-02:00 CEST",
        "Oct 25, 02:00 CEST-02:00 CET",
        "Oct 25, 02:00 CET-03:00",
        "Oct 25, 03:00-04:00",
    ]
    axis = figure["layout"]["xaxis"]
    ticks = dict(zip(axis["tickvals"], axis["ticktext"], strict=True))
    assert ticks["2026-10-25 07:00:00"] == "06:00<br>Oct 25"
    go.Figure(figure)


def test_the_hour_that_comes_twice_is_two_windows() -> None:
    cells = tuple(Cell("Fashion", "", start, value) for start, value in AROUND[2:6])
    figure = windows(cells, LIGHT, BERLIN, HOUR_MS, SUMMER + 4 * HOUR_MS, EMPTY, label=count)
    (bar,) = figure["data"]
    assert len(set(bar["x"])) == 4
    assert figure["layout"]["xaxis"]["ticktext"] == ["01:00", "02:00<br>CEST", "02:00<br>CET", "03:00"]
    assert set(figure["layout"]["xaxis"]["tickvals"]) == set(bar["x"])


def test_sessions_in_the_hour_that_comes_twice_do_not_lie_upon_each_other() -> None:
    half = HOUR_MS // 2
    found = [Session("Fashion", SUMMER, SUMMER + half, 1), Session("Fashion", SUMMER + HOUR_MS, SUMMER + 3 * half, 2)]
    figure = sessions(found, LIGHT, BERLIN, GAP_MS, SUMMER + 9 * HOUR_MS, EMPTY, label=count, inside=count)
    assert figure["data"][0]["base"] == ["2026-10-25 02:00:00", "2026-10-25 03:00:00"]
    assert [text.split("<br>")[0] for text in figure["data"][0]["customdata"]] == [
        "Fashion, Oct 25, 02:00 CEST-02:30 CEST",
        "Fashion, Oct 25, 02:00 CET-02:30 CET",
    ]


@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo"]),
    st.integers(min_value=0, max_value=50 * 365 * 24),
    st.lists(st.integers(min_value=0, max_value=400 * 24), min_size=1, max_size=30, unique=True),
)
def test_time_never_goes_back_on_an_axis(zone: str, first: int, hours: list[int]) -> None:
    moments = [(first + hour) * HOUR_MS for hour in sorted(hours)]
    axis = TimeAxis(Formats(zone=zone), moments)
    values = [axis.value(ms) for ms in moments]
    assert values == sorted(set(values))
    ticks = axis.ticks.get("tickvals", ())
    assert list(ticks) == sorted(set(ticks))
    assert len(ticks) <= TICKS
    names = [Formats(zone=zone).span(ms, ms + HOUR_MS) for ms in range(moments[0], moments[0] + 48 * HOUR_MS, HOUR_MS)]
    assert len(set(names)) == 48


def test_formats_are_the_viewers() -> None:
    formats = Formats("1.234,56", "Asia/Tokyo", "EUR")
    assert formats.money(123_456) == "€1.234,56"
    assert [formats.whole_money(cents) for cents in (123_456, 123_449, -99)] == ["€1.235", "€1.234", "-€1"]
    assert formats.count(1_234_567) == "1.234.567"
    assert formats.percent(0.1234, signed=True) == "+12,3%"
    assert formats.percent(-0.5, signed=True) == "\N{MINUS SIGN}50,0%"
    assert formats.span(H22, H23) == "Oct 5, 07:00-08:00"
    assert Formats(currency="SEK").money(5) == "SEK\N{NO-BREAK SPACE}0.05"
    trend = all_figures(formats=formats)["trend"]
    assert trend["layout"]["separators"] == ",."
    assert trend["data"][0]["x"] == ["2024-10-05 07:00:00", "2024-10-05 08:00:00"]
    assert trend["data"][0]["customdata"][0] == "Oct 5, 07:00-08:00<br><b>€300,03</b>"


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance of #rrggbb."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, two: str) -> float:
    bright, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", (LIGHT, DARK), ids=lambda theme: theme.name)
def test_contrast_is_what_wcag_asks_for(theme: Theme) -> None:
    for surface in ("card", "page"):
        for text in ("text", "muted", "live", "stale", "down", "idle"):
            assert contrast(theme.css[text], theme.css[surface]) >= 4.5, (text, surface)
    for name, colour in {**theme.names, "accent": theme.css["accent"]}.items():
        assert contrast(colour, theme.css["card"]) >= 3, name
    for colour in theme.others:
        assert contrast(colour, theme.css["card"]) >= 3, colour


def test_themes_name_the_same_things() -> None:
    assert LIGHT.css.keys() == DARK.css.keys()
    assert LIGHT.names.keys() == DARK.names.keys()
    assert len(set(LIGHT.names.values())) == len(LIGHT.names)
