"""`pipeline chaos`; what it runs is imported only then, so that the command line is quick."""

import json
import logging
import sys
from pathlib import Path

import click
from rich.console import Console

from pipeline import settings as configuration
from pipeline.options import app_option
from pipeline.shown import quiet

NOISY = ("aiokafka", "pipeline.sources", "schema_registry", "sqlalchemy")
"""Loggers that say nothing meanwhile: outages are what the run is for."""


def _kinds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    from pipeline.chaos.faults import KINDS, SECURED

    if value is None:
        return None
    kinds = tuple(kind.strip() for kind in value.split(",") if kind.strip())
    known = (*KINDS, *SECURED)
    if unknown := [kind for kind in kinds if kind not in known]:
        raise click.BadParameter(f"there is no kind {', '.join(unknown)}; the kinds are {', '.join(known)}")
    return kinds


@click.command()
@app_option
@click.option(
    "--seconds", type=click.FloatRange(1), default=300.0, show_default=True, help="Begin no fault after this long."
)
@click.option("--faults", type=click.IntRange(1), help="End after this many; --seconds is then an upper bound.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same faults.")
@click.option("--kinds", callback=_kinds, help="Kinds of faults, comma separated; all when not given (see above).")
@click.option(
    "--every", type=click.FloatRange(0), default=5.0, show_default=True, help="Seconds from strike to strike, at least."
)
@click.option(
    "--rate",
    type=click.FloatRange(1),
    default=300.0,
    show_default=True,
    help="Records a second: views, users and sales, or of all declared generators.",
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Number of worker processes.")
@click.option(
    "--guarantee",
    type=click.Choice(["exactly_once", "at_least_once"]),
    help="PIPELINE_PROCESSING_GUARANTEE of the workers; as set when not given.",
)
@click.option("--secure", is_flag=True, help="On a secured stack: TLS everywhere, each process a user of its own.")
@click.option("--verify-timeout", type=float, default=180.0, show_default=True, help="Seconds to wait for the results.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option("--markdown", "markdown_file", type=click.Path(path_type=Path), help="Write the tables as Markdown.")
def chaos(
    seconds: float,
    faults: int | None,
    seed: int,
    kinds: tuple[str, ...] | None,
    every: float,
    rate: float,
    workers: int,
    guarantee: str | None,
    secure: bool,
    verify_timeout: float,
    as_json: bool,
    markdown_file: Path | None,
) -> None:
    """Strike faults under load on a stack of its own, then check everything; exit code 1 on any difference.

    A seeded random schedule, one fault after the other, each only while records are in flight, and the next one only
    when all that stood in the source topics has been processed. The stack is thrown away at the end; after a
    difference its folder stays and is named. Any application: faults strike what it has, its declared generators are
    the load.

    \b
    worker-kill, worker-term      SIGKILL, SIGTERM of a worker
    worker-freeze                 SIGSTOP for twice the session timeout, then SIGCONT
    worker-disk-full              a worker cannot write to any file
    workers-scale                 all workers but one or a few stop for 10 to 20 s
    network-cut                   between the last worker and one broker: refused, or silent
    broker-kill, controller-kill  SIGKILL of each broker in turn, of the active controller
    broker-down                   a broker, each in turn, is away for 15 to 30 s
    registry-down                 the schema registry is away for 5 to 12 s
    mysql-down, mysql-kill        MySQL is away for 20 to 40 s; SIGKILL
    pinot-down, poller-kill       SIGKILL of all Pinot, of the poller
    certificates                  with --secure: new certificates for all parts, restarted one after the other
    poison                        bad records of every kind all the time; each must become one dead letter

    \b
    pipeline chaos --faults 20 --seconds 900 --seed 7 --markdown table.md
    pipeline chaos --seconds 3600 --rate 2000 --kinds worker-kill --every 300      a soak
    """
    from pipeline.applications.loading import runnable
    from pipeline.chaos.faults import SECURED, kinds_for
    from pipeline.chaos.report import markdown, show
    from pipeline.chaos.run import Plan, run_plan
    from pipeline.chaos.scene import Options

    if set(kinds or ()) & set(SECURED) and not secure:
        raise click.UsageError(f"{', '.join(SECURED)} is for --secure")
    struck = kinds_for(runnable(configuration.settings()).hooks, kinds)
    console = Console(stderr=True)
    # a setting of all, not of the workers alone: what may repeat is for `verify` to know, too
    overrides: dict[str, object] = {} if guarantee is None else {"processing_guarantee": guarantee}
    plan = Plan(seed, seconds, struck, rate, faults, every, verify_timeout, guarantee or "guarantee as set")
    try:
        with quiet(logging.CRITICAL, *NOISY):
            report = run_plan(plan, Options(workers, overrides=overrides, secure=secure), console)
    except KeyboardInterrupt:
        console.print("stopped")
        sys.exit(130)
    show(report, console)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2, default=str))
    if markdown_file is not None:
        markdown_file.write_text(markdown(report))
    sys.exit(0 if report.ok else 1)
