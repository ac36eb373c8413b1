"""How long from a produced page view to its rows in the output topics, by rate, guarantee and commit interval.

    .venv/bin/python -m bench.output_latency [--rates 100,1000] [--intervals 0.05,0.2] [--seconds 20] [--markdown FILE]

On a cluster of its own, one worker for each guarantee and commit interval. A view's enriched row is found by its
origin; its count is the first row of its page group with an event time at or after the view's, seen by a
read-committed consumer. Milliseconds from before the send to the moment at which the consumer had the row.
"""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from aiokafka import AIOKafkaConsumer
from rich.console import Console

from bench.cluster import throw_away
from bench.inputs import Shape, generate, page_catalogue
from bench.run import stop
from bench.whole import Whole
from pipeline import kafka, topics
from pipeline.codecs import Decoder
from pipeline.kafka_security import client_options
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.sources.runtime import Pacer
from pipeline.timebase import HOUR_MS, now_ms
from pipeline.transport.fetching import fetch_promptly

USERS, WARM_UP_S, DRAIN_S = 1_000, 3.0, 5.0
GUARANTEES = ("exactly_once", "at_least_once")
Origin = tuple[int, int]


@dataclass
class Latencies:
    """Sent views that wait for their rows, and how long the others took, in milliseconds."""

    sent: dict[Origin, float] = field(default_factory=dict)
    early: dict[Origin, float] = field(default_factory=dict)
    uncounted: defaultdict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    row_ms: list[float] = field(default_factory=list)
    count_ms: list[float] = field(default_factory=list)

    def acknowledged(self, origin: Origin, began_s: float) -> None:
        """The brokers have told where a view lies; its row may have come before."""
        if origin in self.early:
            self.row_ms.append((self.early.pop(origin) - began_s) * 1_000)
        else:
            self.sent[origin] = began_s

    def enriched(self, origin: Origin, now_s: float) -> None:
        """A view's row has come."""
        if origin in self.sent:
            self.row_ms.append((now_s - self.sent.pop(origin)) * 1_000)
        else:
            self.early[origin] = now_s

    def counted(self, group: str, until_ms: int, now_s: float) -> None:
        """A count has come that holds all views of a group up to this event time."""
        waiting = self.uncounted[group]
        self.count_ms += [(now_s - began_s) * 1_000 for time_ms, began_s in waiting if time_ms <= until_ms]
        self.uncounted[group] = [(time_ms, began_s) for time_ms, began_s in waiting if time_ms > until_ms]


def percentiles(values: list[float]) -> str:
    """p50 / p95 / p99 of these."""
    ordered = sorted(values)
    return " / ".join(f"{ordered[min(len(ordered) - 1, int(len(ordered) * part))]:.0f}" for part in (0.5, 0.95, 0.99))


async def watch(settings: Settings, registry: Registry, found: Latencies) -> None:
    """Take in the rows as they come."""
    names = (topics.EXTENDED_PAGEVIEWS, topics.PAGEVIEWS_BY_PAGEGROUP)
    decoders = {topic.name: Decoder(topic.schema) for topic in names if topic.schema is not None}
    consumer = AIOKafkaConsumer(
        *decoders,
        **client_options(settings),
        isolation_level=kafka.READ_COMMITTED,
        auto_offset_reset="latest",
    )
    await consumer.start()
    fetch_promptly(consumer)  # what is measured is the application, not how long its reader waits
    try:
        while True:
            for tp, records in (await consumer.getmany(timeout_ms=100)).items():
                now_s, decode = time.perf_counter(), decoders[tp.topic]
                await registry.prepare(decode, [record.value for record in records])
                for row in (decode(record.value) for record in records):
                    if tp.topic == topics.EXTENDED_PAGEVIEWS.name:
                        found.enriched((row["origin_partition"], row["origin_offset"]), now_s)
                    else:
                        found.counted(row["page_group"], row["event_time_ms"], now_s)
    finally:
        await consumer.stop()


async def load(settings: Settings, registry: Registry, groups: dict[str, str], rate: float, s: float) -> Latencies:
    """Send views at a rate for some seconds; their latencies, those of the warm-up left out."""
    encode, rng, found = await registry.encoder(topics.PAGEVIEW), random.Random(rate), Latencies()
    pages, began_s = sorted(groups), time.perf_counter()
    watching = asyncio.create_task(watch(settings, registry, found))
    pacer = Pacer(rate, began_s)
    async with kafka.producer(settings, linger_ms=0) as producer:
        while (now_s := time.perf_counter()) - began_s < s:
            for _ in range(pacer.take(now_s)):
                user, page, time_ms = f"User_{rng.randrange(USERS)}", rng.choice(pages), now_ms()
                value, sent_s = encode({"viewtime": 1, "userid": user, "pageid": page}), time.perf_counter()
                future = await producer.send(topics.PAGEVIEW.name, value, user.encode(), timestamp_ms=time_ms)
                if sent_s - began_s > WARM_UP_S:
                    found.uncounted[groups[page]].append((time_ms, sent_s))
                    future.add_done_callback(lambda sent, at=sent_s: _told(found, sent, at))
            await asyncio.sleep(pacer.sleep_s(time.perf_counter()))
    await asyncio.sleep(DRAIN_S)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return found


def _told(found: Latencies, sent: "asyncio.Future[Any]", began_s: float) -> None:
    found.acknowledged((sent.result().partition, sent.result().offset), began_s)


@contextmanager
def worker(settings: Settings, guarantee: str, interval_s: float) -> Iterator[None]:
    """A worker of its own group; its log is shown when it has ended by itself."""
    environment = os.environ | settings.as_environment()
    environment |= {
        "PIPELINE_PROCESSING_GUARANTEE": guarantee,
        "PIPELINE_COMMIT_INTERVAL_S": str(interval_s),
        "PIPELINE_WORKER_ID": f"{guarantee}-{interval_s}",
    }
    with tempfile.NamedTemporaryFile(prefix="worker-", suffix=".log") as log:
        command = [sys.executable, "-m", "pipeline", "worker"]
        child = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            yield
            if child.poll() is not None:
                raise click.ClickException(Path(log.name).read_text()[-2_000:])
        finally:
            stop(child)


async def measure(
    settings: Settings, rates: list[float], intervals: list[float], seconds: float, console: Console
) -> list[str]:
    """Lines of a Markdown table."""
    lines = [
        "| guarantee | commit interval | views a second | enriched row, p50 / p95 / p99 ms | count | views |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    registry = Registry(settings)
    shape = Shape(100, USERS, 0, 1, start_ms=now_ms() - 2 * HOUR_MS)
    await Whole(settings, shape, generate(shape)).provide(shape.records, [])
    groups = {row["page_id"]: row["page_group"] for row in page_catalogue(shape)}
    for guarantee in GUARANTEES:
        for interval_s in intervals if guarantee == "exactly_once" else intervals[:1]:
            with worker(settings, guarantee, interval_s):
                await load(settings, registry, groups, 20, 12)  # until it runs, and has caught up
                for rate in rates:
                    found = await load(settings, registry, groups, rate, seconds)
                    missing = len(found.sent) + sum(map(len, found.uncounted.values()))
                    if missing or not found.row_ms:
                        console.print(f"{missing} views had no row {DRAIN_S:.0f} s after the end", style="red")
                        continue
                    cells = [guarantee, f"{interval_s * 1_000:.0f} ms", f"{rate:,.0f}", percentiles(found.row_ms)]
                    lines.append(f"| {' | '.join(cells)} | {percentiles(found.count_ms)} | {len(found.row_ms):,} |")
                    console.print(lines[-1], markup=False)
    return lines


def numbers(given: str) -> list[float]:
    """A comma separated list of numbers."""
    return [float(part) for part in given.split(",")]


@click.command(help=__doc__)
@click.option("--rates", default="100,1000", show_default=True)
@click.option("--intervals", default="0.02,0.05,0.1,0.5,1", show_default=True, help="Commit intervals in seconds.")
@click.option("--seconds", default=20.0, show_default=True, help="For each rate.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the table to a file, too.")
def main(rates: str, intervals: str, seconds: float, markdown: Path | None) -> None:
    """Measure, and print the table."""
    console = Console(stderr=True)
    with throw_away(console) as settings:
        lines = asyncio.run(measure(settings, numbers(rates), numbers(intervals), seconds, console))
    click.echo("\n".join(lines))
    if markdown is not None:
        markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
