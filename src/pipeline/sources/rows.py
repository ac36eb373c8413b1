"""What a row of the database becomes: an Avro record, or a dead letter where the schema cannot hold it.

One bad row never stops the others. What comes of what is odd:

| in the row | sent |
|---|---|
| a zero date, also a partly zero one (`2026-00-10`), or a day that the calendar lacks (`2026-02-30`) | null |
| a number beyond the Avro type (of an unsigned column), a decimal out of its precision or scale | a dead letter |
| text that is no UTF-8, or a row that is too large for a message | a dead letter |
| NULL in the key | a dead letter |
| an empty key, text with NUL, a date before 1970 or in the year 9999 | as it is |

The letter's topic is the one that the row was meant for; partition and offset are -1, since it lies at none; the
reason names table, id, column and value, and the letter's value is the row as JSON.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Select, or_, select

from pipeline.codecs import Record
from pipeline.errors import BadRecord
from pipeline.formats import ValueEncoder
from pipeline.sources.feed import Outgoing
from pipeline.sources.models import Base, FlashSale
from pipeline.sources.position import Position
from pipeline.timebase import to_ms
from pipeline.topics import DEAD_LETTERS, Topic

log = logging.getLogger(__name__)

Row = Mapping[str, Any]

MOST_BYTES = 1_000_000
"""Of a record's key and value: a message of Kafka holds 1 MiB by default, with what goes around them."""
KEPT_BYTES = 64 * 1024
SHOWN = 100


def moments(model: type[Base]) -> frozenset[str]:
    """The names of a table's columns that hold dates with times."""
    table = model.metadata.tables[model.__tablename__]
    return frozenset(column.name for column in table.columns if isinstance(column.type, DateTime))


def record_of(row: Row, dates: frozenset[str]) -> Record:
    """A row as its Avro record: DATETIME (naive, UTC) becomes epoch milliseconds, DECIMAL stays exact.

    What the driver could not read as a date, it gives as text: zero dates, and days that there are not. They are null.
    """
    record = dict(row)
    for name in dates:
        value = record.get(name)
        record[name] = to_ms(value) if isinstance(value, datetime) else None
    return record


def unsent(position: Position) -> ColumnElement[bool] | None:
    """The condition for ids below the largest one sent that have not been sent; None where there can be none."""
    if position.first_id is None:
        return None
    column = FlashSale.sale_id
    single = [gap.first for gap in position.gaps if gap.size == 1]
    ranges = [column.between(gap.first, gap.last) for gap in position.gaps if gap.size > 1]
    return or_(column < position.first_id, *ranges, *([column.in_(single)] if single else []))


def new_sales(position: Position, limit: int) -> list[Select[Any]]:
    """The queries for what is new: above the largest id sent, and what is missing below; `limit` rows each, by id."""
    table = FlashSale.__table__
    every = select(table).order_by(table.c.sale_id).limit(limit)
    below = unsent(position)
    return [every] if below is None else [every.where(table.c.sale_id > position.last_id), every.where(below)]


class Carrier:
    """Makes the records of one table."""

    def __init__(self, model: type[Base], topic: Topic, encode: ValueEncoder, letter: ValueEncoder) -> None:
        self.topic = topic
        self._table = model.__tablename__
        self._dates = moments(model)
        self._encode = encode
        self._letter = letter

    def records(self, rows: Iterable[Row], at_ms: int) -> list[Outgoing]:
        """A record or a dead letter for each row, in their order; `at_ms` is the time of the poll, epoch ms."""
        return [self.record(row, at_ms) for row in rows]

    def record(self, row: Row, at_ms: int) -> Outgoing:
        """The record of a row, or its dead letter."""
        try:
            number = row[self.topic.key]
            if number is None:
                raise BadRecord(f"table {self._table}: a row has NULL in its key column {self.topic.key}")
            try:
                key, value = str(number).encode(), self._encode(record_of(row, self._dates))
            except Exception as error:  # fastavro raises many kinds where a value does not fit
                raise BadRecord(self._misfit(row, error)) from None
            if len(key) + len(value) > MOST_BYTES:
                raise BadRecord(f"{self._place(row)}: {len(key) + len(value)} bytes are more than {MOST_BYTES}")
        except BadRecord as error:
            return self._dead(row, str(error), at_ms)
        return Outgoing(self.topic.name, key, value, at_ms)

    def _dead(self, row: Row, reason: str, at_ms: int) -> Outgoing:
        shown = _text(row[self.topic.key])
        value = self._letter(
            {
                "topic": self.topic.name,
                "partition": -1,
                "offset": -1,
                "timestamp_ms": at_ms,
                "reason": reason,
                "key": None if row[self.topic.key] is None else shown.encode(),
                "value": json.dumps(dict(row), default=str).encode()[:KEPT_BYTES],
            }
        )
        return Outgoing(DEAD_LETTERS.name, f"{self.topic.name}/-1/-1/{shown}".encode(), value, at_ms)

    def _place(self, row: Row) -> str:
        return f"table {self._table}, {self.topic.key} {_text(row[self.topic.key])}"

    def _misfit(self, row: Row, error: Exception) -> str:
        """Which column it is: the one that does not fit where all others are null, or the key."""
        record = record_of(row, self._dates)
        key = self.topic.key
        nulls = dict.fromkeys(record)
        blank = next(one for one in ({**nulls, key: 0}, {**nulls, key: ""}) if self._fits(one))
        for name, value in record.items():
            if not self._fits({**blank, name: value}):
                return f"{self._place(row)}: column {name} is {_shown(row[name])}, which its Avro type cannot hold"
        return f"{self._place(row)}: it cannot be written: {type(error).__name__}: {str(error)[:SHOWN]}"

    def _fits(self, record: Record) -> bool:
        try:
            self._encode(record)
        except Exception:
            return False
        return True


def _text(value: Any) -> str:
    return str(value)[:SHOWN].encode("utf-8", "backslashreplace").decode()


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return _text(text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)")


def split(records: Sequence[Outgoing]) -> tuple[list[Outgoing], list[Outgoing]]:
    """The records, and the dead letters among them."""
    letters = [record for record in records if record.topic == DEAD_LETTERS.name]
    return [record for record in records if record.topic != DEAD_LETTERS.name], letters
