"""The whole application on the real cluster, under load, with poisoned records and kills."""

import asyncio
import os
import signal
import struct
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, text

from pipeline import kafka, topics
from pipeline.registry import Registry
from pipeline.serving.pinot import client
from pipeline.sources.database import engine
from pipeline.sources.models import FlashSale
from pipeline.sources.seed import product_rows, region_rows
from pipeline.status.collector import collect
from pipeline.status.view import as_json
from pipeline.verify.report import Report
from running import Application

VIEW = {"viewtime": 1, "userid": "User_1", "pageid": "Page_10"}
SALE = dict.fromkeys(("customer_id", "province_id", "product_id", "region_id", "discount", "original_price"))


async def poison(application: Application) -> int:
    """Send bad records of every kind among good ones; returns how many are bad."""
    settings = application.settings
    registry = Registry(settings)
    view = (await registry.encoder(topics.PAGEVIEW))(VIEW)
    sale = await registry.encoder(topics.FLASH_SALES)
    timeless = {**SALE, "sale_id": 10**9, "sale_price": Decimal("1.10"), "quantity": 2, "sale_datetime": None}
    bad = [
        (topics.PAGEVIEW, b"User_1", os.urandom(40).replace(b"\0", b"\1"), None),
        (topics.PAGEVIEW, b"User_1", b"\0" + struct.pack(">I", 987_654) + b"abc", None),
        (topics.PAGEVIEW, b"User_1", view + b"xx", None),
        (topics.PAGEVIEW, b"User_1", None, None),
        (topics.PAGEVIEW, b"User_1", view, -5),
        (topics.USERS, b"User_1", b"\1random", None),
        (topics.FLASH_SALES, b"1000000000", sale(timeless), None),
        (topics.FLASH_SALES, b"1000000000", sale({**timeless, "sale_datetime": -1_000}), None),
    ]
    async with kafka.producer(settings) as producer:
        for topic, key, value, timestamp in bad:
            await producer.send(topic.name, value, key, timestamp_ms=timestamp)
            await producer.send(topics.PAGEVIEW.name, view, b"User_1")
            # keyed by something else, as Kafka Connect's Datagen does; and a user and a page that nobody knows
            await producer.send(topics.PAGEVIEW.name, view, b"1")
            await producer.send(topics.PAGEVIEW.name, view, None)
        unknown = (await registry.encoder(topics.PAGEVIEW))({**VIEW, "userid": "User_?", "pageid": "Page_?"})
        await producer.send(topics.PAGEVIEW.name, unknown, b"User_?")
    return len(bad)


async def sell_ahead(application: Application) -> None:
    """A sale of a shop whose clock is two hours ahead: results with such a time have to be taken by the brokers."""
    ahead = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + timedelta(hours=2)
    database = engine(application.settings)
    async with database.begin() as connection:
        sold = {"product_id": product_rows()[0]["product_id"], "region_id": region_rows()[0]["region_id"]}
        row = {**sold, "sale_price": Decimal("1.10"), "quantity": 2}
        await connection.execute(insert(FlashSale).values(**row, sale_datetime=ahead))
    await database.dispose()


def assert_clean(report: Report) -> None:
    """No difference in any output, in the topics and in Pinot."""
    assert {name: output.wrong for name, output in report.outputs.items() if output.wrong} == {}
    assert report.as_json()["ok"] is True


def test_a_first_start_with_a_past_joins_every_view_with_the_user_of_its_time(application: Application) -> None:
    """Views and users of three hours lay on the brokers before the workers saw the first of them."""
    report = application.verified()
    assert_clean(report)
    assert report.consumed > 10_000
    # what is sent now may race, on a busy machine; nothing of the past may
    raced = report.noted.pop("views_that_raced_with_their_user", None)
    assert raced is None or (raced.first_ms is not None and raced.first_ms >= application.began_ms)
    assert (report.noted, report.not_compared) == ({}, {})


def test_poisoned_records_are_dead_letters_and_every_number_is_right(application: Application) -> None:
    before = application.verified()
    bad = asyncio.run(poison(application))
    asyncio.run(sell_ahead(application))
    time.sleep(15)
    report = application.verified()
    assert_clean(report)
    assert report.dead_letters - before.dead_letters == bad
    assert report.consumed > before.consumed + 2_000
    assert all(output.topic > 0 and output.repeated == 0 for output in report.outputs.values())
    assert all(report.outputs[topic.name].pinot == report.outputs[topic.name].topic for topic in topics.OUTPUTS)


def test_killed_workers_come_back_and_every_number_is_right(application: Application) -> None:
    for name in ("worker-1", "worker-2"):
        pid = application.pid(name)
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while application.pid(name) in (0, pid):
            assert time.monotonic() < deadline, f"{name} was not started again"
            time.sleep(0.2)
        time.sleep(5)
    assert_clean(application.verified())


def test_hourly_sales_equal_mysql_to_the_cent(application: Application) -> None:
    async def mysql() -> Decimal:
        database = engine(application.settings)
        async with database.connect() as connection:
            total = (await connection.execute(text("SELECT SUM(sale_price * quantity) FROM flash_sales"))).scalar_one()
        await database.dispose()
        return Decimal(total)

    assert_clean(application.verified(resume=False))
    expected = asyncio.run(mysql())
    assert expected > 0
    for table in (topics.SALES_BY_PRODUCTGROUP, topics.SALES_BY_REGION):
        (row,) = client(application.settings).query(f"SELECT SUM(total_sales_cents) AS cents FROM {table.name} LIMIT 1")
        assert Decimal(int(row["cents"])) / 100 == expected
    application.stack.start("poller", "generator")


def test_the_status_is_ok(application: Application) -> None:
    status = as_json(asyncio.run(collect(application.settings)))
    assert status["ok"], status
    assert len(status["brokers"]) == 3
    assert {name: topic for name, topic in status["topics"].items() if topic["partitions"] != 5} == {}
    assert all(topic["replicas"] >= 2 and topic["under_replicated"] == 0 for topic in status["topics"].values())
    assert len(status["pinot"]) == 12


@pytest.mark.parametrize("command", ["agents", "tables"])
def test_fausts_own_command_line_works(application: Application, command: str) -> None:
    faust = [sys.executable, "-m", "faust", "-A", "pipeline.worker", command]
    done = subprocess.run(faust, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "pageview_" in done.stdout
