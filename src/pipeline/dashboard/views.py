"""What a viewer must be sent: the whole view at first and after a filter change, then only what changed."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

from pipeline.dashboard.figures import Figure, count, figures, money
from pipeline.dashboard.numbers import Filters, notes, numbers
from pipeline.dashboard.patches import patch
from pipeline.dashboard.snapshot import Data, Snapshot
from pipeline.dashboard.theme import LIGHT, THEMES

WAITING = "Waiting for the first events"
NO_MATCH = "Nothing matches these filters"
NOTHING_YET = "–"  # noqa: RUF001 - the typographer's dash stands for a number
CACHED_VIEWS = 256


class Key(NamedTuple):
    """What a view depends on. `epoch` tells this process's versions from an earlier one's."""

    epoch: str
    version: int
    open_ms: int
    filters: str
    scheme: str

    def follows(self, seen: "Key") -> bool:
        """Whether only data and time have moved since `seen`."""
        return (self.epoch, self.filters, self.scheme) == (seen.epoch, seen.filters, seen.scheme)


@dataclass(frozen=True, slots=True)
class View:
    """Everything on the page that depends on data and filters, by panel."""

    kpis: dict[str, str]
    notes: dict[str, str]
    figures: dict[str, Figure]
    groups: tuple[str, ...]
    regions: tuple[str, ...]


def build(snapshot: Snapshot, filters: Filters, scheme: str, size_ms: int, open_ms: int) -> View:
    """The view of a snapshot under filters; `open_ms` is the start of the window that is open now."""
    data = snapshot.data or Data()
    found = numbers(data, filters)
    waiting = data.newest_event_ms is None
    empty = WAITING if waiting or filters == Filters() else NO_MATCH
    if waiting:
        kpis = dict.fromkeys(("pageviews", "sales", "users"), NOTHING_YET)
    else:
        kpis = {"pageviews": count(found.pageviews), "sales": money(found.sales_cents), "users": count(found.users)}
    return View(
        kpis=kpis,
        notes=notes(filters),
        figures=figures(found, THEMES.get(scheme, LIGHT), size_ms, open_ms, empty),
        groups=tuple(sorted({c.group for c in data.sales_by_group} | set(filters.groups))),
        regions=tuple(
            sorted({c.region for c in (*data.sales_by_region, *data.pageviews_by_region)} | set(filters.regions))
        ),
    )


class Views:
    """Views that were built lately, shared by all viewers; safe to use from several threads."""

    def __init__(self, epoch: str, size_ms: int) -> None:
        self._epoch = epoch
        self._size_ms = size_ms
        self._views: OrderedDict[Key, View] = OrderedDict()
        self._lock = Lock()

    def get(self, snapshot: Snapshot, filters: Filters, scheme: str, now_ms: int) -> tuple[Key, View]:
        """The view of this moment and its key."""
        open_ms = now_ms // self._size_ms * self._size_ms
        key = Key(self._epoch, snapshot.version, open_ms, filters.token, scheme)
        view = self.find(key)
        if view is None:
            view = build(snapshot, filters, scheme, self._size_ms, open_ms)
            with self._lock:
                self._views[key] = view
                while len(self._views) > CACHED_VIEWS:
                    self._views.popitem(last=False)
        return key, view

    def find(self, key: Key) -> View | None:
        """A view built before, if it is still known."""
        with self._lock:
            return self._views.get(key)


@dataclass(frozen=True, slots=True)
class Update:
    """What changed for one viewer: by panel, without those that did not; options are None when they did not."""

    kpis: dict[str, str]
    notes: dict[str, str]
    figures: dict[str, Any]
    groups: tuple[str, ...] | None
    regions: tuple[str, ...] | None


def update(old: View | None, new: View, *, whole_figures: bool) -> Update:
    """From what the viewer has to what it should have; `old` None sends everything."""
    if old is None:
        return Update(new.kpis, new.notes, dict(new.figures), new.groups, new.regions)
    sent: dict[str, Any] = {}
    for panel, figure in new.figures.items():
        change = figure if whole_figures else patch(old.figures[panel], figure)
        if change is not None:
            sent[panel] = change
    return Update(
        {panel: text for panel, text in new.kpis.items() if old.kpis[panel] != text},
        {panel: text for panel, text in new.notes.items() if old.notes[panel] != text},
        sent,
        new.groups if new.groups != old.groups else None,
        new.regions if new.regions != old.regions else None,
    )
