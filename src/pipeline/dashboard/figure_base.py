"""What all figures share: layout, fonts, and one sentence in place of an empty chart."""

from typing import Any

from pipeline.dashboard.theme import FONT, Theme

Figure = dict[str, Any]


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
