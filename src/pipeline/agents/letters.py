"""Records that are not counted, with where they came from and why: dead letters and late ones."""

import logging

from pipeline.formats import ValueEncoder
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.partials import Late
from pipeline.timebase import now_ms
from pipeline.topics import DEAD_LETTERS, LATE_RECORDS

log = logging.getLogger(__name__)

KEPT_BYTES = 64 * 1024
KEPT_LETTERS = 1_000
"""Of a reason: it may name what was wrong, however long that is."""


class LateLetters:
    """Makes the records of the late topic: which window had closed, and how long ago. A replay makes the same again."""

    def __init__(self, encoder: ValueEncoder) -> None:
        self._encode = encoder

    def letter(self, batch: RecordBatch, late: Late) -> Outgoing:
        """The letter for one record that came too late for one window."""
        value = self._encode(
            {
                "topic": batch.topic,
                "partition": batch.partition,
                "offset": late.offset,
                "aggregate": late.aggregate,
                "event_time_ms": late.time_ms,
                "window_start_ms": late.start_ms,
                "window_end_ms": late.end_ms,
                "late_by_ms": late.late_by_ms,
            }
        )
        key = f"{batch.topic}/{batch.partition}/{late.offset}/{late.aggregate}/{late.start_ms}"
        return Outgoing(LATE_RECORDS.name, key.encode(), value, now_ms())


class DeadLetters:
    """Makes the records of the dead-letter topic. A replay makes the same letter under the same key again."""

    def __init__(self, encoder: ValueEncoder) -> None:
        self._encode = encoder

    def letter(self, batch: RecordBatch, index: int, reason: str) -> Outgoing:
        """The letter for one record of a batch."""
        offset = batch.offsets[index]
        if len(reason) > KEPT_LETTERS:
            reason = f"{reason[:KEPT_LETTERS]}... ({len(reason)} letters)"
        log.warning("dead letter: %s partition %d offset %d: %s", batch.topic, batch.partition, offset, reason)
        value = self._encode(
            {
                "topic": batch.topic,
                "partition": batch.partition,
                "offset": offset,
                "timestamp_ms": batch.timestamps[index],
                "reason": reason,
                "key": _cut(batch.keys[index]),
                "value": _cut(batch.values[index]),
            }
        )
        return Outgoing(DEAD_LETTERS.name, f"{batch.topic}/{batch.partition}/{offset}".encode(), value, now_ms())


def _cut(raw: bytes | None) -> bytes | None:
    """The beginning: a letter has to fit into a message; the whole is at the offset that the letter names."""
    return raw if raw is None else raw[:KEPT_BYTES]
