"""Windows side by side: columns by window, stacked by group; sessions as bars from their first to their last event."""

from collections.abc import Callable, Sequence

from pipeline.dashboard.figure_base import LEGEND, Figure, empty_figure, label_of, layout_of, plain
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.snapshot import Cells, Session
from pipeline.dashboard.theme import Theme
from pipeline.dashboard.timeaxis import TimeAxis
from pipeline.timebase import MINUTE_MS

WINDOWS_SHOWN = 8
LABELS = 4
SESSIONS_SHOWN = 30


def windows(
    cells: Cells,
    theme: Theme,
    formats: Formats,
    size_ms: int,
    now_ms: int,
    empty: str,
    *,
    label: Callable[[int], str],
    scale: int = 1,
    prefix: str = "",
    shown: int = WINDOWS_SHOWN,
    stacked: bool = True,
    colour: Callable[[str], str] | None = None,
    span: Callable[[int, int], str] | None = None,
) -> Figure:
    """Values per window, stacked by group or side by side, of the latest windows; one that has not ended is hatched.

    Values are divided by `scale` for the bars' heights, told by `label`, and have a `prefix` on the axis. `colour` is
    of a group, the theme's unless given; `span` tells a window in words, by default to the minute.
    """
    layout, colour, span = layout_of(theme), colour or theme.colour, span or formats.span
    starts = sorted({cell.start_ms for cell in cells})[-shown:]
    if not starts:
        return empty_figure(layout, empty, theme)
    values = {(cell.group, cell.start_ms): cell.value for cell in cells}
    spans = {start: span(start, start + size_ms) for start in starts}
    tick = formats.clock if any(start % MINUTE_MS for start in starts) else formats.hour
    labelled = starts[:: -(-len(starts) // LABELS)]
    traces = []
    for group in sorted({cell.group for cell in cells}):
        found = [values.get((group, start), 0) for start in starts]
        traces.append(
            {
                "type": "bar",
                "name": label_of(group),
                "x": [formats.category(start) for start in starts],
                "y": [value / scale for value in found] if scale > 1 else found,
                "customdata": [
                    f"{plain(group)}, {spans[start]}<br><b>{label(n)}</b>{_so_far(start + size_ms > now_ms)}"
                    for start, n in zip(starts, found, strict=True)
                ],
                "marker": {
                    "color": colour(group),
                    "line": {"color": theme.css["card"], "width": 1},
                    "pattern": _pattern([start + size_ms > now_ms for start in starts], theme),
                },
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        )
    layout |= {
        "margin": {"l": 44, "r": 8, "t": 8, "b": 88},
        "barmode": "stack" if stacked else "group",
        "showlegend": True,
        "legend": LEGEND,
        "bargap": 0.18,
        "dragmode": False,
        "xaxis": {
            "type": "category",
            "tickvals": [formats.category(start) for start in labelled],
            "ticktext": [tick(start).replace(" ", "<br>") for start in labelled],
            "tickangle": 0,
            "fixedrange": True,
        },
        "yaxis": {
            "rangemode": "tozero",
            "tickprefix": prefix,
            "tickformat": "~s",
            "nticks": 4,
            "gridcolor": theme.css["grid"],
            "zeroline": False,
            "fixedrange": True,
        },
    }
    return {"data": traces, "layout": layout}


def sessions(
    found: Sequence[Session],
    theme: Theme,
    formats: Formats,
    gap_ms: int,
    now_ms: int,
    empty: str,
    *,
    label: Callable[[int], str],
    inside: Callable[[int], str],
    colour: Callable[[str], str] | None = None,
    span: Callable[[int, int], str] | None = None,
) -> Figure:
    """Sessions as bars from their first to their last event, a row per group; one that may go on is hatched.

    Values are told by `label`, and by `inside`, which is shorter, within the bars; `colour` and `span` as of `windows`.
    """
    layout, colour, span = layout_of(theme), colour or theme.colour, span or formats.span
    shown = sorted(found, key=lambda s: s.end_ms)[-SESSIONS_SHOWN:]
    if not shown:
        return empty_figure(layout, empty, theme)
    axis = TimeAxis(formats, [ms for s in shown for ms in (s.start_ms, s.end_ms)])
    groups = sorted({s.group for s in shown})
    still_open = [s.end_ms + gap_ms >= now_ms for s in shown]
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [s.group for s in shown],
        "base": [axis.value(s.start_ms) for s in shown],
        "x": [max(s.end_ms - s.start_ms, 1000) for s in shown],
        "text": [inside(s.value) for s in shown],
        "textposition": "inside",
        "textangle": 0,
        "insidetextanchor": "middle",
        "textfont": {"color": theme.css["text"]},
        "customdata": [
            f"{plain(s.group)}, {span(s.start_ms, s.end_ms)}<br><b>{label(s.value)}</b>{_so_far(o)}"
            for s, o in zip(shown, still_open, strict=True)
        ],
        "marker": {
            "color": [colour(s.group) for s in shown],
            "opacity": 0.55,
            "pattern": _pattern(still_open, theme),
        },
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    layout |= {
        "margin": {"l": 92, "r": 8, "t": 8, "b": 28},
        "barmode": "overlay",
        "uniformtext": {"minsize": 10, "mode": "hide"},
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
            **axis.ticks,
        },
        "yaxis": {
            "type": "category",
            "categoryorder": "category descending",
            "tickvals": groups,
            "ticktext": [label_of(group) for group in groups],
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
