"""The producer of the workers: everything that a batch brings forth goes out together and is waited for."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2
from mode import Service

from pipeline.records import Outgoing


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key by Kafka's default partitioner (murmur2, as Java's)."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class Sink(Protocol):
    """Where agents send to: the outbox in a worker, a list in tests."""

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Send records, in order per partition, and return when they are safe; raises when one could not be sent."""


class Outbox(Service):
    """An idempotent producer, so that the order within a partition holds whatever is sent again."""

    _producer: AIOKafkaProducer

    def __init__(self, make_producer: Callable[[], AIOKafkaProducer], partitions: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._make_producer = make_producer
        self._partitions = partitions

    async def on_start(self) -> None:
        """Connect."""
        self._producer = self._make_producer()
        await self._producer.start()

    async def on_stop(self) -> None:
        """Send what is left and disconnect."""
        await self._producer.stop()

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Send records and wait until all in-sync replicas have them; raises aiokafka's KafkaError."""
        send, partitions = self._producer.send, self._partitions
        waiting = [
            await send(
                record.topic,
                record.value,
                record.key,
                partition_for(record.key, partitions) if record.partition is None else record.partition,
                record.timestamp_ms,
            )
            for record in records
        ]
        await asyncio.gather(*waiting)
