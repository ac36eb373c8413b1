"""Figures of declared panels as plain JSON values, from rows: bars by name and lines over time.

Windows and sessions are those of flash sales' page (`window_figures`). Every text that comes from a row is escaped.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pipeline.dashboard.figure_base import LEGEND, Figure, cut, empty_figure, label_of, layout_of, plain
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.theme import Theme
from pipeline.dashboard.timeaxis import TimeAxis

GROUPS_SHOWN = 6
BARS_SHOWN = 12
POINTS_SHOWN = 2_000
BAR_HEIGHT, GRAPH_HEIGHT, LEAST_SLOTS = 22, 300, 8
CHARACTER_WIDTH, MOST_WIDTH = 8, 150
CLOCK_MS = 43_200_000


class Bar(NamedTuple):
    """A bar: its name, its length, what is told of it, and what stands behind it besides."""

    name: str
    value: float
    told: str
    also: str = ""


class Point(NamedTuple):
    """A point of a line: epoch ms, value, and what is told of it; `is_open`: it may still change."""

    ms: int
    value: float
    told: str
    is_open: bool = False


def bars(found: Sequence[Bar], theme: Theme, empty: str, colour: Callable[[str], str] | None = None) -> Figure:
    """Horizontal bars in the order given, the first on top, each with what is told of it at its right.

    There is room for at least LEAST_SLOTS, so that few bars are not fat ones. `colour` is of a name; one for all
    without it.
    """
    layout = layout_of(theme)
    if not found:
        return empty_figure(layout, empty, theme)
    upwards = found[:BARS_SHOWN][::-1]
    slots = max(LEAST_SLOTS, len(upwards))
    texts = [cut(f"{bar.told} · {bar.also}" if bar.also else bar.told, 40) for bar in upwards]
    room = min(16 + CHARACTER_WIDTH * max(map(len, texts)), MOST_WIDTH + 60)
    places = list(range(len(upwards)))
    low, high = min(0.0, *(bar.value for bar in upwards)), max(0.0, *(bar.value for bar in upwards))
    layout |= {
        "margin": {"l": 92, "r": room, "t": 4, "b": 4},
        "dragmode": False,
        "bargap": max(0.25, 1 - BAR_HEIGHT * slots / GRAPH_HEIGHT),
        "xaxis": {"visible": False, "fixedrange": True, "range": [low, high if high > low else low + 1]},
        "yaxis": {
            "fixedrange": True,
            "tickvals": places,
            "ticktext": [label_of(bar.name) for bar in upwards],
            "range": [len(upwards) - slots - 0.5, len(upwards) - 0.5],
            "showgrid": False,
            "zeroline": False,
            "ticklabelstandoff": 8,
            "automargin": True,
        },
        "annotations": [
            {
                "xref": "paper",
                "x": 1,
                "xanchor": "left",
                "xshift": 8,
                "yref": "y",
                "y": place,
                "text": plain(text, 60),
                "showarrow": False,
                "font": {"size": 13, "color": theme.css["text"]},
            }
            for place, text in zip(places, texts, strict=True)
        ],
    }
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": places,
        "x": [bar.value for bar in upwards],
        "customdata": [
            f"{plain(bar.name)}<br><b>{plain(bar.told)}</b>{' · ' + plain(bar.also) if bar.also else ''}"
            for bar in upwards
        ],
        "marker": {
            "color": [theme.css["accent"] if colour is None else colour(bar.name) for bar in upwards],
            "cornerradius": 3,
        },
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return {"data": [trace], "layout": layout}


def lines(
    found: Mapping[str, Sequence[Point]],
    theme: Theme,
    formats: Formats,
    empty: str,
    colour: Callable[[str], str],
    *,
    prefix: str = "",
    named: bool = True,
) -> Figure:
    """A line for each group, its points by time; those that may still change are hollow. One alone is filled.

    `named` False: the one group that there is has no name.
    """
    layout = layout_of(theme)
    groups = {group: sorted(points)[-POINTS_SHOWN:] for group, points in found.items() if points}
    if not groups:
        return empty_figure(layout, empty, theme)
    axis = TimeAxis(formats, [point.ms for points in groups.values() for point in points])
    traces = [
        _line(group, points, theme, axis, colour(group), alone=len(groups) == 1) for group, points in groups.items()
    ]
    layout |= {
        "margin": {"l": 48, "r": 12, "t": 8, "b": 88 if named else 40},
        "dragmode": "zoom",
        "hovermode": "closest",
        "showlegend": named,
        "legend": LEGEND,
        "xaxis": {
            "type": "date",
            "showgrid": False,
            "linecolor": theme.css["border"],
            "nticks": 6,
            "tickformatstops": [
                {"dtickrange": [None, 59_999], "value": "%H:%M:%S"},
                {"dtickrange": [60_000, CLOCK_MS], "value": "%H:%M\n%b %-d"},
                {"dtickrange": [CLOCK_MS, None], "value": "%b %-d"},
            ],
            **axis.ticks,
        },
        # several lines that lie close together are told apart only where the axis begins at their values
        "yaxis": value_axis(theme, prefix) | ({"rangemode": "normal"} if len(groups) > 1 else {}),
    }
    return {"data": traces, "layout": layout}


def value_axis(theme: Theme, prefix: str) -> Figure:
    """The axis of values, from 0 unless some are below."""
    return {
        "rangemode": "tozero",
        "tickprefix": prefix,
        "tickformat": "~s",
        "nticks": 5,
        "gridcolor": theme.css["grid"],
        "zeroline": False,
        "fixedrange": True,
    }


def _line(group: str, points: Sequence[Point], theme: Theme, axis: TimeAxis, colour: str, *, alone: bool) -> Figure:
    few = len(points) <= 60
    return {
        "type": "scatter",
        "mode": "lines+markers" if few else "lines",
        "name": label_of(group),
        "x": [axis.value(point.ms) for point in points],
        "y": [point.value for point in points],
        "customdata": [point.told for point in points],
        "line": {"color": colour, "width": 2},
        "marker": {
            "size": 7,
            "color": [theme.css["card"] if point.is_open else colour for point in points],
            "line": {"color": colour, "width": 2},
        },
        **({"fill": "tozeroy", "fillcolor": translucent(colour, 0.12)} if alone else {}),
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def translucent(colour: str, share: float) -> str:
    """A colour "#rrggbb" that lets the rest of 1 through."""
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"
