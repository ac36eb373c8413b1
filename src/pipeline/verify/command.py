"""`pipeline verify`."""

import asyncio
import json
import sys

import click
from rich.console import Console
from rich.table import Table

from pipeline.options import app_option
from pipeline.settings import settings
from pipeline.timebase import to_datetime
from pipeline.verify.report import Report

WIDE = 160
SHOWN = 5


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--timeout", "timeout_s", default=120.0, show_default=True, help="Seconds to wait for the workers and Pinot."
)
@app_option
def verify(as_json: bool, timeout_s: float) -> None:
    """Recompute every output from the source topics and compare with the topics and with Pinot.

    The application's oracle.sql says in SQL what every output must hold; it shares nothing with the operators. Exits
    with 1 on any difference.
    """
    from pipeline.verify.run import verify as run

    report = asyncio.run(run(settings(), timeout_s))
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        show(report, Console(width=None if sys.stdout.isatty() else WIDE))  # in a file nothing need be folded
    sys.exit(0 if report.ok else 1)


def show(report: Report, console: Console) -> None:
    """The report for people: a table, and the first differences of each output."""
    table = Table(title="Recomputed from the source topics, in SQL")
    table.add_column("output", overflow="fold")
    has_pinot = any(o.pinot is not None for o in report.outputs.values())
    for name in ("expected", "topic", *(("Pinot",) if has_pinot else ()), "differences"):
        table.add_column(name, justify="right")
    for name, o in report.outputs.items():
        in_pinot = ("" if o.pinot is None else f"{o.pinot:,}",) if has_pinot else ()
        table.add_row(name, f"{o.expected:,}", f"{o.topic:,}", *in_pinot, f"{len(o.wrong):,}")
    console.print(table)
    console.print(f"{report.consumed:,} records consumed, {report.late:,} late, {report.dead_letters:,} dead letters")
    for name, o in report.outputs.items():
        if o.repeated:
            console.print(f"{o.repeated:,} rows of {name} are there more than once")
    for name, noted in report.noted.items():
        first = "" if noted.first_ms is None else f", the first of {to_datetime(noted.first_ms):%Y-%m-%d %H:%M:%S} UTC"
        console.print(f"{noted.rows:,} {name.replace('_', ' ')}: let pass{first}", highlight=False)
    for name, count in report.not_compared.items():
        console.print(f"[yellow]{count:,} of {name} not compared: retention has removed what they were made of")
    for name, o in report.outputs.items():
        for text in o.wrong[:SHOWN]:
            console.print(f"[red]{name} {text}", highlight=False)
    if report.letters_wrong:
        console.print(f"[red]{len(report.letters_wrong):,} dead letters missing or without cause")
    for text in report.letters_wrong[:SHOWN]:
        console.print(f"[red]{text}", highlight=False)
    console.print("[green]everything is equal" if report.ok else "[red]there are differences")
