"""Page views and users, as Kafka Connect's Datagen connector makes them: pure seeded sequences, and their runner.

The same seed gives the same sequence, whatever the rate. A record's timestamp is the time when it is sent: the
event time of both topics. Views may come in visits instead (`visits.py`), which depend on the time as well.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from random import Random

from aiokafka.errors import KafkaError

from pipeline.access import rights
from pipeline.codecs import Record
from pipeline.errors import RegistryError, SourceError, StackError
from pipeline.formats import ValueEncoder
from pipeline.kafka import describe_topics
from pipeline.kafka_rights import require_rights
from pipeline.reading import end_offsets
from pipeline.registry import Registry, is_registry_outage
from pipeline.settings import Settings
from pipeline.sources.history import Past, in_batches
from pipeline.sources.imperfect import PERFECT, Imperfection
from pipeline.sources.runtime import Pacer, retrying, until_stopped, wait
from pipeline.sources.sender import Sender
from pipeline.sources.visits import USER_IDS, visitors
from pipeline.tables.types import ColumnType, column_type
from pipeline.timebase import now_ms
from pipeline.topics import PAGEVIEW, USERS, Topic

log = logging.getLogger(__name__)

VIEWTIME_FIRST, VIEWTIME_STEP = 1, 10
REGISTERED_MS = (1_487_715_775_521, 1_519_273_364_600)
"""Earliest and latest `registertime`, epoch milliseconds, both possible: the range of the Datagen quick start."""

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


def pageviews_of_visits(seed: int) -> "Maker":
    """Page views of whoever visits at the time that is given, epoch ms; `viewtime` as in `pageviews`."""
    random, viewtimes = Random(f"visited/{seed}"), count(VIEWTIME_FIRST, VIEWTIME_STEP)

    def view(at_ms: int) -> Record:
        userid, pages = random.choice(visitors(seed, at_ms))
        return {"viewtime": next(viewtimes), "userid": userid, "pageid": random.choice(pages)}

    return view


def users(seed: int) -> Iterator[Record]:
    """Endless user rows: each is the whole state of one of the nine users."""
    random = Random(f"users/{seed}")
    while True:
        place = random.choice(PLACES)
        registered_ms = random.randint(*REGISTERED_MS)
        yield _user(random, place, registered_ms, random.choice(USER_IDS))


def first_users(seed: int) -> list[Record]:
    """One row of every user, for the time before any view."""
    random = Random(f"first users/{seed}")
    return [_user(random, random.choice(PLACES), random.randint(*REGISTERED_MS), userid) for userid in USER_IDS]


def _user(random: Random, place: tuple[str, str, str, str], registered_ms: int, userid: str) -> Record:
    zipcode, state, area, city = place
    return {
        "registertime": registered_ms,
        "userid": userid,
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


STRING = column_type("string")
Maker = Callable[[int], Record]
"""Gives the next record of a sequence, for a time in epoch milliseconds."""


def in_sequence(records: Callable[[int], Iterator[Record]]) -> Callable[[int], Maker]:
    """The maker of a sequence that does not depend on the time."""

    def maker(seed: int) -> Maker:
        left = records(seed)
        return lambda _: next(left)

    return maker


@dataclass(frozen=True, slots=True)
class Generator:
    """Records and where they go; the key is the text of the record's column of the topic's key, of type `key`.

    `maker` takes a seed. `first`, of a seed, are records that a past begins with, as of just before it. `times`, of a
    seed, gives the time of the next record for the present, both epoch milliseconds. Values of one that is `spoilable`
    are made unreadable, as often as is wished.
    """

    name: str
    topic: Topic
    maker: Callable[[int], Maker]
    first: Callable[[int], list[Record]] = lambda _: []
    key: ColumnType = STRING
    times: Callable[[int], Callable[[int], int]] = lambda _: lambda now_ms: now_ms
    spoilable: bool = False


PAGEVIEW_GENERATOR = Generator("page views", PAGEVIEW, in_sequence(pageviews), spoilable=True)
VISIT_GENERATOR = Generator("page views", PAGEVIEW, pageviews_of_visits, spoilable=True)
USER_GENERATOR = Generator("users", USERS, in_sequence(users), first_users)


async def run(
    settings: Settings,
    generator: Generator,
    stop: asyncio.Event,
    *,
    rate: float,
    seed: int,
    limit: int | None = None,
    past: Past | None = None,
    imperfect: Imperfection = PERFECT,
) -> int:
    """Send at `rate` a second (0: as fast as possible) until `stop`, or until `limit` records are acknowledged.

    Before that, where the topic is empty, a record for each time of the past, as of that time, acknowledged.
    Returns the number of records that the brokers acknowledged. Rides out outages of brokers and registry; raises
    RegistryError when the registry refuses the schema, SourceError when the topic does not exist.
    """
    past = past or Past()
    acknowledged = 0

    async def work() -> None:
        nonlocal acknowledged
        encode = await encoder_of(settings, generator.topic, stop)
        if encode is None:
            return
        sender = Sender(settings, stop)
        try:
            async with sender:
                needed = [
                    right for right in rights(settings).get("generator", ()) if right.name == generator.topic.name
                ]
                await require_rights(settings, needed)
                await require_topic(settings, generator.topic)
                source = Source(generator, encode, seed, limit, imperfect)
                await past.begin(stop)
                if past and not any((await end_offsets(settings, [generator.topic.name])).values()):
                    await _send_past(sender, source, stop, past)
                await past.end(stop)
                await _pace(sender, source, stop, rate)
        except (KafkaError, StackError):
            if not stop.is_set():
                raise
        finally:
            acknowledged = sender.acknowledged
            log.info("%s: %d sent in all", generator.name, acknowledged)

    await until_stopped(work(), stop)
    return acknowledged


class Source:
    """What is left of a generator's records, as they are sent."""

    def __init__(
        self, generator: Generator, encode: ValueEncoder, seed: int, limit: int | None, imperfect: Imperfection
    ) -> None:
        self.generator = generator
        self._encode = encode
        self._make = generator.maker(seed)
        self._first = generator.first(seed)
        self._time = generator.times(seed)
        self._left = limit
        self._imperfect = imperfect

    def time(self, now_ms: int) -> int:
        """The time of the next record; epoch ms."""
        return self._time(now_ms)

    def first(self) -> list[tuple[bytes, bytes]]:
        """Key and value of the records that a past begins with."""
        return [self._written(record) for record in self._first if self._take()]

    def next(self, at_ms: int) -> tuple[bytes, bytes] | None:
        """Key and value of the next record, as of a time in epoch ms; None after the last."""
        return self._written(self._make(at_ms)) if self._take() else None

    def _take(self) -> bool:
        if self._left is not None:
            self._left -= 1
        return self._left is None or self._left >= 0

    def _written(self, record: Record) -> tuple[bytes, bytes]:
        made, value = self.generator, self._encode(record)
        key = made.key.text(record[made.topic.key]).encode()
        return key, self._imperfect.value(value) if made.spoilable else value


async def require_topic(settings: Settings, topic: Topic) -> None:
    """Raise SourceError when a topic does not exist."""
    if not await describe_topics(settings, [topic.name]):
        raise SourceError(f"topic {topic.name} does not exist: run `pipeline provision` first")


async def encoder_of(settings: Settings, topic: Topic, stop: asyncio.Event) -> ValueEncoder | None:
    """The topic's encoder once the registry answers; None when stopped before."""
    registry = Registry(settings)
    try:
        async for attempt in retrying(log, "schema registry", stop, retry_on=is_registry_outage):
            with attempt:
                return await registry.encoder(topic)
    except RegistryError:
        if not stop.is_set():
            raise
    return None


async def _send_past(sender: Sender, source: Source, stop: asyncio.Event, past: Past) -> None:
    """The generator's first records, then one for each time, until either ends or `stop` is set; all acknowledged."""
    topic = source.generator.topic.name
    for key, value in source.first():
        await sender.send(topic, key, value, past.first_ms)
    await sender.drain()
    for times in in_batches(past.times_ms):
        if stop.is_set():
            break
        for at_ms in times:
            if (made := source.next(at_ms)) is None:
                break
            await sender.send(topic, *made, at_ms)
        await sender.settle()
    await sender.drain()
    log.info("%s: %d of the past sent", source.generator.name, sender.acknowledged)


async def _pace(sender: Sender, source: Source, stop: asyncio.Event, rate: float) -> None:
    """One batch a tick until the records end or `stop` is set; then everything acknowledged."""
    pacer = Pacer(rate, time.monotonic())
    name, topic = source.generator.name, source.generator.topic.name
    told_s, told = time.monotonic(), sender.acknowledged
    while not stop.is_set():
        due = pacer.take(time.monotonic())
        sent, timestamp_ms = 0, now_ms()
        while sent < due and (made := source.next(at_ms := source.time(timestamp_ms))) is not None:
            await sender.send(topic, *made, at_ms)
            sent += 1
        await sender.settle()
        if sent < due:
            break
        now_s = time.monotonic()
        if now_s - told_s >= LOG_EVERY_S:
            speed = (sender.acknowledged - told) / (now_s - told_s)
            log.info("%s: %d sent, %.1f a second", name, sender.acknowledged, speed)
            told_s, told = now_s, sender.acknowledged
        await wait(stop, pacer.sleep_s(now_s))
        if rate == 0:
            await asyncio.sleep(0)
    await sender.drain()
