"""Dead letters: records that cannot be used, with where they came from and why."""

import logging

from pipeline.codecs import Encoder
from pipeline.records import Outgoing, RecordBatch
from pipeline.timebase import now_ms
from pipeline.topics import DEAD_LETTERS

log = logging.getLogger(__name__)


class DeadLetters:
    """Makes the records of the dead-letter topic. A replay makes the same letter under the same key again."""

    def __init__(self, encoder: Encoder) -> None:
        self._encode = encoder

    def letter(self, batch: RecordBatch, index: int, reason: str) -> Outgoing:
        """The letter for one record of a batch."""
        offset = batch.offsets[index]
        log.warning("dead letter: %s partition %d offset %d: %s", batch.topic, batch.partition, offset, reason)
        value = self._encode(
            {
                "topic": batch.topic,
                "partition": batch.partition,
                "offset": offset,
                "timestamp_ms": batch.timestamps[index],
                "reason": reason,
                "key": batch.keys[index],
                "value": batch.values[index],
            }
        )
        return Outgoing(DEAD_LETTERS.name, f"{batch.topic}/{batch.partition}/{offset}".encode(), value, now_ms())
