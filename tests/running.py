"""The whole application on a stack of its own, as the tests on the real cluster share it."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka import TopicPartition

from pipeline import kafka, reading, topics
from pipeline.demo_page import answers, dashboard_url
from pipeline.processes import programs
from pipeline.provision import access_of, provision
from pipeline.settings import Settings, load
from pipeline.stack.cluster import Stack
from pipeline.stack.ports import FREE_PORTS
from pipeline.timebase import now_ms
from pipeline.verify.report import Report
from pipeline.verify.run import verify


@contextmanager
def own_stack(folder: Path, without: tuple[str, ...] = (), *, secure: bool = False) -> Iterator[Stack]:
    """A running local stack with free ports and its data in a folder, which is wiped at the end."""
    stack = Stack(load(data_dir=folder / "data", **FREE_PORTS), without=without, secure=secure)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
        stack.folder.wipe()


class Application:
    """The application's processes on the `stack`: poller, two workers, generators, dashboard."""

    def __init__(self, stack: Stack) -> None:
        rates = {"pageview_rate": 150.0, "sale_rate": 100.0, "user_rate": 50.0, "dashboard_port": free_port()}
        self.stack = stack
        self.began_ms = now_ms()
        self.settings: Settings = stack.settings.model_copy(update=rates)
        self.page = self.settings.replaced(**stack.identity("dashboard"))
        self.url = dashboard_url(self.page)

    def start(self) -> None:
        """Provision and start everything, with three hours of the past; returns when the dashboard shows data."""
        asyncio.run(provision(self.settings, tell=lambda _: None, access=access_of(self.stack.passwords)))
        self.stack.add(programs(self.settings, workers=2, history=3.0, identity=self.stack.identity))
        deadline = time.monotonic() + 120
        while not answers(self.page):
            assert time.monotonic() < deadline, f"no data in the dashboard: {self.stack.status()}"
            time.sleep(0.5)
        while not asyncio.run(self._past_is_written()):
            assert time.monotonic() < deadline, f"the past is not written: {self.stack.status()}"
            time.sleep(0.5)

    async def _past_is_written(self) -> bool:
        """Whether there are views of now."""
        now = now_ms()
        async with kafka.reader(self.settings) as consumer:
            partitions = [TopicPartition(topics.PAGEVIEW.name, n) for n in range(self.settings.partitions)]
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, now - 5_000))
        return any(offset is not None for offset in found.values())

    def pid(self, name: str) -> int:
        """The pid of one of its processes."""
        (part,) = (part for part in self.stack.status() if part.name == name)
        return part.pid

    def letters(self) -> int:
        """How many dead letters there are, of whatever application."""

        async def count() -> int:
            return sum([1 async for _ in reading.read_topic(self.settings, topics.DEAD_LETTERS.name)])

        return asyncio.run(count())

    def quiet(self) -> None:
        """Stop the sources."""
        self.stack.stop("generator")
        time.sleep(3)
        self.stack.stop("poller")

    def verified(self, *, resume: bool = True) -> Report:
        """Stop the sources, let the rest catch up, verify, and let the sources go on unless told otherwise."""
        self.quiet()
        try:
            return asyncio.run(verify(self.settings, timeout_s=90))
        finally:
            if resume:
                self.stack.start("poller", "generator")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
