"""The poller's side towards Kafka: batches of rows and positions, each batch and its positions in one transaction."""

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer, ConsumerRecord

from pipeline.access import rights
from pipeline.applications.loading import load
from pipeline.declare.application import Application
from pipeline.declare.database import DatabaseTable, Incrementing
from pipeline.kafka import READ_COMMITTED, close_producer, producer, start_producer
from pipeline.kafka_rights import require_rights
from pipeline.reading import offsets, read_batches
from pipeline.settings import Settings
from pipeline.sources.position import Position, Stored
from pipeline.sources.recent import SECOND_US, Recent, Window
from pipeline.sources.topic_positions import position_of_topic, sent_ids, window_of_topic
from pipeline.timebase import now_ms

log = logging.getLogger(__name__)

Positions = Mapping[str, Position | Recent]
"""{table: how far it has been sent}"""


class Outgoing(NamedTuple):
    """One record to send; `timestamp_ms` is its event time in epoch milliseconds."""

    topic: str
    key: bytes
    value: bytes
    timestamp_ms: int


def application_of(settings: Settings) -> Application:
    """The application that is set."""
    return load(settings.app, settings.app_dir, settings)


def position_topic(application: Application) -> str:
    """The topic of its positions."""
    assert application.position is not None, "it has a database"
    return application.position.name


def kept(application: Application) -> tuple[str, ...]:
    """The tables that have a position; where all are read whole, the first has one, which tells the owner alone."""
    return tuple(table.name for table in application.positioned or application.database[:1])


async def stored_positions(settings: Settings) -> dict[str, Stored]:
    """{table: its latest committed position}, where it has one. Reads the topic's tail, further back as needed."""
    application = application_of(settings)
    name, wanted, back = position_topic(application), {table.encode() for table in kept(application)}, 50
    while True:
        bounds = await offsets(settings, [name], isolation_level=READ_COMMITTED)
        start = {tp.partition: max(begin, end - back) for tp, (begin, end) in bounds.items()}
        latest: dict[bytes, ConsumerRecord] = {}
        async for batch in read_batches(settings, name, start=start):
            latest |= {record.key: record for record in batch if record.key in wanted and record.value is not None}
        if latest.keys() == wanted or all(start[tp.partition] <= begin for tp, (begin, _) in bounds.items()):
            return {key.decode(): Stored.from_json(record.value) for key, record in latest.items()}
        back *= 20


class Feed:
    """One transactional producer and the positions that it has committed; made by `open`.

    `windows` are those of the tables that are read by timestamp: they are as of these positions.
    """

    def __init__(
        self, settings: Settings, application: Application, transactions: AIOKafkaProducer, owner: str | None
    ) -> None:
        self._settings = settings
        self._application = application
        self._producer = transactions
        self.owner = owner
        self.positions: dict[str, Position | Recent] = {}
        self.windows: dict[str, Window] = {}

    @classmethod
    async def open(cls, settings: Settings, owner: str | None) -> Self:
        """Fence earlier pollers, resolve what they left open, then read the positions; raises KafkaError or StackError.

        Without an `owner` the positions stay those of whoever owns them: a poller that runs goes on with what is
        published here. The order matters: only when the producer has started is every earlier transaction committed
        or aborted.
        """
        await require_rights(settings, rights(settings)["poller"])
        transactions = producer(settings, transactional_id=f"{settings.app_id}-poller")
        await start_producer(settings, transactions)
        try:
            feed = cls(settings, application_of(settings), transactions, owner)
            await feed._load()
        except BaseException:
            await close_producer(transactions, 1.0)
            raise
        return feed

    async def _load(self) -> None:
        stored = await stored_positions(self._settings)
        self.owner = self.owner or next((one.owner for one in stored.values()), new_owner())
        for table in self._application.positioned:
            found = stored.get(table.name)
            self.positions[table.name] = await self._position(table, None if found is None else found.position)
        positions = self.positions or {kept(self._application)[0]: Position()}
        await self.publish([], positions)

    async def _position(self, table: DatabaseTable, found: Position | Recent | None) -> Position | Recent:
        if isinstance(table.mode, Incrementing):
            source = f"the rows in {table.topic.name}"
            if isinstance(found, Position):
                position, source = found, position_topic(self._application)
            else:
                position = await position_of_topic(self._settings, table)
            log.info(
                "%s: on from %s %d, %d ids below it not seen yet (from %s)",
                table.label,
                table.mode.column,
                position.last_id,
                position.missing,
                source,
            )
            return position
        overlap_us = round(self._settings.poll_overlap_s * SECOND_US)
        window = await window_of_topic(self._settings, table, found if isinstance(found, Recent) else None, overlap_us)
        self.windows[table.name] = window
        log.info(
            "%s: on from %s; %d rows are compared again",
            table.label,
            window.position,
            len(window),
        )
        return window.position

    async def publish(self, records: Sequence[Outgoing], positions: Positions | None = None) -> None:
        """Send records, and positions where there are some, in one transaction; returns when it is committed.

        After an error the transaction may be committed or not: the feed must be closed and opened again.
        """
        topic, at_ms = position_topic(self._application), now_ms()
        for table, position in (positions or {}).items():
            stored = Stored(position, self.owner or "", at_ms)
            records = [*records, Outgoing(topic, table.encode(), stored.to_json(table), stored.at_ms)]
        if not records:
            return
        await self._producer.begin_transaction()
        futures = []
        for name, key, value, timestamp_ms in records:
            future = await self._producer.send(name, value, key, timestamp_ms=timestamp_ms)
            future.add_done_callback(_heard)  # where one fails, the first of them tells
            futures.append(future)
        await asyncio.gather(*futures)
        await self._producer.commit_transaction()
        self.positions |= positions or {}

    async def close(self) -> None:
        """Close the producer; an open transaction is aborted by whoever comes next."""
        await close_producer(self._producer, 2.0)


async def read_again(settings: Settings, table: DatabaseTable, first: int, last: int) -> int:
    """Have ids in [first, last] looked for again that were not sent: given up, sent as dead letters, or never noticed.

    Returns how many. What has been sent is not sent twice. A poller that runs takes this up with its next batch.
    Raises KafkaError or StackError when the brokers do not answer.
    """
    feed = await Feed.open(settings, None)
    try:
        position, at_s = feed.positions[table.name], now_ms() // 1_000
        if not isinstance(position, Position) or position.first_id is None:
            return 0
        first, last = max(first, position.first_id), min(last, position.last_id)
        unsent = (await sent_ids(settings, table)).unsent(first, last, at_s)
        after = position.again(first, last, at_s, unsent)
        await feed.publish([], {table.name: after})
        return after.missing - position.missing
    finally:
        await feed.close()


def _heard(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()


def new_owner() -> str:
    """A name for this run of the poller, which no other run has."""
    return uuid.uuid4().hex
