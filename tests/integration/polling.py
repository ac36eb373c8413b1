"""A running poller, what is written into the shop's database, and what has been sent."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from pipeline import reading, topics
from pipeline.codecs import Decoder
from pipeline.kafka import READ_COMMITTED, READ_UNCOMMITTED
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.sources.database import engine
from pipeline.topics import Topic

INSERT = "INSERT INTO flash_sales (product_id, region_id, sale_price, quantity, sale_datetime) VALUES "
ROW = "('P10', 'Region_1', 2.50, 2, '2024-05-01 10:00:00')"


@dataclass
class Poll:
    """A running `pipeline poll` and what it says."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        return self.log.read_text()


@contextmanager
def polling(settings: Settings, log: Path) -> Iterator[Poll]:
    """A running `pipeline poll`; its output is appended to the log."""
    command = [sys.executable, "-m", "pipeline", "poll"]
    with (
        log.open("ab") as out,
        subprocess.Popen(command, env=settings.as_environment(), stdout=out, stderr=out) as process,
    ):
        try:
            yield Poll(process, log)
        finally:
            process.terminate()
            process.wait(timeout=30)


def sql(settings: Settings, *statements: str) -> None:
    async def run() -> None:
        database = engine(settings)
        try:
            async with database.begin() as connection:
                for statement in statements:
                    await connection.execute(text(statement))
        finally:
            await database.dispose()

    asyncio.run(run())


def await_mysql(settings: Settings, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return sql(settings, "SELECT 1")
        except (SQLAlchemyError, OSError):
            assert time.monotonic() < deadline, "MySQL did not come back"
            time.sleep(0.5)


def sent(settings: Settings) -> Counter[bytes]:
    """How often each key lies in the topic, once no transaction is open: end markers come after a commit's answer."""

    async def read() -> Counter[bytes]:
        name, deadline = [topics.FLASH_SALES.name], time.monotonic() + 20
        while await reading.end_offsets(settings, name, isolation_level=READ_COMMITTED) != await reading.end_offsets(
            settings, name, isolation_level=READ_UNCOMMITTED
        ):
            assert time.monotonic() < deadline, "a transaction stays open"
            await asyncio.sleep(0.05)
        return Counter([record.key async for record in reading.read_topic(settings, topics.FLASH_SALES.name)])

    return asyncio.run(read())


def await_rows(settings: Settings, poller: Poll, count: int, timeout_s: float = 40) -> None:
    deadline = time.monotonic() + timeout_s
    while len(found := sent(settings)) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} rows came; the poller said:\n{poller.said()}"
        time.sleep(0.5)
    assert set(found.values()) == {1}
    assert poller.process.poll() is None


def values(settings: Settings, topic: Topic) -> list[tuple[bytes, dict[str, Any]]]:
    """(key, decoded value) of every committed record of a topic."""

    async def read() -> list[tuple[bytes, dict[str, Any]]]:
        decode, registry = Decoder(topic.schema), Registry(settings)
        records = [record async for record in reading.read_topic(settings, topic.name)]
        await registry.prepare(decode, [record.value for record in records])
        return [(record.key, decode(record.value)) for record in records]

    return asyncio.run(read())


def await_true(what: Any, poller: Poll, timeout_s: float = 40) -> None:
    """Wait until a function gives something true, while the poller runs."""
    deadline = time.monotonic() + timeout_s
    while not what():
        assert poller.process.poll() is None, f"the poller ended:\n{poller.said()}"
        assert time.monotonic() < deadline, f"it did not come; the poller said:\n{poller.said()}"
        time.sleep(0.5)


def command(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of `pipeline` with these settings."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        env=settings.as_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
