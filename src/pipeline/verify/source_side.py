"""What the source topics hold: good records, bad ones, and the enriched rows that they must have become."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from pipeline.codecs import Decoder, Record, fields
from pipeline.errors import BadRecord
from pipeline.reading import read_batches
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.timebase import to_ms
from pipeline.topics import Topic

Origin = tuple[int, int]
Cut = dict[int, int]

CENT = Decimal("0.01")
EXACT = Context(prec=200)
MOST_BYTES = 512 * 1024
"""A larger value is a dead letter."""
LARGE_BYTES = 64 * 1024
"""A key or value larger than this may be one, too: what becomes of it may be too large for a message."""


class Row(Mapping[str, Any]):
    """A decoded record in a third of a dict's memory: rows of a topic share `columns`, {name: index}."""

    __slots__ = ("_columns", "_values")

    def __init__(self, columns: dict[str, int], record: Record) -> None:
        self._columns = columns
        values = [record[name] for name in columns]
        self._values = tuple([sys.intern(value) if type(value) is str else value for value in values])

    def __getitem__(self, name: str) -> Any:
        return self._values[self._columns[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


@dataclass(slots=True)
class SourceRecord:
    """A record as it lies in its topic; `value` is None for a tombstone, `key` where there is none, or no text."""

    partition: int
    offset: int
    time_ms: int
    key: str | None
    value: Row | None


@dataclass(slots=True)
class Read:
    """A topic's records in the order of their offsets, partition by partition."""

    records: list[SourceRecord] = field(default_factory=list)
    bad: set[Origin] = field(default_factory=set)
    large: set[Origin] = field(default_factory=set)
    consumed: int = 0


async def read(
    settings: Settings, registry: Registry, topic: Topic, *, table: bool = False, cut: Cut | None = None
) -> Read:
    """Read a whole topic, or what lies below a cut.

    Where the topic is a table's a null value is good, and a key that is null or no text is bad; else the other way.
    """
    assert topic.schema is not None
    decode = Decoder(topic.schema)
    columns = {name: index for index, name in enumerate(fields(topic.schema))}
    found = Read()
    async for batch in read_batches(settings, topic.name):
        await registry.prepare(decode, [record.value for record in batch])
        for record in batch:
            if cut is not None and record.offset >= cut.get(record.partition, 0):
                continue
            found.consumed += 1
            origin = record.partition, record.offset
            try:
                if not good_time(record.timestamp):
                    raise BadRecord("no time of an event")
                if record.value is not None and len(record.value) > MOST_BYTES:
                    raise BadRecord("too large")
                value = None if table and record.value is None else Row(columns, decode(record.value))
                key = _text(record.key)
                if table and key is None:
                    raise BadRecord("no key")
            except BadRecord:
                found.bad.add(origin)
                continue
            if max(len(record.key or b""), len(record.value or b"")) > LARGE_BYTES:
                found.large.add(origin)
            found.records.append(SourceRecord(record.partition, record.offset, record.timestamp, key, value))
    return found


def _text(key: bytes | None) -> str | None:
    """A key as text, None where it is null or no text."""
    try:
        return None if key is None else sys.intern(key.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def reject(found: Read, good: Callable[[SourceRecord], bool]) -> None:
    """Move records that break a rule of the application to the bad ones."""
    found.bad |= {(r.partition, r.offset) for r in found.records if not good(r)}
    found.records = [r for r in found.records if (r.partition, r.offset) not in found.bad]


def good_user(record: SourceRecord) -> bool:
    """Key = userid, and a registration time that can be shown."""
    user = record.value
    return user is None or (user["userid"] == record.key and 0 <= user["registertime"] < 253_402_300_800_000)


def good_time(time_ms: int) -> bool:
    """From 1970 to 9998, UTC."""
    return 0 <= time_ms < 253_370_764_800_000


def sale_time(sale: Mapping[str, Any]) -> int | None:
    """Event time of a sale, None when it has none that can be used."""
    moment = sale["sale_datetime"]
    time_ms: int | None = to_ms(moment) if isinstance(moment, datetime) else moment
    return None if time_ms is None or not good_time(time_ms) else time_ms


def good_sale(record: SourceRecord) -> bool:
    """A sale needs an event time, and an amount that can be added up."""
    if record.value is None or sale_time(record.value) is None:
        return False
    amount = sale_amount(record.value)
    return amount is None or abs(amount) <= 10**13


def sale_amount(sale: Mapping[str, Any]) -> Decimal | None:
    """sale_price * quantity; what is finer than a cent is rounded half up, sale by sale."""
    price, quantity = sale["sale_price"], sale["quantity"]
    if price is None or quantity is None:
        return None
    return Decimal(price * quantity).quantize(CENT, ROUND_HALF_UP, EXACT)


@dataclass(slots=True)
class References:
    """Every version that a row of a reference table ever had, by key."""

    rows: dict[str, list[Row]]

    def allows(self, key: str | None, row: Mapping[str, Any], columns: tuple[str, ...]) -> bool:
        """Whether a left join may have found these columns: some version's, or nulls where the key is unknown."""
        seen = {column: row[column] for column in columns}
        versions = self.rows.get(key, []) if key is not None else []
        if not versions:
            return all(value is None for value in seen.values())
        return any(all(version[c] == v for c, v in seen.items()) for version in versions)


async def references(settings: Settings, registry: Registry, topic: Topic) -> tuple[References, int]:
    """All versions of a reference table, and how many of its records are bad."""
    found = await read(settings, registry, topic, table=True)
    rows: dict[str, list[Row]] = defaultdict(list)
    for record in found.records:
        if record.key is not None and record.value is not None and record.value not in rows[record.key]:
            rows[record.key].append(record.value)
    return References(dict(rows)), len(found.bad)


@dataclass(slots=True)
class Enriched:
    """Rows of an enriched topic in the order of their offsets, each origin once."""

    rows: dict[Origin, tuple[int, Row]]
    duplicates: int
    differences: int = 0


async def enriched(settings: Settings, registry: Registry, topic: Topic, cut: Cut) -> Enriched:
    """Read the enriched rows of the source records below a cut; those after an origin's first are duplicates."""
    found = await read(settings, registry, topic)
    rows: dict[Origin, tuple[int, Row]] = {}
    duplicates = 0
    for record in found.records:
        value: Any = record.value
        origin = value["origin_partition"], value["origin_offset"]
        if origin in rows:
            duplicates += 1
        elif origin[1] < cut.get(origin[0], 0):
            rows[origin] = record.partition, value
    return Enriched(rows, duplicates, len(found.bad))
