"""`pipeline test-runner`."""

import asyncio
import logging
import sys
from pathlib import Path

import click

from pipeline.options import app_option
from pipeline.settings import settings
from pipeline.shown import quiet

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("test-runner")
@app_option
@click.option("--input", "inputs", type=FILE, required=True, help='JSON file {"inputs": [...]}.')
@click.option("--output", "outputs", type=FILE, required=True, help='JSON file {"outputs": [...]}, what is expected.')
def test_runner(inputs: Path, outputs: Path) -> None:
    """Feed a file of records through the application's agents, in process, and compare what comes out.

    Like ksqlDB's test runner: no broker, one partition, one record at a time. Exits with 1 at the first difference.
    """
    from pipeline.applications.loading import runnable
    from pipeline.runner.cases import load, run
    from pipeline.runner.local import LocalApplication

    case = load(inputs, outputs)
    application = LocalApplication(settings(), runnable(settings()))
    with quiet(logging.ERROR, "pipeline", "faust", "mode"):
        difference = asyncio.run(run(case, application))
    if difference is None:
        click.echo(">>> Test passed!")
        return
    click.echo(f">>> Test failed: {difference}")
    sys.exit(1)
