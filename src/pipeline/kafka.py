"""Plain Kafka clients for everything outside the Faust workers: producers, readers of whole topics, administration."""

from aiokafka import AIOKafkaProducer

from pipeline.settings import Settings


def producer(settings: Settings, *, linger_ms: int = 5) -> AIOKafkaProducer:
    """An idempotent producer that waits for all in-sync replicas; the caller starts and stops it."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        enable_idempotence=True,
        acks="all",
        linger_ms=linger_ms,
        max_batch_size=256 * 1024,
    )
