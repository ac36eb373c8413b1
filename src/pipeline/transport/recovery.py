"""State comes back from the changelogs in batches, by a consumer of its own.

Faust reads changelogs one record at a time through the workers' consumer group. Here the partitions of state follow
from the source partitions that the worker was given; each new one is read from the beginning to the end of its
changelog, then the streams go on from the committed offsets. Reference tables are read whole before the first event
and followed afterwards.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.assignor.partition_assignor import PartitionAssignor
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP
from mode import Service

from pipeline.kafka import READ_UNCOMMITTED, close_consumer
from pipeline.records import RecordBatch
from pipeline.tables.store import StateTable
from pipeline.transport.consumer import BatchConsumer
from pipeline.transport.fetching import next_batches

if TYPE_CHECKING:
    from pipeline.transport.app import BatchApp

FETCH_S = 0.1
MOST_RECORDS = 20_000


class BatchAssignor(PartitionAssignor):
    """Faust's assignor, which puts partition p of every topic on one worker; changelogs are not assigned."""

    def _global_table_standby_assignments(self, assignments: Any, partitions_by_topic: Any) -> Any:
        return assignments


class BatchRecovery(Recovery):
    """Brings state back at full speed, for newly assigned partitions only."""

    app: "BatchApp"
    _assigned: set[TP]
    _held: set[tuple[str, int]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._assigned = set()
        self._held = set()
        self._missed = False

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Note what was assigned and wake the recovery."""
        self._assigned = set(assigned)
        self._missed |= generation_id != self._generation_id + 1
        self._generation_id = generation_id
        self.signal_recovery_start.set()

    @Service.task
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start.wait()):
                return
            self.signal_recovery_start.clear()
            generation = self._generation_id
            try:
                self._set_recovery_started()
                await self._wait(self._restore(generation))
                self.app.serving_generation = generation
                await self._wait(self.on_recovery_completed(generation))
            except RebalanceAgain:
                continue
            except ServiceStopped:
                return

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Not needed: changelogs are not read through the consumer group."""

    @Service.task
    async def _publish_stats(self) -> None:
        """Not needed: a recovery takes seconds, and logs what it did."""

    async def _restore(self, generation: int) -> None:
        if self.app.references is not None:
            await self.app.references.ready()
        # before the state is read: what a predecessor left open has ended then, and it can commit nothing more
        consumer = cast(BatchConsumer, self.app.consumer)
        await consumer.fetches_ended()
        self.app.outbox.assigned(consumer.member(), await consumer.stable_offsets())
        tables = [table for table in self.tables.values() if isinstance(table, StateTable)]
        wanted = {(table.name, tp.partition) for table in tables for tp in self._assigned if tp.topic == table.source}
        # after a missed generation others may have had our partitions, and may have gone on with their state
        self._held = set() if self._missed else self._held & wanted
        self._missed = False
        for table in tables:
            for partition in table.held():
                if (table.name, partition) not in self._held:
                    table.forget(partition)
        missing = sorted(wanted - self._held)
        self.app.on_state_changed()
        if missing:
            count = await self._read(missing)
            self.log.info("Restored %d partitions of state from %d changelog records", len(missing), count)
            self._held |= set(missing)
        if self.app.standby is not None:
            partitions = range(self.app.conf.topic_partitions)
            others = [(table.name, n) for table in tables for n in partitions if (table.name, n) not in self._held]
            self.app.standby.follow(self._changelog(*other) for other in others)

    def _table(self, name: str) -> StateTable:
        return cast(StateTable, self.tables[name])

    def _changelog(self, name: str, partition: int) -> TopicPartition:
        return TopicPartition(self._table(name).changelog_topic.get_topic_name(), partition)

    async def _read(self, missing: list[tuple[str, int]]) -> int:
        """Read the changelogs of these (table, partition) pairs to their end, from where a standby has come."""
        changelogs = {}
        starts = {}
        for name, partition in missing:
            table, changelog = self._table(name), self._changelog(name, partition)
            changelogs[changelog] = table
            rows, starts[changelog] = self.app.standby.take(changelog) if self.app.standby is not None else ({}, 0)
            table.adopt(partition, rows)
        count = 0
        reader = self.app.changelog_reader()
        async for batch in read_to_end(reader, starts, await self._written(list(changelogs))):
            table = changelogs[TopicPartition(batch.topic, batch.partition)]
            table.restore(batch.partition, zip(cast("Sequence[bytes]", batch.keys), batch.values, strict=True))
            count += len(batch)
        return count

    async def _written(self, changelogs: list[TopicPartition]) -> dict[TopicPartition, int]:
        """{partition: one past the last record written}, in whatever transaction.

        The end markers of a transaction reach its partitions one by one: committed offsets may be there before a
        changelog's records are. So the end that a read_committed reader sees at first may be too early.
        """
        consumer = self.app.changelog_reader(isolation_level=READ_UNCOMMITTED)
        await consumer.start()
        try:
            return dict(await consumer.end_offsets(changelogs))
        finally:
            await close_consumer(consumer)


class BatchTableManager(TableManager):
    """Faust's table manager with the batched recovery; changelogs are not subscribed to."""

    _recovery: BatchRecovery | None

    @property
    def recovery(self) -> BatchRecovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = BatchRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def _update_channels(self) -> None:
        self._tables_finalized.set()
        for table in self.values():
            await table.maybe_start()
        self._tables_registered.set()


async def read_to_end(
    consumer: AIOKafkaConsumer, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> AsyncIterator[RecordBatch]:
    """Batches from these start offsets up to these end offsets, exclusive; starts and stops the consumer.

    Waits for transactions that are open below an end.
    """
    await consumer.start()
    try:
        consumer.assign(list(ends))
        for tp in ends:
            consumer.seek(tp, starts[tp])
        open_ends = dict(ends)
        while open_ends:
            for batch in (await next_batches(consumer, open_ends.keys(), FETCH_S, MOST_RECORDS)).values():
                yield batch
            for tp in list(open_ends):
                if await consumer.position(tp) >= open_ends[tp]:
                    consumer.pause(tp)
                    del open_ends[tp]
            await asyncio.sleep(0)
    finally:
        await close_consumer(consumer)
