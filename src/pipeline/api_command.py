"""`pipeline api`; what serves it is imported only then, so that the command line is quick."""

import asyncio
import logging

import click

from pipeline import settings as configuration


@click.command("api")
@click.option("--app", "name", metavar="NAME", help="The application.  [default: flash_sales]")
@click.option("--host", help="Address to listen on; default: setting api_host (this machine only).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0: a free one; default: setting api_port.")
def api(name: str | None, host: str | None, port: int | None) -> None:
    """Answer over HTTP what the workers of an application keep; prints its URL.

    Every aggregate that is not EMIT FINAL is a table: GET /tables lists them, /tables/NAME has its rows by group and by
    window, /tables/NAME/changes tells changes as they come (server-sent events); /openapi.json describes it all. An
    answer holds everything that was committed before the request came, whichever workers run; ?stale_ms=N takes an
    older one.
    """
    from pipeline.api.server import create_app, serve
    from pipeline.applications.loading import runnable
    from pipeline.kafka import describe_topics
    from pipeline.web import Certificate
    from pipeline.web_listening import listen, url
    from pipeline.web_login import password

    if name is not None:
        configuration.choose(name)
    settings = configuration.settings()
    password(settings, "api_auth")
    certificate = None
    if settings.api_ssl_certfile is not None:
        certificate = Certificate("api_ssl", settings.api_ssl_certfile, settings.api_ssl_keyfile)
    made = create_app(settings, runnable(settings))
    asyncio.run(describe_topics(settings, ()))  # one sentence where no broker answers
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it says each second, the copy tells once
    listener = listen(settings.api_host if host is None else host, settings.api_port if port is None else port, "api")
    click.echo(f"api: {url(listener, 'http' if certificate is None else 'https')}")
    serve(made, listener, certificate)
