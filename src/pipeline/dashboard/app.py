"""Flash sales' page, which is code: its Dash application over one poller."""

from dash import Dash

from pipeline.dashboard.callbacks import refresh_limit_s, register
from pipeline.dashboard.layout import DESCRIPTION, TITLE, layout
from pipeline.dashboard.queries import PinotSource
from pipeline.dashboard.saved import load
from pipeline.dashboard.shell import ASSETS, finished, health, new_dash
from pipeline.dashboard.snapshot import Poller
from pipeline.serving.pinot import client
from pipeline.settings import Settings

__all__ = ["ASSETS", "create_app", "health", "new_poller"]


def new_poller(settings: Settings) -> Poller:
    """A poller of Pinot, not yet started."""
    return Poller(PinotSource(client(settings), settings.tumbling_size_ms), settings.refresh_s)


def create_app(settings: Settings, poller: Poller | None = None, *, home: str = "") -> Dash:
    """The application, ready for any WSGI server as `create_app(settings).server`.

    Nothing is asked of Pinot yet: the poller starts with the first request, in the process that serves it. `home` is
    the address of the index of several pages, "" without one.
    """
    poller = poller or new_poller(settings)
    app = new_dash(settings, TITLE, DESCRIPTION, r"declared\..*")
    app.layout = layout(settings, settings.dashboard_base_path, home)
    register(app, poller, settings)
    return finished(
        app,
        settings,
        poller,
        load(settings.pinot_dir),
        limit_s=refresh_limit_s(settings),
        stale_s=settings.stale_after_s,
        home=home,
    )
