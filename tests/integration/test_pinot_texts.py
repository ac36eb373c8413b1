"""Pinot holds what the topics hold: long texts, NUL, deleted users; and a table of an older schema is made again."""

import asyncio
import json
import shutil
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import murmur2

from pipeline import kafka, topics
from pipeline.applications.loading import source_file
from pipeline.dashboard.queries import PinotSource
from pipeline.registry import Registry
from pipeline.serving.pinot import Pinot, client
from pipeline.serving.provision import provision
from pipeline.serving.tables import overrides_folder
from pipeline.settings import Settings
from pipeline.status.parts import collect_pinot
from running import Application

LONG = "L" * 600
USER = {
    "registertime": 1_500_000_000_000,
    "regionid": "Region_nowhere",
    "gender": "OTHER",
    "interests": ["a\0b", "\u2400"],
    "contactinfo": {"city": "x\0", "phone": "y" * 700},
}
WAIT_S = 60.0
MOST_REGIONS = 5
"""Of nine: more of them than this have views soon."""


def in_one_partition(start: str, partitions: int) -> tuple[str, str]:
    """Two ids that begin like this and lie in the same partition, where Pinot would make one row of them."""
    places: dict[int, str] = {}
    for number in count():
        name = f"{start}{number}"
        place = (murmur2(name.encode()) & 0x7FFFFFFF) % partitions
        if place in places:
            return places[place], name
        places[place] = name
    raise AssertionError


async def send(settings: Settings, users: Mapping[str, dict[str, Any] | None]) -> None:
    encode = await Registry(settings).encoder(topics.USERS)
    async with kafka.producer(settings) as producer:
        for name, user in users.items():
            value = None if user is None else encode({**user, "userid": name})
            await producer.send_and_wait(topics.USERS.name, value, name.encode())


def rows(pinot: Pinot) -> dict[str, dict[str, Any]]:
    """Rows of these tests' users by id."""
    sql = f"SELECT * FROM {topics.USER_TRANSFORMED.name} WHERE regionid = 'Region_nowhere' LIMIT 100"
    return {row["userid"]: row for row in pinot.query(sql)}


def counted(pinot: Pinot, size_ms: int) -> tuple[int, int]:
    """Users on the page whose region is that of these tests, and all users ever."""
    data = PinotSource(pinot, size_ms)()
    return sum(cell.value for cell in data.users_by_region if cell.region == "Region_nowhere"), data.users_ever


def until_rows(pinot: Pinot, wanted: set[str]) -> dict[str, dict[str, Any]]:
    deadline = time.monotonic() + WAIT_S
    while (found := rows(pinot)).keys() != wanted:
        assert time.monotonic() < deadline, [name[-20:] for name in found]
        time.sleep(0.5)
    return found


def test_long_keys_nul_and_deleted_users(application: Application) -> None:
    settings, pinot = application.settings, client(application.settings)
    application.stack.stop("generator")
    long, nul = in_one_partition(LONG, settings.partitions), in_one_partition("nul\0", settings.partitions)
    symbol = in_one_partition("nul\u2400", settings.partitions)
    huge = "H" * 300_000
    ids = {*long, *nul, *symbol, huge}
    asyncio.run(send(settings, dict.fromkeys(ids, USER)))
    found = until_rows(pinot, ids)
    for row in found.values():
        told = [row[name] for name in ("interests_1", "interests_2", "city", "phone", "zipcode", "retired")]
        assert told == ["a\0b", "\u2400", "x\0", "y" * 700, "", False]
    in_page, ever = counted(pinot, settings.tumbling_size_ms)
    assert in_page == len(ids)
    live = asyncio.run(collect_pinot(settings))[topics.USER_TRANSFORMED.name].rows
    assert live is not None

    gone = {long[0], nul[1], huge}
    asyncio.run(send(settings, dict.fromkeys(gone)))
    until_rows(pinot, ids - gone)
    assert counted(pinot, settings.tumbling_size_ms) == (len(ids - gone), ever)
    assert asyncio.run(collect_pinot(settings))[topics.USER_TRANSFORMED.name].rows == live - len(gone)
    report = application.verified()
    assert {name: output.wrong for name, output in report.outputs.items() if output.wrong} == {}
    users = report.outputs[topics.USER_TRANSFORMED.name]
    assert users.pinot == users.topic == users.expected


def test_a_table_whose_schema_was_another_is_filled_again(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, pinot = application.settings, client(application.settings)
    name = topics.PAGEVIEWS_BY_REGION.name

    def content() -> list[tuple[Any, ...]]:
        return sorted((r["region_name"], r["count_view"]) for r in pinot.query(f"SELECT * FROM {name} LIMIT 1000"))

    deadline = time.monotonic() + WAIT_S
    while len(content()) < MOST_REGIONS:
        assert time.monotonic() < deadline, content()
        time.sleep(0.5)
    application.verified(resume=False)
    before = content()
    older_ones = tmp_path / "pinot"
    shutil.copytree(overrides_folder(source_file(settings.app, settings.app_dir)), older_ones)
    (older_ones / f"{name}.json").write_text(json.dumps({"columns": {"region_name": {"maxLength": 512}}}))
    try:
        with monkeypatch.context() as older:
            older.setattr("pipeline.serving.tables.overrides_folder", lambda module: older_ones)
            done = asyncio.run(provision(settings))
        assert f"{name} recreated" in done
    finally:
        done = asyncio.run(provision(settings))
    assert f"{name} recreated" in done
    assert len([line for line in done if line.endswith(" there")]) == len(done) - 1
    deadline = time.monotonic() + WAIT_S
    while content() != before:
        assert time.monotonic() < deadline, content()
        time.sleep(0.5)
    application.stack.start("poller", "generator")
