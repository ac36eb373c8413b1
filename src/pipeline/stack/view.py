"""What `pipeline stack` shows: one line per part while starting and stopping, and the table of the status."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipeline.stack.say import say
from pipeline.stack.status import PartStatus


class StartView:
    """One line per part: a spinner on a terminal until it is ready; plain lines when the output is a file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._since: dict[str, float] = {}
        self._tasks: dict[str, int] = {}
        self._lock = Lock()
        columns = (SpinnerColumn(finished_text=" "), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    @contextmanager
    def shown(self) -> Iterator["StartView"]:
        """Show the lines while the block runs."""
        with self._progress:
            yield self

    def starting(self, name: str) -> None:
        """The part is being prepared and started."""
        with self._lock:
            self._since[name] = time.monotonic()
            self._tasks[name] = self._progress.add_task(f"{name:<12} starting")

    def ready(self, name: str) -> None:
        """The part serves."""
        with self._lock:
            self._progress.remove_task(self._tasks.pop(name))  # type: ignore[arg-type]
            seconds = time.monotonic() - self._since[name]
            say(self._progress.console, f"  {name:<12} ready in {seconds:4.1f} s")


def status_table(parts: Sequence[PartStatus]) -> Table:
    """The status for people."""
    table = Table(box=None, pad_edge=False)
    for column in ("part", "state", "pid", "ports", "uptime", "memory"):
        table.add_column(column, justify="right" if column in ("pid", "uptime", "memory") else "left")
    for part in parts:
        style = "green" if part.state == "running" else "red"
        table.add_row(
            part.name,
            f"[{style}]{part.state}[/]",
            str(part.pid or "-"),
            " ".join(map(str, part.ports)) or "-",
            _duration(part.uptime_s) if part.pid else "-",
            f"{part.memory_bytes / 1e6:.0f} MB" if part.pid else "-",
        )
    return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
