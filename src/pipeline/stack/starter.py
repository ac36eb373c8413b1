"""Start parts side by side, each after those that it needs, until every one serves or one has failed."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Event, Lock

from pipeline.errors import StackError
from pipeline.shown import quiet
from pipeline.stack.datadir import DataDir
from pipeline.stack.parts import Part
from pipeline.stack.program import log_file
from pipeline.stack.supervisor import Supervisor
from pipeline.stack.view import StartView

START_TIMEOUT_S = 240.0  # seconds suffice on an idle machine, not on a busy one
PROBE_EVERY_S = 0.3
TAIL_LINES = 15


class Starter:
    """Starts the given parts once."""

    def __init__(self, supervisor: Supervisor, folder: DataDir, parts: Sequence[Part], view: StartView) -> None:
        self._supervisor = supervisor
        self._logs = folder.logs
        self._parts = parts
        self._view = view
        self._ready = {part.name: Event() for part in parts}
        self._broken_off = Event()
        self._adding = Lock()

    def run(self) -> None:
        """Return when every part serves; raises StackError of the first that failed, the others being left as is."""
        if not self._parts:
            return
        # a client logs an error for each broker that does not listen yet: while waiting that is no error
        with quiet(logging.CRITICAL, "aiokafka"), ThreadPoolExecutor(len(self._parts)) as pool:
            try:
                futures: list[Future[None]] = [pool.submit(self._start, part) for part in self._parts]
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:
                self._broken_off.set()

    def _start(self, part: Part) -> None:
        for name in part.needs:
            self._wait_for(name)
        if self._broken_off.is_set():
            return
        self._view.starting(part.name)
        part.prepare()
        log = log_file(self._logs, part.name)
        log_start = log.stat().st_size if log.exists() else 0
        with self._adding:
            self._supervisor.add([part.program()])
            if self._broken_off.is_set():
                return
            self._supervisor.start_program(part.name)
        pid = int(self._supervisor.processes()[part.name]["pid"])
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _serves(part):
            self._require_alive(part.name, pid, log_start)
            if self._broken_off.wait(PROBE_EVERY_S):
                return
            if time.monotonic() > deadline:
                reason = f"it did not answer within {START_TIMEOUT_S:.0f} s"
                raise StackError(f"{part.name} did not start: {reason}{self._tail(part.name, log_start)}")
        self._ready[part.name].set()
        self._view.ready(part.name)

    def _wait_for(self, name: str) -> None:
        ready = self._ready.get(name)
        while ready is not None and not ready.wait(PROBE_EVERY_S):
            if self._broken_off.is_set():
                return

    def _require_alive(self, name: str, pid: int, log_start: int) -> None:
        process = self._supervisor.processes()[name]
        if process["statename"] in ("STARTING", "RUNNING") and process["pid"] == pid:
            return
        reason = process["spawnerr"] or f"it ended with exit status {process['exitstatus']}"
        if process["statename"] in ("STARTING", "RUNNING"):
            reason = "it ended right after it was started"  # and is being started again
        raise StackError(f"{name} did not start: {reason}{self._tail(name, log_start)}")

    def _tail(self, name: str, log_start: int) -> str:
        path = log_file(self._logs, name)
        try:
            with path.open("rb") as file:
                file.seek(min(log_start, path.stat().st_size))
                lines = file.read().decode(errors="replace").strip().splitlines()[-TAIL_LINES:]
        except OSError:
            lines = []
        return "".join(f"\n  {line}" for line in [f"the end of {path}:", *lines])


def _serves(part: Part) -> bool:
    try:
        return part.probe()
    except Exception:  # whatever a client of a server that is starting up may meet
        return False
