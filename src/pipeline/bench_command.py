"""`pipeline bench`: the benchmark, which comes with a checkout (bench/), not with a wheel.

It compiles Java, makes an environment for another library and measures other programs: nothing that an installed
application needs. So the installed package only knows where to look for it.
"""

import sys
from importlib import import_module
from pathlib import Path

import click

from pipeline.errors import SettingError

CHECKOUT = Path(__file__).resolve().parents[2]


class Lazy(click.Command):
    """Imports the benchmark only when it is asked for."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        """The context of the real command."""
        return self._real().make_context(info_name, args, parent, **extra)

    def _real(self) -> click.Command:
        if not (CHECKOUT / "bench" / "command.py").exists():
            raise SettingError(f"pipeline bench needs a checkout of the repository: there is no bench/ in {CHECKOUT}")
        if str(CHECKOUT) not in sys.path:
            sys.path.insert(0, str(CHECKOUT))
        command: click.Command = import_module("bench.command").command
        return command


bench = Lazy("bench", help="Measure this application's throughput against its peers'.")
