"""The command line. Each part brings its own commands; this module only puts them together."""

import logging
import sys
import time

import click

from pipeline import provision
from pipeline.api_command import api
from pipeline.bench_command import bench
from pipeline.chaos.command import chaos
from pipeline.dashboard.commands import dashboard
from pipeline.demo import demo
from pipeline.errors import PipelineError
from pipeline.explain_command import apps, explain
from pipeline.peek_command import peek
from pipeline.runner.command import test_runner
from pipeline.settings import is_supervised
from pipeline.shown import ShownFormatter, lines, show_unexpected
from pipeline.sources import commands as sources
from pipeline.stack.commands import stack
from pipeline.status.view import command as status
from pipeline.verify.command import verify
from pipeline.worker_command import worker

RESTART_PAUSE_S = 5.0
"""What is started again at once, and meets the same error, would fill the log."""

log = logging.getLogger("pipeline")


class Cli(click.Group):
    """Prints an error that the project raises on purpose as one sentence, safe for terminals, and exits with 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PipelineError as error:
            click.secho(lines(f"pipeline: {error}"), fg="red", err=True)
            if is_supervised():
                time.sleep(RESTART_PAUSE_S)
            sys.exit(1)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pipeline")
@click.option("-v", "--verbose", is_flag=True, help="Log debug messages.")
def main(verbose: bool) -> None:
    """Exact, fast stream processing in pure Python: Faust, Kafka, Pinot and a live Dash page.

    Settings come from PIPELINE_* environment variables; see docs/settings.md.
    """
    sys.excepthook = show_unexpected
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ShownFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    for noisy in ("httpx", "schema_registry", "aiokafka"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


main.add_command(apps)
main.add_command(api)
main.add_command(explain)
main.add_command(bench)
main.add_command(peek)
main.add_command(provision.command)
main.add_command(sources.generate)
main.add_command(sources.poll)
main.add_command(stack)
main.add_command(status)
main.add_command(worker)
main.add_command(verify)
main.add_command(dashboard)
main.add_command(demo)
main.add_command(test_runner)
main.add_command(chaos)
