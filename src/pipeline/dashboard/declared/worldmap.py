"""A map of the world: countries in a colour that is the stronger the larger their value, drawn as filled lines."""

from collections.abc import Mapping, Sequence

from pipeline.dashboard.declared.figures import Bar
from pipeline.dashboard.declared.world import EAST, NORTH, SOUTH, WEST, Country, countries, country
from pipeline.dashboard.figure_base import Figure, empty_figure, layout_of, plain
from pipeline.dashboard.theme import Theme

STEPS = 5
FAINTEST = 0.22


def world_map(found: Sequence[Bar], theme: Theme, empty: str) -> Figure:
    """Countries by the names of bars, where these are codes or names; the first of one country counts."""
    layout = layout_of(theme)
    shown: dict[Country, Bar] = {}
    for bar in found:
        place = country(bar.name)
        if place is not None:
            shown.setdefault(place, bar)
    if not shown:
        return empty_figure(layout, empty if not found else "No country among these names", theme)
    most = max(bar.value for bar in shown.values())
    ground = {
        "type": "scatter",
        "mode": "lines",
        **_outline([ring for one in countries() if one not in shown for ring in one.rings]),
        "fill": "toself",
        "fillcolor": theme.css["grid"],
        "line": {"color": theme.css["card"], "width": 0.6},
        "hoverinfo": "skip",
    }
    axis = {"visible": False, "fixedrange": True}
    layout |= {
        "margin": dict.fromkeys("lrtb", 0),
        "dragmode": False,
        "hovermode": "closest",
        "xaxis": {**axis, "range": [WEST, EAST], "constrain": "domain"},
        "yaxis": {**axis, "range": [SOUTH, NORTH], "scaleanchor": "x", "constrain": "domain"},
    }
    ordered = sorted(shown.items(), key=lambda item: (item[1].value, item[0].name), reverse=True)
    traces = [_country(place, bar, theme, most) for place, bar in ordered]
    return {"data": [ground, *traces], "layout": layout}


def strangers(found: Sequence[Bar]) -> list[str]:
    """Names that are of no country."""
    return [bar.name for bar in found if country(bar.name) is None]


def _country(place: Country, bar: Bar, theme: Theme, most: float) -> Figure:
    text = f"{plain(place.name)}<br><b>{plain(bar.told)}</b>{' · ' + plain(bar.also) if bar.also else ''}"
    colour = shade(theme, bar.value / most if most > 0 else 0.0)
    common = {"type": "scatter", "name": plain(place.name), "hoverinfo": "text", "text": text, "customdata": [text]}
    if place.at is not None:
        marker = {"size": 9, "color": colour, "line": {"color": theme.css["card"], "width": 1}}
        return {**common, "mode": "markers", "x": [place.at[0]], "y": [place.at[1]], "marker": marker}
    return {
        **common,
        "mode": "lines",
        **_outline(place.rings),
        "fill": "toself",
        "fillcolor": colour,
        "hoveron": "fills",
        "line": {"color": theme.css["card"], "width": 0.6},
    }


def shade(theme: Theme, share: float) -> str:
    """The colour for a share of the largest value: areas deceive, so steps are by its root."""
    step = round(max(0.0, min(1.0, share)) ** 0.5 * STEPS) / STEPS
    weight = FAINTEST + (1 - FAINTEST) * step
    pairs = zip(_parts(theme.css["card"]), _parts(theme.css["accent"]), strict=True)
    return "#" + "".join(f"{round(low + (high - low) * weight):02x}" for low, high in pairs)


def _parts(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[n : n + 2], 16) for n in (1, 3, 5))


def _outline(rings: Sequence[Sequence[int]]) -> Mapping[str, list[int | None]]:
    """x and y of outlines, one after the other with a gap between."""
    x: list[int | None] = []
    y: list[int | None] = []
    for ring in rings:
        x += [*(None,) * bool(x), *ring[::2]]
        y += [*(None,) * bool(y), *ring[1::2]]
    return {"x": x, "y": y}
