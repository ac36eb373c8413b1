"""The golden cases on real brokers: five partitions, two workers' worth of stages; the same final rows."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from pipeline import kafka, reading, topics
from pipeline.admin import create_topics
from pipeline.codecs import Decoder, schema
from pipeline.registry import Registry
from pipeline.runner.cases import Case, Input, load, to_record
from pipeline.settings import Settings
from pipeline.stack.cluster import Stack
from pipeline.topics import BY_NAME, Kind
from running import own_stack

FOLDER = Path(__file__).parent.parent / "golden"
NAMES = ("pageviews_session", "sales_hopping")
"""Sessions of joined rows, sums in windows. All cases run in process (tests/golden), through the same agents, and what
brokers, partitions and several workers may change is what `verify` looks at in the other tests.
"""
LIMIT_S = 60.0
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three brokers and a registry, for these tests alone: every case begins with empty topics."""
    with own_stack(tmp_path_factory.mktemp("golden"), without=("mysql", "pinot")) as stack:
        yield stack


@pytest.mark.parametrize("name", NAMES)
def test_final_rows(brokers: Stack, name: str) -> None:
    update = {"app_id": f"golden-{name}", "commit_interval_s": 0.1, "reference_wait_s": 0.0}
    settings = brokers.settings.model_copy(update=update)
    case = load(FOLDER / f"{name}.input.json", FOLDER / f"{name}.output.json")
    asyncio.run(empty_topics(settings))
    asyncio.run(produce(settings, [i for i in case.inputs if BY_NAME[i.topic].kind is Kind.REFERENCE], settle=False))
    command = [sys.executable, "-m", "pipeline", "worker", "--log-level", "warning"]
    worker = subprocess.Popen(command, env={**os.environ, **settings.as_environment()})
    try:
        events = [i for i in case.inputs if BY_NAME[i.topic].kind is Kind.EVENT]
        asyncio.run(produce(settings, events, settle=True))
        for topic, expected in final_rows(case).items():
            assert asyncio.run(found_rows(settings, topic, expected)) == expected
    finally:
        worker.terminate()
        assert worker.wait(20) == 0


async def empty_topics(settings: Settings) -> None:
    """Delete every topic, and create the declared ones; the cases' records are of 1970: no retention by time."""
    async with kafka.admin_client(settings) as admin:
        names = [name for name in await admin.list_topics() if not name.startswith("__")]
        if names:
            await admin.delete_topics(names)
        while any(not name.startswith("__") for name in await admin.list_topics()):
            await asyncio.sleep(0.1)
    kept = {"retention.ms": "-1"}
    await create_topics(settings, [replace(topic, config={**topic.config, **kept}) for topic in topics.ALL])


async def produce(settings: Settings, inputs: list[Input], *, settle: bool) -> None:
    """Send records; with `settle`, each only after everything that follows from the one before has happened."""
    registry = Registry(settings)
    async with kafka.producer(settings, linger_ms=0) as producer:
        for item in inputs:
            await send(producer, registry, item)
            if settle:
                await settled(settings)


async def send(producer: AIOKafkaProducer, registry: Registry, item: Input) -> None:
    topic = BY_NAME[item.topic]
    assert topic.schema is not None
    value = None if item.value is None else (await registry.encoder(topic))(to_record(schema(topic.schema), item))
    key = None if item.key is None else item.key.encode()
    await producer.send_and_wait(topic.name, value, key, timestamp_ms=item.timestamp_ms)


async def settled(settings: Settings) -> None:
    """Wait until the worker has committed everything in the topics that it consumes."""
    consumed = [
        t.name for t in (*topics.EVENTS, *topics.ENRICHED, *topics.INTERNALS) if t is not topics.POLLER_POSITION
    ]
    deadline = time.monotonic() + LIMIT_S
    while True:
        # in this order: what follows from a committed record is in its topic by the time the ends are read
        committed = await reading.committed(settings, settings.app_id)
        ends = await reading.end_offsets(settings, consumed)
        # the end marker of a transaction takes an offset, too, and is nothing that could be committed: count records
        left = {tp: (committed.get(tp, 0), end) for tp, end in ends.items() if end > committed.get(tp, 0)}
        behind = [(r[0].topic, r[0].partition, len(r)) async for r in reading.read_between(settings, left)]
        if not behind:
            return
        assert time.monotonic() < deadline, f"the worker is behind: {behind}"
        await asyncio.sleep(0.02)


def row_key(output: dict[str, Any]) -> tuple[Any, ...]:
    """Key and window start."""
    return output["key"], output.get("window", {}).get("start")


def final_rows(case: Case) -> dict[str, dict[tuple[Any, ...], Any]]:
    """The last expected value per topic, key and window, without those taken back."""
    rows: dict[str, dict[tuple[Any, ...], Any]] = {}
    for output in map(dict, case.outputs):
        table = rows.setdefault(output["topic"], {})
        table.pop(row_key(output), None)
        if output["value"] is not None:
            table[row_key(output)] = output["value"]
    return rows


async def found_rows(settings: Settings, topic: str, like: dict[tuple[Any, ...], Any]) -> dict[tuple[Any, ...], Any]:
    """The last value per key and window in the topic, cut down to the columns that are expected."""
    given = BY_NAME[topic].schema
    assert given is not None
    decode, registry = Decoder(given), Registry(settings)
    table: dict[tuple[Any, ...], Any] = {}
    async for records in reading.read_batches(settings, topic):
        await registry.prepare(decode, [record.value for record in records])
        for record in records:
            row = None if record.value is None else decode(record.value)
            key = (record.key.decode(), None if row is None else row.get("window_start_ms"))
            table.pop(key, None)
            if row is not None and not row.get("retired"):
                table[key] = {name: row[name] for name in like.get(key, row)}
    return table
