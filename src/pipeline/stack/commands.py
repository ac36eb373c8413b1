"""`pipeline stack up | down | rotate | status`."""

import json
import time

import click
from rich.console import Console

from pipeline.settings import settings
from pipeline.stack.cluster import Stack
from pipeline.stack.interrupts import terminated_like_interrupted
from pipeline.stack.parts import PARTS
from pipeline.stack.say import say
from pipeline.stack.view import status_table


@click.group()
def stack() -> None:
    """The local cluster: Kafka, schema registry, MariaDB and Pinot, without Docker and without root."""


@stack.command()
@click.option("--fresh", is_flag=True, help="Wipe the state of the data folder first.")
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(PARTS),
    help="Do not start this part, since a setting points at one of yours; may be given more than once.",
)
@click.option("--secure", is_flag=True, help="Encrypt every connection, and ask everybody who they are.")
def up(fresh: bool, without: tuple[str, ...], secure: bool) -> None:
    """Start the cluster and leave it running; fetches its files the first time."""
    console = Console()
    began = time.monotonic()
    cluster = Stack(settings(), without, secure=secure)
    with terminated_like_interrupted():
        endpoints = cluster.up(fresh=fresh, console=console)
    for name, value in endpoints.items():
        say(console, f"  {name:<26} {value}")
    say(console, f"up after {time.monotonic() - began:.1f} s; `pipeline stack down` stops it")


@stack.command()
def down() -> None:
    """Stop every process of the cluster; its data stay."""
    console = Console()
    began = time.monotonic()
    if Stack(settings()).down(console=console):
        say(console, f"down after {time.monotonic() - began:.1f} s")
    else:
        say(console, "the stack is not running")


@stack.command()
def rotate() -> None:
    """Give every part of a secured cluster a new certificate; restarts one part after the other, nothing is lost."""
    console = Console()
    began = time.monotonic()
    Stack(settings()).rotate(console=console)
    say(console, f"every certificate is new after {time.monotonic() - began:.1f} s")


@stack.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(as_json: bool) -> None:
    """Show each part: state, pid, ports, uptime, memory."""
    cluster = Stack(settings())
    parts = cluster.status()
    if as_json:
        state = {
            "running": cluster.is_running(),
            "data_dir": str(cluster.folder.path),
            "endpoints": cluster.endpoints if parts else {},
            "parts": [part.to_json() for part in parts],
        }
        click.echo(json.dumps(state, indent=2))
    elif parts:
        Console().print(status_table(parts))
    else:
        click.echo(f"the stack in {cluster.folder.path} is not running")
