"""Plotly figures as plain JSON values, from exact numbers; here alone money turns from cents into dollars."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.dashboard.numbers import Breakdown, Numbers
from pipeline.dashboard.theme import FONT, Theme
from pipeline.timebase import to_datetime

Figure = dict[str, Any]
MIN_WINDOWS = 12
GRAPH_HEIGHT = 300
BAR_HEIGHT = 20
CHARACTER_WIDTH = 8
FIGURES = ("trend", "pageviews_by_region", "sales_by_group", "sales_by_region")


def count(value: int) -> str:
    """1234567 -> "1,234,567"."""
    return f"{value:,}"


def money(cents: int) -> str:
    """123456 -> "$1,234.56", exact."""
    whole, part = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${whole:,}.{part:02d}"


def figures(numbers: Numbers, theme: Theme, size_ms: int, open_ms: int, empty: str) -> dict[str, Figure]:
    """All figures by panel. `open_ms` is the start of the window that is still open; `empty` replaces blank charts."""
    return {
        "trend": trend(numbers.trend, theme, size_ms, open_ms, empty),
        "pageviews_by_region": bars(numbers.pageviews_by_region, theme, count, empty, slots=9),
        "sales_by_group": bars(numbers.sales_by_group, theme, money, empty, slots=5),
        "sales_by_region": bars(numbers.sales_by_region, theme, money, empty, slots=9),
    }


def trend(windows: Sequence[tuple[int, int]], theme: Theme, size_ms: int, open_ms: int, empty: str) -> Figure:
    """Sales per window as columns from start to end; windows from `open_ms` on are hatched, since they still grow."""
    closed = [window for window in windows if window[0] < open_ms]
    still_open = [window for window in windows if window[0] >= open_ms]
    layout = _layout(theme)
    if not windows:
        return _empty(layout, empty, theme)
    last_ms = windows[-1][0]
    if open_ms - last_ms < MIN_WINDOWS * size_ms:
        last_ms = max(last_ms, open_ms)
    first_ms = min(windows[0][0], last_ms + (1 - MIN_WINDOWS) * size_ms)
    layout |= {
        "margin": {"l": 56, "r": 8, "t": 8, "b": 44},
        "barmode": "overlay",
        "dragmode": "zoom",
        "xaxis": {
            "type": "date",
            "range": [_iso(first_ms), _iso(last_ms + size_ms)],
            "showgrid": False,
            "linecolor": theme.css["border"],
            "ticks": "outside",
            "tickcolor": theme.css["border"],
            "tickformatstops": [
                {"dtickrange": [None, 43_200_000], "value": "%H:%M\n%b %-d"},
                {"dtickrange": [43_200_000, None], "value": "%b %-d"},
            ],
        },
        "yaxis": {
            "rangemode": "tozero",
            "tickprefix": "$",
            "tickformat": "~s",
            "nticks": 5,
            "gridcolor": theme.css["grid"],
            "zeroline": False,
            "fixedrange": True,
        },
    }
    accent = theme.css["accent"]
    hatched = {
        "color": theme.css["card"],
        "line": {"color": accent, "width": 1.5},
        "pattern": {"shape": "/", "fgcolor": accent, "size": 6, "solidity": 0.35},
    }
    traces = [
        _columns(closed, "closed", {"color": accent}, size_ms, ""),
        _columns(still_open, "open", hatched, size_ms, " so far"),
    ]
    return {"data": traces, "layout": layout}


def _columns(
    windows: Sequence[tuple[int, int]], name: str, marker: Mapping[str, Any], size_ms: int, suffix: str
) -> Figure:
    spans = [f"{to_datetime(start):%b %-d, %H:%M}-{to_datetime(start + size_ms):%H:%M}" for start, _ in windows]
    return {
        "type": "bar",
        "name": name,
        "x": [_iso(start) for start, _ in windows],
        "y": [cents / 100 for _, cents in windows],
        "customdata": [f"{span}<br><b>{money(c)}</b>{suffix}" for span, (_, c) in zip(spans, windows, strict=True)],
        "offset": 0.08 * size_ms,
        "width": 0.84 * size_ms,
        "marker": dict(marker),
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def bars(rows: Breakdown, theme: Theme, label: Callable[[int], str], empty: str, *, slots: int) -> Figure:
    """Horizontal bars, the largest on top, each in its name's colour, its value in a column at the right.

    There is room for `slots` bars, so that they keep their place and thickness when a filter leaves fewer.
    """
    layout = _layout(theme)
    if not rows:
        return _empty(layout, empty, theme)
    upwards = rows[::-1]
    slots = max(slots, len(rows))
    scale = 100 if label is money else 1
    values_width = 16 + CHARACTER_WIDTH * max(len(label(value)) for _, value in rows)
    layout |= {
        "margin": {"l": 92, "r": values_width, "t": 4, "b": 4},
        "dragmode": False,
        "bargap": max(0.25, 1 - BAR_HEIGHT * slots / GRAPH_HEIGHT),
        "xaxis": {"visible": False, "fixedrange": True, "range": [0, max(max(v for _, v in rows), 1) / scale]},
        "yaxis": {
            "fixedrange": True,
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [name for name, _ in upwards],
            "range": [len(rows) - slots - 0.5, len(rows) - 0.5],
            "ticklabelstandoff": 8,
            "automargin": True,
        },
        "annotations": [
            {
                "xref": "paper",
                "x": 1,
                "xanchor": "right",
                "xshift": values_width - 4,
                "yref": "y",
                "y": name,
                "text": label(value),
                "showarrow": False,
                "font": {"size": 13, "color": theme.css["text"]},
            }
            for name, value in upwards
        ],
    }
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [name for name, _ in upwards],
        "x": [value / scale for _, value in upwards],
        "customdata": [f"{name}<br><b>{label(value)}</b>" for name, value in upwards],
        "marker": {"color": [theme.colour(name) for name, _ in upwards], "cornerradius": 3},
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return {"data": [trace], "layout": layout}


def _layout(theme: Theme) -> Figure:
    return {
        "autosize": True,
        "uirevision": "constant",
        "showlegend": False,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13, "color": theme.css["muted"]},
        "hoverlabel": {
            "bgcolor": theme.css["card"],
            "bordercolor": theme.css["border"],
            "font": {"family": FONT, "size": 13, "color": theme.css["text"]},
            "align": "left",
        },
    }


def _empty(layout: Figure, text: str, theme: Theme) -> Figure:
    """No axes, one sentence in the middle."""
    note = {
        "text": text,
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
        "font": {"size": 14, "color": theme.css["muted"]},
    }
    axis = {"visible": False, "fixedrange": True}
    return {
        "data": [],
        "layout": {
            **layout,
            "margin": dict.fromkeys("lrtb", 0),
            "dragmode": False,
            "xaxis": axis,
            "yaxis": axis,
            "annotations": [note],
        },
    }


def _iso(ms: int) -> str:
    return to_datetime(ms).strftime("%Y-%m-%d %H:%M:%S")
