"""Exactly once: what the batches of a partition bring forth and how far they were read are one Kafka transaction.

Each source partition number has a transactional id of its own, `<app_id>-<number>`: whoever is assigned the partition
starts its producer first, which ends what the predecessor left open and fences it. So a worker that was stopped and
continues after others have taken over can write nothing more, and a crash leaves nothing that readers with
`isolation_level=read_committed` would ever see: state, rows, letters and offsets are all there or not at all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from pipeline.kafka import close_producer
from pipeline.records import Outgoing, RecordBatch
from pipeline.transport.outbox import AtLeastOnceOutbox, MakeProducer, enqueue

CLOSE_S = 3.0


class PartitionTransactions:
    """The transactions of one source partition number, one after the other.

    One is begun by the first batch and committed at once when the last commit lies `interval_s` or more back, else
    that long after it: single records are visible within milliseconds, and under load many batches share a commit.
    After an error nothing is committed any more: `failed` is told, and the worker has to end.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        group: str,
        partitions: int,
        interval_s: float,
        failed: Callable[[BaseException], Awaitable[None]],
    ) -> None:
        self._producer = producer
        self._group = group
        self._partitions = partitions
        self._interval_s = interval_s
        self._failed = failed
        self._lock = asyncio.Lock()
        self._open = False
        self._broken = False
        self._sent: list[asyncio.Future[Any]] = []
        self._positions: dict[TopicPartition, int] = {}
        self._next_commit_s = 0.0
        self._committer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Fence the predecessor and end what it left open."""
        await self._producer.start()

    async def deliver(self, records: Iterable[Outgoing], source: RecordBatch | None) -> None:
        """Take records and the source's position into the open transaction."""
        async with self._lock:
            self._check()
            self._broken = True  # unless all of it comes to its end
            if not self._open:
                await self._producer.begin_transaction()
                self._open = True
                self._committer = asyncio.create_task(self._commit_when_due())
            self._sent += await enqueue(self._producer, records, self._partitions)
            if source is not None:
                self._positions[TopicPartition(source.topic, source.partition)] = source.next_offset
            self._broken = False

    async def commit(self) -> None:
        """Commit the open transaction, if there is one; raises aiokafka's KafkaError, ProducerFenced among them."""
        async with self._lock:
            if not self._open:
                return
            self._check()
            self._broken = True
            for future in self._sent:
                await future
            if self._positions:
                await self._producer.send_offsets_to_transaction(self._positions, self._group)
            await self._producer.commit_transaction()
            self._sent, self._positions = [], {}
            self._open = self._broken = False
            self._next_commit_s = asyncio.get_running_loop().time() + self._interval_s

    async def close(self) -> None:
        """Disconnect; an open transaction is left to the successor, who aborts it."""
        if self._committer is not None:
            self._committer.cancel()
        await close_producer(self._producer, CLOSE_S)

    def _check(self) -> None:
        if self._broken:
            raise RuntimeError("a transaction has failed before: nothing more may be written for this partition")

    async def _commit_when_due(self) -> None:
        await asyncio.sleep(self._next_commit_s - asyncio.get_running_loop().time())
        try:
            await self.commit()
        except Exception as error:
            await self._failed(error)


class ExactlyOnceOutbox(AtLeastOnceOutbox):
    """A transactional producer per source partition number, and a plain one for what belongs to no batch."""

    commits_offsets = True

    def __init__(
        self, make_producer: MakeProducer, partitions: int, app_id: str, interval_s: float, **kwargs: Any
    ) -> None:
        super().__init__(make_producer, partitions, **kwargs)
        self._app_id = app_id
        self._open = partial(
            PartitionTransactions, group=app_id, partitions=partitions, interval_s=interval_s, failed=self.crash
        )
        self._transactions: dict[int, PartitionTransactions] = {}

    async def on_stop(self) -> None:
        """Commit what is whole and disconnect."""
        for transactions in self._transactions.values():
            try:
                await asyncio.wait_for(transactions.commit(), 5.0)
            except Exception as error:
                self.log.warning("The last transaction was not committed and will be done again: %r", error)
        await self.assign(())
        await super().on_stop()

    async def deliver(self, partition: int, records: Iterable[Outgoing], source: RecordBatch | None = None) -> None:
        """Take records into the partition's transaction; they are visible after its commit."""
        await self._transactions[partition].deliver(records, source)

    async def assign(self, partitions: Collection[int]) -> None:
        """Start the transactions of new partitions, which fences their predecessors; leave those of others."""
        gone = [self._transactions.pop(number) for number in list(self._transactions) if number not in partitions]
        await asyncio.gather(*(transactions.close() for transactions in gone))
        new = {
            number: self._open(self._make_producer(f"{self._app_id}-{number}"))
            for number in sorted(set(partitions) - set(self._transactions))
        }
        await asyncio.gather(*(transactions.start() for transactions in new.values()))
        self._transactions |= new

    async def commit(self) -> None:
        """Commit every open transaction."""
        await asyncio.gather(*(transactions.commit() for transactions in self._transactions.values()))
