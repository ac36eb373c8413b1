"""Options that several commands have."""

from typing import Any

import click

from pipeline import settings as configuration
from pipeline.errors import SettingError


def _chosen(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        configuration.choose(value)


def only_flash_sales(command: str, settings: configuration.Settings | None = None) -> None:
    """Raise SettingError when another application is set: the command does nothing for it yet."""
    app = (settings or configuration.settings()).app
    if app != configuration.FLASH_SALES:
        raise SettingError(f"setting app is {app!r}, but `pipeline {command}` is there for flash_sales only so far")


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
