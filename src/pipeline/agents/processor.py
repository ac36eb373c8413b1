"""What an agent does with a batch, free of Faust: batch in, records out.

A processor consumes one topic. `process` is plain synchronous code; `prepare` may ask the registry for schemas that a
batch needs. The agent around it delivers what comes out through the outbox, and only then is the batch acknowledged.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from pipeline.agents.letters import DeadLetters
from pipeline.codecs import Record
from pipeline.errors import BadRecord
from pipeline.event_times import event_time_format
from pipeline.formats import Learning, decoder, key_decoder
from pipeline.records import Headers, Outgoing, RecordBatch
from pipeline.tables.store import StateTable
from pipeline.timebase import LAST_MS, to_ms
from pipeline.topics import KeyFormat, Topic

log = logging.getLogger(__name__)

FEW = 4
"""Fewer records are read faster one by one."""
CHUNK = 512
"""So many are read in one go: where one is bad, no more than these are read again, one by one."""
MAX_VALUE_BYTES = 512 * 1024  # what is made of a record has to fit into a message of 1 MiB, too


class Schemas(Protocol):
    """Where decoders learn writers' schemas from: the registry, or the packaged schemas in tests."""

    async def prepare(self, decoder: Learning, values: Iterable[bytes | None]) -> None:
        """Teach a decoder, of values or of keys, every schema id in these that it does not know yet."""


class Processor(Protocol):
    """What consumes one topic."""

    topic: Topic
    counts: Counter[str]
    tables: Sequence[StateTable]
    """Whatever `process` changes is in the state of these tables, and is undone there when a batch fails."""

    def reset(self) -> None:
        """Read all state afresh: partitions have come or gone."""

    def forget(self, partition: int) -> None:
        """Read the partition's state afresh: it was set back."""

    async def prepare(self, batch: RecordBatch) -> None:
        """Fetch what decoding the batch needs."""

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Everything that the batch brings forth: changelog records, rows, dead letters."""


class DecodingProcessor:
    """Decoding of batches, shared by processors: each bad record becomes a dead letter, the rest goes on.

    The topic says in which format its values are.

    In a `table`'s topic a null key is bad, and a null value is a tombstone; in a stream's it is the other way round.
    """

    def __init__(self, topic: Topic, registry: Schemas, letters: DeadLetters, *, table: bool = False) -> None:
        self.topic = topic
        self.counts: Counter[str] = Counter()
        self.tables: Sequence[StateTable] = ()
        self._registry = registry
        self._letters = letters
        self._is_table = table
        self._decode = decoder(topic)
        self._keys = None if topic.key_format == KeyFormat.TEXT else key_decoder(topic)

    def reset(self) -> None:
        """Nothing is kept besides the tables."""

    def forget(self, partition: int) -> None:
        """Nothing is kept besides the tables."""

    async def prepare(self, batch: RecordBatch) -> None:
        """Learn the schema ids that the batch uses."""
        await self._registry.prepare(self._decode, batch.values)
        if self._keys is not None:
            await self._registry.prepare(self._keys, batch.keys)

    def with_text_keys(self, batch: RecordBatch, out: list[Outgoing]) -> RecordBatch:
        """The batch with the texts of its keys in place of them, as states have them; a letter for each bad key."""
        if self._keys is None:
            return batch
        places: list[int] = []
        keys: list[bytes | None] = []
        for place, key in enumerate(batch.keys):
            try:
                keys.append(None if key is None else self._keys(key).text.encode("utf-8", "surrogateescape"))
                places.append(place)
            except BadRecord as error:
                self.counts["consumed"] += 1
                out.append(self.dead_letter(batch, place, error))
        offsets, times_ms = [batch.offsets[place] for place in places], [batch.timestamps[place] for place in places]
        values = [batch.values[place] for place in places]
        headers = None if batch.headers is None else [batch.headers[place] for place in places]
        return RecordBatch(batch.topic, batch.partition, offsets, times_ms, keys, values, batch.next_offset, headers)

    def decoded(self, batch: RecordBatch, out: list[Outgoing]) -> tuple[Sequence[int], list[Any]]:
        """The good records and their places in the batch, places first; a dead letter in `out` for each bad one.

        In a table's topic the record of a tombstone is None.
        """
        self.counts["consumed"] += len(batch)
        places: list[int] = []
        records: list[Any] = []
        for start in range(0, len(batch), CHUNK):
            end = min(start + CHUNK, len(batch))
            together = self._together(batch, start, end)
            if together is not None:
                records += together
                places += range(start, end)
                continue
            for place in range(start, end):
                try:
                    records.append(self._one(batch, place, batch.values[place]))
                    places.append(place)
                except BadRecord as error:
                    out.append(self.dead_letter(batch, place, error))
        if self.topic.headers and batch.headers is not None:
            for place, record in zip(places, records, strict=True):
                if record is not None:
                    record |= header_values(self.topic.headers, batch.headers[place])
        return places, records

    def _one(self, batch: RecordBatch, place: int, value: bytes | None) -> Record | None:
        """One record; raises BadRecord."""
        if self._is_table and batch.keys[place] is None:
            raise BadRecord("null key")
        if value is not None and len(value) > MAX_VALUE_BYTES:
            raise BadRecord(f"value of {len(value)} bytes is larger than {MAX_VALUE_BYTES}")
        _check_time("timestamp", batch.timestamps[place])
        return None if value is None and self._is_table else self._decode(value)

    def _together(self, batch: RecordBatch, start: int, end: int) -> list[Record] | None:
        """The records at [start, end) at once, which is quick; None when one may be bad: then each is looked at."""
        values, timestamps = batch.values[start:end], batch.timestamps[start:end]
        if len(values) < FEW or None in values or not _usable(timestamps):
            return None
        if self._is_table and None in batch.keys[start:end]:
            return None
        if max(map(len, values)) > MAX_VALUE_BYTES:  # type: ignore[arg-type]
            return None
        return self._decode.together(values)

    def event_time_ms(self, batch: RecordBatch, index: int, record: Record) -> int:
        """A record's event time, from the topic's column for it or the record's own timestamp.

        Raises BadRecord when there is none, or it is before 1970 or after 9998.
        """
        if self.topic.event_time is None:
            return batch.timestamps[index]
        moment = record[self.topic.event_time]
        if moment is None:
            raise BadRecord(f"{self.topic.event_time} is null: a record without event time belongs to no window")
        if self.topic.event_time_format is not None:
            try:
                time_ms = event_time_format(self.topic.event_time_format).to_ms(moment)
            except BadRecord as error:
                raise BadRecord(f"{self.topic.event_time} {error}") from None
        else:
            time_ms = to_ms(moment) if isinstance(moment, datetime) else int(moment)
        _check_time(self.topic.event_time, time_ms)
        return time_ms

    def timed(self, batch: RecordBatch, out: list[Outgoing]) -> tuple[list[Record], Sequence[int], Sequence[int]]:
        """The good records, their places in the batch and their event times; a dead letter in `out` for each bad one.

        A record is bad, too, when it has no event time, or one before 1970 or after 9998.
        """
        places, decoded = self.decoded(batch, out)
        if len(decoded) == len(batch) or self.topic.event_time is not None:
            times_ms = self._times_ms(batch, decoded) if decoded else ()
            if times_ms is not None:
                return decoded, places, times_ms
        records, good, times = [], [], []
        for place, record in zip(places, decoded, strict=True):
            try:
                times.append(self.event_time_ms(batch, place, record))
            except BadRecord as error:
                out.append(self.dead_letter(batch, place, error))
                continue
            records.append(record)
            good.append(place)
        return records, good, times

    def _times_ms(self, batch: RecordBatch, records: list[Record]) -> Sequence[int] | None:
        """All event times at once; None when each has to be looked at."""
        if self.topic.event_time is None:
            return batch.timestamps
        column = [record[self.topic.event_time] for record in records]
        return column if set(map(type, column)) == {int} and _usable(column) else None

    def dead_letter(self, batch: RecordBatch, index: int, error: BadRecord) -> Outgoing:
        """Count and make the letter of a bad record."""
        self.counts["bad"] += 1
        return self._letters.letter(batch, index, str(error))


def header_values(columns: Mapping[str, str | None], headers: Headers) -> Record:
    """The columns that are headers, of one record: of a name the last, null where there is none."""
    last = dict(headers)
    return {
        column: [{"KEY": key, "VALUE": value} for key, value in headers] if name is None else last.get(name)
        for column, name in columns.items()
    }


def _usable(times_ms: Sequence[int]) -> bool:
    return min(times_ms) >= 0 and max(times_ms) <= LAST_MS


def _check_time(name: str, time_ms: int) -> None:
    if time_ms < 0:
        raise BadRecord(f"{name} {time_ms} ms is before 1970")
    if time_ms > LAST_MS:
        raise BadRecord(f"{name} {time_ms} ms is after the year 9998: is it in milliseconds?")
