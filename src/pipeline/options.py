"""Options that several commands have."""

from typing import Any

import click

from pipeline import settings as configuration


def _chosen(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        configuration.choose(value)


def app_option(command: Any) -> Any:
    """`--app`, which sets the application before the command reads its settings."""
    return click.option(
        "--app",
        metavar="NAME",
        is_eager=True,
        expose_value=False,
        callback=_chosen,
        help="The application: one of `pipeline apps`, or any module with an APPLICATION.  [default: flash_sales]",
    )(command)
