"""What every page of the dashboard has around it: a Dash application over one poller, guarded, with its health.

`Hosted` is what the server and the index know of a page that is served.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dash import Dash
from flask import Flask, jsonify

from pipeline.dashboard.guard import guard, only_known_callbacks
from pipeline.dashboard.health import Watch
from pipeline.dashboard.layout import index
from pipeline.dashboard.pages import pages
from pipeline.dashboard.saved import Desk, Query
from pipeline.dashboard.snapshot import D, Freshness, Poller, Snapshot, freshness
from pipeline.dashboard.styles import ALLOWED
from pipeline.dashboard.topics import topic_pages
from pipeline.dashboard.web import finish
from pipeline.serving.pinot import client
from pipeline.settings import Settings
from pipeline.timebase import now_ms
from pipeline.web_login import password

NO_TITLE_CHANGE: Any = None
ASSETS = Path(__file__).parent / "assets"
NOT_LOADED = r"boot\.js|pages\.js|.*LICENSE.*"
EXTENSION = "pipeline"


@dataclass(frozen=True, slots=True)
class Hosted:
    """A page that is served: its poller's `start` and `stop`, how `fresh` it is, its `watch`, its `rows` in Pinot."""

    title: str
    start: Callable[[], None]
    stop: Callable[[], None]
    fresh: Callable[[], Freshness]
    watch: Watch
    rows: Callable[[], int | None]


def new_dash(settings: Settings, title: str, description: str, not_loaded: str) -> Dash:
    """A Dash application below the base path, with the assets but those that `not_loaded`, a pattern, names."""
    return Dash(
        "pipeline.dashboard",
        assets_folder=str(ASSETS),
        serve_locally=True,
        title=title,
        description=description,
        url_base_pathname=settings.dashboard_base_path,
        update_title=NO_TITLE_CHANGE,
        index_string=index(settings.dashboard_base_path),
        assets_ignore=f"{NOT_LOADED}|{not_loaded}",
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        add_log_handler=False,
        enable_mcp=False,
    )


def finished(
    app: Dash,
    settings: Settings,
    poller: Poller[D],
    queries: Mapping[str, Query],
    *,
    limit_s: float,
    stale_s: float,
    home: str = "",
    rows: Callable[[], int | None] = lambda: None,
) -> Dash:
    """The application with its layout and callbacks, guarded, with health and saved queries beside it.

    `limit_s`: without a good refresh for so long Pinot counts as unreachable; `stale_s` as of `freshness`. `home` is
    the address of the index, "" without one. Nothing is asked of Pinot yet: the poller starts with the first request,
    in the process that serves it.
    """
    guard(app.server, settings)
    only_known_callbacks(app.server, f"{settings.dashboard_base_path}_dash-update-component", app.callback_map)
    app.server.before_request(poller.start)
    _add_health(app.server, settings.dashboard_base_path, poller, limit_s)
    watch = Watch(settings)
    desk = Desk(lambda sql: client(settings).query(sql))

    def fresh() -> Freshness:
        return freshness(poller.current, now_ms(), limit_s, stale_s)

    app.server.register_blueprint(pages(settings, watch, queries, desk, fresh, title=app.title, home=home))
    app.server.register_blueprint(topic_pages(settings, title=app.title, home=home))
    finish(app.server, app.csp_hashes(), ALLOWED, private=bool(password(settings, "dashboard_auth")))
    app.server.extensions[EXTENSION] = Hosted(app.title, poller.start, poller.stop, fresh, watch, rows)
    return app


def _add_health(server: Flask, prefix: str, poller: Poller[D], limit_s: float) -> None:
    def healthz() -> Any:
        body, status = health(poller.current, now_ms(), limit_s)
        return jsonify({**body, "refreshes": poller.refreshes}), status

    for number, path in enumerate(sorted({"/healthz", f"{prefix}healthz"})):
        server.add_url_rule(path, f"healthz{number}", healthz)


def health(snapshot: Snapshot[D], now_ms: int, limit_s: float) -> tuple[dict[str, Any], int]:
    """The health endpoint's body and HTTP status: 200 while the last good refresh is at most `limit_s` old."""
    age_s = freshness(snapshot, now_ms, limit_s, limit_s).refresh_age_s
    ok = age_s is not None and age_s <= limit_s
    return {"ok": ok, "snapshot_age_s": age_s, "version": snapshot.version}, 200 if ok else 503
