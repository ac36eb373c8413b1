"""`pipeline api` beside the whole application: right while workers are killed, and equal to the topics in the end."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from pipeline import reading
from pipeline.api.answers import dumped
from pipeline.applications.loading import runnable
from pipeline.codecs import Decoder
from pipeline.registry import Registry
from running import Application, free_port

STARTED_S = 60.0


class Api:
    """The process, and a client of it."""

    def __init__(self, application: Application) -> None:
        port = free_port()
        env = os.environ | application.settings.as_environment()
        command = [sys.executable, "-m", "pipeline", "api", "--port", str(port)]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)
        deadline = time.monotonic() + STARTED_S
        while not self._is_ready():
            assert time.monotonic() < deadline and self.process.poll() is None, self.process.stdout
            time.sleep(0.2)

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def tables(self) -> dict[str, list[str]]:
        """The tables, with the columns of their groups."""
        return {one["name"]: one["group"] for one in self.client.get("/tables").json()["tables"]}

    def rows(self, table: str, **params: Any) -> list[dict[str, Any]]:
        answer = self.client.get(f"/tables/{table}", params={"limit": 10_000, **params})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert not found["more"]
        return list(found["rows"])

    def stop(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGINT)
        told, _ = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, told
        assert "Traceback" not in told, told


@pytest.fixture
def api(application: Application) -> Iterator[Api]:
    made = Api(application)
    try:
        yield made
    finally:
        made.stop()


async def in_topics(application: Application) -> dict[str, dict[tuple[Any, ...], dict[str, Any]]]:
    """{table: {(key, window's start): row}} of the aggregates' topics, as a reader of the topics has them."""
    registry, found = Registry(application.settings), {}
    for statement in runnable(application.settings).application.statements:
        topic = statement.output
        if not hasattr(statement, "aggregate"):
            continue
        decode = Decoder(topic.schema or "")
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        async for batch in reading.read_batches(application.settings, topic.name):
            await registry.prepare(decode, [record.value for record in batch])
            for record in batch:
                row = orjson.loads(dumped(decode(record.value)))
                key = (record.key, row.get("window_start_ms"), row.get("window_end_ms"))
                if row.pop("retired", False):
                    rows.pop(key, None)
                else:
                    rows[key] = row
        found[topic.name] = rows
    return found


def test_answers_are_those_of_the_topics_also_after_kills(application: Application, api: Api) -> None:
    chance, seen = random.Random(5), {}
    tables = api.tables()
    end = time.monotonic() + 25
    kills = [time.monotonic() + 3, time.monotonic() + 12]
    asked = 0
    while time.monotonic() < end:
        if kills and time.monotonic() > kills[0]:
            kills.pop(0)
            os.kill(application.pid("worker-1"), signal.SIGKILL)
        table = chance.choice([*tables])
        for row in api.rows(table):
            place = (
                table,
                *(row[name] for name in tables[table]),
                row.get("window_start_ms"),
                row.get("window_end_ms"),
            )
            assert row["version"] >= seen.get(place, -1), f"{place} went back"
            seen[place] = row["version"]
        asked += 1
    assert asked > len(tables)

    application.quiet()
    try:
        application_is_done(application)
        expected = asyncio.run(in_topics(application))
        assert set(expected) == set(tables)
        for table in tables:
            rows, said = api.rows(table), list(expected[table].values())
            if "SESSION" in table:  # a session's version is its group's, and moves on with the group's other sessions
                for row in (*rows, *said):
                    del row["version"]
            assert sorted(map(orjson.dumps, rows)) == sorted(map(orjson.dumps, said)), table
            assert rows, table
    finally:
        application.stack.start("poller", "generator")


def application_is_done(application: Application) -> None:
    """Wait until the workers have read everything."""
    deadline = time.monotonic() + 60
    while any(lag for topic in asyncio.run(lags(application)).values() for lag in topic.values()):
        assert time.monotonic() < deadline
        time.sleep(0.5)


async def lags(application: Application) -> dict[str, dict[int, int]]:
    return await reading.group_lag(application.settings, application.settings.app_id)


def test_a_follower_gets_every_change_once_and_in_order_also_over_a_new_connection(api: Api) -> None:
    table = "PAGEVIEWS_BY_PAGEGROUP_TABLE"
    events: list[dict[str, Any]] = []
    last_id = ""
    for _ in range(3):
        with api.client.stream("GET", f"/tables/{table}/changes", headers={"Last-Event-ID": last_id}) as stream:
            got = 0
            fields: dict[str, str] = {}
            for line in stream.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                if "event" in fields:
                    events.append({"event": fields["event"], **orjson.loads(fields["data"])})
                    last_id = fields.get("id", last_id)
                    got += fields["event"] == "change"
                fields = {}
                if got == 30:
                    break
    kinds = [one["event"] for one in events]
    assert kinds.count("ready") == 1, "it went on where it was"
    assert kinds[: kinds.index("ready")] == ["table"] * kinds.index("ready")
    versions: dict[str, int] = {}
    for one in events:
        for row in one.get("rows", ()):
            before = versions.get(one["group"], -1)
            assert row["version"] > before, one
            versions[one["group"]] = row["version"]
    now = {row["page_group"]: row["version"] for row in api.rows(table)}
    assert all(now[group] >= version for group, version in versions.items())


def test_many_ask_at_once(api: Api) -> None:
    statuses: list[int] = []

    def ask() -> None:
        with httpx.Client(base_url=api.client.base_url, timeout=20, trust_env=False) as client:
            statuses.extend(client.get("/tables/PAGEVIEWS_BY_REGION_TABLE").status_code for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 400
