"""A worker that stands still ends, so that whoever supervises it starts it again.

Two things are watched: whether batches in hand come to their end and transactions are committed (by a task), and
whether the event loop turns (by a thread, which also tells systemd, where it asks for it).
"""

import faulthandler
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mode import Service

from pipeline.errors import StallError
from pipeline.settings import systemd_socket

if TYPE_CHECKING:
    from pipeline.transport.app import BatchApp

EXIT_CODE = 70
CHECKS = 6  # per timeout


class Stalls:
    """Which of several counters stand still although there is something to do."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._since: dict[Any, tuple[int, float]] = {}

    def standing(self, now_s: float, progress: Mapping[Any, tuple[int, bool]]) -> list[Any]:
        """The keys of {key: (counter, is there something to do)} that have not moved for the timeout.

        A key that is new, has moved or has nothing to do starts afresh.
        """
        fresh = {
            key: (counter, now_s)
            for key, (counter, todo) in progress.items()
            if not todo or self._since.get(key, (None, 0.0))[0] != counter
        }
        self._since = {key: entry for key, entry in self._since.items() if key in progress} | fresh
        return [key for key, (_, since_s) in self._since.items() if now_s - since_s >= self._timeout_s]


class Watchdog(Service):
    """Ends a worker that has stood still for `timeout_s` seconds."""

    def __init__(self, app: "BatchApp", timeout_s: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._app = app
        self._timeout_s = timeout_s
        self._stalls = Stalls(timeout_s)
        self._turned_s = time.monotonic()
        self._watching = threading.Event()

    async def on_start(self) -> None:
        """Start the thread."""
        self._turned_s = time.monotonic()
        threading.Thread(target=self._watch_the_loop, name="watchdog", daemon=True).start()

    async def on_stop(self) -> None:
        """Let the thread end."""
        self._watching.set()

    @Service.task
    async def _turn(self) -> None:
        while not self.should_stop:
            self._turned_s = time.monotonic()
            await self.sleep(self._timeout_s / CHECKS)

    @Service.task
    async def _watch_the_work(self) -> None:
        while not self.should_stop:
            await self.sleep(self._timeout_s / CHECKS)
            app = self._app
            if app.rebalancing or app.in_recovery:
                continue
            progress = {
                "batches in hand": (app.batches_done, app.batches_in_work > 0),
                "commits": (app.outbox.commits, app.outbox.is_open),
            }
            if standing := self._stalls.standing(time.monotonic(), progress):
                await self.crash(StallError(f"nothing has moved for {self._timeout_s:.0f} s in {standing}"))

    def _watch_the_loop(self) -> None:
        told_s = 0.0
        while not self._watching.wait(min(1.0, self._timeout_s / CHECKS)):
            silent_s = time.monotonic() - self._turned_s
            if silent_s >= self._timeout_s:
                sys.stderr.write(f"the event loop has stood still for {silent_s:.0f} s: the worker ends\n")
                faulthandler.dump_traceback(sys.stderr)
                os._exit(EXIT_CODE)
            if time.monotonic() - told_s >= 1.0:
                tell_systemd("WATCHDOG=1")
                told_s = time.monotonic()


def tell_systemd(state: str) -> None:
    """Send a state to systemd, if it runs this process and listens."""
    if address := systemd_socket():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
