"""Sends records until the brokers have acknowledged them, whatever happens to the brokers in between.

aiokafka's idempotent producer retries for ever and keeps each partition's order, so that a broker's restart costs
nothing here. What it does not survive is a batch that fails for good, for instance since its partition had no leader
for longer than the request timeout: the sequence numbers of that partition then have a hole, and every later batch
is refused. So each record is kept until it is acknowledged, and after a failure a new producer sends again whatever
is not. That may repeat records whose acknowledgement was lost: generators deliver at least once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.kafka import close_producer, producer, start_producer
from pipeline.kafka_refusals import REFUSED_RIGHTS, denied
from pipeline.settings import Settings
from pipeline.sources.runtime import is_kafka_outage, kafka_reason, retrying

log = logging.getLogger(__name__)

MOST_IN_FLIGHT = 50_000


class Pending(NamedTuple):
    """A record on its way."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None
    future: "asyncio.Future[Any]"


Told = Callable[[Pending, Any], None]


class Sender:
    """An async context manager around one producer and the records it has on the way.

    Entering waits until a broker answers; `stop` ends that wait with the broker's error. Leaving delivers what is
    on its way for up to `close_s` seconds. `told` gets every acknowledged record with aiokafka's RecordMetadata, in
    the order of sending.
    """

    def __init__(
        self, settings: Settings, stop: asyncio.Event, *, close_s: float = 5.0, told: Told | None = None
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._close_s = close_s
        self._told = told
        self._producer: AIOKafkaProducer | None = None
        self._pending: deque[Pending] = deque()
        self.acknowledged = 0

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._producer is not None:
            await close_producer(self._producer, self._close_s)
        self._count_done()
        for left in self._pending:
            if left.future.done():
                left.future.exception()  # it is told here, once, and not by the event loop for each
        if self._pending:
            log.warning("%d records were not acknowledged before the end", len(self._pending))

    async def send(self, topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int | None) -> None:
        """Queue one record; waits while too much is on its way."""
        while True:
            try:
                assert self._producer is not None
                future = await self._producer.send(topic, value, key, timestamp_ms=timestamp_ms)
                break
            except KafkaError as error:
                await self._repair(error)
        self._pending.append(Pending(topic, key, value, timestamp_ms, future))
        if len(self._pending) >= MOST_IN_FLIGHT:
            await asyncio.wait([self._pending[0].future])
            await self.settle()

    async def settle(self) -> None:
        """Count what is acknowledged; after a failure send the rest again with a new producer."""
        error = self._count_done()
        if error is not None:
            await self._repair(error)

    async def drain(self) -> None:
        """Wait until every record is acknowledged."""
        while self._pending:
            await asyncio.wait([self._pending[-1].future])
            await asyncio.wait([self._pending[0].future])
            await self.settle()

    def _count_done(self) -> BaseException | None:
        """Drop acknowledged records from the front; returns the first failure met."""
        while self._pending and self._pending[0].future.done():
            error = self._pending[0].future.exception()
            if error is not None:
                return error
            self._acknowledge(self._pending.popleft())
        return None

    def _acknowledge(self, record: Pending) -> None:
        self.acknowledged += 1
        if self._told is not None:
            self._told(record, record.future.result())

    async def _start(self) -> None:
        what = f"Kafka at {self._settings.bootstrap_servers}"
        async for attempt in retrying(log, what, self._stop, retry_on=is_kafka_outage, reason=kafka_reason):
            with attempt:
                new = producer(self._settings)
                await start_producer(self._settings, new)
                self._producer = new

    async def _repair(self, error: BaseException) -> None:
        """Replace the producer and send again, in order, what is not acknowledged.

        Raises AccessError when it was refused for want of a right.
        """
        if isinstance(error, REFUSED_RIGHTS):
            raise denied(self._settings, error) from error
        log.warning(
            "a batch was not delivered and is sent again by a new producer (%d records): %s",
            len(self._pending),
            kafka_reason(error),
        )
        if self._producer is not None:
            await close_producer(self._producer, 1.0)
        await self._start()
        again = []
        for record in self._pending:
            if record.future.done() and record.future.exception() is None:
                self._acknowledge(record)
            else:
                again.append(record)
        self._pending = deque()
        for record in again:
            await self.send(*record[:4])
