"""The Dash application of a declared page."""

from dash import Dash

from pipeline.applications.loading import described, source_file
from pipeline.dashboard.declared.board import Board, PageSource
from pipeline.dashboard.declared.callbacks import limit_s, register, stale_s
from pipeline.dashboard.declared.kpis import total
from pipeline.dashboard.declared.layout import layout
from pipeline.dashboard.declared.queries import name_of, queries
from pipeline.dashboard.saved import Query, load
from pipeline.dashboard.shell import finished, new_dash
from pipeline.dashboard.snapshot import Poller
from pipeline.declare.application import Application
from pipeline.declare.pages import Page
from pipeline.declare.panels import KPI
from pipeline.serving.pinot import client
from pipeline.serving.tables import overrides_folder
from pipeline.settings import Settings


def new_poller(settings: Settings, application: Application, page: Page) -> Poller[Board]:
    """A poller of Pinot for a page, not yet started."""
    watched = {name_of(n): total for n, p in enumerate(page.panels) if isinstance(p, KPI) and p.trend is None}
    return Poller(PageSource(client(settings), queries(application, page), watched), page.refresh_s)


def create_app(
    settings: Settings, application: Application, page: Page, poller: Poller[Board] | None = None, *, home: str = ""
) -> Dash:
    """The application, ready for any WSGI server; `home` is the address of the index of several pages."""
    found = poller or new_poller(settings, application, page)
    app = new_dash(settings, page.title, described(settings.app, settings.app_dir), r"(controls|panels)\.js")
    app.layout = layout(page, settings.dashboard_base_path, home)
    register(app, page, found, settings)
    return finished(
        app,
        settings,
        found,
        saved(settings),
        limit_s=limit_s(page),
        stale_s=stale_s(page, settings),
        home=home,
        rows=lambda: None if found.current.data is None else found.current.data.rows,
    )


def saved(settings: Settings) -> dict[str, Query]:
    """The saved queries in the application's own folder."""
    return load(overrides_folder(source_file(settings.app, settings.app_dir)))
