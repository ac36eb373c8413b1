"""Connects the page with the poller: one gated callback on the server, and a few small ones in the browser.

A tick is gated by `running`: while one is under way the interval stands still, so that a slow answer slows the page
down instead of starving it. At the quickest pace the next tick comes just after the poller's next snapshot is due: a
page that asked at a time of its own would be late by up to a second more. The browser's clock (`assets/clock.js`)
shows the ages between ticks, notices a server that has gone away, and starts the tick again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate

from pipeline.dashboard.choices import Choices
from pipeline.dashboard.numbers import FIGURES, PANELS
from pipeline.dashboard.snapshot import Poller, freshness
from pipeline.dashboard.views import Key, Update, Views, Windows, update
from pipeline.settings import Settings
from pipeline.shown import sentence
from pipeline.timebase import SECOND_MS, now_ms


def refresh_limit_s(settings: Settings) -> float:
    """Without a good refresh for this long Pinot counts as unreachable."""
    return max(3.0, 3 * settings.refresh_s)


def outputs() -> dict[str, Any]:
    """The tick's outputs by name."""
    return {
        "panels": Output("panels", "data"),
        "notes": {panel: Output(f"note-{panel}", "children") for panel in PANELS},
        "figures": {panel: Output(f"figure-{panel}", "figure") for panel in FIGURES},
        "banner": Output("banner", "children"),
        "banner_class": Output("banner", "className"),
        "freshness": Output("freshness", "data"),
        "seen": Output("seen", "data"),
    }


class Ticks:
    """Answers ticks; plain values in and out, so that it can be tested without a browser."""

    def __init__(self, poller: Poller, settings: Settings, clock_ms: Callable[[], int] = now_ms) -> None:
        self._poller = poller
        self._settings = settings
        self._clock_ms = clock_ms
        self._views = Views(
            poller.epoch, Windows(settings.tumbling_size_ms, settings.hopping_size_ms, settings.session_gap_ms)
        )

    def answer(self, seen: Sequence[Any] | None, choices: Choices, scheme: str) -> dict[str, Any]:
        """Values for `outputs()`. `seen` is the key that the browser got with the last answer, None at first."""
        snapshot, now = self._poller.current, self._clock_ms()
        key, new = self._views.get(snapshot, choices, scheme, now)
        old_key = key_of(seen)
        old = self._views.find(old_key) if old_key is not None else None
        change = update(old, new, whole_figures=old_key is None or not key.follows(old_key))
        fresh = freshness(snapshot, now, refresh_limit_s(self._settings), self._settings.stale_after_s)
        banner = banner_text(fresh.state, snapshot.error, snapshot.data is not None)
        return {
            "panels": _panels(change),
            "notes": _fill(PANELS, change.notes),
            "figures": _fill(FIGURES, change.figures),
            "banner": banner,
            "banner_class": "banner" if banner else "banner hidden",
            "freshness": {
                **asdict(fresh),
                "server_ms": now,
                "due_in_ms": round(self._poller.due_in_s() * SECOND_MS),
                "newest_ms": dict(snapshot.data.newest_ms) if snapshot.data is not None else {},
            },
            "seen": list(key) if key != old_key else no_update,
        }


def banner_text(state: str, error: str | None, has_data: bool) -> str:
    """What to say across the page, or ""."""
    if state != "unreachable":
        return ""
    shown = "The page shows the last good data." if has_data else "There are no data to show yet."
    return f"No new data from Pinot. {shown} {sentence(error or '')}".strip()


def key_of(seen: Sequence[Any] | None) -> Key | None:
    """The key that came back from the browser; anything else counts as none."""
    if not isinstance(seen, list) or [type(part) for part in seen] != list(Key.__annotations__.values()):
        return None
    return Key(*seen)


def _panels(change: Update) -> Any:
    """What the browser paints by itself (`assets/panels.js`): only what changed."""
    found = {
        "kpis": change.kpis or None,
        "latest": change.latest,
        "groups": change.groups,
        "regions": change.regions,
        "doubts": change.doubts,
    }
    return {name: value for name, value in found.items() if value is not None} or no_update


def _fill(panels: Sequence[str], changed: Mapping[str, Any]) -> dict[str, Any]:
    return {panel: changed.get(panel, no_update) for panel in panels}


def register(app: Dash, poller: Poller, settings: Settings) -> None:
    """Add all callbacks to an application."""
    ticks = Ticks(poller, settings)

    @app.callback(
        output=outputs(),
        inputs={
            "tick": Input("tick", "n_intervals"),
            "view": Input("view", "data"),
            "scheme": Input("scheme", "data"),
        },
        state={"seen": State("seen", "data")},
        running=[(Output("tick", "disabled"), True, False)],
    )
    def tick(
        tick: int | None,
        view: dict[str, Any] | None,
        scheme: str | None,
        seen: list[Any] | None,
    ) -> dict[str, Any]:
        if not isinstance(view, dict):  # the browser has not read its address yet
            raise PreventUpdate
        choices = Choices.of(view, currency=settings.dashboard_currency, zone=settings.dashboard_timezone)
        return ticks.answer(seen, choices, scheme if isinstance(scheme, str) else "light")

    _register_browser(app)


def _register_browser(app: Dash) -> None:
    """Callbacks that run in the browser; the functions are in `assets/clock.js`."""
    add: Callable[..., None] = app.clientside_callback
    add(
        ClientsideFunction("pipeline", "scheme"),
        Output("scheme", "data"),
        Input("clock", "n_intervals"),
        State("scheme", "data"),
    )
    add(
        ClientsideFunction("pipeline", "chip"),
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
        ClientsideFunction("pipeline", "pause"),
        Output("paused", "data"),
        Output("tick", "max_intervals"),
        Output("pause", "children"),
        Input("pause", "n_clicks"),
        State("paused", "data"),
        prevent_initial_call=True,
    )
    controls = [(name, "data") for name in ("period", "first_day", "last_day", "groups", "regions", "zone", "format")]
    add(
        ClientsideFunction("pipeline", "view"),
        Output("view", "data"),
        *(Input(name, prop) for name, prop in controls),
    )
    add(
        ClientsideFunction("pipeline", "clear"),
        *(Output(name, prop) for name, prop in controls[:5]),
        Input("clear", "n_clicks"),
        prevent_initial_call=True,
    )
    add(
        ClientsideFunction("pipeline", "panels"),
        Output("painted", "data"),
        Input("panels", "data"),
        Input("freshness", "data"),
    )
    add(
        ClientsideFunction("pipeline", "pace"),
        Output("tick", "interval"),
        Input("pace", "data"),
        Input("freshness", "data"),
    )
