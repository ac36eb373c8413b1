"""Plotly figures as plain JSON values, from exact numbers; here alone money turns from cents into dollars."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.dashboard.formats import Formats
from pipeline.dashboard.numbers import Breakdown, Numbers
from pipeline.dashboard.snapshot import Cells, Session
from pipeline.dashboard.theme import FONT, Theme
from pipeline.timebase import MINUTE_MS

Figure = dict[str, Any]
MIN_WINDOWS = 12
GRAPH_HEIGHT = 300
BAR_HEIGHT = 20
CHARACTER_WIDTH = 8
WINDOWS_SHOWN = 8
LABELS = 4
NAME_SHOWN = 17
SESSIONS_SHOWN = 30


def figures(
    numbers: Numbers,
    theme: Theme,
    formats: Formats,
    size_ms: int,
    now_ms: int,
    empty: str,
    hopping_size_ms: int,
    gap_ms: int,
) -> dict[str, Figure]:
    """All figures by panel. What has not ended at `now_ms` is hatched; `empty` replaces blank charts."""
    money, count = formats.money, formats.count
    products = tuple((product, cents) for product, _, cents in numbers.top_products)
    group_of = {product: group for product, group, _ in numbers.top_products}
    found = {
        "trend": trend(numbers.trend, theme, formats, size_ms, now_ms // size_ms * size_ms, empty),
        "top_products": bars(products, theme, money, empty, slots=10, scale=100, group_of=group_of.get),
        "sales_by_group": bars(numbers.sales_by_group, theme, money, empty, slots=5, scale=100, group_of=str),
        "sales_by_region": bars(numbers.sales_by_region, theme, money, empty, slots=9, scale=100),
        "pageviews_by_region": bars(numbers.pageviews_by_region, theme, count, empty, slots=9),
        "tumbling": windows(numbers.tumbling, theme, formats, size_ms, now_ms, empty),
        "hopping": windows(numbers.hopping, theme, formats, hopping_size_ms, now_ms, empty),
        "sessions": sessions(numbers.sessions, theme, formats, gap_ms, now_ms, empty),
    }
    for figure in found.values():
        figure["layout"]["separators"] = formats.separators
    return found


def trend(
    windows: Sequence[tuple[int, int]], theme: Theme, formats: Formats, size_ms: int, open_ms: int, empty: str
) -> Figure:
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
            "range": [formats.axis(first_ms), formats.axis(last_ms + size_ms)],
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
            "tickprefix": formats.symbol,
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
        _columns(closed, "closed", {"color": accent}, size_ms, "", formats),
        _columns(still_open, "open", hatched, size_ms, " so far", formats),
    ]
    return {"data": traces, "layout": layout}


def _columns(
    windows: Sequence[tuple[int, int]],
    name: str,
    marker: Mapping[str, Any],
    size_ms: int,
    suffix: str,
    formats: Formats,
) -> Figure:
    spans = [formats.span(start, start + size_ms) for start, _ in windows]
    money = formats.money
    return {
        "type": "bar",
        "name": name,
        "x": [formats.axis(start) for start, _ in windows],
        "y": [cents / 100 for _, cents in windows],
        "customdata": [f"{span}<br><b>{money(c)}</b>{suffix}" for span, (_, c) in zip(spans, windows, strict=True)],
        "offset": 0.08 * size_ms,
        "width": 0.84 * size_ms,
        "marker": dict(marker),
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def windows(cells: Cells, theme: Theme, formats: Formats, size_ms: int, now_ms: int, empty: str) -> Figure:
    """Page views per window, stacked by page group, of the latest windows; those that have not ended are hatched."""
    layout = _layout(theme)
    starts = sorted({cell.start_ms for cell in cells})[-WINDOWS_SHOWN:]
    if not starts:
        return _empty(layout, empty, theme)
    values = {(cell.group, cell.start_ms): cell.value for cell in cells}
    spans = {start: formats.span(start, start + size_ms) for start in starts}
    labelled = starts[:: -(-len(starts) // LABELS)]
    traces = []
    for group in sorted({cell.group for cell in cells}):
        found = [values.get((group, start), 0) for start in starts]
        traces.append(
            {
                "type": "bar",
                "name": group,
                "x": [formats.axis(start) for start in starts],
                "y": found,
                "customdata": [
                    f"{group}, {spans[start]}<br><b>{formats.count(n)}</b>{_so_far(start + size_ms > now_ms)}"
                    for start, n in zip(starts, found, strict=True)
                ],
                "marker": {
                    "color": theme.colour(group),
                    "line": {"color": theme.css["card"], "width": 1},
                    "pattern": _pattern([start + size_ms > now_ms for start in starts], theme),
                },
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        )
    layout |= {
        "margin": {"l": 44, "r": 8, "t": 8, "b": 88},
        "barmode": "stack",
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "x": 0,
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        "bargap": 0.18,
        "dragmode": False,
        "xaxis": {
            "type": "category",
            "tickvals": [formats.axis(start) for start in labelled],
            "ticktext": [f"{formats.moment(start):%H:%M}" for start in labelled],
            "fixedrange": True,
        },
        "yaxis": {
            "rangemode": "tozero",
            "tickformat": "~s",
            "nticks": 4,
            "gridcolor": theme.css["grid"],
            "zeroline": False,
            "fixedrange": True,
        },
    }
    return {"data": traces, "layout": layout}


def sessions(found: Sequence[Session], theme: Theme, formats: Formats, gap_ms: int, now_ms: int, empty: str) -> Figure:
    """Sessions as bars from their first to their last view, a row per page group; one that may go on is hatched."""
    layout = _layout(theme)
    shown = sorted(found, key=lambda s: s.end_ms)[-SESSIONS_SHOWN:]
    if not shown:
        return _empty(layout, empty, theme)
    still_open = [s.end_ms + gap_ms >= now_ms for s in shown]
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [s.group for s in shown],
        "base": [formats.axis(s.start_ms) for s in shown],
        "x": [max(s.end_ms - s.start_ms, 1000) for s in shown],
        "text": [formats.count(s.value) for s in shown],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textfont": {"color": theme.css["text"]},
        "customdata": [
            f"{s.group}, {formats.span(s.start_ms, s.end_ms)}<br><b>{formats.count(s.value)}</b>{_so_far(o)}"
            for s, o in zip(shown, still_open, strict=True)
        ],
        "marker": {
            "color": [theme.colour(s.group) for s in shown],
            "opacity": 0.55,
            "pattern": _pattern(still_open, theme),
        },
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    layout |= {
        "margin": {"l": 92, "r": 8, "t": 8, "b": 28},
        "barmode": "overlay",
        "bargap": 0.4,
        "dragmode": False,
        "xaxis": {
            "type": "date",
            "tickformatstops": [
                {"dtickrange": [None, MINUTE_MS - 1], "value": "%H:%M:%S"},
                {"dtickrange": [MINUTE_MS, None], "value": "%H:%M"},
            ],
            "nticks": 4,
            "fixedrange": True,
            "gridcolor": theme.css["grid"],
        },
        "yaxis": {
            "type": "category",
            "categoryorder": "category descending",
            "fixedrange": True,
            "ticklabelstandoff": 8,
        },
    }
    return {"data": [trace], "layout": layout}


def _so_far(is_open: bool) -> str:
    return " so far" if is_open else ""


def _pattern(still_open: Sequence[bool], theme: Theme) -> Figure:
    return {
        "shape": ["/" if is_open else "" for is_open in still_open],
        "fillmode": "overlay",
        "fgcolor": theme.css["card"],
        "size": 6,
        "solidity": 0.35,
    }


def bars(
    rows: Breakdown,
    theme: Theme,
    label: Callable[[int], str],
    empty: str,
    *,
    slots: int,
    scale: int = 1,
    group_of: Callable[[str], str | None] | None = None,
) -> Figure:
    """Horizontal bars, the largest on top, its value in a column at the right; in the colours of their product groups
    where `group_of` tells them, else all in one.

    There is room for `slots` bars, so that they keep their place and thickness when a filter leaves fewer.
    """
    layout = _layout(theme)
    if not rows:
        return _empty(layout, empty, theme)
    upwards = rows[::-1]
    accent = theme.css["accent"]
    slots = max(slots, len(rows))
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
            "tickvals": [name for name, _ in upwards],
            "ticktext": [_short(name) for name, _ in upwards],
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
        "marker": {
            "color": [theme.colour(group_of(name) or name) if group_of else accent for name, _ in upwards],
            "cornerradius": 3,
        },
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return {"data": [trace], "layout": layout}


def _short(name: str) -> str:
    """A name that leaves room for its bar on a phone; the table and the hover text have the whole."""
    return name if len(name) <= NAME_SHOWN else f"{name[: NAME_SHOWN - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"


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
