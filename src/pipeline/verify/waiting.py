"""What is asked of the brokers: how far topics go, whether the workers have come so far, and dead letters."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

from aiokafka import TopicPartition

from pipeline import reading, topics
from pipeline.codecs import Decoder
from pipeline.errors import VerifyError
from pipeline.kafka import READ_COMMITTED
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.topics import Topic
from pipeline.verify.records import Cut

Letters = dict[tuple[str, int, int], str]
"""Reasons of dead letters by (topic, partition, offset)."""
NO_PARTITION = -1
"""Of letters about rows of a database, which never became records."""
UNKNOWN_ID = "unknown schema id"
POLL_S = 0.5


async def begins_of(settings: Settings, stage: Iterable[Topic]) -> dict[str, Cut]:
    """The oldest offsets kept: {topic: {partition: offset}}; above 0 where retention has removed records."""
    begins: dict[str, Cut] = {topic.name: {} for topic in stage}
    for tp, (begin, _) in (await reading.offsets(settings, begins)).items():
        begins[tp.topic][tp.partition] = begin
    return begins


async def ends_of(settings: Settings, stage: Iterable[Topic]) -> dict[str, Cut]:
    """End offsets, exclusive: {topic: {partition: offset}}."""
    cuts: dict[str, Cut] = {topic.name: {} for topic in stage}
    for tp, end in (await reading.end_offsets(settings, cuts, isolation_level=READ_COMMITTED)).items():
        cuts[tp.topic][tp.partition] = end
    return cuts


async def caught_up(settings: Settings, cuts: dict[str, Cut], deadline: float) -> None:
    """Wait until the workers have committed every record below these offsets."""
    while True:
        behind = await _behind(settings, cuts)
        if not behind:
            return
        if time.monotonic() > deadline:
            where = ", ".join(f"{topic} by {count} records" for topic, count in behind.items())
            raise VerifyError(f"the workers of group {settings.app_id} have not caught up in time: behind in {where}")
        await asyncio.sleep(POLL_S)


async def _behind(settings: Settings, cuts: dict[str, Cut]) -> dict[str, int]:
    """{topic: records below the cut that the workers have not committed}; transaction markers are no records."""
    committed = await reading.committed(settings, settings.app_id)
    open_ranges = {
        TopicPartition(topic, partition): (committed.get(TopicPartition(topic, partition), 0), end)
        for topic, cut in cuts.items()
        for partition, end in cut.items()
    }
    behind: Counter[str] = Counter()
    async for records in reading.read_between(settings, open_ranges):
        behind[records[0].topic] += len(records)
    return dict(behind)


async def dead_letters(settings: Settings, registry: Registry) -> Letters:
    """Every dead letter."""
    assert topics.DEAD_LETTERS.schema is not None
    decode = Decoder(topics.DEAD_LETTERS.schema)
    letters: Letters = {}
    async for batch in reading.read_batches(settings, topics.DEAD_LETTERS.name):
        await registry.prepare(decode, [record.value for record in batch])
        for row in (decode(record.value) for record in batch):
            letters[row["topic"], row["partition"], row["offset"]] = row["reason"]
    return letters
