"""How fast state comes back, and what it takes: a changelog of many keys is written, and restored by a fresh process.

    .venv/bin/python -m bench.recovery [--keys 1000000]

The rows are those of a count per user and hour, one record a key. Prints one JSON object: records a second, and the
resident memory that the rows take, in bytes a key.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click
import orjson
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console

from bench.cluster import recreate, throw_away
from pipeline import kafka
from pipeline.app import new_app
from pipeline.records import Outgoing
from pipeline.settings import Settings, settings
from pipeline.topics import Kind, Topic
from pipeline.transport import memory
from pipeline.transport.outbox import enqueue
from pipeline.transport.producer import RecordProducer
from pipeline.transport.recovery import read_to_end

SOURCE = Topic("bench-source", Kind.EVENT, key="userid", schema="pageview")
TABLE, CHUNK = "many", 50_000
START_MS = 1_700_000_000_000


def rows(keys: int, topic: str, partitions: int) -> Iterator[Outgoing]:
    """A changelog record for each key, as the state table writes them."""
    for number in range(keys):
        key = orjson.dumps(["per_user", f"User_{number}", START_MS])
        yield Outgoing(topic, key, orjson.dumps([number, START_MS + number, 3]), START_MS, number % partitions)


async def write(at: Settings, keys: int) -> None:
    """Create the changelog and fill it."""
    topic = f"{at.app_id}-{TABLE}-changelog"
    await recreate(at, [Topic(topic, Kind.INTERNAL, key="key", retention_ms=None)], [])
    async with RecordProducer(**kafka.producer_options(at, linger_ms=0)) as producer:
        made = rows(keys, topic, at.partitions)
        while chunk := list(islice(made, CHUNK)):
            for sent in await enqueue(producer, chunk, at.partitions):
                await sent


async def restore() -> dict[str, Any]:
    """Read it back as a worker does; in a process that has done nothing else."""
    at = settings()
    app = new_app(at)
    app.loop = asyncio.get_running_loop()
    table = app.state_table(TABLE, SOURCE, at.partitions)
    app.finalize()
    memory.settle()
    before, began_s, count = psutil.Process().memory_info().rss, time.perf_counter(), 0
    reader = app.changelog_reader()
    ends = await _ends(app.changelog_reader(), table.changelog_topic.get_topic_name(), at.partitions)
    async for batch in read_to_end(reader, dict.fromkeys(ends, 0), ends):
        table.restore(batch.partition, zip(batch.keys, batch.values, strict=True))  # type: ignore[arg-type]
        count += len(batch)
    seconds = time.perf_counter() - began_s
    taken = psutil.Process().memory_info().rss - before
    return {
        "keys": sum(len(table.rows(n)) for n in range(at.partitions)),
        "records_per_second": round(count / seconds),
        "seconds": round(seconds, 2),
        "bytes_per_key": round(taken / max(1, count)),
    }


async def _ends(consumer: AIOKafkaConsumer, topic: str, partitions: int) -> dict[TopicPartition, int]:
    async with consumer:
        return dict(await consumer.end_offsets([TopicPartition(topic, n) for n in range(partitions)]))


@click.command(help=__doc__)
@click.option("--keys", default=1_000_000, show_default=True, type=click.IntRange(1))
@click.option("--restore", "child", is_flag=True, hidden=True)
def main(keys: int, child: bool) -> None:
    """Write, restore, print."""
    if child:
        click.echo(json.dumps(asyncio.run(restore())))
        return
    console = Console(stderr=True)
    with throw_away(console) as at:
        asyncio.run(write(at, keys))
        console.print(f"{keys:,} keys written")
        command = [sys.executable, "-m", "bench.recovery", "--restore"]
        click.echo(subprocess.run(command, env=at.as_environment(), capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
