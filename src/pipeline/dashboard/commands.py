"""`pipeline dashboard`; Dash and gunicorn are imported only then, so that the command line is quick."""

import click

from pipeline import settings as configuration
from pipeline.errors import SettingError
from pipeline.options import app_option


@click.command("dashboard")
@app_option
@click.option("--host", help="Address to listen on; default: setting dashboard_host (this machine only).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0: a free one; default: setting dashboard_port.")
def dashboard(host: str | None, port: int | None) -> None:
    """Serve the live page; prints its URL."""
    from pipeline.applications.loading import runnable
    from pipeline.dashboard.guard import password
    from pipeline.dashboard.server import certificate, listen, serve, url, warning

    settings = configuration.settings()
    if not runnable(settings).hooks.page:
        raise SettingError(
            f"application {settings.app} has no page, but `pipeline dashboard` serves the page of one that has: "
            f"flash_sales; `pipeline demo --app {settings.app}` shows rows as they come"
        )
    shown = certificate(settings)
    password(settings)
    listener = listen(
        settings.dashboard_host if host is None else host, settings.dashboard_port if port is None else port
    )
    if told := warning(settings, listener, shown is not None):
        click.secho(f"warning: {told}", fg="yellow", err=True)
    click.echo(f"dashboard: {url(listener, 'https' if shown else 'http')}")
    serve(settings, listener, shown)
