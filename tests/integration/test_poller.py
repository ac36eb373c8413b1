"""The poller against the real MySQL: outages, and tables that change under it."""

import asyncio
import time

import pytest
from aiokafka import ConsumerRecord
from polling import INSERT, ROW, Poll, await_mysql, await_rows, sent, sql
from sqlalchemy import text

from pipeline import reading, topics
from pipeline.settings import Settings
from pipeline.sources.commands import run_generators, run_poller
from pipeline.sources.database import engine
from pipeline.sources.imperfect import Imperfection
from pipeline.stack.cluster import Stack
from pipeline.timebase import HOUR_MS, now_ms, to_ms

pytestmark = pytest.mark.integration


def test_an_outage_of_mysql_beyond_the_longest_pause_is_ridden_out(
    brokers: Stack, settings: Settings, poller: Poll
) -> None:
    before = len(sent(settings))
    sql(settings, INSERT + ROW)
    await_rows(settings, poller, before + 1)
    brokers.stop("mysql")
    time.sleep(35)  # attempts are 10 s apart by then, and no further
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
    rates = {"pageviews": 50.0, "users": 50.0, "sales": 50.0}
    began_ms = now_ms()
    asyncio.run(run_generators(settings, rates, 200, 1, history=2))
    assert all(began_ms - 2 * HOUR_MS <= ms < began_ms for ms in times_of_views(settings))
    assert len(times_of_views(settings)) == 200
    users = [(r.timestamp, r.key) for r in records(settings, topics.USERS)]
    first_ms = min(ms for ms, _ in users)
    assert sorted(key for ms, key in users if ms == first_ms) == [b"User_%d" % n for n in range(1, 10)]
    assert first_ms < min(times_of_views(settings))
    sold = times_of_sales(settings)
    assert sold == sorted(sold)
    assert len(sold) == 200
    assert sold[0] > began_ms - 2 * HOUR_MS - 1000
    assert sold[-1] < began_ms
    asyncio.run(run_generators(settings, rates, 20, 1, history=2))
    assert sum(ms >= began_ms for ms in times_of_views(settings)) == 20
    assert len(times_of_sales(settings)) == 220
    assert min(times_of_sales(settings)[200:]) >= began_ms - 1000


def records(settings: Settings, topic: topics.Topic) -> list[ConsumerRecord]:
    async def read() -> list[ConsumerRecord]:
        return [record async for record in reading.read_topic(settings, topic.name)]

    return asyncio.run(read())


def times_of_views(settings: Settings) -> list[int]:
    return [record.timestamp for record in records(settings, topics.PAGEVIEW)]


def test_imperfect_sales_are_written_and_polled(settings: Settings) -> None:
    sql(settings, "DELETE FROM flash_sales")
    imperfect = Imperfection(3, late=0.2, bad=0.2)
    began_ms = now_ms()
    asyncio.run(run_generators(settings, {"sales": 0.0}, 400, 3, history=1, imperfect=imperfect))
    sold = times_of_sales(settings)
    assert sum(ms is None for ms in sold) == pytest.approx(80, abs=30)
    assert sum(ms is not None and ms < began_ms - HOUR_MS for ms in sold) > 10
    before = len(sent(settings))
    assert asyncio.run(run_poller(settings, once=True)) == 400
    assert len(sent(settings)) == before + 400


def times_of_sales(settings: Settings) -> list[int | None]:
    """Epoch milliseconds of the sales, in the order of their ids; None for a date that there is not."""

    async def read() -> list[int | None]:
        database = engine(settings)
        async with database.connect() as connection:
            rows = await connection.execute(text("SELECT sale_datetime FROM flash_sales ORDER BY sale_id"))
            found = [None if isinstance(row[0], str) else to_ms(row[0]) for row in rows]
        await database.dispose()
        return found

    return asyncio.run(read())
