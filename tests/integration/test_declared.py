"""Anybody's application: a folder outside of the project, run from an installed wheel on a real cluster."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.applications.loading import declared, load
from pipeline.codecs import Decoder, Encoder, schema_id
from pipeline.declare.application import Application
from pipeline.kafka import producer
from pipeline.reading import group_lag, read_topic
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.timebase import to_ms
from pipeline.topics import DEAD_LETTERS, Topic

ROOT = Path(__file__).resolve().parents[2]
CLICKS = Path(__file__).with_name("clicks")
MINUTE_MS = 60_000
CHANNELS = {"search": "organic", "mail": "campaign"}
LONGEST_S = 120.0
PEEKED = ("readers", "config", "schemas")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as users install it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    build = (*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(source))
    subprocess.run(build, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    subprocess.run(
        (*pip, "install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(made)), check=True
    )
    return folder / "site"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The application's folder, where nothing of the project is."""
    shutil.copytree(CLICKS, tmp_path / "clicks", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def environment(wheel: Path, settings: Settings | None = None, **more: str) -> dict[str, str]:
    """That of a user who has installed the wheel."""
    return os.environ | (settings.as_environment() if settings else {}) | {"PYTHONPATH": str(wheel)} | more


def test_it_is_short() -> None:
    lines = (CLICKS / "__init__.py").read_text().strip().splitlines()
    assert len(lines) <= 25
    assert sorted(path.suffix for path in CLICKS.iterdir() if path.is_file()) == [".avsc", ".py", ".sql"]


@pytest.fixture(scope="module")
def application() -> Application:
    """The declarations, as this process sees them."""
    return load("clicks", CLICKS.parent)


@pytest.fixture
def declared_settings(brokers: Any) -> Iterator[Settings]:
    """The stack's settings for the application."""
    yield brokers.settings.replaced(app="clicks", app_id="clicks", app_dir=CLICKS.parent)


def test_every_row_is_right_whatever_is_killed(
    wheel: Path, folder: Path, application: Application, declared_settings: Settings
) -> None:
    settings = declared_settings.replaced(app_dir=folder, session_timeout_s=6.0, heartbeat_s=1.5)
    env = environment(wheel, settings)

    def start(*arguments: str, **more: str) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", "pipeline", *arguments)
        with (folder / f"{arguments[0]}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=folder, env=env | more, stdout=log, stderr=log)

    def run(*arguments: str) -> str:
        command = (sys.executable, "-m", "pipeline", *arguments)
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("provision")
    workers = {name: start("worker", PIPELINE_WORKER_ID=name) for name in ("one", "two")}
    with (folder / "followed.log").open("wb") as log:
        command = (sys.executable, "-m", "pipeline", "peek", "clicks", "--json", "--follow")
        command += ("--from", "beginning", "-n", "10000")
        follower = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=subprocess.PIPE)
    try:
        generator = start("generate", "--rate", "10", "--count", "12000")
        for turn in range(4):
            time.sleep(5)
            name = ("one", "two")[turn % 2]
            workers[name].send_signal(signal.SIGKILL)
            workers[name].wait()
            workers[name] = start("worker", PIPELINE_WORKER_ID=name)
        assert generator.wait(timeout=LONGEST_S) == 0
        caught_up = asyncio.run(until_caught_up(settings, application))
        assert caught_up == 0, (folder / "worker.log").read_text()[-2_000:]
        seen = json.loads(run("status", "--app", "clicks", "--json"))
        peeked = [json.loads(line) for line in run("peek", "clicks", "-n", "3", "-g", "MAIL", "--json").splitlines()]
        first = json.loads(run("peek", "CLICKS_PER_MINUTE", "--from", "beginning", "-n", "1", "--json"))
        readers, config, schemas = (json.loads(run("peek", "clicks", f"--{what}", "--json")) for what in PEEKED)
        follower.send_signal(signal.SIGINT)
        assert (follower.wait(timeout=20), follower.communicate()[1]) == (0, b"")
    finally:
        for process in (*workers.values(), follower):
            process.terminate()
            process.wait()
    followed = [json.loads(line) for line in (folder / "followed.log").read_text().splitlines()]
    assert len(followed) == len({(row["partition"], row["offset"]) for row in followed}) == 12_000
    clicks, counts, letters = asyncio.run(found(settings, application))
    assert sum(clicks.values()) == 12_000
    assert counts == clicks
    assert letters == 0
    assert (seen["ok"], seen["application"], seen["problems"]) == (True, "clicks", {})
    (partials,) = (topic.name for topic in declared(application).topics if topic.name.endswith("-partials"))
    state = declared(application).changelogs("clicks")
    assert {"clicks", "sources", "CLICKS_PER_MINUTE", partials, *state} <= seen["topics"].keys()
    assert seen["topics"]["clicks"]["messages"] >= 12_000
    assert seen["groups"]["clicks"] == {"lag": 0, "topics": {"clicks": 0, partials: 0}}
    assert {"clicks-value", "CLICKS_PER_MINUTE-value"} <= seen["schemas"].keys()
    assert [(row["value_form"][:5], row["value"]["source"]) for row in peeked] == [("avro ", "mail")] * 3
    assert [row["timestamp_ms"] for row in peeked] == [
        to_ms(datetime.fromisoformat(row["value"]["at"])) for row in peeked
    ]
    assert {row["key"] for row in peeked} == {row["value"]["user"] for row in peeked}
    assert first["value"]["channel"] in CHANNELS.values()
    assert readers == {"clicks": {str(partition): 0 for partition in range(settings.partitions)}}
    assert config["cleanup.policy"] == "delete"
    assert [version["version"] for version in schemas["clicks-value"]] == [1]
    assert (seen["pinot"], seen["poller"], seen["dead_letters"]["count"]) == ({}, None, 0)
    verify_is_clean_and_finds_a_wrong_row(settings, application, env)


def verify_is_clean_and_finds_a_wrong_row(settings: Settings, application: Application, env: dict[str, str]) -> None:
    command = (sys.executable, "-m", "pipeline", "verify", "--app", "clicks", "--json")
    clean = subprocess.run(command, cwd=settings.app_dir, env=env, capture_output=True, text=True, timeout=200)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    found = json.loads(clean.stdout)
    assert (found["ok"], found["consumed"]) == (True, 12_000)
    assert found["outputs"]["CLICKS_PER_MINUTE"]["expected"] == found["outputs"]["CLICKS_PER_MINUTE"]["topic"] >= 2
    asyncio.run(add_a_click(settings, application))
    shown = subprocess.run(command[:-1], cwd=settings.app_dir, env=env, capture_output=True, text=True, timeout=200)
    assert shown.returncode == 1, shown.stdout + shown.stderr
    text = " ".join(shown.stdout.split())
    assert re.search(
        r"CLICKS_PER_MINUTE topic: channel=\w+, window_start_ms=\d+: expected clicks=(\d+), found", text
    ), text


async def add_a_click(settings: Settings, application: Application) -> None:
    """Write the last row of the output once more, with a click that nobody has made."""
    (output,) = application.outputs
    assert output.schema is not None
    registry, decode, records = Registry(settings), Decoder(output.schema), []
    async for record in read_topic(settings, output.name):
        records.append(record)
    await registry.prepare(decode, [record.value for record in records])
    last = records[-1]
    row = decode(last.value)
    number = schema_id(last.value)
    assert number is not None
    value = Encoder(output.schema, number)({**row, "clicks": row["clicks"] + 1, "version": row["version"] + 1})
    async with producer(settings) as writer:
        await writer.send_and_wait(output.name, value, key=last.key, partition=last.partition)


async def until_caught_up(settings: Settings, application: Application) -> int:
    """Wait until nothing is left to read in any topic that is kept; how many records are left in the end."""
    kept = {topic.name for topic in declared(application).kept}
    deadline, left = time.monotonic() + LONGEST_S, 1
    while left and time.monotonic() < deadline:
        await asyncio.sleep(1)
        lag = await group_lag(settings, settings.app_id)
        left = sum(sum(lag[name].values()) for name in kept & lag.keys()) if kept <= lag.keys() else 1
    return left


async def found(settings: Settings, application: Application) -> tuple[Counter[Any], Counter[Any], int]:
    """({(channel, minute): clicks} from the source topic, the same from the output's latest rows, dead letters)."""
    registry = Registry(settings)

    async def rows(topic: Topic) -> list[dict[str, Any]]:
        assert topic.schema is not None
        decode, values = Decoder(topic.schema), []
        async for record in read_topic(settings, topic.name):
            values.append(record.value)
        await registry.prepare(decode, values)
        return [decode(value) for value in values]

    (source,) = application.sources
    (output,) = application.outputs
    clicks: Counter[Any] = Counter()
    for row in await rows(source):
        at_ms = to_ms(row["at"]) if isinstance(row["at"], datetime) else row["at"]
        clicks[CHANNELS[row["source"]], at_ms // MINUTE_MS] += 1
    latest: dict[Any, dict[str, Any]] = {}
    for row in await rows(output):
        place = (row["channel"], row["window_start_ms"] // MINUTE_MS)
        if place not in latest or row["version"] >= latest[place]["version"]:
            latest[place] = row
    counts = Counter({place: row["clicks"] for place, row in latest.items()})
    return clicks, counts, len(await rows(DEAD_LETTERS))
