"""What a topic says about which rows of its table have been sent: the truth, where a position is not, or not enough."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord

from pipeline.codecs import Record
from pipeline.declare.database import DatabaseTable, Incrementing, TimestampIncrementing
from pipeline.errors import BadRecord
from pipeline.formats import decoder
from pipeline.kafka import READ_COMMITTED
from pipeline.reading import offsets, offsets_from, read_batches
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.sources.position import LOWEST_ID, Position, Range, cut, without
from pipeline.sources.recent import Recent, Sent, Window
from pipeline.timebase import now_ms
from pipeline.topics import KeyFormat

BEGINNING = 100
"""Records at the beginning of a partition among which the largest id is looked for: ids come only about in order."""
MILLI_US = 1_000


class SentIds(NamedTuple):
    """The ids in a table's topic; up to and including `floor` others may have been sent and deleted since.

    `floor` is None as long as retention has deleted nothing.
    """

    ids: set[int]
    floor: int | None

    def unsent(self, first: int, last: int, at_s: int) -> list[Range]:
        """The ranges within [first, last] of which it is certain that they have not been sent."""
        begin = first if self.floor is None else max(first, self.floor + 1)
        return without([Range(begin, last, at_s)], sorted(self.ids), at_s) if begin <= last else []


async def sent_ids(settings: Settings, table: DatabaseTable) -> SentIds:
    """What the records of a table's topic say; what tells no id is left out."""
    assert isinstance(table.mode, Incrementing)
    name, column = table.topic.name, table.mode.column
    bounds = await offsets(settings, [name], isolation_level=READ_COMMITTED)
    deleted = {tp.partition for tp, (begin, _) in bounds.items() if begin > 0}
    ids: set[int] = set()
    beginnings: dict[int, list[int]] = {}
    async for batch, told in _ids(settings, table, column):
        found = [number for number in told if number is not None]
        ids.update(found)
        beginning = beginnings.setdefault(batch[0].partition, [])
        beginning += found[: BEGINNING - len(beginning)]
    floors = [max(beginnings.get(partition) or ids, default=LOWEST_ID) for partition in deleted]
    return SentIds(ids, max(floors, default=None))


async def _ids(
    settings: Settings, table: DatabaseTable, column: str
) -> AsyncIterator[tuple[Sequence[ConsumerRecord], list[int | None]]]:
    """Batches of the topic's records with the id of each: by its key, where that is the id, or by its value."""
    topic = table.topic
    if topic.key == column and topic.key_format == KeyFormat.TEXT:
        async for batch in read_batches(settings, topic.name):
            yield batch, [_id_of(record.key) for record in batch]
        return
    read = reader_of(settings, table)
    async for batch in read_batches(settings, topic.name):
        yield batch, [None if row is None else row[column] for row in await read(batch)]


def _id_of(key: bytes | None) -> int | None:
    try:
        return int(key) if key else None
    except ValueError:
        return None


def reader_of(settings: Settings, table: DatabaseTable) -> Callable[[Sequence[ConsumerRecord]], Any]:
    """The decoded values of records; None where one cannot be read, or is a deletion."""
    decode, registry = decoder(table.topic), Registry(settings)

    def row_of(value: bytes | None) -> Record | None:
        try:
            return decode(value)
        except BadRecord:
            return None

    async def read(batch: Sequence[ConsumerRecord]) -> list[Record | None]:
        await registry.prepare(decode, [record.value for record in batch])
        return [row_of(record.value) for record in batch]

    return read


async def position_of_topic(settings: Settings, table: DatabaseTable) -> Position:
    """The position that the rows in a table's topic amount to.

    Where retention has deleted records, ids that may have been among them count as sent.
    """
    found, at_s = await sent_ids(settings, table), now_ms() // 1_000
    position = Position().advance(found.ids, at_s)
    if found.floor is None:
        return position
    return replace(position, first_id=LOWEST_ID, gaps=tuple(cut(position.gaps, found.floor + 1, position.last_id)))


def digest_of(value: bytes) -> int:
    """63 bits of a hash of what is written for a row."""
    return int.from_bytes(blake2b(value, digest_size=8).digest(), "big") >> 1


async def window_of_topic(settings: Settings, table: DatabaseTable, position: Recent | None, overlap_us: int) -> Window:
    """The position of a table that is read by timestamp, with what was last sent of each row in the overlap.

    Only the topic's tail is read. Without a position it is the whole topic, and its largest timestamp that is not ahead
    of the clock is where the table is gone on from.
    """
    assert isinstance(table.mode, TimestampIncrementing)
    topic, sent = table.topic, dict[str, Sent]()
    start: Mapping[int, int] | None = None
    if position is not None:
        found = await offsets_from(settings, topic.name, position.tail_ms)
        ends = await offsets(settings, [topic.name], isolation_level=READ_COMMITTED)
        start = {tp.partition: found.get(tp.partition, end) for tp, (_, end) in ends.items()}
    read = reader_of(settings, table)
    async for batch in read_batches(settings, topic.name, start=start):
        for record, row in zip(batch, await read(batch), strict=True):
            at_us = None if row is None else moment_us(table, row[table.mode.timestamp])
            if row is not None and at_us is not None:
                row_id = table.columns[table.mode.column].text(row[table.mode.column])
                known = sent.get(row_id)
                if known is None or (known.sent_ms or 0) <= record.timestamp:
                    sent[row_id] = Sent(at_us, digest_of(record.value), record.timestamp)
    if position is None:
        clock_us, tail_ms = now_ms() * MILLI_US, min((one.sent_ms or 0 for one in sent.values()), default=0)
        last_us, last_id = max(((min(one.at_us, clock_us), row_id) for row_id, one in sent.items()), default=(None, ""))
        position = Recent(last_us, last_id, None, tail_ms, overlap_us)
    return Window(position, overlap_us, sent)


def moment_us(table: DatabaseTable, value: Any) -> int | None:
    """A decoded timestamp as microseconds since 1970; None for null. A long without a logical type is epoch ms."""
    assert isinstance(table.mode, TimestampIncrementing)
    if value is None:
        return None
    kind = table.columns[table.mode.timestamp]
    units = value if kind.is_plain else kind.plain([value])[0]
    return int(units) * (1 if kind.family.endswith("micros") else MILLI_US)
