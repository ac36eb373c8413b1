"""How speed changes with keys, windows, partitions and workers: this application, one of them varied at a time.

    .venv/bin/python -m bench.growth [--keys 100,10000] [--hours 1,22] [--partitions 5,20] [--workers 1,2]

Workload a; keys are page groups, hours the span of event time and so the number of windows of an hour. What is not
varied is as in BASE. Every point is a run of `pipeline bench` on a cluster of its own, results checked. Prints a
Markdown table, or one JSON list.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import click
from rich.console import Console

from bench.report import as_json, programs_of
from bench.run import Plan, measure

USERS = 1_000


@dataclass(frozen=True, slots=True)
class Point:
    """What one run is measured with."""

    keys: int = 100
    hours: int = 12
    partitions: int = 5
    workers: int = 1


BASE = Point()
VARIED = {
    "keys": "100,1000,10000,100000,1000000",
    "hours": "1,12,22",
    "partitions": "5,20",
    "workers": "1,2",
}


def points(given: dict[str, str]) -> Iterator[Point]:
    """Each value of each dimension, the others as in BASE; every point once."""
    seen = set()
    for name, values in given.items():
        for value in filter(None, values.split(",")):
            point = replace(BASE, **{name: int(value)})
            if point not in seen:
                seen.add(point)
                yield point


def run(point: Point, records: int, repeats: int, guarantee: str, console: Console) -> dict[str, Any]:
    """The runs of one point: {program and guarantee: figures}."""
    os.environ["PIPELINE_PARTITIONS"] = str(point.partitions)
    plan = Plan(
        ("a",), ("pipeline",), records, repeats, guarantee, 1_000, 1, USERS, point.keys, point.hours, (), point.workers
    )
    return programs_of(as_json(measure(plan, console), plan)["workloads"]["a"])


@click.command(help=__doc__)
@click.option("--keys", default=VARIED["keys"], show_default=True, help="Numbers of page groups.")
@click.option("--hours", default=VARIED["hours"], show_default=True, help="Numbers of windows, 22 at most.")
@click.option("--partitions", default=VARIED["partitions"], show_default=True)
@click.option("--workers", default=VARIED["workers"], show_default=True)
@click.option("--records", default=1_000_000, show_default=True)
@click.option("--repeats", default=1, show_default=True)
@click.option("--guarantee", default="exactly_once", show_default=True, help="at_least_once, exactly_once or both.")
@click.option("--json", "json_output", is_flag=True, help="Print one JSON list.")
def main(
    keys: str,
    hours: str,
    partitions: str,
    workers: str,
    records: int,
    repeats: int,
    guarantee: str,
    json_output: bool,
) -> None:
    """Measure and print."""
    console = Console(stderr=True)
    given = {"keys": keys, "hours": hours, "partitions": partitions, "workers": workers}
    found = [(point, run(point, records, repeats, guarantee, console)) for point in points(given)]
    if json_output:
        click.echo(json.dumps([{**asdict(point), "runs": runs} for point, runs in found], indent=2))
        return
    click.echo("| keys | windows | partitions | workers | | events/s | memory, MB | CPU, us an event |")
    click.echo("|---:|---:|---:|---:|---|---:|---:|---:|")
    for point, runs in found:
        for name, of in runs.items():
            cells = [*asdict(point).values(), name, f"{of['events_per_second']:,.0f}", f"{of['rss_mb']:,.0f}"]
            cells.append(f"{of['cpu_s'] / of['records'] * 1e6:.1f}")
            click.echo(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
