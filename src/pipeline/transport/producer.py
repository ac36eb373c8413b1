"""aiokafka's producer, taking many records of a partition at once.

`AIOKafkaProducer.send` costs a coroutine and a future for each record, several times what it takes to write the record
into its batch. Here records go straight into the batch that waits to be sent, and one future stands for a whole batch.
"""

import asyncio
import copy
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, ProducerClosed
from aiokafka.producer.message_accumulator import BatchBuilder

from pipeline.records import Outgoing

MOST_WAITING = 8
"""Batches of one partition that wait to be sent before more are held up: bounds the memory."""


class RecordProducer(AIOKafkaProducer):  # type: ignore[misc]
    """A producer for the records of batches; their partitions are known, their order within each is kept."""

    async def append(self, topic: str, partition: int, records: Iterable[Outgoing]) -> "list[asyncio.Future[Any]]":
        """Hand over records of one partition; each future is done when the brokers have the batch behind it.

        The topic is put on the list of those whose leaders are asked for: aiokafka does so itself only for topics that
        it did not know at its start, and then forgets the leaders of all others, so that records would wait for ever.
        Raises aiokafka's KafkaError.
        """
        await self.client.add_topic(topic)
        await self.client._wait_on_metadata(topic)
        tp = TopicPartition(topic, partition)
        accumulator = self._message_accumulator
        while len(waiting := accumulator._batches.get(tp, ())) > MOST_WAITING:
            await waiting[0].wait_drain()
        self._check()
        used = [waiting[-1]] if waiting else [accumulator._append_batch(accumulator.create_builder(), tp)]
        left = list(records)
        while left := left[_fill(used[-1]._builder, left) :]:
            used.append(accumulator._append_batch(accumulator.create_builder(), tp))
        return [batch.future for batch in used]

    def _check(self) -> None:
        """What aiokafka checks before it takes a record; nothing is awaited from here to the last one."""
        accumulator, transactions = self._message_accumulator, self._txn_manager
        if self._closed or accumulator._closed:
            raise ProducerClosed()
        if accumulator._exception is not None:
            raise copy.copy(accumulator._exception)
        if transactions.transactional_id is not None and not transactions.is_in_transaction():
            raise IllegalOperation("Can't send messages while not in transaction")


def _fill(builder: BatchBuilder, records: Sequence[Outgoing]) -> int:
    """Put as many records into a batch as it takes, and close it when it takes no more; how many they were.

    What `BatchBuilder.append` does, without its two calls and an object for each record.
    """
    if builder._closed:
        return 0
    offset, append = builder._relative_offset, builder._builder.append
    for place, (_, key, value, timestamp_ms, _) in enumerate(records):
        if append(offset + place, timestamp_ms, key, value, []) is None:
            builder.close()
            builder._relative_offset = offset + place
            return place
    builder._relative_offset = offset + len(records)
    return len(records)
