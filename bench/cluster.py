"""A throw-away cluster for one benchmark: three brokers and a registry on free ports, in a temporary folder."""

import asyncio
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
from rich.console import Console

from pipeline import kafka, reading
from pipeline.admin import create_topics
from pipeline.codecs import HEADER
from pipeline.registry import Registry
from pipeline.settings import Settings, load
from pipeline.stack.cluster import Stack
from pipeline.stack.interrupts import terminated_like_interrupted
from pipeline.stack.ports import FREE_PORTS
from pipeline.topics import Topic


@contextmanager
def throw_away(console: Console, *, secure: bool = False) -> Iterator[Settings]:
    """The settings with the addresses of a cluster that lives as long as the block."""
    with terminated_like_interrupted(), tempfile.TemporaryDirectory(prefix="pipeline-bench-") as folder:
        stack = Stack(load(data_dir=Path(folder, "data"), **FREE_PORTS), without=("mysql", "pinot"), secure=secure)
        try:
            stack.up(console=console)
            yield stack.settings
        finally:
            stack.down(console=console)
            stack.folder.wipe()


async def recreate(settings: Settings, wanted: Sequence[Topic], keep: Iterable[str]) -> None:
    """Delete every topic but those to keep and the brokers' own, and create the wanted ones."""
    kept = set(keep)
    async with kafka.admin_client(settings) as admin:
        old = [name for name in await admin.list_topics() if name not in kept and not name.startswith("__")]
        if old:
            await admin.delete_topics(old)
        while set(old) & set(await admin.list_topics()):
            await asyncio.sleep(0.1)
    unlimited = {"retention.ms": "-1"}  # event times lie hours back
    topics = [replace(topic, config={**topic.config, **unlimited}) for topic in wanted if topic.name not in kept]
    if topics:
        await create_topics(settings, topics)


async def rows(settings: Settings, topic: str) -> list[dict[str, Any]]:
    """Every committed row of a topic as it was written, partition by partition in the order of offsets."""
    registry, writers = Registry(settings), dict[int, Any]()
    by_partition: dict[int, list[dict[str, Any]]] = {}
    async for batch in reading.read_batches(settings, topic):
        found = by_partition.setdefault(batch[0].partition, [])
        for record in batch:
            number = int.from_bytes(record.value[1 : HEADER.size], "big")
            if number not in writers:
                known = await registry.by_id(number)
                assert known is not None, f"{topic} has rows under schema id {number}, which the registry lacks"
                writers[number] = fastavro.parse_schema(json.loads(known.text))
            stream = BytesIO(record.value)
            stream.seek(HEADER.size)
            row: Any = fastavro.schemaless_reader(stream, writers[number], None)
            found.append(row)
    return [row for n in sorted(by_partition) for row in by_partition[n]]
