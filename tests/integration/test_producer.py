"""What aiokafka's producer does with topics that are made while it runs."""

import asyncio
from uuid import uuid4

import pytest
from aiokafka.admin import NewTopic

from pipeline import kafka
from pipeline.kafka import admin_client
from pipeline.records import Outgoing
from pipeline.stack.cluster import Stack
from pipeline.transport.outbox import enqueue
from pipeline.transport.producer import RecordProducer

pytestmark = pytest.mark.integration

TRIES = 5


def record(topic: str) -> Outgoing:
    return Outgoing(topic, b"k", b"v", 0, 0)


async def test_a_topic_made_later_does_not_hold_up_the_records_for_the_others(stack: Stack) -> None:
    """aiokafka would ask for the later topic's leaders alone, and forget where the earlier one's are."""
    settings, names = stack.settings, [f"made-later-{uuid4()}" for _ in range(TRIES + 1)]
    async with admin_client(settings) as admin:
        await admin.create_topics([NewTopic(names[0], 1, 1)])
        for number, later in enumerate(names[1:]):
            options = kafka.producer_options(settings, linger_ms=0)
            producer = RecordProducer(**options, transactional_id=f"{later}-{number}")
            await producer.start()
            try:
                await admin.create_topics([NewTopic(later, 1, 1)])
                await producer.begin_transaction()
                futures = await enqueue(producer, [record(names[0]), record(later)], 1)
                await asyncio.wait_for(asyncio.gather(*futures), 10)
                await producer.commit_transaction()
            finally:
                await kafka.close_producer(producer, 1.0)
        await admin.delete_topics(names)
