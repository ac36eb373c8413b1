"""`pipeline demo`: everything on this machine, from nothing to live results, and an end that leaves nothing behind."""

import asyncio
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import click
from aiokafka.errors import KafkaError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from pipeline import settings as configuration
from pipeline.demo_page import answers, dashboard_url, how_to_enter, index_url, require_free
from pipeline.demo_rows import LOOK_S, Outputs
from pipeline.demo_runs import Runs, chosen
from pipeline.errors import StackError
from pipeline.provision import access_of, provision
from pipeline.reading import end_offsets, group_lag
from pipeline.sources.runtime import say_sentences
from pipeline.stack.cluster import Program, Stack
from pipeline.stack.datadir import held
from pipeline.stack.interrupts import terminated_like_interrupted
from pipeline.stack.program import log_file

READY_TIMEOUT_S, CAUGHT_UP_S, VERIFY_S = 90.0, 60.0, 120.0
TICK_S = 2.0
DRAIN_S = 3.0


@click.command()
@click.option(
    "--app",
    "names",
    metavar="NAME[,NAME...]",
    help="The applications, comma separated: of `pipeline apps`, or modules with an APPLICATION.  "
    "[default: flash_sales]",
)
@click.option("--seconds", type=click.FloatRange(1), help="Stop the sources after this long, verify, and end.")
@click.option(
    "--rate",
    type=click.FloatRange(0.1),
    help="Page views and sales a second, users a third; of declared generators a factor.",
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Number of worker processes of each."
)
@click.option(
    "--history",
    type=click.FloatRange(0),
    help="Hours of the past that a first start begins with.  [default: 24 of flash_sales, 0 of others]",
)
@click.option("--fresh", is_flag=True, help="Wipe the state of the data folder first.")
@click.option("--secure", is_flag=True, help="Encrypt every connection; each process is a user with few rights.")
@click.option("--keep", is_flag=True, help="Leave all but the sources running at the end; see `pipeline stack down`.")
def demo(
    names: str | None,
    seconds: float | None,
    rate: float | None,
    workers: int,
    history: float | None,
    fresh: bool,
    secure: bool,
    keep: bool,
) -> None:
    """Start everything: cluster, topics, generators, workers, and database, Pinot and dashboard where they are used.

    Prints the page's address; of an application without a page it shows the rows as they come. Ctrl-C stops all of it;
    the data stay for the next start. With --seconds the results are verified at the end, and the exit code is 1 if one
    differs.
    """
    console = Console()
    say_sentences()
    apps = chosen(configuration.settings(), names)
    for app in apps:
        if app.found.hooks.page:
            require_free(app.settings.dashboard_host, app.settings.dashboard_port)
    unused = set.intersection(*(set(app.found.hooks.unused) for app in apps))
    stack = Stack(apps[0].settings, unused, secure=secure)
    mine = require_alone(apps[0].settings.data_dir)
    was_running = stack.is_running() and not fresh
    runs = Runs(apps, workers, rate, history)
    ok = True
    try:
        with terminated_like_interrupted():
            stack.up(fresh=fresh, console=console)
            ok = Demo(stack, console, runs).run(seconds)
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        if not keep:
            _stop(stack, was_running, runs, console)
        mine.close()
    sys.exit(0 if ok else 1)


def require_alone(data_dir: Path) -> TextIO:
    """What has to be kept open while a demo runs; raises StackError where another one runs with this data folder."""
    name = hashlib.sha256(str(data_dir.absolute()).encode()).hexdigest()[:16]
    mine = held(Path(tempfile.gettempdir()) / f"pipeline-demo-{os.getuid()}-{name}.lock")
    if mine is None:
        raise StackError(
            f"a demo runs already with its data in {data_dir}: stop it with Ctrl-C, or give this one a "
            "PIPELINE_DATA_DIR of its own"
        )
    return mine


class Demo:
    """The processes of one application or several under the stack's supervisor, and a view of what comes out.

    An application has fewer processes where it has no poller, generators or page; what is done with them is the same.
    """

    def __init__(self, stack: Stack, console: Console, runs: Runs) -> None:
        self._stack = stack
        self._console = console
        self._runs = runs.on(stack)
        self._programs = [program for run in self._runs for program in run.programs]
        self._outputs = Outputs(stack.settings, [topic for run in self._runs for topic in run.shown])
        self._before: tuple[float, int] | None = None
        self._told = "running"

    def run(self, seconds: float | None) -> bool:
        """Run for so long, or until interrupted; whether the results were right, as far as they were verified."""
        for run in self._runs:
            asyncio.run(
                provision(
                    run.settings,
                    tell=lambda line: self._console.print(f"  {line}", highlight=False),
                    access=access_of(self._stack.passwords),
                )
            )
        self._stack.add(self._programs)
        for run in self._runs:
            if run.page is not None:
                self._await_dashboard(run.page)
                self._console.print(
                    f"\n[bold green]live at {dashboard_url(run.page)}[/]   {how_to_enter(run.page)}",
                    highlight=False,
                    soft_wrap=True,
                )
        if self._runs[1:] and (page := next((run.page for run in self._runs if run.page is not None), None)):
            self._console.print(
                f"\n[bold green]all of them at {index_url(page, self._stack.settings)}[/]",
                highlight=False,
                soft_wrap=True,
            )
        self._console.print(
            f"logs in {self._stack.folder.logs}\nCtrl-C stops everything", highlight=False, soft_wrap=True
        )
        return asyncio.run(self._watched(seconds))

    def _await_dashboard(self, page: configuration.Settings) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        with self._console.status("starting workers, sources and the dashboard"):
            while not answers(page):
                require_alive(self._stack, self._programs)
                if time.monotonic() > deadline:
                    raise StackError(f"the dashboard did not show data within {READY_TIMEOUT_S:.0f} s")
                time.sleep(0.3)

    async def _watched(self, seconds: float | None) -> bool:
        """Show what comes for so long, then what there is in the end; see `run`."""
        following = asyncio.create_task(self._outputs.follow())
        try:
            with Live(self._view(), console=self._console, refresh_per_second=4, transient=True) as live:
                await self._watch(seconds, live, following)
            return await self._ended()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _watch(self, seconds: float | None, live: Live, following: "asyncio.Task[None]") -> None:
        began_s = time.monotonic()
        end_s, first_s, counted_s = None if seconds is None else began_s + seconds, None, 0.0
        while end_s is None or time.monotonic() < end_s:
            await asyncio.sleep(LOOK_S if end_s is None else min(LOOK_S, max(0.0, end_s - time.monotonic())))
            await asyncio.to_thread(require_alive, self._stack, self._programs)
            if following.done():
                following.result()
            if self._outputs.rows and first_s is None and not self._outputs.empty:
                first_s = time.monotonic() - began_s
                live.console.print(f"rows in every output after {first_s:.0f} s", highlight=False)
            if time.monotonic() - counted_s >= TICK_S:
                counted_s = time.monotonic()
                await self._count()
            live.update(self._view())

    async def _count(self) -> None:
        """Note how many source records there are; while brokers are away that is said in place of it."""
        try:
            now, count = time.monotonic(), await self._source_records()
        except (StackError, KafkaError, OSError):  # a broker is away: it is started again, and all goes on
            self._told, self._before = "Kafka does not answer: waiting until its brokers are back", None
            return
        rate = 0.0 if self._before is None else (count - self._before[1]) / (now - self._before[0])
        self._before = now, count
        self._told = f"running: {count:,} source records, {rate:,.0f} a second"

    def _view(self) -> RenderableType:
        return Group(*self._outputs.views(), Spinner("dots", Text(self._told)))

    async def _ended(self) -> bool:
        """Stop the sources, let the rest come to the end, and verify; whether all is as it has to be."""
        with self._console.status("stopping the generators, letting the poller and the workers catch up"):
            await asyncio.to_thread(self._stack.stop, *(name for run in self._runs for name in run.generators))
            for run in (run for run in self._runs if run.pollers):
                await asyncio.sleep(DRAIN_S * run.settings.poll_interval_s)
                await asyncio.to_thread(self._stack.stop, *run.pollers)
            left = await self._caught_up()
        for view in self._outputs.views():
            self._console.print(view)
        if left:
            self._console.print(f"[red]{left:,} records were not processed within {CAUGHT_UP_S:.0f} s")
        if self._outputs.empty:
            self._console.print(f"[red]no rows in {', '.join(self._outputs.empty)}")
        self._console.print(f"{await self._source_records():,} source records processed", highlight=False)
        right = [await self._verified(run.settings) for run in self._runs]
        return not left and not self._outputs.empty and all(right)

    async def _caught_up(self) -> int:
        """Wait until the workers have processed everything; the number of records that are left all the same."""
        deadline = time.monotonic() + CAUGHT_UP_S
        while (left := await self._behind()) and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_S)
        await asyncio.sleep(2 * LOOK_S)
        return left

    async def _verified(self, settings: configuration.Settings) -> bool:
        """Whether every output is what it has to be, as far as that can be verified."""
        from pipeline.verify.command import show
        from pipeline.verifying import verified

        with self._console.status("recomputing every output from the source topics"):
            report = await verified(settings, VERIFY_S)
        if isinstance(report, str):
            self._console.print(f"not verified: {report}", highlight=False)
            return True
        show(report, self._console)
        return report.ok

    async def _behind(self) -> int:
        """Records that are left to be processed; all of a topic where the workers have no position yet."""
        left = 0
        for run in self._runs:
            lag = await group_lag(run.settings, run.settings.app_id)
            left += sum(sum(partitions.values()) for partitions in lag.values())
            unread = [topic.name for topic in run.found.kept if topic.name not in lag]
            left += sum((await end_offsets(run.settings, unread)).values()) if unread else 0
        return left

    async def _source_records(self) -> int:
        names = sorted({topic.name for run in self._runs for topic in run.found.sources})
        return sum((await end_offsets(self._stack.settings, names)).values())


def require_alive(stack: Stack, programs: Iterable[Program]) -> None:
    """Raise StackError, with the end of its log, when one of these ended again and again."""
    names = {program.name for program in programs}
    for part in stack.status():
        if part.name in names and part.state in ("fatal", "exited"):
            log = log_file(stack.folder.logs, part.name)
            lines = log.read_text(errors="replace").strip().splitlines()[-8:] if log.exists() else []
            raise StackError("\n  ".join([f"{part.name} ended again and again; the end of {log}:", *lines]))


def _stop(stack: Stack, was_running: bool, runs: Runs, console: Console) -> None:
    """Stop what this demo started: all of it, or only the applications where the cluster was there before."""
    began = time.monotonic()
    if was_running and stack.is_running():
        ours = {program.name for run in runs.on(stack) for program in run.programs}
        stack.stop(*(part.name for part in stack.status() if part.name in ours))
        console.print("the cluster was running before and stays; `pipeline stack down` stops it")
    else:
        stack.down(console=console)
    console.print(f"stopped after {time.monotonic() - began:.1f} s", highlight=False)
