"""Records of a topic as rows of a table, whatever their format, and which of them are bad: a judgement of its own.

Beside its columns a row has `_partition`, `_offset`, `_key` (the key's text), `_time_ms` (its event time) and
`_deleted` (of a table: the record has no value, and its columns are null).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from pipeline.codecs import Record
from pipeline.errors import BadRecord
from pipeline.event_times import event_time_format
from pipeline.formats import Learning, decoder, key_decoder
from pipeline.timebase import to_ms
from pipeline.topics import KeyFormat, Topic
from pipeline.verify.arrow import columns_of
from pipeline.verify.records import LARGE_BYTES, MOST_BYTES, Origin, good_time

OWN = ("_partition", "_offset", "_key", "_time_ms", "_deleted")
TOGETHER = 512
"""So many values are decoded at once; where one of them is bad, one by one."""


class Schemas(Protocol):
    """Where decoders learn writers' schemas: the registry, or a test's."""

    async def prepare(self, decoder: Learning, values: Iterable[bytes | None]) -> None:
        """Teach a decoder every schema id in these values that it does not know yet."""


class Lying(Protocol):
    """A record as it lies in its topic; aiokafka's ConsumerRecord is one."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class TopicReader:
    """Reads the records of one topic, in any number of turns.

    `bad` are (partition, offset) of records that must have a dead letter, `large` those that may have one, since what
    becomes of them may be too large for a message. Where the topic `retires` rows, those count as deleted. Of
    one that is an output and nothing else, `of_output`, every record is good that can be read, and its time is its own.
    """

    def __init__(self, topic: Topic, *, table: bool, retires: bool = False, of_output: bool = False) -> None:
        assert topic.schema is not None
        self.topic = topic
        self.bad: set[Origin] = set()
        self.large: set[Origin] = set()
        self.consumed = 0
        self.columns = columns_of(topic.schema)
        self._is_table = table
        self._retires = retires
        self._of_output = of_output
        self._most_bytes = float("inf") if of_output else MOST_BYTES
        self._decode = decoder(topic)
        self._key = key_decoder(topic)

    async def rows(self, schemas: Schemas, records: list[Any]) -> pa.Table:
        """The good ones of these records as a table."""
        await schemas.prepare(self._decode, [record.value for record in records])
        if self.topic.key_format != KeyFormat.TEXT:
            await schemas.prepare(self._key, [record.key for record in records])
        self.consumed += len(records)
        own: list[tuple[Any, ...]] = []
        good: list[Record] = []
        for start in range(0, len(records), TOGETHER):
            some = records[start : start + TOGETHER]
            together = self._together([record.value for record in some])
            decoded: Sequence[Record | None] = together if together is not None else [None] * len(some)
            for record, known in zip(some, decoded, strict=True):
                try:
                    key, value, time_ms = self._read(record, known)
                except BadRecord:
                    self.bad.add((record.partition, record.offset))
                    continue
                if max(len(record.key or b""), len(record.value or b"")) > LARGE_BYTES:
                    self.large.add((record.partition, record.offset))
                own.append((record.partition, record.offset, key, time_ms, self._deleted(value)))
                good.append(value or {})
        types = (pa.int32(), pa.int64(), pa.string(), pa.int64(), pa.bool_())
        arrays = {
            name: pa.array([row[place] for row in own], type=kind)
            for place, (name, kind) in enumerate(zip(OWN, types, strict=True))
        }
        arrays |= {column.name: column.array([row.get(column.name) for row in good]) for column in self.columns}
        return pa.table(arrays)

    def _together(self, values: list[bytes | None]) -> list[Record] | None:
        """Many values at once, which is quicker; None where one may be bad."""
        if None in values or max(len(value or b"") for value in values) > self._most_bytes:
            return None
        return self._decode.together(values)

    def _read(self, record: Lying, decoded: Record | None) -> tuple[str | None, Record | None, int]:
        """(key, value, event time) of one record, whose value may be decoded already; raises BadRecord."""
        if not self._of_output and not good_time(record.timestamp):
            raise BadRecord("no time of an event")
        if record.value is not None and len(record.value) > self._most_bytes:
            raise BadRecord("too large")
        key = self._key_of(record.key)
        if record.value is None and self._is_table:
            return key, None, record.timestamp
        value = self._decode(record.value) if decoded is None else decoded
        return key, value, self._time_ms(record, value)

    def _deleted(self, value: Record | None) -> bool:
        return value is None or (self._retires and bool(value.get("retired")))

    def _key_of(self, key: bytes | None) -> str | None:
        """A key's text, which a table's must have. A stream's that is no text is null; bad in any other format."""
        if key is None and not self._is_table:
            return None
        try:
            return self._key(key).text
        except BadRecord:
            if self._is_table or self.topic.key_format != KeyFormat.TEXT:
                raise
            return None

    def _time_ms(self, record: Lying, value: Record) -> int:
        if self._of_output or self.topic.event_time is None:
            return record.timestamp
        moment = value[self.topic.event_time]
        if isinstance(moment, str) and self.topic.event_time_format is not None:
            moment = event_time_format(self.topic.event_time_format).to_ms(moment)
        time_ms = to_ms(moment) if isinstance(moment, datetime) else moment
        if time_ms is None or not good_time(time_ms):
            raise BadRecord("no event time")
        return int(time_ms)
