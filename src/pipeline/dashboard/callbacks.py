"""Connects flash sales' page with its poller: what a tick answers, and what its controls do in the browser."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dash import Dash, Input, Output, no_update

from pipeline.dashboard import ticking
from pipeline.dashboard.choices import Choices
from pipeline.dashboard.numbers import FIGURES, PANELS
from pipeline.dashboard.snapshot import Poller, freshness
from pipeline.dashboard.ticking import in_browser, key_of, standing, standing_outputs
from pipeline.dashboard.views import Update, Views, Windows, update
from pipeline.settings import Settings
from pipeline.timebase import now_ms


def refresh_limit_s(settings: Settings) -> float:
    """Without a good refresh for this long Pinot counts as unreachable."""
    return max(3.0, 3 * settings.refresh_s)


def outputs() -> dict[str, Any]:
    """The tick's outputs by name."""
    return {
        **standing_outputs(),
        "notes": {panel: Output(f"note-{panel}", "children") for panel in PANELS},
        "figures": {panel: Output(f"figure-{panel}", "figure") for panel in FIGURES},
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
        answer = standing(self._poller, snapshot, fresh, now, key, old_key)
        answer["freshness"]["newest_ms"] = dict(snapshot.data.newest_ms) if snapshot.data is not None else {}
        return answer | {
            "panels": _panels(change),
            "notes": _fill(PANELS, change.notes),
            "figures": _fill(FIGURES, change.figures),
        }


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

    def answer(seen: Sequence[Any] | None, view: dict[str, Any], scheme: str) -> dict[str, Any]:
        choices = Choices.of(view, currency=settings.dashboard_currency, zone=settings.dashboard_timezone)
        return ticks.answer(seen, choices, scheme)

    ticking.register(app, outputs(), answer)
    add: Callable[..., None] = app.clientside_callback
    controls = [(name, "data") for name in ("period", "first_day", "last_day", "groups", "regions", "zone", "format")]
    add(in_browser("view"), Output("view", "data"), *(Input(name, prop) for name, prop in controls))
    add(
        in_browser("clear"),
        *(Output(name, prop) for name, prop in controls[:5]),
        Input("clear", "n_clicks"),
        prevent_initial_call=True,
    )
    add(in_browser("panels"), Output("painted", "data"), Input("panels", "data"), Input("freshness", "data"))
    add(in_browser("pace"), Output("tick", "interval"), Input("pace", "data"), Input("freshness", "data"))
