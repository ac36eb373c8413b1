"""The throw-away stack and application that faults strike."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from pipeline.applications.loading import runnable
from pipeline.chaos.proxy import Proxies
from pipeline.errors import ChaosError, StackError
from pipeline.kafka import describe_topics
from pipeline.processes import POLLER, programs
from pipeline.settings import Settings, load
from pipeline.stack.cluster import Program, Stack
from pipeline.stack.parts.kafka import NODES
from pipeline.stack.ports import FREE_PORTS, HOST, free_port
from pipeline.stack.status import PartStatus

WORKER = (sys.executable, "-m", "pipeline", "worker")
POLL_S = 0.2
HEAL_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a scene is made of. `environment` is added to the workers'; `overrides` are settings.

    With `secure` the stack is secured, and each process a user of its own.
    """

    workers: int = 2
    worker_command: tuple[str, ...] = WORKER
    environment: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, object] = field(default_factory=dict)
    secure: bool = False


class Scene:
    """A running stack with workers and, where the application has one, a poller.

    The last worker reaches the brokers through `proxies` only.
    """

    def __init__(self, stack: Stack, proxies: Proxies, options: Options) -> None:
        self.stack = stack
        self.proxies = proxies
        self.settings: Settings = stack.settings
        self.application = runnable(self.settings)
        self.workers = [f"worker-{number}" for number in range(1, options.workers + 1)]
        self.proxied_worker = self.workers[-1]
        self._options = options

    def start(self) -> None:
        """Start workers and poller."""
        self.stack.add(self._programs())

    def _programs(self) -> list[Program]:
        wanted = {
            program.name: program
            for program in programs(self.settings, len(self.workers), identity=self.stack.identity)
        }
        made = [program for name, program in wanted.items() if name == POLLER]
        for name in self.workers:
            env = {**wanted[name].env, **self._options.environment}
            if name == self.proxied_worker:
                env["PIPELINE_BOOTSTRAP_SERVERS"] = ",".join(f"{HOST}:{port}" for port in self.proxies.ports.values())
            made.append(replace(wanted[name], command=self._options.worker_command, env=env))
        return made

    def part(self, name: str) -> PartStatus:
        """One process as the supervisor has it."""
        (found,) = (part for part in self.stack.status() if part.name == name)
        return found

    async def pid(self, name: str) -> int:
        """The pid of a running process, once it has one."""
        await self.until(lambda: self._is_running(name), f"{name} runs")
        return (await asyncio.to_thread(self.part, name)).pid

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a running process a signal; returns its pid."""
        pid = await self.pid(name)
        os.kill(pid, number)
        return pid

    async def restarted(self, name: str, pid: int) -> None:
        """Return when the supervisor has started the process anew, without a hand."""
        await self.until(lambda: self._is_running(name, but=pid), f"{name} was started again")

    async def _is_running(self, name: str, but: int = 0) -> bool:
        part = await asyncio.to_thread(self.part, name)
        return part.state == "running" and part.pid not in (0, but)

    async def in_sync(self) -> None:
        """Return when every partition of every topic has a leader and all its replicas in sync."""
        await self.until(self._is_in_sync, "all replicas are in sync")

    async def _is_in_sync(self) -> bool:
        states = await describe_topics(self.settings)
        return bool(states) and all(state.has_leaders and not state.under_replicated for state in states.values())

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str, timeout_s: float = HEAL_TIMEOUT_S) -> None:
        """Return when something holds; raises ChaosError when it does not in time. No answer counts as not yet."""
        deadline = time.monotonic() + timeout_s
        while True:
            with suppress(StackError):
                if await holds():
                    return
            if time.monotonic() > deadline:
                raise ChaosError(f"it did not come to pass within {timeout_s:.0f} s without a hand that {what}")
            await asyncio.sleep(POLL_S)


@contextmanager
def scene(options: Options, console: Console, base: Path | None = None) -> Iterator[Scene]:
    """A stack of its own: free ports, a temporary data folder, the shared downloads. Stopped at the end.

    The data folder is removed, unless the block raises or leaves `keep_file` in it: then it stays with its logs, for
    whoever looks for the cause.
    """
    folder = Path(tempfile.mkdtemp(prefix="pipeline-chaos-", dir=base))
    settings = load(**{**FREE_PORTS, "worker_web_port": 0, "data_dir": folder / "data", **options.overrides})
    with Proxies({node: free_port() for node in NODES}) as proxies:
        unused = runnable(settings).hooks.unused
        stack = Stack(settings, unused, proxies=proxies.ports, secure=options.secure)
        whole = False
        try:
            stack.up(console=console)
            proxies.lead_to({node: stack.port_of(f"kafka_proxied_{node}") for node in NODES})
            yield Scene(stack, proxies, options)
            whole = not keep_file(stack).exists()
        except KeyboardInterrupt:
            whole = True
            raise
        finally:
            stack.down(console=console)
            if whole:
                shutil.rmtree(folder, ignore_errors=True)
            elif stack.folder.path.exists():
                console.print(f"the data folder with all logs is kept: {stack.folder.path}", highlight=False)


def keep_file(stack: Stack) -> Path:
    """Where this file exists at the end the data folder stays."""
    return stack.folder.path / "keep"
