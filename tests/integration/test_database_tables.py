"""Declared tables of a database, on a real cluster: types of all kinds, changes under kill -9, a column that goes."""

import asyncio
import time
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from polling import command, polling, sql

from pipeline.applications.loading import load
from pipeline.chaos.tables import TablesWriter, check_tables
from pipeline.declare.application import Application
from pipeline.formats import decoder, key_decoder
from pipeline.provision import provision
from pipeline.reading import read_topic
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.stack.cluster import Stack
from pipeline.topics import DEAD_LETTERS, Topic

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parent
KINDS = """CREATE TABLE kinds (name VARCHAR(50) PRIMARY KEY, choice ENUM('a', 'b'), several SET('x', 'y', 'z'),
 document JSON, large BIGINT UNSIGNED, count BIGINT, small MEDIUMINT UNSIGNED, year YEAR, ratio DOUBLE, single FLOAT,
 flag BIT(1), truth TINYINT(1), raw VARBINARY(20), price DECIMAL(20, 4), day DATE, clock TIME(3), at DATETIME(6),
 stamp TIMESTAMP(3) NULL, since DATETIME(3),
 changed TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
 place POINT NULL, ignored TEXT)"""
GOOD = """INSERT INTO kinds (name, choice, several, document, large, count, small, year, ratio, single, flag, truth,
 raw, price, day, clock, at, stamp, since) VALUES ('é', 'b', 'x,z', '{"k": [1]}', 18446744073709551615,
 -9223372036854775808, 16777215, 2026, 0.1, 0.1, b'1', 0, x'00ff', -1234567890123456.7891, '2026-02-28',
 '23:59:59.999', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678', '1969-12-31 23:59:59.999')"""


@pytest.fixture(scope="module")
def declared() -> Application:
    return load("tables_app", FOLDER)


@pytest.fixture(scope="module")
def settings(brokers: Stack) -> Settings:
    """Those of the application, whose tables and topics are there."""
    made = brokers.settings.replaced(
        app="tables_app", app_id="tables_app", app_dir=FOLDER, poll_interval_s=0.2, bulk_interval_s=2.0
    )
    sql(made, KINDS)
    asyncio.run(provision(made, tell=lambda _: None, pinot=False))
    return made


def poll_once(settings: Settings) -> str:
    done = command(settings, "poll", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(settings: Settings, topic: Topic) -> list[tuple[Any, dict[str, Any]]]:
    """(key, value) of all records of a topic."""

    async def read() -> list[tuple[Any, dict[str, Any]]]:
        registry, decode, key = Registry(settings), decoder(topic), key_decoder(topic)
        records = [record async for record in read_topic(settings, topic.name)]
        await registry.prepare(decode, [record.value for record in records])
        return [(key(record.key).value, decode(record.value)) for record in records]

    return asyncio.run(read())


def topic_of(declared: Application, table: str) -> Topic:
    return next(one.topic for one in declared.database if one.name == table)


def test_every_kind_of_column_comes_through(settings: Settings, declared: Application) -> None:
    sql(settings, "SET SESSION time_zone = '+02:00'", GOOD, "INSERT INTO kinds (name) VALUES ('nulls')")
    sql(settings, "INSERT INTO kinds (name, truth) VALUES ('bad', 7)")
    sql(settings, "INSERT INTO kinds (name, clock) VALUES ('late', '25:00:00')")
    poll_once(settings)
    found = dict(rows(settings, topic_of(declared, "kinds")))
    assert set(found) == {"é", "nulls"}
    value = found["é"]
    changed = value.pop("changed")
    assert abs((datetime.now(UTC) - changed).total_seconds()) < 60, "UTC, whatever the time zone of who wrote it"
    assert value == {
        "name": "é",
        "choice": "b",
        "several": "x,z",
        "document": '{"k": [1]}',
        "large": Decimal(2**64 - 1),
        "count": -(2**63),
        "small": 16_777_215,
        "year": 2026,
        "ratio": 0.1,
        "single": 0.10000000149011612,
        "flag": True,
        "truth": False,
        "raw": b"\0\xff",
        "price": Decimal("-1234567890123456.7891"),
        "day": date(2026, 2, 28),
        "clock": time_of_day(23, 59, 59, 999_000),
        "at": datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC),
        "stamp": datetime(2026, 1, 2, 1, 4, 5, 678_000, UTC),
        "since": -1,
    }
    assert {name for name, one in found["nulls"].items() if one is not None} == {"name", "changed"}
    reasons = sorted(letter["reason"] for _, letter in rows(settings, DEAD_LETTERS))
    assert reasons == [
        "table kinds, name bad: column truth is 7, which its Avro type cannot hold",
        "table kinds, name late: column clock is 1 day, 1:00:00, which its Avro type cannot hold",
    ]
    poll_once(settings)
    assert len(rows(settings, DEAD_LETTERS)) == 2, "letters are known after a start, too"
    assert len(rows(settings, topic_of(declared, "kinds"))) == 2


def test_generated_rows_go_into_the_database_and_come_into_the_topics(
    settings: Settings, declared: Application
) -> None:
    done = command(settings, "generate", "--count", "60", "--rate", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "table people: 60 rows written" in done.stdout
    assert "table labels: 2 rows written" in done.stdout
    poll_once(settings)
    check = asyncio.run(check_tables(settings, declared))
    assert check.ok, check.found
    assert 0 < check.found["orders"]["rows"] < 60, "of orders only those that meet the condition"
    labels = rows(settings, topic_of(declared, "labels"))
    assert {key: value["label"] for key, value in labels} == {1: "one", 2: None}


def test_every_version_is_there_once_whatever_is_killed(
    settings: Settings, declared: Application, tmp_path: Path
) -> None:
    async def write(writer: TablesWriter, seconds: float) -> None:
        task = asyncio.create_task(writer.run())
        await asyncio.sleep(seconds)
        writer.stop()
        await task

    writer = TablesWriter(settings, declared, per_s=200, seed=3)
    asyncio.run(writer.begin())
    seconds, deadline = 24.0, time.monotonic() + 150

    async def strike() -> None:
        writing = asyncio.create_task(write(writer, seconds))
        for _ in range(6):
            with polling(settings, tmp_path / "log") as poller:
                await asyncio.sleep(seconds / 6)
                poller.process.kill()
        await writing

    asyncio.run(strike())
    assert writer.committed > 1_000
    assert writer.rolled_back > 50
    with polling(settings, tmp_path / "log") as poller:
        while not (check := asyncio.run(check_tables(settings, declared))).ok:
            assert poller.process.poll() is None, poller.said()
            assert time.monotonic() < deadline, (check.found, poller.said()[-3_000:])
            time.sleep(1)
        status = command(settings, "status", "--json").stdout
    assert '"mode": "timestamp+incrementing"' in status
    assert check.found["people"]["records"] > check.found["people"]["rows"], "rows have changed"


def test_a_column_that_is_dropped_stops_the_poller_with_a_sentence(settings: Settings, tmp_path: Path) -> None:
    with polling(settings, tmp_path / "log") as poller:
        time.sleep(4)
        assert poller.process.poll() is None, poller.said()
        sql(settings, "ALTER TABLE people DROP COLUMN balance")
        try:
            poller.process.wait(timeout=40)
        finally:
            sql(settings, "ALTER TABLE people ADD COLUMN balance DECIMAL(12, 2)")
    assert poller.process.returncode == 1
    assert "table people has no column balance" in poller.said()
    assert "Traceback" not in poller.said()


@pytest.mark.parametrize("where", ["price >", "prize > 0", "price > 0; DROP TABLE people"])
def test_a_condition_that_is_none_is_a_sentence(settings: Settings, tmp_path: Path, where: str) -> None:
    text = (FOLDER / "tables_app.py").read_text().replace('where="price > 0"', f'where="{where}"')
    (tmp_path / "tables_app.py").write_text(text)
    done = command(settings.replaced(app_dir=tmp_path), "poll", "--once")
    assert done.returncode == 1
    assert f"table orders: where is '{where}', but must be a condition in SQL: " in done.stderr
    assert "Traceback" not in done.stderr
    assert command(settings, "poll", "--once").returncode == 0, "nothing was dropped"
