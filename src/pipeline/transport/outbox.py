"""The producers of the workers: everything that a batch brings forth goes out together and is waited for."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.partitioner import murmur2
from mode import Service

from pipeline.kafka import close_producer
from pipeline.records import Outgoing, RecordBatch
from pipeline.transport.group import Member
from pipeline.transport.producer import RecordProducer

CHANGELOG = "-changelog"


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key by Kafka's default partitioner (murmur2, as Java's)."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class Sink(Protocol):
    """Where records go that belong to no batch of the agents."""

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Send records, in order per partition, and return when they are safe; raises when one could not be sent."""


class Outbox(Sink, Protocol):
    """Where agents send to: a producer in a worker, topics in memory in tests.

    `commits_offsets` says that delivering a batch also takes care of committing its offsets. `is_open` says that
    something waits to be committed; `commits` counts how often that was done.
    """

    commits_offsets: bool
    is_open: bool
    commits: int

    async def deliver(self, records: Iterable[Outgoing], source: RecordBatch | None = None) -> None:
        """Take what a batch brings forth, and note the batch as processed.

        Without a `source` there is no batch behind the records. Raises when a record could not be sent.
        """

    async def flush(self) -> None:
        """Return when the batches that were delivered may be acknowledged; raises as `deliver` does."""

    def assigned(self, member: Member, positions: Mapping[TopicPartition, int]) -> None:
        """Partitions were assigned, of which these offsets are committed (-1: none)."""

    async def commit(self) -> None:
        """Return when everything that was delivered is safe and visible."""


class AtLeastOnceOutbox(Service):
    """An idempotent producer, so that the order within a partition holds whatever is sent again.

    Batches may be acknowledged once all in-sync replicas have what they brought forth; their offsets are committed
    afterwards, by the consumer. A crash in between sends everything again: tables and outputs stay exact by the applied
    offsets in the state, but the enriched streams then hold rows twice, and a worker that was thought dead is not
    fenced. Whoever waits for a flush to end shares the next one: the brokers are waited for twice, however many
    batches there are.
    """

    commits_offsets = False
    is_open = False
    commits = 0
    _producer: RecordProducer

    def __init__(self, make_producer: Callable[[], RecordProducer], partitions: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._make_producer = make_producer
        self._partitions = partitions
        self._sent: list[asyncio.Future[Any]] = []
        self._rows: list[Outgoing] = []
        self._flushing = asyncio.Lock()
        self._broken = False

    async def on_start(self) -> None:
        """Connect."""
        self._producer = self._make_producer()
        await self._producer.start()

    async def on_stop(self) -> None:
        """Send what is left and disconnect."""
        await close_producer(self._producer)

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Send records and wait until all in-sync replicas have them; raises aiokafka's KafkaError."""
        await asyncio.gather(*await enqueue(self._producer, records, self._partitions))

    async def deliver(self, records: Iterable[Outgoing], source: RecordBatch | None = None) -> None:
        """Send what belongs to the state, and keep the rows for the next flush."""
        self._check()
        state: list[Outgoing] = []
        rows: list[Outgoing] = []
        for record in records:
            (state if record.topic.endswith(CHANGELOG) else rows).append(record)
        sent = await enqueue(self._producer, state, self._partitions)
        self._sent += sent  # both at once: a flush that has taken the rows waits for their state, too
        self._rows += rows

    async def flush(self) -> None:
        """Return when the brokers have everything that was delivered, the state first; raises aiokafka's KafkaError.

        A crash in between may leave state whose rows have not gone out: the replay sends them. Rows of which the state
        does not know could not be taken back.
        """
        async with self._flushing:
            self._check()
            sent, rows, self._sent, self._rows = self._sent, self._rows, [], []
            try:
                await asyncio.gather(*sent)
                await self.send(rows)
            except BaseException:
                self._broken = True
                raise

    def _check(self) -> None:
        if self._broken:
            raise RuntimeError("records could not be sent before: nothing more may be written")

    def assigned(self, member: Member, positions: Mapping[TopicPartition, int]) -> None:
        """The consumer commits: nothing to know."""

    async def commit(self) -> None:
        """Whatever was delivered is safe already."""


async def enqueue(
    producer: RecordProducer, records: Iterable[Outgoing], partitions: int
) -> "list[asyncio.Future[Any]]":
    """Hand records to a producer, in order per partition; each future is done when the brokers have its part."""
    groups: defaultdict[tuple[str, int], list[Outgoing]] = defaultdict(list)
    for record in records:
        partition = record.partition
        groups[record.topic, partition_for(record.key, partitions) if partition is None else partition].append(record)
    futures: list[asyncio.Future[Any]] = []
    for (topic, partition), group in groups.items():
        futures += await producer.append(topic, partition, group)
    return futures
