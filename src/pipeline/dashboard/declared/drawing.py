"""Panels as figures: the rows of each kind of panel, what is told of them, and what is left out."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dashboard.declared.board import Row
from pipeline.dashboard.declared.figures import BARS_SHOWN, GROUPS_SHOWN, Bar, Point, bars, lines
from pipeline.dashboard.declared.labels import exact, heading, is_number, label, name, number, prefix, span
from pipeline.dashboard.declared.worldmap import strangers, world_map
from pipeline.dashboard.figure_base import Figure, cut, empty_figure, layout_of, plain
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.snapshot import Cell, Session
from pipeline.dashboard.theme import Theme
from pipeline.dashboard.window_figures import sessions, windows
from pipeline.declare.panels import Bars, Map, Sessions, TimeSeries, Windows, also_of, written
from pipeline.shown import visible
from pipeline.tables import windows as kinds

ALL = "all"
NAMES_TOLD = 3
Values = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure, and what is said above it."""

    figure: Figure
    notes: tuple[str, ...] = ()


def draw(
    panel: TimeSeries | Bars | Windows | Sessions | Map,
    rows: Sequence[Row],
    theme: Theme,
    formats: Formats,
    now_ms: int,
    empty: str,
    known: Values,
) -> Drawn:
    """A panel's figure. `known` are all values of the columns that panels group by: they keep their colours."""
    if rows and (missing := [column for column in _needed(panel) if column not in rows[0]]):
        told = f"Its SQL gives {', '.join(rows[0])}, but the panel shows {' and '.join(missing)}"
        return Drawn(empty_figure(layout_of(theme), "Nothing to show", theme), (visible(cut(told, 200)),))
    found = _drawn(panel, rows, theme, formats, now_ms, empty, known)
    found.figure["layout"]["separators"] = formats.separators
    return found


def _needed(panel: TimeSeries | Bars | Windows | Sessions | Map) -> list[str]:
    if isinstance(panel, TimeSeries):
        return [panel.x, panel.y, *([panel.by] if panel.by else [])]
    if isinstance(panel, Bars):
        return [panel.x, panel.y, *also_of(panel.also)]
    return [panel.place, panel.value, *also_of(panel.also)] if isinstance(panel, Map) else [panel.value]


def _drawn(
    panel: TimeSeries | Bars | Windows | Sessions | Map,
    rows: Sequence[Row],
    theme: Theme,
    formats: Formats,
    now_ms: int,
    empty: str,
    known: Values,
) -> Drawn:
    if isinstance(panel, Windows):
        return _windows(panel, rows, theme, formats, now_ms, empty, known)
    if isinstance(panel, Sessions):
        return _sessions(panel, rows, theme, formats, now_ms, empty, known)
    if isinstance(panel, TimeSeries):
        return _series(panel, rows, theme, formats, empty, known)
    if isinstance(panel, Map):
        found = _bars(rows, panel.place, panel.value, panel.also, panel.unit, formats)
        unknown = strangers(found)
        told = ", ".join(visible(cut(one, 40)) for one in unknown[:NAMES_TOLD])
        more = f" and {len(unknown) - NAMES_TOLD} more" if len(unknown) > NAMES_TOLD else ""
        return Drawn(world_map(found, theme, empty), (f"not on the map: {told}{more}",) if unknown else ())
    found = _bars(rows, panel.x, panel.y, panel.also, panel.unit, formats)
    notes = (f"{BARS_SHOWN} of {len(found)} shown",) if len(found) > BARS_SHOWN else ()
    names = known.get(panel.x, ())
    colour = _colours(names, theme).__getitem__ if names and len(names) <= GROUPS_SHOWN else None
    return Drawn(bars(found, theme, empty, colour if _all_in(found, names) else None), notes)


def _all_in(found: Sequence[Bar], names: Sequence[str]) -> bool:
    return all(bar.name in names for bar in found)


def _bars(rows: Sequence[Row], x: str, y: str, also: Any, unit: str, formats: Formats) -> list[Bar]:
    return [
        Bar(
            name(row[x]),
            exact(row[y]),
            label(row[y], unit, formats),
            ", ".join(f"{heading(one).lower()} {_told(row[one], formats)}" for one in also_of(also)),
        )
        for row in rows
        if is_number(row[y])
    ]


def _told(value: Any, formats: Formats) -> str:
    return number(value, formats) if is_number(value) else visible(cut(name(value), 40))


def _series(panel: TimeSeries, rows: Sequence[Row], theme: Theme, formats: Formats, empty: str, known: Values) -> Drawn:
    points: dict[str, list[Point]] = defaultdict(list)
    usable = [row for row in rows if is_number(row[panel.y]) and is_number(row[panel.x])]
    groups, notes = _largest(usable, panel.by, panel.y)
    for row in usable:
        group = ALL if panel.by is None else name(row[panel.by])
        if group in groups:
            ms, value = int(row[panel.x]), exact(row[panel.y])
            at = f"{formats.moment(ms):%b %-d}, {formats.clock(ms)}"
            told = (
                f"{at if panel.by is None else f'{plain(group)}, {at}'}<br><b>{label(value, panel.unit, formats)}</b>"
            )
            points[group].append(Point(ms, value, told))
    ordered = {group: points[group] for group in groups}
    colour = _colour_of(groups, panel.by, theme, known)
    return Drawn(
        lines(ordered, theme, formats, empty, colour, prefix=prefix(panel.unit), named=panel.by is not None), notes
    )


def _windows(
    panel: Windows, rows: Sequence[Row], theme: Theme, formats: Formats, now_ms: int, empty: str, known: Values
) -> Drawn:
    window = written(panel, panel.output).aggregate.window
    assert isinstance(window, kinds.Hopping)
    starts = sorted({int(row["window_start_ms"]) for row in rows})[-panel.last :]
    latest = [row for row in rows if int(row["window_start_ms"]) in set(starts) and is_number(row[panel.value])]
    groups, notes = _largest(latest, panel.by, panel.value)
    colour = _colour_of(groups, panel.by, theme, known)
    cells = [
        Cell(_group(row, panel.by), "", int(row["window_start_ms"]), exact(row[panel.value]))
        for row in latest
        if _group(row, panel.by) in groups
    ]
    told: Callable[[Any], str] = lambda value: label(value, panel.unit, formats)  # noqa: E731
    if panel.kind == "lines":
        points: dict[str, list[Point]] = {group: [] for group in groups}
        for cell in cells:
            end_ms = cell.start_ms + window.size_ms
            so_far = " so far" if end_ms > now_ms else ""
            at = (
                f"{plain(cell.group)}, {formats.exact_span(cell.start_ms, end_ms)}<br><b>{told(cell.value)}</b>{so_far}"
            )
            points[cell.group].append(Point(cell.start_ms, cell.value, at, end_ms > now_ms))
        named = panel.by is not None
        return Drawn(lines(points, theme, formats, empty, colour, prefix=prefix(panel.unit), named=named), notes)
    figure = windows(
        tuple(cells),
        theme,
        formats,
        window.size_ms,
        now_ms,
        empty,
        label=told,
        prefix=prefix(panel.unit),
        shown=panel.last,
        stacked=panel.kind == "stacked" or panel.by is None,
        colour=colour,
        span=formats.exact_span,
    )
    if panel.by is None:
        figure["layout"]["showlegend"] = False
    return Drawn(figure, notes)


def _sessions(
    panel: Sessions, rows: Sequence[Row], theme: Theme, formats: Formats, now_ms: int, empty: str, known: Values
) -> Drawn:
    window = written(panel, panel.output).aggregate.window
    assert isinstance(window, kinds.Session)
    usable = [row for row in rows if is_number(row[panel.value])]
    groups, notes = _largest(usable, panel.by, panel.value)
    found = [
        Session(_group(row, panel.by), int(row["window_start_ms"]), int(row["window_end_ms"]), exact(row[panel.value]))
        for row in usable
        if _group(row, panel.by) in groups
    ]
    figure = sessions(
        found,
        theme,
        formats,
        window.gap_ms,
        now_ms,
        empty,
        label=lambda value: label(value, panel.unit, formats),
        inside=lambda value: number(value, formats),
        colour=_colour_of(groups, panel.by, theme, known),
        span=formats.exact_span,
    )
    return Drawn(figure, (f"gap {span(window.gap_ms)}", *notes))


def _group(row: Row, by: str | None) -> str:
    return ALL if by is None else name(row[by])


def _largest(rows: Iterable[Row], by: str | None, value: str) -> tuple[list[str], tuple[str, ...]]:
    """The groups that are shown, by name: the largest, where there are many; and that others are not."""
    if by is None:
        return [ALL], ()
    totals: dict[str, float] = defaultdict(float)
    for row in rows:
        totals[name(row[by])] += row[value]
    largest = sorted(totals, key=lambda group: (-totals[group], group))[:GROUPS_SHOWN]
    return sorted(largest), (f"the largest {GROUPS_SHOWN} of {len(totals)}",) if len(totals) > GROUPS_SHOWN else ()


def _colour_of(groups: Sequence[str], by: str | None, theme: Theme, known: Values) -> Callable[[str], str]:
    """The colour of each group: the same on the whole page where it has few, and whatever is filtered."""
    if by is None:
        return lambda group: theme.css["accent"]
    everywhere = known.get(by, ())
    found = _colours(
        everywhere if set(groups) <= set(everywhere) and len(everywhere) <= GROUPS_SHOWN else groups, theme
    )
    return found.__getitem__


def _colours(groups: Sequence[str], theme: Theme) -> dict[str, str]:
    return {group: theme.groups[place % len(theme.groups)] for place, group in enumerate(groups)}
