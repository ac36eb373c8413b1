"""What all figures share: layout, fonts, and one sentence in place of an empty chart."""

import html
from typing import Any

from pipeline.dashboard.theme import FONT, Theme
from pipeline.shown import visible

Figure = dict[str, Any]
NAME_SHOWN = 17
HOVER_SHOWN = 200
LEGEND: dict[str, Any] = {
    "orientation": "h",
    "x": 0,
    "yref": "container",
    "y": 0,
    "yanchor": "bottom",
    "itemclick": False,
    "itemdoubleclick": False,
}
"""Of several groups: below the chart, and not to be clicked."""


def plain(name: str, most: int = HOVER_SHOWN) -> str:
    """A name for a text of Plotly's, which takes markup: no longer than `most`, and none of it is markup."""
    return html.escape(visible(cut(name, most)), quote=False)


def cut(name: str, most: int) -> str:
    """The name, or its begin with three dots where it is longer than `most`."""
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"


def label_of(name: str) -> str:
    """A name that leaves room for its bar on a phone; the table and the hover text have more of it."""
    return plain(name, NAME_SHOWN)


def layout_of(theme: Theme) -> Figure:
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


def empty_figure(layout: Figure, text: str, theme: Theme) -> Figure:
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
