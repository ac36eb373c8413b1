"""A worker that stands still ends, so that whoever supervises it starts it again.

Three things are watched: whether records that lie in the brokers are fetched, batches in hand come to their end and
transactions are committed (by a task); whether the event loop turns, and whether a worker that has to stop comes to
its end (by a thread, which also tells systemd, where it asks for it).
"""

import faulthandler
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from mode import Service

from pipeline.errors import StallError
from pipeline.settings import systemd_socket
from pipeline.transport.consumer import BatchConsumer
from pipeline.transport.host import Host

EXIT_CODE = 70
CHECKS = 6  # per timeout
READ_MS = 2_000
STOP_S = 20.0


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

    def clear(self) -> None:
        """Start afresh with everything."""
        self._since.clear()


class Watchdog(Service):
    """Ends a worker that has stood still for `timeout_s` seconds, or takes longer than `stop_s` to stop.

    A worker that hangs while it stops is still a member of its group, and nobody else gets its partitions.
    """

    def __init__(self, app: Host, timeout_s: float, stop_s: float = STOP_S, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._app = app
        self._timeout_s = timeout_s
        self._stop_s = stop_s
        self._stalls = Stalls(timeout_s)
        self._turned_s = time.monotonic()

    async def on_start(self) -> None:
        """Start the thread; it ends with the process."""
        self._turned_s = time.monotonic()
        threading.Thread(target=self._watch_the_process, name="watchdog", daemon=True).start()

    @Service.task
    async def _turn(self) -> None:
        while not self.should_stop:
            self._turned_s = time.monotonic()
            await self.sleep(self._timeout_s / CHECKS)

    @Service.task
    async def _watch_the_work(self) -> None:
        reader: AIOKafkaConsumer = self._app.changelog_reader()
        await reader.start()
        try:
            while not self.should_stop:
                await self.sleep(self._timeout_s / CHECKS)
                try:
                    standing = await self._standing(reader)
                except (KafkaError, OSError, TimeoutError) as error:
                    self.log.info("The brokers do not tell where their topics end: %r", error)
                    self._stalls.clear()
                    continue
                if standing:
                    await self.crash(StallError(f"nothing has moved for {self._timeout_s:.0f} s in {standing}"))
        finally:
            await reader.stop()

    async def _standing(self, reader: AIOKafkaConsumer) -> list[Any]:
        """What has stood still for the timeout: partitions with records, batches in hand, an open transaction."""
        app = self._app
        if app.rebalancing or app.in_recovery:
            self._stalls.clear()
            return []
        # while a batch waits for the registry, those behind it are not fetched
        positions = {} if app.batches_waiting else cast(BatchConsumer, app.consumer).fetch_positions()
        ends = await reader.end_offsets(list(positions)) if positions else {}
        standing = self._stalls.standing(
            time.monotonic(),
            {
                **{tp: (position, position < ends[tp]) for tp, position in positions.items()},
                "batches in hand": (app.batches_done, app.batches_in_work > 0),
                "commits": (app.outbox.commits, app.outbox.is_open),
            },
        )
        below = {tp: positions[tp] for tp in standing if isinstance(tp, TopicPartition)}
        return [what for what in standing if what not in below] + await with_records(reader, below)

    def _watch_the_process(self) -> None:
        told_s, stopping_s = 0.0, None
        while True:
            time.sleep(min(1.0, self._timeout_s / CHECKS, self._stop_s / CHECKS))
            now_s = time.monotonic()
            if self._app.should_stop:
                stopping_s = now_s if stopping_s is None else stopping_s
                if now_s - stopping_s >= self._stop_s:
                    end_process(f"the worker has been stopping for {self._stop_s:.0f} s")
            elif now_s - self._turned_s >= self._timeout_s:
                end_process(f"the event loop has stood still for {now_s - self._turned_s:.0f} s")
            if now_s - told_s >= 1.0:
                tell_systemd("WATCHDOG=1")
                told_s = now_s


def end_process(why: str) -> None:
    """End at once, saying where every thread stood."""
    sys.stderr.write(f"{why}: the worker ends\n")
    faulthandler.dump_traceback(sys.stderr)
    os._exit(EXIT_CODE)


async def with_records(reader: AIOKafkaConsumer, positions: Mapping[TopicPartition, int]) -> list[TopicPartition]:
    """Those partitions that have a record at or above the position: markers of transactions are none."""
    if not positions:
        return []
    reader.assign(list(positions))
    for tp, position in positions.items():
        reader.seek(tp, position)
    return list(await reader.getmany(timeout_ms=READ_MS))


def tell_systemd(state: str) -> None:
    """Send a state to systemd, if it runs this process and listens."""
    if address := systemd_socket():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
