"""Page views and users, as Kafka Connect's Datagen connector makes them: pure seeded sequences, and their runner.

The same seed gives the same sequence, whatever the rate. A record's timestamp is the time when it is sent: the
event time of both topics.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from random import Random

from aiokafka.errors import KafkaError

from pipeline.codecs import Encoder, Record
from pipeline.errors import RegistryError, SourceError, StackError
from pipeline.kafka import describe_topics
from pipeline.reading import end_offsets
from pipeline.registry import Registry, is_registry_outage
from pipeline.settings import Settings
from pipeline.sources.history import in_batches
from pipeline.sources.runtime import Pacer, retrying, until_stopped, wait
from pipeline.sources.sender import Sender
from pipeline.timebase import now_ms
from pipeline.topics import PAGEVIEW, USERS, Topic

log = logging.getLogger(__name__)

VIEWTIME_FIRST, VIEWTIME_STEP = 1, 10
REGISTERED_MS = (1_487_715_775_521, 1_519_273_364_600)
"""Earliest and latest `registertime`, epoch milliseconds, both possible: the range of the Datagen quick start."""

USER_IDS = tuple(f"User_{n}" for n in range(1, 10))
PAGE_IDS = tuple(f"Page_{n}" for n in range(10, 100))
REGION_IDS = tuple(f"Region_{n}" for n in range(1, 10))
GENDERS = ("MALE", "FEMALE", "OTHER")
INTERESTS = ("Game", "News", "Sport", "Movies", "Travel")
PLACES = (
    ("94301", "CA", "650", "Palo Alto"),
    ("94402", "CA", "408", "San Mateo"),
    ("92617", "CA", "949", "Irvine"),
    ("10003", "NY", "212", "New York"),
    ("60601", "IL", "312", "Chicago"),
    ("98101", "WA", "206", "Seattle"),
    ("78701", "TX", "512", "Austin"),
    ("02108", "MA", "617", "Boston"),
)
"""(zipcode, state, area code, city)"""

LOG_EVERY_S = 10.0


def pageviews(seed: int) -> Iterator[Record]:
    """Endless page views; `viewtime` counts 1, 11, 21, ... and is no clock."""
    choose = Random(f"pageviews/{seed}").choice
    for viewtime in count(VIEWTIME_FIRST, VIEWTIME_STEP):
        yield {"viewtime": viewtime, "userid": choose(USER_IDS), "pageid": choose(PAGE_IDS)}


def users(seed: int) -> Iterator[Record]:
    """Endless user rows: each is the whole state of one of the nine users."""
    random = Random(f"users/{seed}")
    while True:
        zipcode, state, area, city = random.choice(PLACES)
        yield {
            "registertime": random.randint(*REGISTERED_MS),
            "userid": random.choice(USER_IDS),
            "regionid": random.choice(REGION_IDS),
            "gender": random.choice(GENDERS),
            "interests": random.sample(INTERESTS, 2),
            "contactinfo": {
                "zipcode": zipcode,
                "state": state,
                "phone": f"{area}{random.randint(2_000_000, 9_999_999)}",
                "city": city,
            },
        }


@dataclass(frozen=True, slots=True)
class Generator:
    """A sequence and where it goes; the key is the record's `key` field as UTF-8."""

    name: str
    topic: Topic
    records: Callable[[int], Iterator[Record]]


PAGEVIEW_GENERATOR = Generator("page views", PAGEVIEW, pageviews)
USER_GENERATOR = Generator("users", USERS, users)


async def run(
    settings: Settings,
    generator: Generator,
    stop: asyncio.Event,
    *,
    rate: float,
    seed: int,
    limit: int | None = None,
    past_ms: Iterable[int] = (),
) -> int:
    """Send at `rate` a second (0: as fast as possible) until `stop`, or until `limit` records are acknowledged.

    Before that, where the topic is empty, a record for each of `past_ms`, as of that time, ascending.
    Returns the number of records that the brokers acknowledged. Rides out outages of brokers and registry; raises
    RegistryError when the registry refuses the schema, SourceError when the topic does not exist.
    """
    acknowledged = 0

    async def work() -> None:
        nonlocal acknowledged
        encode = await _encoder(settings, generator.topic, stop)
        if encode is None:
            return
        sender = Sender(settings, stop)
        try:
            async with sender:
                if not await describe_topics(settings, [generator.topic.name]):
                    raise SourceError(f"topic {generator.topic.name} does not exist: run `pipeline provision` first")
                records = islice(generator.records(seed), limit)
                if past_ms and not any((await end_offsets(settings, [generator.topic.name])).values()):
                    await _send_past(sender, encode, generator, stop, past_ms, records)
                await _pace(sender, encode, generator, stop, rate, records)
        except (KafkaError, StackError):
            if not stop.is_set():
                raise
        finally:
            acknowledged = sender.acknowledged
            log.info("%s: %d sent in all", generator.name, acknowledged)

    await until_stopped(work(), stop)
    return acknowledged


async def _encoder(settings: Settings, topic: Topic, stop: asyncio.Event) -> Encoder | None:
    """The topic's encoder once the registry answers; None when stopped before."""
    registry = Registry(settings.registry_url)
    try:
        async for attempt in retrying(log, "schema registry", stop, retry_on=is_registry_outage):
            with attempt:
                return await registry.encoder(topic)
    except RegistryError:
        if not stop.is_set():
            raise
    return None


async def _send_past(
    sender: Sender,
    encode: Encoder,
    generator: Generator,
    stop: asyncio.Event,
    past_ms: Iterable[int],
    records: Iterator[Record],
) -> None:
    """One record for each of the times, until either ends or `stop` is set."""
    key = generator.topic.key
    for times in in_batches(past_ms):
        if stop.is_set():
            break
        for at_ms, record in zip(times, records, strict=False):
            await sender.send(generator.topic.name, record[key].encode(), encode(record), at_ms)
        await sender.settle()
    log.info("%s: %d of the past sent", generator.name, sender.acknowledged)


async def _pace(
    sender: Sender,
    encode: Encoder,
    generator: Generator,
    stop: asyncio.Event,
    rate: float,
    records: Iterator[Record],
) -> None:
    """One batch a tick until the records end or `stop` is set; then everything acknowledged."""
    pacer = Pacer(rate, time.monotonic())
    topic, key = generator.topic.name, generator.topic.key
    told_s, told = time.monotonic(), 0
    while not stop.is_set():
        due = pacer.take(time.monotonic())
        sent, timestamp_ms = 0, now_ms()
        for record in islice(records, due):
            await sender.send(topic, record[key].encode(), encode(record), timestamp_ms)
            sent += 1
        await sender.settle()
        if sent < due:
            break
        now_s = time.monotonic()
        if now_s - told_s >= LOG_EVERY_S:
            speed = (sender.acknowledged - told) / (now_s - told_s)
            log.info("%s: %d sent, %.1f a second", generator.name, sender.acknowledged, speed)
            told_s, told = now_s, sender.acknowledged
        await wait(stop, pacer.sleep_s(now_s))
        if rate == 0:
            await asyncio.sleep(0)
    await sender.drain()
