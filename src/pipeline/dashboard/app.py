"""Composition root of the dashboard: the Dash application over one poller, and its health endpoint."""

from pathlib import Path
from typing import Any

from dash import Dash
from flask import Flask, jsonify

from pipeline.dashboard.callbacks import refresh_limit_s, register
from pipeline.dashboard.guard import guard, only_known_callbacks, password
from pipeline.dashboard.health import Watch
from pipeline.dashboard.layout import DESCRIPTION, TITLE, index, layout
from pipeline.dashboard.pages import pages
from pipeline.dashboard.queries import PinotSource
from pipeline.dashboard.saved import Desk, load
from pipeline.dashboard.snapshot import Freshness, Poller, Snapshot, freshness
from pipeline.dashboard.styles import ALLOWED
from pipeline.dashboard.web import finish
from pipeline.serving.pinot import client
from pipeline.settings import Settings
from pipeline.timebase import now_ms

NO_TITLE_CHANGE: Any = None
ASSETS = Path(__file__).parent / "assets"


def new_poller(settings: Settings) -> Poller:
    """A poller of Pinot, not yet started."""
    return Poller(PinotSource(client(settings), settings.tumbling_size_ms), settings.refresh_s)


def create_app(settings: Settings, poller: Poller | None = None) -> Dash:
    """The application, ready for any WSGI server as `create_app(settings).server`.

    Nothing is asked of Pinot yet: the poller starts with the first request, in the process that serves it.
    """
    poller = poller or new_poller(settings)
    app = Dash(
        "pipeline.dashboard",
        assets_folder=str(ASSETS),
        serve_locally=True,
        title=TITLE,
        description=DESCRIPTION,
        url_base_pathname=settings.dashboard_base_path,
        update_title=NO_TITLE_CHANGE,
        index_string=index(settings.dashboard_base_path),
        assets_ignore=r"boot\.js|pages\.js|.*LICENSE.*",
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        add_log_handler=False,
        enable_mcp=False,
    )
    app.layout = layout(settings, settings.dashboard_base_path)
    register(app, poller, settings)
    guard(app.server, settings)
    only_known_callbacks(app.server, f"{settings.dashboard_base_path}_dash-update-component", app.callback_map)
    app.server.before_request(poller.start)
    _add_health(app.server, settings.dashboard_base_path, poller, refresh_limit_s(settings))
    watch = Watch(settings)
    desk = Desk(lambda sql: client(settings).query(sql))

    def fresh() -> Freshness:
        return freshness(poller.current, now_ms(), refresh_limit_s(settings), settings.stale_after_s)

    app.server.register_blueprint(pages(settings, watch, load(settings.pinot_dir), desk, fresh))
    finish(app.server, app.csp_hashes(), ALLOWED, private=bool(password(settings)))
    return app


def _add_health(server: Flask, prefix: str, poller: Poller, limit_s: float) -> None:
    def healthz() -> Any:
        body, status = health(poller.current, now_ms(), limit_s)
        return jsonify({**body, "refreshes": poller.refreshes}), status

    for number, path in enumerate(sorted({"/healthz", f"{prefix}healthz"})):
        server.add_url_rule(path, f"healthz{number}", healthz)


def health(snapshot: Snapshot, now_ms: int, limit_s: float) -> tuple[dict[str, Any], int]:
    """The health endpoint's body and HTTP status: 200 while the last good refresh is at most `limit_s` old."""
    age_s = freshness(snapshot, now_ms, limit_s, limit_s).refresh_age_s
    ok = age_s is not None and age_s <= limit_s
    return {"ok": ok, "snapshot_age_s": age_s, "version": snapshot.version}, 200 if ok else 503
