"""Where the processor time of a page view goes: each stage of the application alone, in process, without brokers.

    .venv/bin/python bench/hot_path.py [--profile STAGE]

Microseconds of CPU per record, the best of several runs. What it leaves out: the fetch, the producer, the brokers.
"""

import argparse
import asyncio
import cProfile
import time
from collections.abc import Callable
from random import Random

from pipeline import topics
from pipeline.agents.processor import Processor
from pipeline.records import RecordBatch
from pipeline.runner.local import LocalApplication, flash_sales_application
from pipeline.settings import load
from pipeline.timebase import HOUR_MS
from pipeline.transport import memory

BATCHES, RECORDS, USERS = 12, 5_000, 1_000
START_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS


def views(app: LocalApplication) -> list[RecordBatch]:
    """Batches of page views of one partition, up to 5 s out of order."""
    encode, random = app.schemas.encoder("pageview"), Random(7)
    made: list[RecordBatch] = []
    for number in range(BATCHES):
        offsets = range(number * RECORDS, (number + 1) * RECORDS)
        rows = [
            {"viewtime": o * 10 + 1, "userid": f"User_{random.randrange(USERS)}", "pageid": f"Page_{10 + o % 90}"}
            for o in offsets
        ]
        times = [START_MS + o * 20 - random.randrange(5_000) for o in offsets]
        keys = [str(row["userid"]).encode() for row in rows]
        made.append(RecordBatch(topics.PAGEVIEW.name, 0, offsets, times, keys, [encode(row) for row in rows]))
    return made


async def references(app: LocalApplication) -> None:
    """Pages, regions and users that the views are joined with."""
    for number in range(10, 100):
        page = {"page_id": f"Page_{number}", "page_group": f"Group {number // 20}", "page_name": "Portable Chargers"}
        await app.feed(topics.PAGES.name, f"Page_{number}".encode(), app.encode(topics.PAGES.name, page), START_MS)
    for number in range(1, 10):
        region = {"region_id": f"Region_{number}", "region_name": f"Region {number}"}
        await app.feed(
            topics.REGION.name, f"Region_{number}".encode(), app.encode(topics.REGION.name, region), START_MS
        )
    for number in range(USERS):
        user = {
            "registertime": START_MS,
            "userid": f"User_{number}",
            "regionid": f"Region_{1 + number % 9}",
            "gender": "OTHER",
            "interests": ["Game", "News"],
            "contactinfo": {"zipcode": "95112", "state": "CA", "phone": "408-366-7586", "city": "San Jose"},
        }
        await app.feed(topics.USERS.name, f"User_{number}".encode(), app.encode(topics.USERS.name, user), START_MS)


async def stage(
    name: str, processor: Processor, batches: list[RecordBatch], next_topic: str, profiled: str
) -> list[RecordBatch]:
    """Measure a processor over batches; what it sends to the next topic, as batches."""
    best_s = float("inf")
    made: list[RecordBatch] = []
    profile = cProfile.Profile() if profiled == name else None
    for batch in batches:
        await processor.prepare(batch)
        began_s = time.process_time()
        out = profile.runcall(processor.process, batch) if profile else processor.process(batch)
        best_s = min(best_s, (time.process_time() - began_s) / len(batch))
        sent = [record for record in out if record.topic == next_topic]
        if sent:
            offsets = range(sum(len(batch) for batch in made), sum(len(batch) for batch in made) + len(sent))
            times, keys, values = ([r.timestamp_ms for r in sent], [r.key for r in sent], [r.value for r in sent])
            made.append(RecordBatch(next_topic, 0, offsets, times, keys, values))
    print(f"{name:<16} {best_s * 1e6:7.2f} us a record of {len(batches[0]):,}")
    if profile is not None:
        profile.print_stats("tottime")
    return made


async def measure(profiled: str) -> None:
    """All stages of a page view."""
    async with flash_sales_application(load()).running() as app:
        memory.settle()
        await references(app)
        found: Callable[[str], Processor] = app.app.processors.__getitem__  # type: ignore[assignment]
        enriched = await stage("join", found("PageView"), views(app), topics.EXTENDED_PAGEVIEWS.name, profiled)
        partials = await stage(
            "fold", found(topics.EXTENDED_PAGEVIEWS.name), enriched, "pipeline-pageview-partials", profiled
        )
        await stage("merge", found("pageview_merge"), partials, "", profiled)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--profile", choices=["join", "fold", "merge"], default="", help="Print where a stage's time goes."
    )
    asyncio.run(measure(parser.parse_args().profile))
