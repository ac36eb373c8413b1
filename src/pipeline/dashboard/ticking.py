"""What every live page has: views that viewers share, the tick that brings what changed, the clock in the browser.

A tick is gated by `running`: while one is under way the interval stands still, so that a slow answer slows the page
down instead of starving it. At the quickest pace the next tick comes just after the poller's next snapshot is due: a
page that asked at a time of its own would be late by up to a second more. The browser's clock (`assets/clock.js`)
shows the ages between ticks, notices a server that has gone away, and starts the tick again.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

from dash import ClientsideFunction, Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate

from pipeline.dashboard.snapshot import D, Freshness, Poller, Snapshot
from pipeline.shown import sentence
from pipeline.timebase import SECOND_MS

V = TypeVar("V")


class Key(NamedTuple):
    """What a view depends on. `epoch` tells this process's versions from an earlier one's."""

    epoch: str
    version: int
    moment: str
    choices: str
    scheme: str

    def follows(self, seen: "Key") -> bool:
        """Whether only data and time have moved since `seen`."""
        return (self.epoch, self.choices, self.scheme) == (seen.epoch, seen.choices, seen.scheme)


def key_of(seen: Sequence[Any] | None) -> Key | None:
    """The key that came back from the browser; anything else counts as none."""
    if not isinstance(seen, list) or [type(part) for part in seen] != list(Key.__annotations__.values()):
        return None
    return Key(*seen)


class Kept(Generic[V]):
    """Views that were built lately, `most` at a time, shared by all viewers; safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._views: OrderedDict[Key, V] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key, build: Callable[[], V]) -> V:
        """The view of this key, built where it is not known."""
        view = self.find(key)
        if view is None:
            view = build()
            with self._lock:
                self._views[key] = view
                while len(self._views) > self._most:
                    self._views.popitem(last=False)
        return view

    def find(self, key: Key) -> V | None:
        """A view built before, if it is still known."""
        with self._lock:
            return self._views.get(key)


def banner_text(state: str, error: str | None, has_data: bool) -> str:
    """What to say across the page, or ""."""
    if state != "unreachable":
        return ""
    shown = "The page shows the last good data." if has_data else "There are no data to show yet."
    return f"No new data from Pinot. {shown} {sentence(error or '')}".strip()


def standing(
    poller: Poller[D], snapshot: Snapshot[D], fresh: Freshness, now_ms: int, key: Key, seen: Key | None
) -> dict[str, Any]:
    """Values for the outputs that every page has: the banner, how fresh the page is, and what the browser has now."""
    banner = banner_text(fresh.state, snapshot.error, snapshot.data is not None)
    return {
        "banner": banner,
        "banner_class": "banner" if banner else "banner hidden",
        "freshness": {**asdict(fresh), "server_ms": now_ms, "due_in_ms": round(poller.due_in_s() * SECOND_MS)},
        "seen": list(key) if key != seen else no_update,
    }


def standing_outputs() -> dict[str, Any]:
    """The outputs that every page has, by name; and `panels`, what the browser paints by itself."""
    return {
        "panels": Output("panels", "data"),
        "banner": Output("banner", "children"),
        "banner_class": Output("banner", "className"),
        "freshness": Output("freshness", "data"),
        "seen": Output("seen", "data"),
    }


def register(app: Dash, outputs: Mapping[str, Any], answer: Callable[[Any, Any, str], dict[str, Any]]) -> None:
    """Add the tick, whose answer is (what the browser has, its view, its colour scheme) -> values, and the clock."""

    @app.callback(
        output=outputs,
        inputs={
            "tick": Input("tick", "n_intervals"),
            "view": Input("view", "data"),
            "scheme": Input("scheme", "data"),
        },
        state={"seen": State("seen", "data")},
        running=[(Output("tick", "disabled"), True, False)],
    )
    def tick(tick: int | None, view: Any, scheme: Any, seen: list[Any] | None) -> dict[str, Any]:
        if not isinstance(view, dict):  # the browser has not read its address yet
            raise PreventUpdate
        return answer(seen, view, scheme if isinstance(scheme, str) else "light")

    add: Callable[..., None] = app.clientside_callback
    add(in_browser("scheme"), Output("scheme", "data"), Input("clock", "n_intervals"), State("scheme", "data"))
    add(
        in_browser("chip"),
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
        in_browser("pause"),
        Output("paused", "data"),
        Output("tick", "max_intervals"),
        Output("pause", "children"),
        Input("pause", "n_clicks"),
        State("paused", "data"),
        prevent_initial_call=True,
    )


def in_browser(name: str) -> ClientsideFunction:
    """A function of the page's assets."""
    return ClientsideFunction("pipeline", name)
