"""`pipeline demo`: everything on this machine, from nothing to the live page, and an end that leaves nothing behind."""

import asyncio
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping

import click
import httpx
from aiokafka.errors import KafkaError
from rich.console import Console

from pipeline import settings as configuration
from pipeline import topics
from pipeline.demo_declared import UNUSED, DeclaredDemo, require_alive
from pipeline.errors import SettingError, StackError
from pipeline.options import app_option
from pipeline.provision import access_of, provision
from pipeline.reading import end_offsets
from pipeline.settings import Settings
from pipeline.sources.runtime import say_sentences
from pipeline.stack.cluster import Program, Stack, Stage
from pipeline.stack.interrupts import terminated_like_interrupted

SOURCES = ("generator", "poller")
READY_TIMEOUT_S = 90.0
TICK_S = 2.0
DRAIN_S = 3.0
LATE, BAD = 0.02, 0.0002
"""Shares of the demo's events that come late and that cannot be used: a few an hour, to show what becomes of them."""


@click.command()
@app_option
@click.option("--seconds", type=click.FloatRange(1), help="Stop the sources after this long, verify, and end.")
@click.option(
    "--rate", type=click.FloatRange(0.1), help="Page views and sales a second, users a third; with --app a factor."
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Number of worker processes.")
@click.option(
    "--history",
    type=click.FloatRange(0),
    default=24.0,
    show_default=True,
    help="Hours of the past that a first start begins with.",
)
@click.option("--fresh", is_flag=True, help="Wipe the state of the data folder first.")
@click.option("--secure", is_flag=True, help="Encrypt every connection; each process is a user with few rights.")
@click.option("--keep", is_flag=True, help="Leave all but the sources running at the end; see `pipeline stack down`.")
def demo(
    seconds: float | None,
    rate: float | None,
    workers: int,
    history: float,
    fresh: bool,
    secure: bool,
    keep: bool,
) -> None:
    """Start everything: cluster, topics, database, Pinot tables, generators, poller, workers and the dashboard.

    Prints the page's address. Ctrl-C stops all of it; the data stay for the next start. With --seconds the results
    are verified at the end, and the exit code is 1 if one differs.
    """
    console = Console()
    settings = configuration.settings()
    say_sentences()
    is_declared = settings.app != configuration.FLASH_SALES
    if is_declared and secure:
        raise SettingError(f"--secure is not there for application {settings.app} yet, only for flash_sales")
    if not is_declared:
        _require_free(settings.dashboard_host, settings.dashboard_port)
    stack = Stack(settings, UNUSED if is_declared else (), secure=secure)
    was_running = stack.is_running() and not fresh
    ok = True
    try:
        with terminated_like_interrupted():
            stack.up(fresh=fresh, console=console)
            made = DeclaredDemo(stack, console, workers, rate) if is_declared else None
            ok = (made or Demo(stack, console, workers, rate, history)).run(seconds)
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        if not keep:
            _stop(stack, was_running, console)
    sys.exit(0 if ok else 1)


class Demo:
    """The application's processes under the stack's supervisor."""

    def __init__(self, stack: Stack, console: Console, workers: int, rate: float | None, history: float) -> None:
        self._stack = stack
        self._console = console
        update = {} if rate is None else {"pageview_rate": rate, "sale_rate": rate, "user_rate": rate / 3}
        self.settings = stack.settings.model_copy(update=update)
        self._page = self.settings.replaced(**stack.identity("dashboard"))
        self._programs = programs(self.settings, workers, history, lively=True, identity=stack.identity)

    def run(self, seconds: float | None) -> bool:
        """Run for so long, or until interrupted; whether the results were right, as far as they were verified."""
        asyncio.run(
            provision(
                self.settings,
                tell=lambda line: self._console.print(f"  {line}", highlight=False),
                access=access_of(self._stack.passwords),
            )
        )
        self._stack.add(self._programs)
        self._await_dashboard()
        self._console.print(
            f"\n[bold green]live at {dashboard_url(self._page)}[/]   logs in {self._stack.folder.logs}\n"
            f"{how_to_enter(self._page)}"
            "Ctrl-C stops everything",
            highlight=False,
            soft_wrap=True,
        )
        self._watch(seconds)
        return seconds is None or self._verify()

    def _await_dashboard(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        with self._console.status("starting workers, sources and the dashboard"):
            while not answers(self._page):
                require_alive(self._stack, self._programs)
                if time.monotonic() > deadline:
                    raise StackError(f"the dashboard did not show data within {READY_TIMEOUT_S:.0f} s")
                time.sleep(0.3)

    def _watch(self, seconds: float | None) -> None:
        end = None if seconds is None else time.monotonic() + seconds
        before: tuple[float, int] | None = None
        with self._console.status("running") as line:
            while end is None or time.monotonic() < end:
                time.sleep(TICK_S if end is None else min(TICK_S, max(0.0, end - time.monotonic())))
                require_alive(self._stack, self._programs)
                try:
                    now, count = time.monotonic(), asyncio.run(_source_records(self.settings))
                except (StackError, KafkaError, OSError):  # a broker is away: it is started again, and all goes on
                    line.update("Kafka does not answer: waiting until its brokers are back")
                    before = None
                    continue
                rate = 0.0 if before is None else (count - before[1]) / (now - before[0])
                before = now, count
                line.update(f"running: {count:,} source records, {rate:,.0f} a second")

    def _verify(self) -> bool:
        from pipeline.verify.command import show
        from pipeline.verify.run import verify

        with self._console.status("stopping the generators, letting the poller and the workers catch up"):
            self._stack.stop("generator")
            time.sleep(DRAIN_S * self.settings.poll_interval_s)
            self._stack.stop("poller")
        with self._console.status("recomputing every output from the source topics"):
            report = asyncio.run(verify(self.settings, timeout_s=120))
        show(report, self._console)
        return report.ok


def nobody(process: str) -> Mapping[str, str]:
    """The identity of every process where nobody is asked."""
    return {}


def programs(
    settings: Settings,
    workers: int,
    history: float = 0.0,
    *,
    lively: bool = False,
    identity: Callable[[str], Mapping[str, str]] = nobody,
) -> list[Program]:
    """The application's processes: poller, workers, generators and the dashboard.

    `identity` gives a kind of process its own settings, those of its user.

    The generators begin with `history` hours of the past where there are no events yet. `lively` ones show every
    feature: users who pause, sales that come late, a few bad records.
    """
    how = ("--visits", "--late", str(LATE), "--bad", str(BAD)) if lively else ()

    def program(name: str, *arguments: str, stop_wait_s: int = 8) -> Program:
        env = settings.replaced(**identity(name.partition("-")[0])).as_environment()
        command = (sys.executable, "-m", "pipeline", *arguments)
        return Program(name, command, env | {"PIPELINE_WORKER_ID": name}, stage=Stage.APP, stop_wait_s=stop_wait_s)

    return [
        program("poller", "poll"),
        *(program(f"worker-{number}", "worker") for number in range(1, workers + 1)),
        program("generator", "generate", "--history", str(history), *how),
        program("dashboard", "dashboard", stop_wait_s=5),
    ]


def dashboard_url(settings: Settings) -> str:
    """Where a browser finds the page."""
    scheme = "http" if settings.dashboard_ssl_certfile is None else "https"
    return f"{scheme}://{settings.dashboard_host}:{settings.dashboard_port}"


def how_to_enter(settings: Settings) -> str:
    """What a viewer of a secured page needs to know; empty for one that is open."""
    if settings.dashboard_auth_file is None:
        return ""
    return (
        f"the page asks for the name and password in {settings.dashboard_auth_file}, "
        f"its certificate is from the authority {settings.kafka_ssl_cafile}\n"
    )


def answers(settings: Settings) -> bool:
    """Whether the dashboard is there and has data."""
    secured = settings.dashboard_ssl_certfile is not None
    verify = ssl.create_default_context(cafile=settings.kafka_ssl_cafile) if secured else True
    try:
        url = f"{dashboard_url(settings)}/healthz"
        return httpx.get(url, timeout=2, trust_env=False, verify=verify).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


async def _source_records(settings: Settings) -> int:
    ends = await end_offsets(settings, [topic.name for topic in topics.EVENTS])
    return sum(ends.values())


def _require_free(host: str, port: int) -> None:
    if port == 0:
        raise SettingError("setting dashboard_port is 0, but `pipeline demo` needs a fixed port to show you the page")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingError(
                f"setting dashboard_port is {port}, but that port is in use on {host}: {error.strerror}; "
                f"set PIPELINE_DASHBOARD_PORT to a free one"
            ) from None


def _stop(stack: Stack, was_running: bool, console: Console) -> None:
    """Stop what this demo started: all of it, or only the application where the cluster was there before."""
    began = time.monotonic()
    if was_running and stack.is_running():
        names = [part.name for part in stack.status()]
        stack.stop(*(name for name in names if name.startswith(("worker-", "generator", "poller", "dashboard"))))
        console.print("the cluster was running before and stays; `pipeline stack down` stops it")
    else:
        stack.down(console=console)
    console.print(f"stopped after {time.monotonic() - began:.1f} s", highlight=False)
