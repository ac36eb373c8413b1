"""The local stack: the one object that commands, `pipeline demo` and the tests use."""

import asyncio
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

from rich.console import Console

from pipeline.access import user_of
from pipeline.errors import StackError
from pipeline.kafka import describe_topics
from pipeline.settings import Settings
from pipeline.stack import archives, ports
from pipeline.stack.artifacts import load_lock
from pipeline.stack.credentials import ADMIN, Secrets
from pipeline.stack.datadir import DataDir, read_json, require_plain, write_json
from pipeline.stack.fetch import Cache, full_disk_told, require_space
from pipeline.stack.parts import IDENTITIES, PARTS, PASSWORDS, USERS, Site, build, endpoints
from pipeline.stack.parts.identity import identity
from pipeline.stack.parts.kafka import KafkaNode, make_users
from pipeline.stack.program import Program, Stage
from pipeline.stack.say import say
from pipeline.stack.starter import Starter
from pipeline.stack.status import PartStatus, statuses
from pipeline.stack.supervisor import Supervisor
from pipeline.stack.view import StartView

IN_SYNC_WAIT_S = 60.0
DATA_BYTES = 512 * 1024**2  # a new stack takes 0.2 GB, and some records should fit in, too


class Stack:
    """The stack of one data folder. All state is on disk: any process may make a Stack and ask it.

    `without` names parts (of `PARTS`) that are not started, since the settings point at servers of yours.
    `proxies` {node: port} gives Kafka's nodes a second listener that is advertised at these ports, where somebody has
    to pass connections on to `port_of("kafka_proxied_<node>")`. With `secure` every connection is encrypted and every
    client must say who it is: `endpoints` are those of the stack's owner, who may do everything.
    """

    def __init__(
        self,
        settings: Settings,
        without: Iterable[str] = (),
        *,
        proxies: Mapping[int, int] | None = None,
        secure: bool = False,
    ) -> None:
        without = set(without)
        if unknown := without - set(PARTS):
            raise StackError(f"there is no part {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}")
        self._settings = settings
        self._proxies = dict(proxies or {})
        self._secure = secure
        self._names = tuple(name for name in PARTS if name not in without)
        self.folder = DataDir(settings.data_dir)
        self._supervisor = Supervisor(self.folder)

    def up(self, *, fresh: bool = False, console: Console | None = None) -> dict[str, str]:
        """Start what does not run yet and return `endpoints`; `fresh` wipes the data folder's state first.

        Raises StackError; then, as after Ctrl-C, nothing that this call started is left running.
        """
        console = console or Console(quiet=True)
        for setting in ("data_dir", "cache_dir"):
            require_plain(setting, getattr(self._settings, setting).absolute())
        with full_disk_told(self.folder.path):
            self.folder.claim()
            with self.folder.locked():
                if fresh:
                    self._stop_everything()
                    self.folder.wipe()
                    self.folder.claim()
                if not self._supervisor.is_alive():
                    self._stop_everything()
                self._start(console)
        return self.endpoints

    def down(self, *, console: Console | None = None) -> bool:
        """Stop every process of this stack in order; whether there was any."""
        if not self.folder.is_ours():
            return False
        with self.folder.locked(), _uninterrupted():
            return self._stop_everything(console)

    def is_running(self) -> bool:
        """Whether the stack was started wholly and its supervisor runs; `status` tells about single parts."""
        return bool(self.endpoints) and self._supervisor.is_alive()

    def status(self) -> list[PartStatus]:
        """The state of each process; empty if the stack is not running."""
        if not self._supervisor.is_alive():
            return []
        parts = statuses(self._supervisor.programs(), self._supervisor.processes())
        return [part for part in parts if part.name != archives.PROGRAM_NAME or part.pid]

    @property
    def endpoints(self) -> dict[str, str]:
        """Addresses under the names of the settings; empty if the stack is not running."""
        return read_json(self.folder.endpoints_file)

    def port_of(self, name: str) -> int:
        """A port of the running stack by its name in `ports.PORTS_OF`; raises StackError if it has none."""
        run = self.folder.load_run()
        if run is None or name not in run.ports:
            raise StackError(f"the local stack in {self.folder.path} has no port {name}")
        return run.ports[name]

    @property
    def settings(self) -> Settings:
        """The settings with this stack's addresses in place of the given ones."""
        return self._settings.replaced(**self.endpoints)

    @property
    def is_secured(self) -> bool:
        """Whether the stack runs with security."""
        run = self.folder.load_run()
        return run is not None and ports.PORTS_OF["secured"][0] in run.ports

    @property
    def passwords(self) -> Path | None:
        """The folder with the passwords of the users of processes; None in a plain stack."""
        return self.folder.secrets if self.is_secured else None

    def identity(self, process: str) -> dict[str, Any]:
        """The settings by which a kind of process is known to a secured stack, with no more rights than it needs.

        Empty in a plain stack, where nobody is asked. `process` is one of `access.PROCESSES`.
        """
        if not self.is_secured:
            return {}
        return identity(Secrets(self.folder.secrets), process, user_of(process), self.settings)

    def add(self, programs: Iterable[Program], *, start: bool = True) -> None:
        """Run more programs under the stack's supervisor; a known name with another definition is replaced."""
        programs = sorted(programs, key=lambda program: program.stage)
        self._require_running()
        with self.folder.locked():
            self._supervisor.add(programs)
            if start:
                for program in programs:
                    self._supervisor.start_program(program.name)

    def stop(self, *names: str) -> None:
        """Stop these programs and return when they have ended; they stay known."""
        self._require_running()
        self._supervisor.stop(names)

    def start(self, *names: str) -> None:
        """Start these known programs, without waiting for them to serve."""
        self._require_running()
        for name in names:
            self._supervisor.start_program(name)

    def restart(self, name: str) -> None:
        """Stop and start one program, without waiting for it to serve."""
        self.stop(name)
        self.start(name)

    def rotate(self, *, console: Console | None = None) -> None:
        """Give every part of a secured stack a new certificate, and restart one part after the other.

        The next broker is restarted once every replica is in sync, so that clients only see a leader move. Raises
        StackError for a plain stack, and when a part does not come back.
        """
        self._require_running()
        run = self.folder.load_run()
        if run is None or not self.is_secured:
            raise StackError(f"the local stack in {self.folder.path} runs without security: it has no certificates")
        console = console or Console(quiet=True)
        with self.folder.locked():
            secrets = self._secrets(run.ports)
            assert secrets is not None
            site = Site(self.folder, run.ports, Cache(self._settings.cache_dir), load_lock(), self._proxies, secrets)
            running = {part.name for part in self.status()}
            parts = [part for part in build(site, self._names) if part.name in running]
            secrets.renew([*(part.name for part in parts), ADMIN])
            with StartView(console).shown() as view:
                for part in parts:
                    if isinstance(part, KafkaNode):
                        asyncio.run(self._in_sync())
                    self._supervisor.stop([part.name])
                    Starter(self._supervisor, self.folder, [part], view).run()

    async def _in_sync(self) -> None:
        deadline = time.monotonic() + IN_SYNC_WAIT_S
        while any(state.under_replicated for state in (await describe_topics(self.settings)).values()):
            if time.monotonic() > deadline:
                raise StackError(f"replicas were not in sync within {IN_SYNC_WAIT_S:.0f} s")
            await asyncio.sleep(0.2)

    def _start(self, console: Console) -> None:
        alive = self._supervisor.is_alive()
        running = {part.name for part in self.status() if part.state == "running"}
        run = self.folder.load_run()
        in_use = run.ports if alive and run else {}
        lock, cache = load_lock(), Cache(self._settings.cache_dir)
        secrets = self._secrets(in_use)
        wanted = (*self._names, *(["proxied"] if self._proxies else []), *(["secured"] if secrets else []))
        assigned = ports.assign(self._settings, wanted, self.folder.ports_file, in_use, console)
        site = Site(self.folder, assigned, cache, lock, self._proxies, secrets)
        parts = build(site, self._names)
        missing = [part for part in parts if not (self.endpoints and part.name in running)]
        if not missing:
            say(console, f"the stack in {self.folder.path} is already running")
            return
        require_space(self.folder.path, DATA_BYTES)
        cache.ensure(lock.of(self._names), console)
        names = [part.name for part in missing]
        with self._stopped_if_broken_off(names):
            if alive:
                self._supervisor.remember_ports(assigned)
            else:
                self.folder.clear_scratch()
                self._supervisor.start(assigned, self._settings.secret_environment())
            say(console, f"starting {', '.join(names)} in {self.folder.path}")
            with StartView(console).shown() as view:
                Starter(self._supervisor, self.folder, missing, view).run()
            if secrets is not None and any(isinstance(part, KafkaNode) for part in missing):
                asyncio.run(make_users(site, USERS))
            write_json(self.folder.endpoints_file, self.endpoints | endpoints(parts))
        found = (part.class_archive() for part in missing)
        archiver = archives.program(filter(None, found), self.folder.config / "class-archives.json")
        if archiver is not None:
            with suppress(StackError):  # the stack runs without them, too
                self._supervisor.add([archiver])
                self._supervisor.start_program(archiver.name)

    def _secrets(self, in_use: Mapping[str, int]) -> Secrets | None:
        """The secrets of a stack that is secured, made where they are missing; one that runs stays as it is."""
        is_secured = ports.PORTS_OF["secured"][0] in in_use
        if self._secure and in_use and not is_secured:
            raise StackError(
                f"the local stack in {self.folder.path} runs without security: stop it with `pipeline stack down` first"
            )
        if not (self._secure or is_secured):
            return None
        secrets = Secrets(self.folder.secrets)
        secrets.make(IDENTITIES, (*USERS, *PASSWORDS))
        return secrets

    @contextmanager
    def _stopped_if_broken_off(self, names: list[str]) -> Iterator[None]:
        """If the block fails stop everything; or only these programs, if the stack was up before."""
        was_running = self.is_running()
        try:
            yield
        except BaseException:
            with _uninterrupted():
                if was_running:
                    self._supervisor.stop(names)
                else:
                    self._stop_everything()
            raise

    def _stop_everything(self, console: Console | None = None) -> bool:
        alive = self._supervisor.is_alive()
        if alive:
            by_stage = sorted(self._supervisor.programs(), key=lambda program: -program.stage)
            for stage in sorted({program.stage for program in by_stage}, reverse=True):
                names = [program.name for program in by_stage if program.stage == stage]
                if console is not None:
                    say(console, f"  stopping {', '.join(names)}")
                self._supervisor.stop(names)
            self._supervisor.shutdown()
        orphans = self._supervisor.kill_orphans()
        if self.folder.is_ours():
            self.folder.forget_run()
        return alive or orphans > 0

    def _require_running(self) -> None:
        if not self._supervisor.is_alive():
            raise StackError(f"the local stack in {self.folder.path} is not running; start it with `pipeline stack up`")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let a second Ctrl-C not break off the cleaning up."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


__all__ = ["Program", "Stack", "Stage"]
