"""`pipeline test-runner`."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from pipeline.errors import CaseError
from pipeline.options import app_option
from pipeline.settings import settings

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("test-runner")
@app_option
@click.option("--input", "inputs", type=FILE, required=True, help='JSON file {"inputs": [...]}.')
@click.option("--output", "outputs", type=FILE, required=True, help='JSON file {"outputs": [...]}, what is expected.')
@click.option("--topology", "module", help="Python module with a TOPOLOGY to test in place of the application.")
def test_runner(inputs: Path, outputs: Path, module: str | None) -> None:
    """Feed a file of records through the application's agents, in process, and compare what comes out.

    Like ksqlDB's test runner: no broker, one partition, one record at a time. Exits with 1 at the first difference.
    """
    from pipeline.applications.loading import runnable
    from pipeline.runner.cases import load, run
    from pipeline.runner.local import local_application, topology_application

    case = load(inputs, outputs)
    if module is None:
        application = local_application(settings(), runnable(settings()))
    else:
        application = topology_application(settings(), load_topology(module))
    with _quiet("pipeline", "faust", "mode"):
        difference = asyncio.run(run(case, application))
    if difference is None:
        click.echo(">>> Test passed!")
        return
    click.echo(f">>> Test failed: {difference}")
    sys.exit(1)


def load_topology(module: str) -> Any:
    """The TOPOLOGY of a module that can be imported from the working folder; raises CaseError when there is none."""
    from pipeline.topology import Topology

    sys.path.insert(0, "")
    try:
        found = getattr(import_module(module), "TOPOLOGY", None)
    except ImportError as error:
        raise CaseError(f"--topology is {module!r}, but that cannot be imported: {error}") from None
    finally:
        sys.path.remove("")
    if not isinstance(found, Topology):
        raise CaseError(
            f"--topology is {module!r}, but that module has no TOPOLOGY of class pipeline.topology.Topology"
        )
    return found


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Only errors of these loggers while the block runs."""
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
