"""`pipeline status`: the collected state as tables for people, or as one JSON object for programs."""

import asyncio
import json
import logging
import sys
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline import settings as configuration
from pipeline.options import app_option
from pipeline.shown import quiet, sentence, without_secrets
from pipeline.status import CarriedTable, Letters, PollerStatus, Status, collect
from pipeline.timebase import format_ms, now_ms

BULK = "bulk"

PLAIN_WIDTH = 120
"""Columns of the output where it goes to a file or a pipe."""


def as_json(status: Status) -> dict[str, Any]:
    """The object that `--json` prints; times are epoch milliseconds."""
    return {
        "ok": status.ok,
        "application": status.application,
        "problems": {part: without_secrets(problem) for part, problem in status.problems.items()},
        "brokers": [asdict(broker) for broker in status.brokers],
        "topics": {name: asdict(topic) for name, topic in status.topics.items()},
        "groups": {name: asdict(group) for name, group in status.groups.items()},
        "schemas": {name: asdict(subject) for name, subject in status.schemas.items()},
        "pinot": {name: table.rows for name, table in status.pinot.items()},
        "pinot_fresh_ms": {name: table.fresh_ms for name, table in status.pinot.items()},
        "dead_letters": asdict(status.dead_letters),
        "late_records": asdict(status.late_records),
        "poller": None if status.poller is None else asdict(status.poller),
        "tables": {name: asdict(table) for name, table in status.tables.items()},
    }


class Rows(Table):
    """A table whose cells are texts as they are: nothing in them is markup of Rich's, or acts on the terminal."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row."""
        super().add_row(*(Text(sentence(cell)) if isinstance(cell, str) else cell for cell in cells), **options)


def table_of(title: str | None, *columns: str) -> Table:
    """A table whose columns after the first are numbers where their name starts with '#'."""
    table = Rows(title=title, title_justify="left", title_style="bold", expand=False)
    for column in columns:
        number = column.startswith("#")
        table.add_column(column.lstrip("#"), justify="right" if number else "left", no_wrap=number, overflow="fold")
    return table


def console() -> Console:
    """Where tables go: as wide as the terminal, or PLAIN_WIDTH."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def brokers_table(status: Status) -> Table:
    """Brokers; the active controller is marked."""
    table = table_of("Brokers", "#id", "address", "controller")
    for broker in status.brokers:
        table.add_row(str(broker.id), f"{broker.host}:{broker.port}", "yes" if broker.controller else "")
    return table


def topics_table(status: Status) -> Table:
    """Topics; `behind` counts partitions with a replica out of sync."""
    table = table_of("Topics", "topic", "#parts", "#replicas", "#in sync", "#behind", "#messages")
    for name, topic in status.topics.items():
        behind = Text(str(topic.under_replicated), style="bold red" if topic.under_replicated else "")
        numbers = (topic.partitions, topic.replicas, topic.in_sync)
        table.add_row(name, *map(str, numbers), behind, f"{topic.messages:,}")
    return table


def groups_table(status: Status) -> Table:
    """Consumer groups, a line for each topic."""
    table = table_of("Consumer groups", "group", "topic", "#lag (records)")
    for name, group in status.groups.items():
        table.add_row(name, "(nothing committed yet)" if not group.topics else "all", f"{group.lag:,}")
        for topic, lag in group.topics.items():
            table.add_row("", topic, f"{lag:,}")
    return table


def schemas_table(status: Status) -> Table:
    """Registered subjects."""
    table = table_of("Schemas", "subject", "#version", "#id", "compatibility")
    for name, subject in status.schemas.items():
        table.add_row(name, str(subject.version), str(subject.id), subject.compatibility)
    return table


def pinot_tables(status: Status) -> Table:
    """Pinot tables; the age is that of the last data in the partition that has waited longest."""
    table = table_of("Pinot", "table", "#rows", "#last data (s ago)")
    for name, found in status.pinot.items():
        age = "" if found.fresh_ms is None else f"{max(0, now_ms() - found.fresh_ms) / 1000:.1f}"
        table.add_row(name, "?" if found.rows is None else f"{found.rows:,}", age)
    return table


def letters_table(title: str, letters: Letters) -> Table:
    """The latest letters of a kind."""
    table = table_of(f"{title}: {letters.count}", "topic", "#partition", "#offset", "reason")
    for letter in letters.latest:
        table.add_row(letter.topic, str(letter.partition), str(letter.offset), letter.reason)
    return table


def show(status: Status, console: Console) -> None:
    """Print everything that is known, then what is wrong: parts with the same trouble share a line."""
    for rows, table in (
        (status.brokers, brokers_table),
        (status.topics, topics_table),
        (status.groups, groups_table),
        (status.schemas, schemas_table),
        (status.pinot, pinot_tables),
    ):
        if rows:
            console.print(table(status))
    for part, title, letters in (
        ("dead_letters", "Dead letters", status.dead_letters),
        ("late_records", "Late records", status.late_records),
    ):
        if part not in status.problems:
            console.print(letters_table(title, letters) if letters.count else f"{title}: none")
    if status.has_poller and "poller" not in status.problems:
        for line in poller_lines(status):
            console.print(Text(sentence(line)))
    parts_of: dict[str, list[str]] = {}
    for part, problem in status.problems.items():
        parts_of.setdefault(problem, []).append(part)
    for problem, parts in parts_of.items():
        console.print(Text(f"{', '.join(parts)}: {sentence(problem)}", style="bold red"))
    if status.ok:
        console.print(Text("everything is up", style="green"))


def poller_lines(status: Status) -> list[str]:
    """Where the poller is with each table; those that are read whole are one line."""
    lines = [f"Poller: {_position(name, table)}" for name, table in status.tables.items() if table.mode != BULK]
    whole = [name.replace("_", " ") for name, table in status.tables.items() if table.mode == BULK]
    if whole:
        lines.append(f"Poller: {', '.join(whole)}: read whole, again and again")
    return lines or ["Poller: no position yet"]


def _position(name: str, table: CarriedTable) -> str:
    called = name.replace("_", " ")
    if table.written_ms is None:
        return f"{called}: no position yet"
    if table.incrementing is not None:
        return _incrementing(called, table.column, table.incrementing)
    to = "nothing sent yet" if table.last_ms is None else f"sent up to {table.column} {format_ms(table.last_ms)} UTC"
    return f"{called} {to}, written {format_ms(table.written_ms)} UTC"


def _incrementing(called: str, column: str, poller: PollerStatus) -> str:
    lost = (
        f"; {poller.given_up} not looked for any more (the latest: {poller.given_up_latest}; `pipeline poll --again "
        "FROM..TO` looks once more)"
        if poller.given_up
        else ""
    )
    return (
        f"{called} sent up to {column} {poller.last_id}, {poller.missing} ids below it not seen yet{lost}, "
        f"written {format_ms(poller.at_ms)} UTC"
    )


@click.command("status")
@app_option
@click.option("--json", "json_output", is_flag=True, help="Print one JSON object.")
def command(json_output: bool) -> None:
    """Show brokers, topics, groups and lag, schemas, Pinot tables, letters; exit 1 when something is wrong.

    Topics, groups, schemas and letters are those of the application; what it has not is left out.
    """
    with quiet(logging.CRITICAL, "aiokafka"):  # what is down is reported as a sentence
        status = asyncio.run(collect(configuration.settings()))
    if json_output:
        click.echo(json.dumps(as_json(status), indent=2))
    else:
        show(status, console())
    if not status.ok:
        sys.exit(1)
