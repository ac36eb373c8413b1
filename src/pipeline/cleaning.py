"""Topics that an application makes for itself are emptied of what it has read: brokers keep them for ever."""

import logging
from collections.abc import Collection, Iterable

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError

from pipeline.errors import StackError
from pipeline.kafka import admin_client
from pipeline.reading import committed
from pipeline.settings import Settings

log = logging.getLogger(__name__)


async def delete_read(settings: Settings, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """Delete what the application's group has committed in these partitions; {partition: first offset that is left}.

    Raises StackError or KafkaError when the brokers cannot do it now.
    """
    positions = await committed(settings, settings.app_id)
    wanted = {tp: RecordsToDelete(positions[tp]) for tp in partitions if positions.get(tp, 0) > 0}
    if not wanted:
        return {}
    async with admin_client(settings) as client:
        found: dict[TopicPartition, int] = await client.delete_records(wanted)
    return found


async def clean(settings: Settings, assigned: Collection[TopicPartition], topics: Collection[str]) -> None:
    """Empty those of these topics' partitions that are assigned; what cannot be done now is done another time."""
    mine = [TopicPartition(*tp) for tp in assigned if tp.topic in topics]
    try:
        await delete_read(settings, mine)
    except (StackError, KafkaError, OSError, TimeoutError) as error:
        log.warning("what has been read of the application's own topics is kept for now: %s", error)
