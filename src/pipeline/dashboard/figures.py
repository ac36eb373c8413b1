"""Plotly figures as plain JSON values, from exact numbers; here alone money turns from cents into dollars."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.dashboard.figure_base import Figure, empty_figure, label_of, layout_of, plain
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.numbers import Breakdown, Numbers
from pipeline.dashboard.theme import Theme
from pipeline.dashboard.timeaxis import TimeAxis
from pipeline.dashboard.window_figures import sessions, windows

MIN_WINDOWS = 12
GRAPH_HEIGHT = 300
BAR_HEIGHT = 20
CHARACTER_WIDTH = 8


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
        "tumbling": windows(numbers.tumbling, theme, formats, size_ms, now_ms, empty, label=count),
        "hopping": windows(numbers.hopping, theme, formats, hopping_size_ms, now_ms, empty, label=count),
        "sessions": sessions(numbers.sessions, theme, formats, gap_ms, now_ms, empty, label=count, inside=count),
        "sales_hopping": windows(
            numbers.sales_hopping,
            theme,
            formats,
            hopping_size_ms,
            now_ms,
            empty,
            label=money,
            scale=100,
            prefix=formats.symbol,
        ),
        "sales_sessions": sessions(
            numbers.sales_sessions, theme, formats, gap_ms, now_ms, empty, label=money, inside=formats.whole_money
        ),
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
    layout = layout_of(theme)
    if not windows:
        return empty_figure(layout, empty, theme)
    last_ms = windows[-1][0]
    if open_ms - last_ms < MIN_WINDOWS * size_ms:
        last_ms = max(last_ms, open_ms)
    first_ms = min(windows[0][0], last_ms + (1 - MIN_WINDOWS) * size_ms)
    axis = TimeAxis(formats, [first_ms, last_ms + size_ms, *(start for start, _ in windows)])
    layout |= {
        "margin": {"l": 56, "r": 8, "t": 8, "b": 44},
        "barmode": "overlay",
        "dragmode": "zoom",
        "xaxis": {
            "type": "date",
            "range": [axis.value(first_ms), axis.value(last_ms + size_ms)],
            "showgrid": False,
            "linecolor": theme.css["border"],
            "ticks": "outside",
            "tickcolor": theme.css["border"],
            "tickformatstops": [
                {"dtickrange": [None, 43_200_000], "value": "%H:%M\n%b %-d"},
                {"dtickrange": [43_200_000, None], "value": "%b %-d"},
            ],
            **axis.ticks,
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
        _columns(closed, "closed", {"color": accent}, size_ms, "", formats, axis),
        _columns(still_open, "open", hatched, size_ms, " so far", formats, axis),
    ]
    return {"data": traces, "layout": layout}


def _columns(
    windows: Sequence[tuple[int, int]],
    name: str,
    marker: Mapping[str, Any],
    size_ms: int,
    suffix: str,
    formats: Formats,
    axis: TimeAxis,
) -> Figure:
    spans = [formats.span(start, start + size_ms) for start, _ in windows]
    money = formats.money
    return {
        "type": "bar",
        "name": name,
        "x": [axis.value(start) for start, _ in windows],
        "y": [cents / 100 for _, cents in windows],
        "customdata": [f"{span}<br><b>{money(c)}</b>{suffix}" for span, (_, c) in zip(spans, windows, strict=True)],
        "offset": 0.08 * size_ms,
        "width": 0.84 * size_ms,
        "marker": dict(marker),
        "hovertemplate": "%{customdata}<extra></extra>",
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
    layout = layout_of(theme)
    if not rows:
        return empty_figure(layout, empty, theme)
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
            "ticktext": [label_of(name) for name, _ in upwards],
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
        "customdata": [f"{plain(name)}<br><b>{label(value)}</b>" for name, value in upwards],
        "marker": {
            "color": [theme.colour(group_of(name) or name) if group_of else accent for name, _ in upwards],
            "cornerradius": 3,
        },
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return {"data": [trace], "layout": layout}
