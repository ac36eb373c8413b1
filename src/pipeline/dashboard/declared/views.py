"""What a viewer of a declared page sees: the view of a board under filters, and what changed since the last one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dashboard.declared import kpis
from pipeline.dashboard.declared.board import Board, Row
from pipeline.dashboard.declared.choosing import Chosen
from pipeline.dashboard.declared.drawing import Drawn, draw
from pipeline.dashboard.declared.labels import cell, heading, is_number, is_time
from pipeline.dashboard.declared.queries import TREND, name_of
from pipeline.dashboard.figure_base import Figure
from pipeline.dashboard.snapshot import Snapshot
from pipeline.dashboard.theme import LIGHT, THEMES
from pipeline.dashboard.ticking import Kept, Key
from pipeline.declare.pages import Page
from pipeline.declare.panels import KPI, Grid, Panel, Sessions, TimeSeries, Windows
from pipeline.shown import sentence
from pipeline.timebase import SECOND_MS

WAITING = "Waiting for the first events"
NO_MATCH = "Nothing matches these filters"
NO_ANSWER = "No answer"
OPTIONS_SHOWN = 200
ROWS_SHOWN = 200
CACHED_VIEWS = 128
MOMENT_MS = 5 * SECOND_MS
"""Windows close while data stand still: a view is of so many milliseconds."""


@dataclass(frozen=True, slots=True)
class View:
    """All that is on the page, by the panels' names. `notes` are (what is said, what is wrong); `options` the values of
    each filter's column.
    """

    figures: dict[str, Figure]
    kpis: dict[str, dict[str, Any]]
    grids: dict[str, dict[str, Any]]
    notes: dict[str, tuple[str, str]]
    options: dict[str, list[str]]


def build(page: Page, board: Board, chosen: Chosen, scheme: str, now_ms: int) -> View:
    """The view of a board as it is at `now_ms`."""
    theme, formats = THEMES.get(scheme, LIGHT), chosen.formats
    known = values(page, board)
    options = {column: found[:OPTIONS_SHOWN] for column, found in known.items() if column in chosen.columns}
    made = View({}, {}, {}, {}, options)
    for place, panel in enumerate(page.panels):
        name = name_of(place)
        answer = kpis.answer_of(board.answers, name)
        rows, unfiltered = chosen.left(answer.rows, page.filters)
        empty = NO_ANSWER if answer.error else WAITING if not answer.rows else NO_MATCH
        notes: list[str] = []
        if isinstance(panel, KPI):
            trend, trend_unfiltered = chosen.left(kpis.answer_of(board.answers, name + TREND).rows, page.filters)
            history = board.history.get(name, ()) if not chosen.any else ()
            made.kpis[name] = kpis.shown(panel, rows, trend, history, now_ms, formats)
            unfiltered = unfiltered or trend_unfiltered
        elif isinstance(panel, Grid):
            made.grids[name] = grid(rows, chosen, empty)
        else:
            drawn: Drawn = draw(panel, rows, theme, formats, now_ms, empty, known)
            made.figures[name] = drawn.figure
            notes += drawn.notes
        if answer.rows and unfiltered:
            notes.append(f"not filtered by {' and '.join(unfiltered)}")
        made.notes[name] = (" · ".join(notes), sentence(answer.error))
    return made


def values(page: Page, board: Board) -> dict[str, list[str]]:
    """The values of every column that panels group or viewers filter by, in all that is known, sorted."""
    columns = {one.column for one in page.filters} | {by for panel in page.panels if (by := group_of(panel))}
    found: dict[str, set[str]] = {column: set() for column in columns}
    for answer in board.answers.values():
        for column in columns & (answer.rows[0].keys() if answer.rows else set()):
            found[column] |= {str(row[column]) for row in answer.rows if row[column] not in (None, "")}
    return {column: sorted(names) for column, names in found.items()}


def group_of(panel: Panel) -> str | None:
    """The column whose values are the groups of a panel."""
    return panel.by if isinstance(panel, Windows | Sessions | TimeSeries) else None


def grid(rows: Sequence[Row], chosen: Chosen, empty: str) -> dict[str, Any]:
    """A table: {"columns": [[heading, is a number]], "rows": [[text]], "empty": sentence}."""
    names = list(rows[0]) if rows else []
    first = rows[0] if rows else {}
    columns = [[heading(name), is_number(first[name]) and not is_time(name, first[name])] for name in names]
    texts = [[cell(name, row.get(name), chosen.formats) for name in names] for row in rows[:ROWS_SHOWN]]
    return {"columns": columns, "rows": texts, "empty": empty}


class Views:
    """Views that were built lately, shared by all viewers; safe to use from several threads."""

    def __init__(self, page: Page, epoch: str) -> None:
        self._page = page
        self._epoch = epoch
        self._kept = Kept[View](CACHED_VIEWS)

    def get(self, snapshot: Snapshot[Board], chosen: Chosen, scheme: str, now_ms: int) -> tuple[Key, View]:
        """The view of this moment and its key."""
        key = Key(self._epoch, snapshot.version, str(now_ms // MOMENT_MS), chosen.token, scheme)
        return key, self._kept.get(key, lambda: build(self._page, snapshot.data or Board(), chosen, scheme, now_ms))

    def find(self, key: Key) -> View | None:
        """A view built before, if it is still known."""
        return self._kept.find(key)


def changed(old: View | None, new: View) -> dict[str, Any]:
    """What the browser has to paint by itself: KPIs, tables and notes that changed, and the filters' values."""
    found: dict[str, Any] = {}
    for part in ("kpis", "grids", "notes"):
        before: Mapping[str, Any] = {} if old is None else getattr(old, part)
        if moved := {name: value for name, value in getattr(new, part).items() if before.get(name) != value}:
            found[part] = moved
    if old is None or old.options != new.options:
        found["options"] = new.options
    return found
