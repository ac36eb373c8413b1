"""Exactly once: what batches bring forth and how far they were read are one Kafka transaction.

State, rows, letters and offsets are all there or not at all, for readers with `isolation_level=read_committed`: a
crash leaves nothing that they would ever see. A worker that was stopped and continues after others have taken over
its partitions cannot commit: its offsets are refused, since it is no longer a member of the group (KIP-447). And who
takes over waits until every transaction with offsets of its partitions has ended, before it reads the state.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition

from pipeline.kafka import close_producer
from pipeline.records import Outgoing, RecordBatch
from pipeline.transport.group import Member
from pipeline.transport.group_producer import GroupProducer
from pipeline.transport.outbox import AtLeastOnceOutbox, enqueue
from pipeline.transport.producer import RecordProducer

CLOSE_S = 5.0


class ExactlyOnceOutbox(AtLeastOnceOutbox):
    """A worker's transactions, one after the other, and a plain producer for what belongs to no batch.

    A transaction is begun by the first batch. It is committed at once when the last commit lies `interval_s` or more
    back, else that long after it: single records are visible within milliseconds, and under load many batches share
    a commit. After an error nothing is committed any more, and the worker ends.
    """

    commits_offsets = True

    def __init__(
        self,
        make_producer: Callable[[], RecordProducer],
        make_transactional: Callable[[], GroupProducer],
        partitions: int,
        interval_s: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(make_producer, partitions, **kwargs)
        self._make_transactional = make_transactional
        self._interval_s = interval_s
        self._changed = asyncio.Condition()
        self._delivering = 0
        self._committing = False
        self._stopping = False
        self.is_open = False
        self._positions: dict[TopicPartition, int] = {}
        self._last_positions: dict[TopicPartition, int] = {}
        self._next_commit_s = 0.0
        self._committer: asyncio.Task[None] | None = None
        self._member: Member
        self._transactional: GroupProducer

    async def on_start(self) -> None:
        """Connect, and end what an earlier worker of the same name has left open."""
        await super().on_start()
        self._transactional = self._make_transactional()
        await self._transactional.start()

    async def on_stop(self) -> None:
        """Commit what is whole and disconnect; a transaction that is left open is aborted by the brokers in time.

        Agents are stopped later: what they still bring waits until they are, and is done again elsewhere. A transaction
        begun for it would stay open, and whoever takes over would wait for its end.
        """
        self._stopping = True
        try:
            await asyncio.wait_for(self.commit(), CLOSE_S)
        except Exception as error:
            self.log.warning("The last transaction was not committed and will be done again: %r", error)
        if self._committer is not None:
            self._committer.cancel()
        await close_producer(self._transactional, CLOSE_S)
        await super().on_stop()

    async def deliver(self, records: Iterable[Outgoing], source: RecordBatch | None = None) -> None:
        """Take records and the source's position into the open transaction; they are visible after its commit."""
        async with self._delivery():
            self._sent += await enqueue(self._transactional, records, self._partitions)
            if source is not None:
                self._positions[TopicPartition(source.topic, source.partition)] = source.next_offset

    async def flush(self) -> None:
        """Nothing to wait for: nobody sees a batch before its transaction is committed."""

    async def commit(self) -> None:
        """Commit the open transaction, if there is one; raises aiokafka's KafkaError, ProducerFenced among them."""
        async with self._changed:
            await self._changed.wait_for(lambda: not (self._committing or self._delivering))
            if not self.is_open:
                return
            self._check()
            self._committing = self._broken = True
        try:
            await self._commit()
            self.is_open = self._broken = False
        finally:
            self._committing = False
            async with self._changed:
                self._changed.notify_all()

    async def _commit(self) -> None:
        # without a position of its own a transaction repeats the last ones: nothing else would give a zombie away
        positions = self._positions or self._last_positions
        waiting: list[Awaitable[Any]] = list(self._sent)
        if positions:
            waiting.append(self._transactional.send_offsets_to_transaction(positions, self._member.group_id))
        await asyncio.gather(*waiting)
        await self._transactional.commit_transaction()
        self.commits += 1
        self._sent, self._positions, self._last_positions = [], {}, positions
        self._next_commit_s = asyncio.get_running_loop().time() + self._interval_s

    def assigned(self, member: Member, positions: Mapping[TopicPartition, int]) -> None:
        """Commit in the name of this membership from now on."""
        self._member = self._transactional.member = member
        self._last_positions = {tp: offset for tp, offset in positions.items() if offset >= 0}

    @asynccontextmanager
    async def _delivery(self) -> AsyncIterator[None]:
        """Keep commits out of a batch; what is broken off in the middle is never committed."""
        async with self._changed:
            await self._changed.wait_for(lambda: not (self._committing or self._stopping))
            self._check()
            if not self.is_open:
                await self._transactional.begin_transaction()
                self.is_open = True
                self._committer = asyncio.create_task(self._commit_when_due())
            self._delivering += 1
        try:
            yield
        except BaseException:
            self._broken = True
            raise
        finally:
            self._delivering -= 1
            async with self._changed:
                self._changed.notify_all()

    async def _commit_when_due(self) -> None:
        await asyncio.sleep(self._next_commit_s - asyncio.get_running_loop().time())
        try:
            await self.commit()
        except Exception as error:
            await self.crash(error)
