"""Plain Kafka clients for everything outside the Faust workers, and the cluster's metadata."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from pipeline.kafka_refusals import REFUSED_RIGHTS, broker_error, rights_told, unreachable
from pipeline.kafka_security import client_options
from pipeline.settings import Settings

READ_COMMITTED = "read_committed"
READ_UNCOMMITTED = "read_uncommitted"
STOP_TIMEOUT_S = 2.0
RETRY_BACKOFF_MS = 20
"""A new transaction's first records are refused while the one before is still ending: a matter of milliseconds."""


def producer(settings: Settings, *, linger_ms: int = 5, transactional_id: str | None = None) -> AIOKafkaProducer:
    """An idempotent producer that waits for all in-sync replicas; the caller starts and stops it.

    With a `transactional_id` it is transactional: starting it fences every earlier producer of that id.
    """
    return AIOKafkaProducer(**producer_options(settings, linger_ms), transactional_id=transactional_id)


def producer_options(settings: Settings, linger_ms: int) -> dict[str, Any]:
    """What all producers have in common."""
    return {
        **client_options(settings),
        "enable_idempotence": True,
        "acks": "all",
        "linger_ms": linger_ms,
        "max_batch_size": 256 * 1024,
        "retry_backoff_ms": RETRY_BACKOFF_MS,
    }


async def start_producer(settings: Settings, producer: AIOKafkaProducer) -> None:
    """Start a producer; when that fails close it and raise StackError, or AccessError where it is not let in."""
    try:
        await producer.start()
    except BaseException as error:
        await close_producer(producer, 1.0)
        if isinstance(error, (KafkaConnectionError, OSError, TimeoutError, *REFUSED_RIGHTS)):
            raise await unreachable(settings, error) from error
        raise


async def close_producer(producer: AIOKafkaProducer, timeout_s: float = 10.0) -> bool:
    """Deliver what is on its way for up to `timeout_s` seconds and close; False when something was left undelivered.

    aiokafka's own `stop()` waits for ever while the brokers are away: idempotent batches never expire. Futures of
    what is left stay undone.
    """
    try:
        await asyncio.wait_for(producer.flush(), timeout_s)
        await asyncio.wait_for(producer.stop(), STOP_TIMEOUT_S)
        return True
    except Exception:
        producer._closed = True
        with suppress(Exception):
            await asyncio.wait_for(producer._sender.close(), STOP_TIMEOUT_S)
        with suppress(Exception):
            await producer.client.close()
        return False


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started administration client; raises StackError when no broker answers."""
    client = AIOKafkaAdminClient(**client_options(settings), request_timeout_ms=15_000)
    try:
        try:
            await client.start()
        except (TimeoutError, KafkaError, OSError) as error:
            raise await unreachable(settings, error) from error
        with rights_told(settings):
            yield client
    finally:
        await client.close()


def reader_options(settings: Settings, isolation_level: str) -> dict[str, Any]:
    """What all consumers without a group have in common."""
    return {
        **client_options(settings),
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": isolation_level,
        "max_partition_fetch_bytes": 4 * 1024 * 1024,
    }


@asynccontextmanager
async def reader(settings: Settings, isolation_level: str = READ_COMMITTED) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer without group, to be assigned by hand; raises StackError when no broker answers."""
    consumer = AIOKafkaConsumer(**reader_options(settings, isolation_level), request_timeout_ms=15_000)
    try:
        try:
            await consumer.start()
        except (TimeoutError, KafkaError, OSError) as error:
            raise await unreachable(settings, error) from error
        follow_leaders(consumer)
        with rights_told(settings):
            yield consumer
    finally:
        await close_consumer(consumer)


def follow_leaders(consumer: AIOKafkaConsumer) -> None:
    """Have a started consumer look for a partition's new leader when the old one refuses to tell where it begins.

    aiokafka asks the same broker again and again there, until its metadata are renewed after five minutes.
    """
    fetcher, client = consumer._fetcher, consumer._client
    ask = fetcher._proc_offset_request

    async def asked(node_id: int, topics: Any) -> Any:
        try:
            return await ask(node_id, topics)
        except KafkaError as error:
            if error.invalid_metadata:
                await client.force_metadata_update()
            raise

    fetcher._proc_offset_request = asked


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, also while its brokers are away.

    aiokafka cancels its own fetches then, and lets one's CancelledError out as if it were ours.
    """
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        await consumer._client.close()


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition as the brokers' metadata shows it; `leader` is None while there is none."""

    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as the brokers' metadata shows it, partitions in order."""

    name: str
    partitions: tuple[PartitionState, ...]

    @property
    def replicas(self) -> int:
        """Replicas of the partition that has the fewest."""
        return min((len(p.replicas) for p in self.partitions), default=0)

    @property
    def in_sync(self) -> int:
        """In-sync replicas of the partition that has the fewest."""
        return min((len(p.in_sync) for p in self.partitions), default=0)

    @property
    def under_replicated(self) -> int:
        """Partitions with a replica that is not in sync."""
        return sum(len(p.in_sync) < len(p.replicas) for p in self.partitions)

    @property
    def has_leaders(self) -> bool:
        """True when every partition has a leader."""
        return bool(self.partitions) and all(p.leader is not None for p in self.partitions)


def topic_states(metadata: Iterable[Mapping[str, Any]]) -> dict[str, TopicState]:
    """Metadata's list of topics as {name: state}; topics that the brokers report with an error are left out."""
    return {
        entry["topic"]: TopicState(
            entry["topic"],
            tuple(
                PartitionState(
                    p["partition"],
                    p["leader"] if p["leader"] >= 0 else None,
                    tuple(p["replicas"]),
                    tuple(p["isr"]),
                )
                for p in sorted(entry["partitions"], key=lambda p: int(p["partition"]))
            ),
        )
        for entry in metadata
        if entry["error_code"] == 0
    }


async def describe_topics(settings: Settings, names: Iterable[str] | None = None) -> dict[str, TopicState]:
    """{name: state} of the topics that exist, or of those among `names` that do."""
    async with admin_client(settings) as client:
        try:
            known = topic_states(await client.describe_topics())
        except (TimeoutError, KafkaError) as error:
            raise broker_error(settings, "topics cannot be described", error) from error
    return known if names is None else {name: known[name] for name in names if name in known}
