"""The poller against the real MySQL: outages, and tables that change under it."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from pipeline import reading, topics
from pipeline.provision import provision
from pipeline.settings import Settings, load
from pipeline.sources.commands import run_generators
from pipeline.sources.database import engine
from pipeline.stack.cluster import Stack
from pipeline.stack.ports import FREE_PORTS
from pipeline.timebase import HOUR_MS, now_ms

INSERT = "INSERT INTO flash_sales (product_id, region_id, sale_price, quantity, sale_datetime) VALUES "
ROW = "('P10', 'Region_1', 2.50, 2, '2024-05-01 10:00:00')"


pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: the tables change, and the topics belong to another group."""
    stack = Stack(load(data_dir=tmp_path_factory.mktemp("poller") / "data", **FREE_PORTS), without=("pinot",))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
        stack.folder.wipe()


@pytest.fixture(scope="module")
def settings(brokers: Stack) -> Settings:
    """The stack's settings, with what the poller needs provisioned, under a group of its own."""
    made = brokers.settings.model_copy(update={"app_id": "poller-test", "poll_interval_s": 0.2, "bulk_interval_s": 3.0})
    asyncio.run(provision(made, tell=lambda _: None, pinot=False))
    return made


@dataclass
class Poll:
    """A running `pipeline poll` and what it says."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        return self.log.read_text()


@pytest.fixture
def poller(settings: Settings, tmp_path: Path) -> Iterator[Poll]:
    """A running `pipeline poll`."""
    log = tmp_path / "poller.log"
    command = [sys.executable, "-m", "pipeline", "poll"]
    with (
        log.open("wb") as out,
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
        async with database.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))
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
    async def read() -> Counter[bytes]:
        return Counter([record.key async for record in reading.read_topic(settings, topics.FLASH_SALES.name)])

    return asyncio.run(read())


def await_rows(settings: Settings, poller: Poll, count: int, timeout_s: float = 40) -> None:
    deadline = time.monotonic() + timeout_s
    while len(found := sent(settings)) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} rows came; the poller said:\n{poller.said()}"
        time.sleep(0.5)
    assert set(found.values()) == {1}
    assert poller.process.poll() is None


def test_an_outage_of_mysql_of_minutes_is_ridden_out(brokers: Stack, settings: Settings, poller: Poll) -> None:
    before = len(sent(settings))
    sql(settings, INSERT + ROW)
    await_rows(settings, poller, before + 1)
    brokers.stop("mysql")
    time.sleep(90)
    assert poller.process.poll() is None
    brokers.start("mysql")
    await_mysql(settings)
    sql(settings, INSERT + ROW)
    await_rows(settings, poller, before + 2)


def test_a_new_column_is_left_out_and_the_rows_go_on(settings: Settings, poller: Poll) -> None:
    before = len(sent(settings))
    sql(settings, INSERT + ROW)
    await_rows(settings, poller, before + 1)
    sql(settings, "ALTER TABLE flash_sales ADD COLUMN note VARCHAR(20) NULL", INSERT + ROW)
    await_rows(settings, poller, before + 2)
    sql(settings, "ALTER TABLE flash_sales DROP COLUMN note")


@pytest.mark.parametrize(
    ("change", "back", "sentence"),
    [
        (
            "ALTER TABLE flash_sales DROP COLUMN province_id",
            "ALTER TABLE flash_sales ADD COLUMN province_id INT",
            "table flash_sales has no column province_id",
        ),
        (
            "ALTER TABLE flash_sales MODIFY sale_datetime BIGINT",
            "ALTER TABLE flash_sales MODIFY sale_datetime DATETIME",
            "column sale_datetime of table flash_sales is BIGINT, but must be DATETIME",
        ),
    ],
)
def test_an_incompatible_change_stops_the_poller_with_a_sentence(
    settings: Settings, poller: Poll, change: str, back: str, sentence: str
) -> None:
    before = len(sent(settings))
    sql(settings, INSERT + ROW)
    await_rows(settings, poller, before + 1)
    sql(settings, change)
    try:
        poller.process.wait(timeout=30)
    finally:
        sql(settings, back)
    assert poller.process.returncode == 1
    assert sentence in poller.said()
    assert "Traceback" not in poller.said()
    assert len(sent(settings)) == before + 1


def test_generators_begin_with_the_past_where_there_is_none(settings: Settings) -> None:
    sql(settings, "DELETE FROM flash_sales")
    rates = {"pageviews": 50.0, "sales": 50.0}
    began_ms = now_ms()
    asyncio.run(run_generators(settings, rates, 200, 1, history=2))
    assert all(began_ms - 2 * HOUR_MS <= ms < began_ms for ms in times_of_views(settings))
    assert len(times_of_views(settings)) == 200
    sold = times_of_sales(settings)
    assert sold == sorted(sold)
    assert len(sold) == 200
    assert sold[0] > began_ms - 2 * HOUR_MS - 1000
    assert sold[-1] < began_ms
    asyncio.run(run_generators(settings, rates, 20, 1, history=2))
    assert sum(ms >= began_ms for ms in times_of_views(settings)) == 20
    assert len(times_of_sales(settings)) == 220
    assert min(times_of_sales(settings)[200:]) >= began_ms - 1000


def times_of_views(settings: Settings) -> list[int]:
    async def read() -> list[int]:
        return [record.timestamp async for record in reading.read_topic(settings, topics.PAGEVIEW.name)]

    return asyncio.run(read())


def times_of_sales(settings: Settings) -> list[int]:
    """Epoch milliseconds of the sales, in the order of their ids."""

    async def read() -> list[int]:
        database = engine(settings)
        async with database.connect() as connection:
            rows = await connection.execute(text("SELECT sale_datetime FROM flash_sales ORDER BY sale_id"))
            found = [int(row[0].replace(tzinfo=UTC).timestamp() * 1000) for row in rows]
        await database.dispose()
        return found

    return asyncio.run(read())
