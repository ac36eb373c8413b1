"""Plain Kafka clients for everything outside the Faust workers: producers, readers of whole topics, administration."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, ProducerClosed

from pipeline.errors import StackError
from pipeline.settings import Settings

READ_COMMITTED = "read_committed"
READ_UNCOMMITTED = "read_uncommitted"


def producer(settings: Settings, *, linger_ms: int = 5, transactional_id: str | None = None) -> AIOKafkaProducer:
    """An idempotent producer that waits for all in-sync replicas; the caller starts and stops it.

    With a `transactional_id` it is transactional: starting it fences every earlier producer of that id.
    """
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        enable_idempotence=True,
        acks="all",
        linger_ms=linger_ms,
        max_batch_size=256 * 1024,
        transactional_id=transactional_id,
    )


async def close_producer(producer: AIOKafkaProducer, timeout_s: float = 10.0) -> bool:
    """Deliver what is left and close; what cannot be delivered in `timeout_s` fails. True when all was delivered.

    aiokafka's own `stop()` waits for ever while the brokers are away: idempotent batches never expire.
    """
    try:
        await asyncio.wait_for(producer.stop(), timeout_s)
        return True
    except Exception:
        producer._message_accumulator.fail_all(ProducerClosed())
        with suppress(Exception):
            await asyncio.wait_for(producer._sender.close(), 1.0)
        with suppress(Exception):
            await producer.client.close()
        return False


def unreachable(settings: Settings, error: BaseException) -> StackError:
    """The sentence for a cluster that does not answer."""
    return StackError(
        f"no Kafka broker of bootstrap_servers={settings.bootstrap_servers} answers: {error or type(error).__name__}"
    )


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started administration client; raises StackError when no broker answers."""
    client = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers, request_timeout_ms=15_000)
    try:
        try:
            await client.start()
        except (TimeoutError, KafkaError, OSError) as error:
            raise unreachable(settings, error) from error
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def reader(settings: Settings, isolation_level: str = READ_COMMITTED) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer without group, to be assigned by hand; raises StackError when no broker answers."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=isolation_level,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        request_timeout_ms=15_000,
    )
    try:
        try:
            await consumer.start()
        except (TimeoutError, KafkaError, OSError) as error:
            raise unreachable(settings, error) from error
        yield consumer
    finally:
        await consumer.stop()
