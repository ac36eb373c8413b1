"""The pages of applications: which page an application has, and several behind one address with an index."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from dash import Dash
from flask import Flask, abort, redirect, render_template, request

from pipeline.applications.loading import Runnable, described, require_page, runnable
from pipeline.dashboard.guard import guard
from pipeline.dashboard.health import AMBER, Watch, lights, worst
from pipeline.dashboard.shell import ASSETS, EXTENSION, Hosted
from pipeline.dashboard.snapshot import Freshness
from pipeline.dashboard.styles import ALLOWED
from pipeline.dashboard.theme import css
from pipeline.dashboard.web import as_text, finish
from pipeline.declare.pages import CodePage
from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.web_login import password

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
STATES = {"live": "Live", "stale": "Stale", "unreachable": "Pinot unreachable", "starting": "Waiting for data"}


def page_of(settings: Settings, *, home: str = "") -> Dash:
    """The page of the application that is set; raises SettingError where it has none, or its code is not there."""
    application = require_page(settings)
    page = application.page
    assert page is not None
    if isinstance(page, CodePage):
        return _of_code(settings, page, home)
    from pipeline.dashboard.declared.app import create_app

    return create_app(settings, application, page, home=home)


def _of_code(settings: Settings, page: CodePage, home: str) -> Dash:
    module, _, name = page.function.partition(":")
    try:
        make = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingError(f"application {settings.app}: its page is {page.function!r}, but {error}") from None
    made = make(settings, home=home)
    if not isinstance(made, Dash):
        raise SettingError(
            f"application {settings.app}: {page.function} gives {made!r}, but must give a Dash application"
        )
    return made


def hosted(app: Flask) -> Hosted | None:
    """What is known of a page that is served; None of one that is code of its own."""
    found = app.extensions.get(EXTENSION)
    return found if isinstance(found, Hosted) else None


def start(app: Flask) -> None:
    """Start to ask Pinot, in the process that serves."""
    if (found := hosted(app)) is not None:
        found.start()


@dataclass(frozen=True, slots=True)
class Listed:
    """An application of the index: `server` is None where it has no page."""

    settings: Settings
    found: Runnable
    server: Flask | None
    watch: Watch


class Several:
    """The pages of several applications below /<name>/, and an index at /; a WSGI application.

    Each page is a Flask application of its own, with the base path that it has here: nothing of one is seen by another.
    """

    def __init__(self, settings: Settings, applications: Sequence[Settings]) -> None:
        base = settings.dashboard_base_path
        self._servers: dict[str, Flask] = {}
        listed = []
        for one in applications:
            own = one.replaced(dashboard_base_path=f"{base}{one.app}/")
            found = runnable(own)
            server = page_of(own, home=base).server if found.hooks.page else None
            known = None if server is None else hosted(server)
            listed.append(Listed(own, found, server, Watch(own) if known is None else known.watch))
            if server is not None:
                self._servers[own.dashboard_base_path] = server
        self._index = index(settings, listed)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", ""))
        server = next((one for prefix, one in self._servers.items() if path.startswith(prefix)), self._index)
        return server(environ, start_response)

    def start(self) -> None:
        """Start to ask Pinot for every page."""
        for server in self._servers.values():
            start(server)

    def stop(self) -> None:
        """Ask no more; a later request would start again."""
        for server in self._servers.values():
            if (found := hosted(server)) is not None:
                found.stop()


def index(settings: Settings, listed: Sequence[Listed]) -> Flask:
    """The index: a line for each application, renewed by itself, and /healthz, which is well when every page is."""
    base = settings.dashboard_base_path
    server = Flask("pipeline.dashboard", static_folder=str(ASSETS), static_url_path=f"{base}assets")
    server.jinja_env.finalize = as_text
    guard(server, settings)

    @server.get(base)
    def applications() -> str:
        return render_template(
            "index.html",
            prefix=base,
            theme_css=css(),
            name="Applications",
            home="",
            page="index",
            applications=[_line(one) for one in listed],
        )

    @server.get(f"{base}<name>")
    def without_slash(name: str) -> Any:
        """A page's address as people write it."""
        if name not in {one.settings.app for one in listed if one.server is not None}:
            abort(404)
        query = f"?{request.query_string.decode()}" if request.query_string else ""
        return redirect(f"{base}{name}/{query}", 308)

    def healthz() -> tuple[dict[str, Any], int]:
        states = {one.settings.app: _fresh(one) for one in listed if one.server is not None}
        known = {name: None if fresh is None else fresh.state for name, fresh in states.items()}
        ok = all(state in (None, "live", "stale") or _answered(states[name]) for name, state in known.items())
        return {"ok": ok, "pages": known}, 200 if ok else 503

    for number, path in enumerate(sorted({"/healthz", f"{base}healthz"})):
        server.add_url_rule(path, f"healthz{number}", healthz)
    finish(server, (), ALLOWED, private=bool(password(settings, "dashboard_auth")))
    return server


def _fresh(one: Listed) -> Freshness | None:
    known = None if one.server is None else hosted(one.server)
    return None if known is None else known.fresh()


def _answered(fresh: Freshness | None) -> bool:
    """Whether Pinot answers, though there is no event yet."""
    return fresh is not None and fresh.state == "starting" and fresh.refresh_age_s is not None


def _line(one: Listed) -> dict[str, Any]:
    """What the index tells of an application."""
    known = None if one.server is None else hosted(one.server)
    fresh = None if known is None else known.fresh()
    report = one.watch.current()
    group = None if report is None else report.status.groups.get(one.settings.app_id)
    rows = None if known is None else known.rows()
    if rows is None and report is not None and report.status.pinot:
        rows = sum(table.rows or 0 for table in report.status.pinot.values())
    found = [] if report is None else lights(report, one.settings, fresh or Freshness("starting"))
    if fresh is None:
        found = [light for light in found if light.part != "Dashboard"]
    return {
        "name": one.settings.app,
        "title": one.settings.app if known is None else known.title,
        "about": described(one.settings.app, one.settings.app_dir),
        "link": one.settings.dashboard_base_path if one.server is not None else "",
        "state": "" if fresh is None else fresh.state,
        "told": "" if fresh is None else STATES[fresh.state],
        "age_s": None if fresh is None else fresh.event_age_s,
        "rows": rows,
        "lag": None if group is None else group.lag,
        "worst": "" if report is None else worst(found),
        "reasons": [f"{light.part}: {light.reason}" for light in found if light.state in (AMBER, "red")],
    }
