"""Connects a declared page with its poller: what a tick answers, and what its controls do in the browser
(`assets/declared.js`).
"""

from collections.abc import Callable, Sequence
from typing import Any

from dash import Dash, Input, Output, no_update

from pipeline.dashboard import ticking
from pipeline.dashboard.declared.board import Board
from pipeline.dashboard.declared.choosing import Chosen
from pipeline.dashboard.declared.queries import name_of
from pipeline.dashboard.declared.views import Views, changed
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.patches import patch
from pipeline.dashboard.snapshot import Poller, freshness
from pipeline.dashboard.ticking import in_browser, key_of, standing, standing_outputs
from pipeline.declare.pages import Page
from pipeline.declare.panels import KPI, Grid
from pipeline.settings import Settings
from pipeline.timebase import now_ms


def limit_s(page: Page) -> float:
    """Without a good refresh for this long Pinot counts as unreachable."""
    return max(10.0, 3 * page.refresh_s)


def stale_s(page: Page, settings: Settings) -> float:
    """Without new data for this long the page says stale."""
    return max(settings.stale_after_s, 3 * page.refresh_s)


def graphs(page: Page) -> list[str]:
    """The names of the panels that have a figure."""
    return [name_of(place) for place, panel in enumerate(page.panels) if not isinstance(panel, KPI | Grid)]


class Ticks:
    """Answers ticks; plain values in and out, so that it can be tested without a browser."""

    def __init__(
        self, page: Page, poller: Poller[Board], settings: Settings, clock_ms: Callable[[], int] = now_ms
    ) -> None:
        self._page = page
        self._poller = poller
        self._settings = settings
        self._clock_ms = clock_ms
        self._views = Views(page, poller.epoch)
        self._formats = Formats(zone=settings.dashboard_timezone, currency=settings.dashboard_currency)

    def answer(self, seen: Sequence[Any] | None, view: Any, scheme: str) -> dict[str, Any]:
        """Values for `outputs`. `seen` is the key that the browser got with the last answer, None at first."""
        snapshot, now = self._poller.current, self._clock_ms()
        chosen = Chosen.of(view, self._page.filters, self._formats)
        key, new = self._views.get(snapshot, chosen, scheme, now)
        old_key = key_of(seen)
        old = self._views.find(old_key) if old_key is not None else None
        follows = old is not None and old_key is not None and key.follows(old_key)
        figures: dict[str, Any] = {}
        for name, figure in new.figures.items():
            moved = patch(old.figures[name], figure) if follows and old is not None else figure
            figures[name] = no_update if moved is None else moved
        fresh = freshness(snapshot, now, limit_s(self._page), stale_s(self._page, self._settings))
        return standing(self._poller, snapshot, fresh, now, key, old_key) | {
            "panels": changed(old, new) or no_update,
            "figures": figures,
        }


def outputs(page: Page) -> dict[str, Any]:
    """The tick's outputs by name."""
    return {
        **standing_outputs(),
        "figures": {name: Output(f"figure-{name}", "figure") for name in graphs(page)},
    }


def register(app: Dash, page: Page, poller: Poller[Board], settings: Settings) -> None:
    """Add all callbacks to an application."""
    ticking.register(app, outputs(page), Ticks(page, poller, settings).answer)
    add: Callable[..., None] = app.clientside_callback
    add(in_browser("chosen"), Output("view", "data"), Input("chosen", "data"))
    add(in_browser("declared"), Output("painted", "data"), Input("panels", "data"))
    add(in_browser("pacing"), Output("tick", "interval"), Input("freshness", "data"))
