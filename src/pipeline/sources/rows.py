"""What a row of the database becomes: a record of its topic, or a dead letter where the schema cannot hold it.

One bad row never stops the others. What comes of what is odd:

| in the row | sent |
|---|---|
| a zero date, also a partly zero one (`2026-00-10`), or a day that the calendar lacks (`2026-02-30`) | null |
| a number beyond the Avro type (of an unsigned column), a decimal out of its precision or scale | a dead letter |
| text that is no UTF-8, or a row that is too large for a message | a dead letter |
| NULL in the key, or in a column whose Avro type has no null | a dead letter |
| an empty key, text with NUL, a date before 1970 or in the year 9999 | as it is |

The letter's topic is the one that the row was meant for; partition and offset are -1, since it lies at none; the
reason names table, id, column and value, and the letter's value is the row as JSON.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pipeline.codecs import Encoder, schema
from pipeline.errors import BadRecord
from pipeline.formats import ValueEncoder
from pipeline.sources.carried import Carried
from pipeline.sources.feed import Outgoing
from pipeline.sources.values import Row, converters, record_of
from pipeline.topics import DEAD_LETTERS

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000
"""Of a record's key and value: a message of Kafka holds 1 MiB by default, with what goes around them."""
KEPT_BYTES = 64 * 1024
SHOWN = 100
KeyWriter = Callable[[Any], bytes]
"""The key's value -> the record's key."""


class Carrier:
    """Makes the records of one table."""

    def __init__(
        self, table: Carried, encode: ValueEncoder, letter: ValueEncoder, write_key: KeyWriter | None = None
    ) -> None:
        """`write_key`: None for a topic whose keys are texts."""
        self.topic = table.topic
        self._table = table
        self._encode = encode
        self._letter = letter
        self._write_key = write_key or self._text_key
        self._convert = converters(table.columns, table.kinds)

    def learned(self) -> None:
        """The table has learned the kinds of its columns."""
        self._convert = converters(self._table.columns, self._table.kinds)

    def _text_key(self, value: Any) -> bytes:
        return self._table.columns[self.topic.key].text(value).encode()

    def records(self, rows: Iterable[Row], at_ms: int) -> list[Outgoing]:
        """A record or a dead letter for each row, in their order; `at_ms` is the time of the poll, epoch ms."""
        return [self.record(row, at_ms) for row in rows]

    def record(self, row: Row, at_ms: int) -> Outgoing:
        """The record of a row, or its dead letter."""
        try:
            if row[self.topic.key] is None:
                raise BadRecord(f"table {self._table.name}: a row has NULL in its key column {self.topic.key}")
            try:
                record = record_of(row, self._convert)
                key, value = self._write_key(record[self.topic.key]), self._encode(record)
            except Exception as error:  # fastavro raises many kinds where a value does not fit
                raise BadRecord(self._misfit(row, error)) from None
            assert value is not None, "a row is never a deletion"
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
        return f"table {self._table.name}, {self.topic.key} {_text(row[self.topic.key])}"

    def _misfit(self, row: Row, error: Exception) -> str:
        """Which column it is: the first one that does not fit by itself."""
        for field in schema(self.topic.schema or {})["fields"]:
            name = field["name"]
            if not self._fits(field, row.get(name)):
                return f"{self._place(row)}: column {name} is {_shown(row.get(name))}, which its Avro type cannot hold"
        return f"{self._place(row)}: it cannot be written: {type(error).__name__}: {str(error)[:SHOWN]}"

    def _fits(self, field: dict[str, Any], value: Any) -> bool:
        name = field["name"]
        try:
            encode = Encoder({"type": "record", "name": "column", "fields": [field]}, 1)
        except Exception:  # a type that another field defines: what is said is the encoder's own sentence then
            return True
        try:
            encode(record_of({name: value}, {n: change for n, change in self._convert.items() if n == name}))
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
