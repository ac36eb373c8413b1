"""Page views, users and bad records at a steady rate, with a ledger of every acknowledged one; rides out outages."""

import asyncio
import logging
import time
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

from pipeline.chaos.ledger import Ledger
from pipeline.chaos.poison import Bad, Poisons, bad_records
from pipeline.codecs import Record
from pipeline.formats import ValueEncoder
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.sources import datagen
from pipeline.sources.runtime import Pacer, wait
from pipeline.sources.sender import Pending, Sender
from pipeline.timebase import now_ms
from pipeline.topics import PAGEVIEW, USERS

log = logging.getLogger(__name__)

POISON_PER_S = 3.0
REKEYED = 0.2
"""Share of page views whose key is a counter, as Kafka Connect's Datagen makes them: they take one hop more."""


class KafkaLoad:
    """The harness's own generators; `acknowledged` records and more are in `ledger`."""

    def __init__(self, settings: Settings, *, views_per_s: float, users_per_s: float, poison: bool, seed: int) -> None:
        self._settings = settings
        self._views = Pacer(views_per_s, time.monotonic())
        self._users = Pacer(users_per_s, time.monotonic())
        self._bad = Pacer(POISON_PER_S, time.monotonic()) if poison else None
        self._seed = seed
        self._random = Random(f"keys/{seed}")
        self._stop = asyncio.Event()
        self._give_up = asyncio.Event()
        self.ledger = Ledger()
        self.poisons = Poisons()
        self.poisoned = 0

    @property
    def acknowledged(self) -> int:
        """Records that the brokers have acknowledged."""
        return len(self.ledger)

    def stop(self) -> None:
        """Send no more; what is on its way is still waited for."""
        self._stop.set()

    async def run(self) -> None:
        """Send until `stop`, then until everything is acknowledged; raises PipelineError when it cannot start."""
        registry = Registry(self._settings)
        view, user = await registry.encoder(PAGEVIEW), await registry.encoder(USERS)
        bad = await bad_records(registry, self._seed)
        views, users = datagen.pageviews(self._seed), datagen.users(self._seed)
        async with Sender(self._settings, self._give_up, told=self._told) as sender:
            while not self._stop.is_set():
                now_s = time.monotonic()
                await self._send(sender, PAGEVIEW.name, view, islice(views, self._views.take(now_s)))
                await self._send(sender, USERS.name, user, islice(users, self._users.take(now_s)))
                if self._bad is not None:
                    await self._poison(sender, islice(bad, self._bad.take(now_s)))
                await sender.settle()
                await wait(self._stop, 0.02)
            await sender.drain()

    async def _send(self, sender: Sender, topic: str, encode: ValueEncoder, records: Iterator[Record]) -> None:
        at_ms = now_ms()
        for record in records:
            rekeyed = topic == PAGEVIEW.name and self._random.random() < REKEYED
            key = str(record["viewtime"]) if rekeyed else record["userid"]
            await sender.send(topic, key.encode(), encode(record), at_ms)

    async def _poison(self, sender: Sender, records: Iterator[Bad]) -> None:
        for bad in records:
            self.poisons.note(bad)
            self.poisoned += 1
            at_ms = now_ms() if bad.timestamp_ms is None else bad.timestamp_ms
            await sender.send(bad.topic, bad.key, bad.value, at_ms)

    def _told(self, record: Pending, metadata: Any) -> None:
        self.ledger.note(record.topic, metadata.partition, metadata.offset, record.value)
