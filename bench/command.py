"""The options of `pipeline bench`."""

import json
import shlex
from pathlib import Path

import click
from rich.console import Console

from bench.chart import svg
from bench.programs import PROGRAMS
from bench.report import as_json, as_text
from bench.run import Plan, measure
from bench.workloads import WORKLOADS
from pipeline.errors import SettingError


def chosen(given: str, known: dict[str, object], option: str) -> tuple[str, ...]:
    """The names in a comma separated list; raises SettingError for one that is not known."""
    names = tuple(name.strip() for name in given.split(",") if name.strip())
    for name in names:
        if name not in known:
            raise SettingError(f"{option} has {name!r}, but what there is are {', '.join(known)}")
    return names


@click.command("bench")
@click.option("--workloads", default=",".join(WORKLOADS), show_default=True, help="Which workloads, comma separated.")
@click.option("--programs", default=",".join(PROGRAMS), show_default=True, help="Which programs, comma separated.")
@click.option("--records", default=3_000_000, show_default=True, type=click.IntRange(1_000), help="Input records.")
@click.option("--keys", default=10_000, show_default=True, type=click.IntRange(1), help="Distinct users.")
@click.option("--groups", default=0, show_default=True, help="Distinct page groups; 0: the application's five.")
@click.option("--hours", default=12, show_default=True, type=click.IntRange(1, 22), help="Span of event time.")
@click.option("--bad-every", default=0, help="One view in so many is undecodable (workload e alone); 0: none.")
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1), help="Runs of each program.")
@click.option("--guarantee", default="both", type=click.Choice(["both", "exactly_once", "at_least_once"]))
@click.option("--commit-interval-ms", default=1_000, show_default=True, help="Of every program.")
@click.option("--threads", default=1, show_default=True, help="Stream threads of Kafka Streams.")
@click.option("--secure", is_flag=True, help="On a secured cluster (SASL_SSL); only --programs pipeline.")
@click.option("--json", "as_json_", is_flag=True, help="Print the result as JSON.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the result as JSON to a file, too.")
@click.option("--chart", type=click.Path(path_type=Path), help="Write the chart (SVG) to a file.")
@click.option("--from", "source", type=click.Path(path_type=Path, exists=True), help="Show a former result instead.")
@click.option("--prefix", default="", help="A command put before each program's, for instance a profiler's.")
def command(
    workloads: str,
    programs: str,
    records: int,
    keys: int,
    groups: int,
    hours: int,
    bad_every: int,
    repeats: int,
    guarantee: str,
    commit_interval_ms: int,
    threads: int,
    secure: bool,
    as_json_: bool,
    output: Path | None,
    chart: Path | None,
    source: Path | None,
    prefix: str,
) -> None:
    """Measure this application's throughput against its peers', on a cluster of its own.

    Slow programs get a prefix of the input: Quix Streams a tenth, plain Faust a fiftieth. Every program's result is
    compared with a recomputation before its speed counts.
    """
    console = Console(stderr=True)
    if source is None:
        plan = Plan(
            chosen(workloads, dict(WORKLOADS), "--workloads"),
            chosen(programs, dict(PROGRAMS), "--programs"),
            records,
            repeats,
            guarantee,
            commit_interval_ms,
            threads,
            keys,
            groups,
            hours,
            tuple(shlex.split(prefix)),
            bad_every=bad_every,
            secure=secure,
        )
        if secure and plan.programs != ("pipeline",):
            raise SettingError("--secure is for --programs pipeline alone: the peers are not told how to get in")
        if bad_every and plan.workloads != ("e",):
            raise SettingError(
                f"--bad-every is {bad_every}, but is for --workloads e alone: the others expect all views"
            )
        result = as_json(measure(plan, console), plan)
    else:
        result = json.loads(source.read_text())
    if output is not None:
        output.write_text(json.dumps(result, indent=2) + "\n")
    if chart is not None:
        chart.write_text(svg(result))
    click.echo(json.dumps(result, indent=2) if as_json_ else as_text(result))
