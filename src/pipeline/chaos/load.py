"""Records at a steady rate and bad ones among them, with a ledger of every acknowledged one; rides out outages."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from pipeline.applications.loading import Runnable
from pipeline.chaos.ledger import Ledger
from pipeline.chaos.poison import Bad, Poisons, bad_records, bad_records_of
from pipeline.codecs import Record
from pipeline.declare.generators import Generator, Rows
from pipeline.errors import ChaosError
from pipeline.formats import ValueEncoder
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.sources import datagen
from pipeline.sources.declared import key_of
from pipeline.sources.runtime import Pacer, wait
from pipeline.sources.sender import Pending, Sender
from pipeline.timebase import now_ms
from pipeline.topics import PAGEVIEW, USERS

POISON_PER_S = 3.0
REKEYED = 0.2
"""Share of page views whose key is a counter, as Kafka Connect's Datagen makes them: they take one hop more."""
VIEWS, USERS_SHARE = 0.6, 0.2
"""Shares of the rate; the rest are sales, which go to MySQL."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Records for one topic: `make` gives the next, as of a time in epoch ms, `key` its key; `per_s` a second."""

    topic: str
    encode: ValueEncoder
    make: Callable[[int], Record]
    key: Callable[[Record], bytes]
    per_s: float


class Load(ABC):
    """The harness's own generators; what was acknowledged is in `ledger`.

    `topics` are those that it writes, `steady` the one of them whose records come most often.
    """

    topics: frozenset[str]
    steady: str

    def __init__(self, settings: Settings, *, poison: bool, seed: int) -> None:
        self._settings = settings
        self._poison = poison
        self._seed = seed
        self._stop = asyncio.Event()
        self._give_up = asyncio.Event()
        self.ledger = Ledger()
        self.poisons = Poisons()
        self.poisoned = 0

    @abstractmethod
    async def feeds(self, registry: Registry) -> Sequence[Feed]:
        """What to send; raises RegistryError when the registry is out of reach."""

    @abstractmethod
    async def bad(self, registry: Registry) -> Iterator[Bad]:
        """Endless bad records, every kind in turn; raises RegistryError when the registry is out of reach."""

    async def first(self, registry: Registry) -> Sequence[tuple[Feed, list[Record]]]:
        """What has to be there before the workers are."""
        return ()

    @property
    def acknowledged(self) -> int:
        """Records that the brokers have acknowledged."""
        return len(self.ledger)

    def stop(self) -> None:
        """Send no more; what is on its way is still waited for."""
        self._stop.set()

    async def begin(self) -> None:
        """Send what comes first, until it is acknowledged; raises PipelineError when it cannot start."""
        async with Sender(self._settings, self._give_up, told=self._told) as sender:
            for feed, records in await self.first(Registry(self._settings)):
                await self._send(sender, feed, records)
            await sender.drain()

    async def run(self) -> None:
        """Send until `stop`, then until everything is acknowledged; raises PipelineError when it cannot start."""
        registry = Registry(self._settings)
        feeds = await self.feeds(registry)
        bad = await self.bad(registry) if self._poison else iter(())
        now_s = time.monotonic()
        paced = [(feed, Pacer(feed.per_s, now_s)) for feed in feeds]
        bad_pacer = Pacer(POISON_PER_S, now_s)
        async with Sender(self._settings, self._give_up, told=self._told) as sender:
            while not self._stop.is_set():
                now_s, at_ms = time.monotonic(), now_ms()
                for feed, pacer in paced:
                    await self._send(sender, feed, [feed.make(at_ms) for _ in range(pacer.take(now_s))])
                await self._send_bad(sender, islice(bad, bad_pacer.take(now_s)))
                await sender.settle()
                await wait(self._stop, 0.02)
            await sender.drain()

    async def _send(self, sender: Sender, feed: Feed, records: Sequence[Record]) -> None:
        at_ms = now_ms()
        for record in records:
            await sender.send(feed.topic, feed.key(record), feed.encode(record), at_ms)

    async def _send_bad(self, sender: Sender, records: Iterator[Bad]) -> None:
        for bad in records:
            self.poisons.note(bad)
            self.poisoned += 1
            at_ms = now_ms() if bad.timestamp_ms is None else bad.timestamp_ms
            await sender.send(bad.topic, bad.key, bad.value, at_ms)

    def _told(self, record: Pending, metadata: Any) -> None:
        self.ledger.note(record.topic, metadata.partition, metadata.offset, record.value)


class FlashSalesLoad(Load):
    """Page views and users of flash sales."""

    topics = frozenset({PAGEVIEW.name, USERS.name})
    steady = PAGEVIEW.name

    def __init__(self, settings: Settings, *, per_s: float, poison: bool, seed: int) -> None:
        super().__init__(settings, poison=poison, seed=seed)
        self._per_s = per_s
        self._random = Random(f"keys/{seed}")

    async def feeds(self, registry: Registry) -> Sequence[Feed]:
        """Page views, some keyed by a counter, and users."""
        views, users = datagen.pageviews(self._seed), datagen.users(self._seed)
        view, user = await registry.encoder(PAGEVIEW), await registry.encoder(USERS)
        return (
            Feed(PAGEVIEW.name, view, lambda _: next(views), self._key_of_view, self._per_s * VIEWS),
            Feed(USERS.name, user, lambda _: next(users), _userid, self._per_s * USERS_SHARE),
        )

    async def bad(self, registry: Registry) -> Iterator[Bad]:
        """Bad views, users and sales."""
        return await bad_records(registry, self._seed)

    def _key_of_view(self, record: Record) -> bytes:
        return str(record["viewtime"]).encode() if self._random.random() < REKEYED else _userid(record)


def _userid(record: Record) -> bytes:
    key: str = record["userid"]
    return key.encode()


class DeclaredLoad(Load):
    """What an application declares as example data; its generators share the rate as their own rates are to each other.

    What goes into tables of a database is `tables.TablesWriter`'s. Raises ChaosError when it declares no generator.
    """

    def __init__(self, settings: Settings, found: Runnable, *, per_s: float, poison: bool, seed: int) -> None:
        super().__init__(settings, poison=poison, seed=seed)
        into_tables = found.application.carried_into
        data = [made for made in found.application.data if into_tables(made.topic) is None]
        generators = [made for made in found.application.data if isinstance(made, Generator)]
        self._found = found
        self._made = [made for made in data if isinstance(made, Generator)]
        self._rows = [made for made in data if isinstance(made, Rows)]
        if not generators:
            raise ChaosError(
                f"application {found.name} declares no generator, but `pipeline chaos` needs its load: "
                "Application(..., data=[Generator(...)])"
            )
        self._factor = per_s / sum(made.per_s for made in generators)
        self.topics = frozenset(made.topic.name for made in data)
        followed = {topic.name for topic in found.sources}
        self.steady = max(generators, key=lambda made: (made.topic.name in followed, made.per_s)).topic.name

    async def feeds(self, registry: Registry) -> Sequence[Feed]:
        """One for each generator."""
        return [await self._feed(registry, made, made.maker(self._seed), made.per_s) for made in self._made]

    async def first(self, registry: Registry) -> Sequence[tuple[Feed, list[Record]]]:
        """The rows of tables."""
        return [
            (await self._feed(registry, rows, lambda _: {}, 0.0), rows.records(self._seed, now_ms()))
            for rows in self._rows
        ]

    async def bad(self, registry: Registry) -> Iterator[Bad]:
        """Bad records of every topic that others write."""
        makers = {made.topic.name: made.maker(self._seed + 1) for made in self._made}
        return await bad_records_of(registry, self._found, makers, self._seed)

    async def _feed(
        self, registry: Registry, made: Generator | Rows, make: Callable[[int], Record], per_s: float
    ) -> Feed:
        kind, column = key_of(made), made.topic.key
        encode = await registry.encoder(made.topic)
        return Feed(
            made.topic.name, encode, make, lambda record: kind.text(record[column]).encode(), per_s * self._factor
        )


def load_of(settings: Settings, found: Runnable, *, per_s: float, poison: bool, seed: int) -> Load:
    """The load of an application; raises ChaosError when there is none for it."""
    if found.hooks.generators:
        return FlashSalesLoad(settings, per_s=per_s, poison=poison, seed=seed)
    return DeclaredLoad(settings, found, per_s=per_s, poison=poison, seed=seed)
