"""A throw-away cluster for one benchmark: three brokers and a registry on free ports, in a temporary folder."""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline import kafka, reading
from pipeline.admin import create_topics
from pipeline.codecs import Decoder
from pipeline.registry import Registry
from pipeline.settings import Settings, load
from pipeline.stack.cluster import Stack
from pipeline.topics import Topic

FREE_PORTS: dict[str, Any] = {
    "kafka_ports": (0, 0, 0),
    "kafka_controller_ports": (0, 0, 0),
    "registry_port": 0,
}


@contextmanager
def throw_away(console: Console) -> Iterator[Settings]:
    """The settings with the addresses of a cluster that lives as long as the block."""
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as folder:
        stack = Stack(load(data_dir=Path(folder, "data"), **FREE_PORTS), without=("mysql", "pinot"))
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


async def rows(settings: Settings, topic: Topic) -> list[dict[str, Any]]:
    """Every committed row of a topic, partition by partition in the order of offsets."""
    assert topic.schema is not None
    decode, registry = Decoder(topic.schema), Registry(settings.registry_url)
    by_partition: dict[int, list[dict[str, Any]]] = {}
    async for batch in reading.read_batches(settings, topic.name):
        await registry.prepare(decode, [record.value for record in batch])
        by_partition.setdefault(batch[0].partition, []).extend(decode(record.value) for record in batch)
    return [row for n in sorted(by_partition) for row in by_partition[n]]
