"""The input: page views as the generator makes them, in Confluent's wire format, produced as fast as possible.

A view's user and page are drawn from a seeded sequence; its event time is the record's timestamp. Views come in the
first half of every hour only, so that sessions end. Nobody is late: the event times span less than every window's
grace.
"""

import random
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from pipeline.codecs import HEADER, MAGIC
from pipeline.sources.datagen import VIEWTIME_FIRST, VIEWTIME_STEP
from pipeline.sources.seed import page_rows
from pipeline.timebase import HOUR_MS
from pipeline.transport.outbox import partition_for

BATCH_BYTES = 64 * 1024
IN_FLIGHT = 64
CHUNK = 100_000
BAD = b"\1 no record of the registry's wire format"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the views are like.

    `keys` are distinct users (the records' keys), `groups` distinct page groups (0: those of the application's
    reference rows), `hours` the span of event time, `disorder_ms` how far a view's event time may lie before that of
    an earlier record, exclusive. `start_ms` is the first event time possible, a full hour. One view in
    `bad_every` cannot be decoded (0: none).
    """

    records: int
    keys: int = 10_000
    groups: int = 0
    hours: int = 12
    disorder_ms: int = 5_000
    seed: int = 1
    start_ms: int = 0
    bad_every: int = 0


@dataclass(frozen=True, slots=True)
class Views:
    """Views as columns: user number, page number (both from 0) and event time; a view's place gives its viewtime."""

    users: "array[int]"
    pages: "array[int]"
    times_ms: "array[int]"

    def __len__(self) -> int:
        return len(self.users)


def page_catalogue(shape: Shape) -> list[dict[str, str]]:
    """The reference rows: page_id, page_group, page_name."""
    if not shape.groups:
        return [dict(row) for row in page_rows()]
    return [
        {"page_id": f"Page_{n}", "page_group": f"Group_{n}", "page_name": f"The page {n}"} for n in range(shape.groups)
    ]


def generate(shape: Shape) -> Views:
    """All views; a smaller `records` with everything else the same gives other event times, not a prefix."""
    rng = random.Random(f"bench/{shape.seed}")
    pages = range(len(page_catalogue(shape)))
    views = Views(array("I"), array("I"), array("q"))
    half = HOUR_MS // 2
    step = shape.hours * half / max(1, shape.records)
    for first in range(0, shape.records, CHUNK):
        count = min(CHUNK, shape.records - first)
        views.users.extend(rng.choices(range(shape.keys), k=count))
        views.pages.extend(rng.choices(pages, k=count))
        back = rng.choices(range(max(1, shape.disorder_ms)), k=count)
        for n in range(count):
            active = max(0, int((first + n) * step) - back[n])
            hour, rest = divmod(active, half)
            views.times_ms.append(shape.start_ms + hour * HOUR_MS + rest)
    return views


def zigzag(number: int) -> bytes:
    """Avro's binary form of a long that is not negative."""
    rest, out = number << 1, bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _string(text: str) -> bytes:
    raw = text.encode()
    return zigzag(len(raw)) + raw


def user_id(number: int) -> str:
    """The id of a user."""
    return f"User_{number + 1}"


def encoded(views: Views, count: int, shape: Shape, schema_id: int) -> Iterator[tuple[int, bytes]]:
    """(user number, value) of the first `count` views, as `codecs.Encoder` would write them, without its cost."""
    header = HEADER.pack(MAGIC, schema_id)
    users = [_string(user_id(n)) for n in range(shape.keys)]
    pages = [_string(row["page_id"]) for row in page_catalogue(shape)]
    viewtime = VIEWTIME_FIRST
    for place in range(count):
        user = views.users[place]
        bad = shape.bad_every and place % shape.bad_every == shape.bad_every - 1
        yield user, BAD if bad else header + zigzag(viewtime) + users[user] + pages[views.pages[place]]
        viewtime += VIEWTIME_STEP


async def produce(
    producer: AIOKafkaProducer, topic: str, partitions: int, views: Views, count: int, shape: Shape, schema_id: int
) -> Mapping[int, int]:
    """Produce the first `count` views, keyed by user, in record batches made here; returns records by partition."""
    keys = [user_id(n).encode() for n in range(shape.keys)]
    homes = [partition_for(key, partitions) for key in keys]
    builders = [BatchBuilder(BATCH_BYTES, 0) for _ in range(partitions)]
    produced = dict.fromkeys(range(partitions), 0)
    waiting = []
    times_ms = views.times_ms
    for place, (user, value) in enumerate(encoded(views, count, shape, schema_id)):
        home = homes[user]
        if builders[home].append(timestamp=times_ms[place], key=keys[user], value=value) is None:
            waiting.append(await producer.send_batch(builders[home], topic, partition=home))
            builders[home] = BatchBuilder(BATCH_BYTES, 0)
            builders[home].append(timestamp=times_ms[place], key=keys[user], value=value)
            if len(waiting) >= IN_FLIGHT:
                for sent in waiting:
                    await sent
                waiting.clear()
        produced[home] += 1
    for home, builder in enumerate(builders):
        if builder.record_count():
            waiting.append(await producer.send_batch(builder, topic, partition=home))
    for sent in waiting:
        await sent
    return produced
