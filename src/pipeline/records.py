"""What travels between Kafka and the operators: batches in, single records out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import NamedTuple

Headers = Sequence[tuple[str, bytes | None]]
"""A record's headers: names, which may repeat, and values."""


@dataclass(slots=True)
class RecordBatch:
    """Consecutive records of one partition, as columns of equal length.

    `offsets` rise but may have holes (compaction, transaction markers). `timestamps` are epoch milliseconds as the
    broker stored them: they may be negative. `next_offset` is where reading goes on, exclusive end of the batch.
    `headers` are there for topics only that declare columns of them.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    timestamps: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    next_offset: int = field(default=-1)
    headers: Sequence[Headers] | None = None

    def __post_init__(self) -> None:
        if self.next_offset < 0:
            self.next_offset = self.offsets[-1] + 1 if self.offsets else 0

    def __len__(self) -> int:
        return len(self.offsets)

    def between(self, start: int, end: int) -> "RecordBatch":
        """The records at the places [start, end)."""
        return RecordBatch(
            self.topic,
            self.partition,
            self.offsets[start:end],
            self.timestamps[start:end],
            self.keys[start:end],
            self.values[start:end],
            headers=None if self.headers is None else self.headers[start:end],
        )


class Outgoing(NamedTuple):
    """A record to be produced. `partition` None: by the key's hash. `timestamp_ms` is the event time."""

    topic: str
    key: bytes
    value: bytes | None
    timestamp_ms: int
    partition: int | None = None


def outgoing(
    topic: str, keys: Sequence[bytes], values: Sequence[bytes], times_ms: Sequence[int], partition: int
) -> list[Outgoing]:
    """Records of one topic and partition from columns of equal length; raises ValueError where one is not."""
    made, count = partial(tuple.__new__, Outgoing), len(keys)  # without a call of Python code for each
    return list(map(made, zip(repeat(topic, count), keys, values, times_ms, repeat(partition, count), strict=True)))
