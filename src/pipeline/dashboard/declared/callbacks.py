"""Connects a declared page with its poller: one callback on the server, gated as flash sales' is, and small ones in the
browser (`assets/clock.js`, `assets/declared.js`).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate

from pipeline.dashboard.callbacks import banner_text, key_of
from pipeline.dashboard.declared.board import Board
from pipeline.dashboard.declared.choosing import Chosen
from pipeline.dashboard.declared.queries import name_of
from pipeline.dashboard.declared.views import Views, changed
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.patches import patch
from pipeline.dashboard.snapshot import Poller, freshness
from pipeline.declare.pages import Page
from pipeline.declare.panels import KPI, Grid
from pipeline.settings import Settings
from pipeline.timebase import SECOND_MS, now_ms


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
        banner = banner_text(fresh.state, snapshot.error, snapshot.data is not None)
        return {
            "panels": changed(old, new) or no_update,
            "figures": figures,
            "banner": banner,
            "banner_class": "banner" if banner else "banner hidden",
            "freshness": {
                **asdict(fresh),
                "server_ms": now,
                "due_in_ms": round(self._poller.due_in_s() * SECOND_MS),
            },
            "seen": list(key) if key != old_key else no_update,
        }


def outputs(page: Page) -> dict[str, Any]:
    """The tick's outputs by name."""
    return {
        "panels": Output("panels", "data"),
        "figures": {name: Output(f"figure-{name}", "figure") for name in graphs(page)},
        "banner": Output("banner", "children"),
        "banner_class": Output("banner", "className"),
        "freshness": Output("freshness", "data"),
        "seen": Output("seen", "data"),
    }


def register(app: Dash, page: Page, poller: Poller[Board], settings: Settings) -> None:
    """Add all callbacks to an application."""
    ticks = Ticks(page, poller, settings)

    @app.callback(
        output=outputs(page),
        inputs={
            "tick": Input("tick", "n_intervals"),
            "view": Input("view", "data"),
            "scheme": Input("scheme", "data"),
        },
        state={"seen": State("seen", "data")},
        running=[(Output("tick", "disabled"), True, False)],
    )
    def tick(tick: int | None, view: Any, scheme: str | None, seen: list[Any] | None) -> dict[str, Any]:
        if not isinstance(view, dict):  # the browser has not read its address yet
            raise PreventUpdate
        return ticks.answer(seen, view, scheme if isinstance(scheme, str) else "light")

    _register_browser(app)


def _register_browser(app: Dash) -> None:
    """Callbacks that run in the browser; the functions are in `assets/clock.js` and `assets/declared.js`."""
    add: Callable[..., None] = app.clientside_callback

    def function(name: str) -> ClientsideFunction:
        return ClientsideFunction("pipeline", name)

    add(function("scheme"), Output("scheme", "data"), Input("clock", "n_intervals"), State("scheme", "data"))
    add(
        function("chip"),
        Output("chip", "className"),
        Output("chip-state", "children"),
        Output("chip-event", "children"),
        Output("chip-refresh", "children"),
        Input("clock", "n_intervals"),
        Input("freshness", "data"),
        Input("paused", "data"),
        State("tick", "interval"),
    )
    add(
        function("pause"),
        Output("paused", "data"),
        Output("tick", "max_intervals"),
        Output("pause", "children"),
        Input("pause", "n_clicks"),
        State("paused", "data"),
        prevent_initial_call=True,
    )
    add(function("chosen"), Output("view", "data"), Input("chosen", "data"))
    add(function("declared"), Output("painted", "data"), Input("panels", "data"))
    add(function("pacing"), Output("tick", "interval"), Input("freshness", "data"))
