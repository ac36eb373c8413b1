"""How long until a produced page view can be queried in Pinot: as an enriched row, and in the counts.

    .venv/bin/python bench/latency.py [--count 100]

Needs a running system (`make demo`). Produces one view at a time, at random moments, and asks Pinot every 10 ms
until it shows: the enriched row by its origin, and the count's row with an event time at or after the view's.
Prints milliseconds from before the send to the answer that showed it.
"""

import asyncio
import json
import random
import time

import click

from pipeline import kafka, topics
from pipeline.registry import Registry
from pipeline.serving.pinot import Pinot, client
from pipeline.settings import settings
from pipeline.timebase import now_ms

POLL_S = 0.01
LIMIT_S = 30.0


async def until(pinot: Pinot, sql: str, began: float) -> float:
    """Milliseconds since `began` until the query has a row."""
    while not await asyncio.to_thread(pinot.query, sql):
        if time.perf_counter() - began > LIMIT_S:
            raise click.ClickException(f"nothing after {LIMIT_S:.0f} s for: {sql}")
        await asyncio.sleep(POLL_S)
    return (time.perf_counter() - began) * 1_000


async def measure(count: int) -> dict[str, list[float]]:
    """Both latencies of `count` views."""
    encode = await Registry(settings()).encoder(topics.PAGEVIEW)
    pinot, rng = client(settings()), random.Random(settings().seed)
    found: dict[str, list[float]] = {"enriched": [], "counted": []}
    async with kafka.producer(settings(), linger_ms=0) as producer:
        for _ in range(count):
            user, page, time_ms = f"User_{rng.randint(1, 9)}", f"Page_{rng.randint(10, 29)}", now_ms()
            view = encode({"viewtime": 1, "userid": user, "pageid": page})
            began = time.perf_counter()
            sent = await producer.send_and_wait(topics.PAGEVIEW.name, view, user.encode(), timestamp_ms=time_ms)
            row = (
                f"SELECT viewtime FROM {topics.EXTENDED_PAGEVIEWS.name} WHERE origin_partition = {sent.partition} "
                f"AND origin_offset = {sent.offset} LIMIT 1"
            )
            counted = (
                f"SELECT count_view FROM {topics.PAGEVIEWS_BY_PAGEGROUP.name} WHERE page_group = 'Electronics' "
                f"AND event_time_ms >= {time_ms} LIMIT 1"
            )
            enriched, total = await asyncio.gather(until(pinot, row, began), until(pinot, counted, began))
            found["enriched"].append(enriched)
            found["counted"].append(total)
            await asyncio.sleep(rng.uniform(0.05, 0.3))
    return found


def summary(values: list[float]) -> dict[str, float]:
    """p50, p95, p99 and max, in milliseconds."""
    ordered = sorted(values)
    return {f"p{p}": round(ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 1) for p in (50, 95, 99)} | {
        "max": round(ordered[-1], 1)
    }


@click.command(help=__doc__)
@click.option("--count", default=100, show_default=True, help="How many views to produce.")
def main(count: int) -> None:
    """Measure and print."""
    found = asyncio.run(measure(count))
    click.echo(json.dumps({name: summary(values) for name, values in found.items()} | {"count": count}))


if __name__ == "__main__":
    main()
