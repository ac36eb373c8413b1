"""The poller's side towards Kafka: batches of rows and the position, each batch and its position in one transaction."""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer, ConsumerRecord

from pipeline.access import rights
from pipeline.kafka import READ_COMMITTED, close_producer, producer, start_producer
from pipeline.kafka_rights import require_rights
from pipeline.reading import offsets, read_batches
from pipeline.settings import Settings
from pipeline.sources.position import LOWEST_ID, Position, Range, Stored, cut, without
from pipeline.timebase import now_ms
from pipeline.topics import FLASH_SALES, POLLER_POSITION

log = logging.getLogger(__name__)

TABLE = "flash_sales"
BEGINNING = 100
"""Records at the beginning of a partition among which the largest id is looked for: ids come only about in order."""


class Outgoing(NamedTuple):
    """One record to send; `timestamp_ms` is its event time in epoch milliseconds."""

    topic: str
    key: bytes
    value: bytes
    timestamp_ms: int


async def stored_position(settings: Settings) -> Stored | None:
    """The latest committed position, None when there is none. Reads the topic's tail, further back as needed."""
    back = 50
    while True:
        bounds = await offsets(settings, [POLLER_POSITION.name], isolation_level=READ_COMMITTED)
        start = {tp.partition: max(begin, end - back) for tp, (begin, end) in bounds.items()}
        latest: ConsumerRecord | None = None
        async for batch in read_batches(settings, POLLER_POSITION.name, start=start):
            for record in batch:
                if record.key == TABLE.encode() and record.value is not None:
                    latest = record
        if latest is not None:
            return Stored.from_json(latest.value)
        if all(start[tp.partition] <= begin for tp, (begin, _) in bounds.items()):
            return None
        back *= 20


class SentIds(NamedTuple):
    """The ids in the flash-sales topic; up to and including `floor` others may have been sent and deleted since.

    `floor` is None as long as retention has deleted nothing.
    """

    ids: set[int]
    floor: int | None

    def unsent(self, first: int, last: int, at_s: int) -> list[Range]:
        """The ranges within [first, last] of which it is certain that they have not been sent."""
        begin = first if self.floor is None else max(first, self.floor + 1)
        return without([Range(begin, last, at_s)], sorted(self.ids), at_s) if begin <= last else []


async def sent_ids(settings: Settings) -> SentIds:
    """What the keys of the flash-sales topic say; keys that are no id are left out."""
    bounds = await offsets(settings, [FLASH_SALES.name], isolation_level=READ_COMMITTED)
    deleted = {tp.partition for tp, (begin, _) in bounds.items() if begin > 0}
    ids: set[int] = set()
    beginnings: dict[int, list[int]] = {}
    async for batch in read_batches(settings, FLASH_SALES.name):
        found = [number for record in batch if (number := _id_of(record.key)) is not None]
        ids.update(found)
        beginning = beginnings.setdefault(batch[0].partition, [])
        beginning += found[: BEGINNING - len(beginning)]
    floors = [max(beginnings.get(partition) or ids, default=LOWEST_ID) for partition in deleted]
    return SentIds(ids, max(floors, default=None))


def _id_of(key: bytes | None) -> int | None:
    try:
        return int(key) if key else None
    except ValueError:
        return None


async def position_of_topic(settings: Settings) -> Position:
    """The position that the rows in the flash-sales topic amount to.

    Where retention has deleted records, ids that may have been among them count as sent.
    """
    found, at_s = await sent_ids(settings), now_ms() // 1_000
    position = Position().advance(found.ids, at_s)
    if found.floor is None:
        return position
    return replace(position, first_id=LOWEST_ID, gaps=tuple(cut(position.gaps, found.floor + 1, position.last_id)))


class Feed:
    """One transactional producer and the position that it has committed; made by `open`."""

    def __init__(self, settings: Settings, transactions: AIOKafkaProducer, owner: str | None) -> None:
        self._settings = settings
        self._producer = transactions
        self.owner = owner
        self.position = Position()

    @classmethod
    async def open(cls, settings: Settings, owner: str | None) -> Self:
        """Fence earlier pollers, resolve what they left open, then read the position; raises KafkaError or StackError.

        Without an `owner` the position stays that of whoever owns it: a poller that runs goes on with what is
        published here. The order matters: only when the producer has started is every earlier transaction committed
        or aborted.
        """
        await require_rights(settings, rights(settings)["poller"])
        transactions = producer(settings, transactional_id=f"{settings.app_id}-poller")
        await start_producer(settings, transactions)
        try:
            feed = cls(settings, transactions, owner)
            await feed._load()
        except BaseException:
            await close_producer(transactions, 1.0)
            raise
        return feed

    async def _load(self) -> None:
        stored = await stored_position(self._settings)
        self.owner = self.owner or (new_owner() if stored is None else stored.owner)
        if stored is None:
            self.position = await position_of_topic(self._settings)
            source = f"the rows in {FLASH_SALES.name}"
        else:
            self.position = stored.position
            source = POLLER_POSITION.name
        log.info(
            "flash sales: on from sale_id %d, %d ids below it not seen yet (from %s)",
            self.position.last_id,
            self.position.missing,
            source,
        )
        await self.publish([], self.position)

    async def publish(self, records: Sequence[Outgoing], position: Position | None = None) -> None:
        """Send records, and the position where there is one, in one transaction; returns when it is committed.

        After an error the transaction may be committed or not: the feed must be closed and opened again.
        """
        if position is not None:
            stored = Stored(position, self.owner or "", now_ms())
            records = [*records, Outgoing(POLLER_POSITION.name, TABLE.encode(), stored.to_json(TABLE), stored.at_ms)]
        if not records:
            return
        await self._producer.begin_transaction()
        futures = []
        for topic, key, value, timestamp_ms in records:
            future = await self._producer.send(topic, value, key, timestamp_ms=timestamp_ms)
            future.add_done_callback(_heard)  # where one fails, the first of them tells
            futures.append(future)
        await asyncio.gather(*futures)
        await self._producer.commit_transaction()
        if position is not None:
            self.position = position

    async def close(self) -> None:
        """Close the producer; an open transaction is aborted by whoever comes next."""
        await close_producer(self._producer, 2.0)


async def read_again(settings: Settings, first: int, last: int) -> int:
    """Have ids in [first, last] looked for again that were not sent: given up, sent as dead letters, or never noticed.

    Returns how many. What has been sent is not sent twice. A poller that runs takes this up with its next batch.
    Raises KafkaError or StackError when the brokers do not answer.
    """
    feed = await Feed.open(settings, None)
    try:
        position, at_s = feed.position, now_ms() // 1_000
        if position.first_id is None:
            return 0
        first, last = max(first, position.first_id), min(last, position.last_id)
        unsent = (await sent_ids(settings)).unsent(first, last, at_s)
        after = position.again(first, last, at_s, unsent)
        await feed.publish([], after)
        return after.missing - position.missing
    finally:
        await feed.close()


def _heard(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()


def new_owner() -> str:
    """A name for this run of the poller, which no other run has."""
    return uuid.uuid4().hex
