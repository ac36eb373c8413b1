"""`pipeline dashboard`; Dash and gunicorn are imported only then, so that the command line is quick."""

import click

from pipeline import settings as configuration


@click.command("dashboard")
@click.option("--host", help="Address to listen on; default: setting dashboard_host (this machine only).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0: a free one; default: setting dashboard_port.")
def dashboard(host: str | None, port: int | None) -> None:
    """Serve the live page; prints its URL."""
    from pipeline.dashboard.server import listen, serve, url

    settings = configuration.settings()
    listener = listen(
        settings.dashboard_host if host is None else host, settings.dashboard_port if port is None else port
    )
    click.echo(f"dashboard: {url(listener)}")
    serve(settings, listener)
