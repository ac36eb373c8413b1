"""Reference tables: whole topics, read by every worker before the first event and followed for as long as it runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from mode import Service

from pipeline.kafka import close_consumer
from pipeline.records import RecordBatch
from pipeline.tables.store import ReferenceTable
from pipeline.transport.fetching import next_batches

MOST_RECORDS = 5_000

Apply = Callable[[ReferenceTable, RecordBatch], Awaitable[None]]

log = logging.getLogger(__name__)


class References(Service):
    """Follows the topics of reference tables with a consumer outside any group.

    `apply` takes a batch into a table. An empty topic is waited for up to `wait_s` seconds: an event that comes
    before the first reference rows would be joined with nulls.
    """

    def __init__(
        self,
        tables: dict[str, ReferenceTable],
        partitions: int,
        apply: Apply,
        reader: Callable[[], AIOKafkaConsumer],
        wait_s: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._tables = tables
        self._partitions = partitions
        self._apply = apply
        self._reader = reader
        self._wait_s = wait_s
        self._ready = asyncio.Event()

    @property
    def topics(self) -> set[str]:
        """Names of the topics that are followed."""
        return set(self._tables)

    def rows(self, topic: str) -> dict[str, dict[str, Any]]:
        """The rows of a topic's table by key, kept up to date in place; raises KeyError when it is not followed."""
        return self._tables[topic].rows()

    async def take(self, batch: RecordBatch) -> None:
        """Apply a batch of one of the topics to its table."""
        await self._apply(self._tables[batch.topic], batch)

    async def ready(self) -> None:
        """Return when every table holds what its topic held when the worker started."""
        await self._ready.wait()

    @Service.task
    async def _follow(self) -> None:
        if not self._tables:
            self._ready.set()
            return
        consumer = self._reader()
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, n) for topic in self._tables for n in range(self._partitions)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            await self._catch_up(consumer, await consumer.end_offsets(partitions))
            while not self.should_stop:
                await self._poll(consumer, 1.0)
        finally:
            await close_consumer(consumer)

    async def _catch_up(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> None:
        behind = dict(ends)
        deadline = asyncio.get_running_loop().time() + self._wait_s
        while not self.should_stop:
            await self._poll(consumer, 0.2)
            behind = {tp: end for tp, end in behind.items() if await consumer.position(tp) < end}
            empty = [topic for topic, table in self._tables.items() if not table.rows()]
            late = asyncio.get_running_loop().time() > deadline
            if not behind and (not empty or late):
                if empty:
                    log.warning("going on without rows in reference topics %s", ", ".join(empty))
                self._ready.set()
                return

    async def _poll(self, consumer: AIOKafkaConsumer, timeout_s: float) -> None:
        for batch in (await next_batches(consumer, consumer.assignment(), timeout_s, MOST_RECORDS)).values():
            await self.take(batch)
