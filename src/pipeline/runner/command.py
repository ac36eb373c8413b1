"""`pipeline test-runner`."""

import asyncio
import logging
import sys
from pathlib import Path

import click

from pipeline.settings import settings

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("test-runner")
@click.option("--input", "inputs", type=FILE, required=True, help='JSON file {"inputs": [...]}.')
@click.option("--output", "outputs", type=FILE, required=True, help='JSON file {"outputs": [...]}, what is expected.')
def test_runner(inputs: Path, outputs: Path) -> None:
    """Feed a file of records through the application's agents, in process, and compare what comes out.

    Like ksqlDB's test runner: no broker, one partition, one record at a time. Exits with 1 at the first difference.
    """
    from pipeline.runner.cases import load, run
    from pipeline.runner.local import flash_sales_application

    for noisy in ("pipeline", "faust", "mode"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    difference = asyncio.run(run(load(inputs, outputs), flash_sales_application(settings())))
    if difference is None:
        click.echo(">>> Test passed!")
        return
    click.echo(f">>> Test failed: {difference}")
    sys.exit(1)
