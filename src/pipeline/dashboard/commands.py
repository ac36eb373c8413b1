"""`pipeline dashboard`; Dash and gunicorn are imported only then, so that the command line is quick."""

import click

from pipeline import settings as configuration


@click.command("dashboard")
@click.option(
    "--app",
    "names",
    metavar="NAME[,NAME...]",
    help="The application, or several, comma separated: each below /NAME/, and an index at /.  [default: flash_sales]",
)
@click.option("--host", help="Address to listen on; default: setting dashboard_host (this machine only).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0: a free one; default: setting dashboard_port.")
def dashboard(names: str | None, host: str | None, port: int | None) -> None:
    """Serve the live page, or those of several applications; prints its URL."""
    from pipeline.applications.loading import require_page, several
    from pipeline.dashboard.server import certificate, serve, warning
    from pipeline.web_listening import listen, url
    from pipeline.web_login import password

    applications = several(configuration.settings(), names)
    settings = applications[0]
    if len(applications) == 1:
        require_page(settings)
    shown = certificate(settings)
    password(settings, "dashboard_auth")
    listener = listen(
        settings.dashboard_host if host is None else host, settings.dashboard_port if port is None else port
    )
    if told := warning(settings, listener, shown is not None):
        click.secho(f"warning: {told}", fg="yellow", err=True)
    click.echo(f"dashboard: {url(listener, 'https' if shown else 'http')}")
    serve(settings, listener, shown, applications if len(applications) > 1 else ())
