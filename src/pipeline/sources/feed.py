"""The poller's side towards Kafka: batches of rows and the position, each batch and its position in one transaction."""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from typing import NamedTuple, Self

from aiokafka import AIOKafkaProducer, ConsumerRecord

from pipeline.kafka import READ_COMMITTED, close_producer, producer
from pipeline.reading import offsets, read_batches
from pipeline.settings import Settings
from pipeline.sources.position import Position, Stored
from pipeline.timebase import now_ms
from pipeline.topics import FLASH_SALES, POLLER_POSITION

log = logging.getLogger(__name__)

TABLE = "flash_sales"


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


async def position_of_topic(settings: Settings, overlap: int) -> Position:
    """The position that the rows in the flash-sales topic amount to; keys that are no id are left out."""
    position = Position()
    async for batch in read_batches(settings, FLASH_SALES.name):
        ids = {int(record.key) for record in batch if record.key is not None and record.key.isdigit()}
        position = position.advance(ids, overlap)
    return position


class Feed:
    """One transactional producer and the position that it has committed; made by `open`."""

    def __init__(self, settings: Settings, transactions: AIOKafkaProducer, owner: str) -> None:
        self._settings = settings
        self._producer = transactions
        self.owner = owner
        self.position = Position()

    @classmethod
    async def open(cls, settings: Settings, owner: str) -> Self:
        """Fence earlier pollers, resolve what they left open, then read the position; raises KafkaError or StackError.

        The order matters: only when the producer has started is every earlier transaction committed or aborted.
        """
        transactions = producer(settings, transactional_id=f"{settings.app_id}-poller")
        try:
            await transactions.start()
            feed = cls(settings, transactions, owner)
            await feed._load()
        except BaseException:
            await close_producer(transactions, 1.0)
            raise
        return feed

    async def _load(self) -> None:
        stored = await stored_position(self._settings)
        if stored is None:
            self.position = await position_of_topic(self._settings, self._settings.poll_overlap)
            source = f"the rows in {FLASH_SALES.name}"
        else:
            self.position = stored.position
            source = POLLER_POSITION.name
        log.info(
            "flash sales: on from sale_id %d, %d ids below it not seen yet (from %s)",
            self.position.last_id,
            len(self.position.missing),
            source,
        )
        await self.publish([], self.position)

    async def publish(self, records: Sequence[Outgoing], position: Position | None = None) -> None:
        """Send records, and the position where there is one, in one transaction; returns when it is committed.

        After an error the transaction may be committed or not: the feed must be closed and opened again.
        """
        if position is not None:
            stored = Stored(position, self.owner, now_ms())
            records = [*records, Outgoing(POLLER_POSITION.name, TABLE.encode(), stored.to_json(TABLE), stored.at_ms)]
        if not records:
            return
        await self._producer.begin_transaction()
        futures = [
            await self._producer.send(topic, value, key, timestamp_ms=timestamp_ms)
            for topic, key, value, timestamp_ms in records
        ]
        await asyncio.gather(*futures)
        await self._producer.commit_transaction()
        if position is not None:
            self.position = position

    async def close(self) -> None:
        """Close the producer; an open transaction is aborted by whoever comes next."""
        await close_producer(self._producer, 2.0)


def new_owner() -> str:
    """A name for this run of the poller, which no other run has."""
    return uuid.uuid4().hex
