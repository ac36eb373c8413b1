"""aiokafka's producer, taking many records of a partition at once.

`AIOKafkaProducer.send` costs a coroutine and a future for each record, several times what it takes to write the record
into its batch. Here records go straight into the batch that waits to be sent, and one future stands for a whole batch.
"""

import asyncio
import copy
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, ProducerClosed

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
        append = used[-1]._builder.append
        for record in records:
            while append(timestamp=record.timestamp_ms, key=record.key, value=record.value) is None:
                used.append(accumulator._append_batch(accumulator.create_builder(), tp))
                append = used[-1]._builder.append
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
