"""What a viewer must be sent: the whole view at first and after a filter change, then only what changed."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.dashboard.choices import Choices, brief
from pipeline.dashboard.figure_base import Figure, cut
from pipeline.dashboard.figures import figures
from pipeline.dashboard.formats import NEGLIGIBLE, Formats
from pipeline.dashboard.numbers import Bounds, Change, Numbers, notes, numbers
from pipeline.dashboard.patches import patch
from pipeline.dashboard.snapshot import Data, Snapshot
from pipeline.dashboard.theme import LIGHT, THEMES
from pipeline.dashboard.ticking import Kept, Key
from pipeline.shown import visible
from pipeline.timebase import MINUTE_MS

WAITING = "Waiting for the first events"
NO_MATCH = "Nothing matches these filters"
NOTHING_YET = "–"  # noqa: RUF001 - the typographer's dash stands for a number
CELL_SHOWN = 200
CACHED_VIEWS = 256


class Windows(NamedTuple):
    """Sizes of the application's windows and the gap of its sessions."""

    tumbling_ms: int
    hopping_ms: int
    gap_ms: int


@dataclass(frozen=True, slots=True)
class View:
    """Everything on the page that depends on data and choices, by panel.

    `kpis` holds {panel: {"value", "change", "direction", "spark"}}; `latest` rows of texts.
    """

    kpis: dict[str, dict[str, Any]]
    notes: dict[str, str]
    figures: dict[str, Figure]
    latest: list[list[str]]
    groups: tuple[str, ...]
    regions: tuple[str, ...]
    doubts: tuple[str, ...]


def build(snapshot: Snapshot, choices: Choices, scheme: str, sizes: Windows, now_ms: int, bounds: Bounds) -> View:
    """The view of a snapshot as it is at `now_ms`; `bounds` are those of the chosen period."""
    data, filters, formats = snapshot.data or Data(), choices.filters, choices.formats
    found = numbers(data, filters, bounds)
    waiting = data.newest_event_ms is None
    unfiltered = not (filters.has_dates or filters.groups or filters.regions)
    empty = WAITING if waiting or unfiltered else NO_MATCH
    theme = THEMES.get(scheme, LIGHT)
    groups = {cell.group for cell in (*data.sales_by_group, *data.pageviews_by_group)} - {""}
    regions = {cell.region for cell in (*data.sales_by_region, *data.pageviews_by_region)} - {""}
    unknown = (
        []
        if waiting
        else [
            *unknown_names("product group", filters.groups, groups),
            *unknown_names("region", filters.regions, regions),
        ]
    )
    return View(
        kpis=kpis(found, formats, waiting),
        notes={panel: visible(cut(note, CELL_SHOWN)) for panel, note in notes(filters, found.sales_ahead).items()},
        figures=figures(found, theme, formats, sizes.tumbling_ms, now_ms, empty, sizes.hopping_ms, sizes.gap_ms),
        latest=[
            [
                formats.clock(sale.event_time_ms),
                _name(sale.product),
                _name(sale.group),
                _name(sale.region),
                formats.count(sale.quantity),
                formats.money(sale.cents),
            ]
            for sale in found.latest
        ],
        groups=tuple(sorted(groups | set(filters.groups))),
        regions=tuple(sorted(regions | set(filters.regions))),
        doubts=(*choices.doubts, *unknown),
    )


def _name(text: str) -> str:
    return cut(visible(text), CELL_SHOWN) or NOTHING_YET


def unknown_names(kind: str, chosen: Iterable[str], known: Collection[str]) -> list[str]:
    """A sentence for each chosen name that no row has."""
    return [f"no sale and no page view has the {kind} {brief(name)}" for name in chosen if name not in known]


def kpis(found: Numbers, formats: Formats, waiting: bool) -> dict[str, dict[str, Any]]:
    """Totals with the last sixty minutes against the sixty before."""
    totals = {
        "pageviews": (formats.count(found.pageviews), formats.count, "views"),
        "sales": (formats.money(found.sales_cents), formats.whole_money, ""),
        "users": (formats.count(found.users), formats.count, "with views"),
    }
    return {
        panel: {"value": NOTHING_YET if waiting else value, **change(found.changes[panel], label, unit, formats)}
        for panel, (value, label, unit) in totals.items()
    }


def change(found: Change, label: Callable[[int], str], unit: str, formats: Formats) -> dict[str, Any]:
    """The change in words: what the last hour had, and how much more or less than the hour before."""
    now = f"{label(found.now)} {unit}".strip()
    if not found.before:
        return {"change": "", "direction": "none", "hint": f"{now} in 60 min", "spark": list(found.spark)}
    share = (found.now - found.before) / found.before
    direction = "flat" if abs(share) < NEGLIGIBLE else "up" if share > 0 else "down"
    arrow = {"up": "\N{BLACK UP-POINTING TRIANGLE} ", "down": "\N{BLACK DOWN-POINTING TRIANGLE} ", "flat": ""}[
        direction
    ]
    return {
        "change": arrow + formats.percent(share, signed=True),
        "direction": direction,
        "hint": f"{now} in 60 min, {label(found.before)} before",
        "spark": list(found.spark),
    }


class Views:
    """Views that were built lately, shared by all viewers; safe to use from several threads."""

    def __init__(self, epoch: str, sizes: Windows) -> None:
        self._epoch = epoch
        self._sizes = sizes
        self._kept = Kept[View](CACHED_VIEWS)

    def get(self, snapshot: Snapshot, choices: Choices, scheme: str, now_ms: int) -> tuple[Key, View]:
        """The view of this moment and its key."""
        bounds = choices.filters.bounds_ms(choices.formats, now_ms, self._sizes.tumbling_ms)
        minute = now_ms // MINUTE_MS  # windows close, at the latest, on a minute
        key = Key(self._epoch, snapshot.version, f"{minute}:{bounds[0]}:{bounds[1]}", choices.token, scheme)
        return key, self._kept.get(key, lambda: build(snapshot, choices, scheme, self._sizes, now_ms, bounds))

    def find(self, key: Key) -> View | None:
        """A view built before, if it is still known."""
        return self._kept.find(key)


@dataclass(frozen=True, slots=True)
class Update:
    """What changed for one viewer: by panel, without those that did not; options are None when they did not."""

    kpis: dict[str, dict[str, Any]]
    notes: dict[str, str]
    figures: dict[str, Any]
    latest: list[list[str]] | None
    groups: tuple[str, ...] | None
    regions: tuple[str, ...] | None
    doubts: tuple[str, ...] | None


def update(old: View | None, new: View, *, whole_figures: bool) -> Update:
    """From what the viewer has to what it should have; `old` None sends everything."""
    if old is None:
        return Update(new.kpis, new.notes, dict(new.figures), new.latest, new.groups, new.regions, new.doubts)
    sent: dict[str, Any] = {}
    for panel, figure in new.figures.items():
        change = figure if whole_figures else patch(old.figures[panel], figure)
        if change is not None:
            sent[panel] = change
    return Update(
        {panel: shown for panel, shown in new.kpis.items() if old.kpis[panel] != shown},
        {panel: text for panel, text in new.notes.items() if old.notes[panel] != text},
        sent,
        new.latest if new.latest != old.latest else None,
        new.groups if new.groups != old.groups else None,
        new.regions if new.regions != old.regions else None,
        new.doubts if new.doubts != old.doubts else None,
    )
