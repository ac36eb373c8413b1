"""What every format does: the interfaces of decoders and encoders, for values and for keys."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from pipeline.codecs import Record
from pipeline.handover import Columns, Handover


class Learning(Protocol):
    """What can be taught schemas by their ids; for a format without ids, `unknown` finds none."""

    schema_type: str
    """What the registry calls the schemas it reads: AVRO, JSON or PROTOBUF."""

    def unknown(self, values: Iterable[bytes | None]) -> set[int]:
        """Schema ids in these values which have been neither taught nor refused for good."""

    def learn(self, number: int, writer: Any, referenced: Iterable[Any] = ()) -> None:
        """Teach what is registered under an id: plain JSON, or a text for PROTOBUF; and what it refers to."""

    def refuse(self, number: int, reason: str) -> None:
        """Teach that records under an id are bad, whatever is in them, and why."""


class ValueDecoder(Learning, Protocol):
    """Reads values as records of one Avro schema: the Python values are those that fastavro gives for it."""

    handover: Handover | None

    def handed_over(self, values: Sequence[bytes | None]) -> Columns | None:
        """The fields of records that this process itself has written; None when it has not, or not all of them."""

    def together(self, values: Sequence[bytes | None]) -> list[Record] | None:
        """The records of a whole batch, as one by one but quicker; None where one may be bad."""

    def __call__(self, value: bytes | None) -> Record:
        """The record in a value; raises BadRecord with the reason when it cannot be read."""


class ValueEncoder(Protocol):
    """Writes records of one Avro schema."""

    handover: Handover | None

    def registered(self, number: int) -> None:
        """Set the schema id that goes before every record; a format without ids leaves it out."""

    def __call__(self, record: Record) -> bytes:
        """The written form; a record that does not fit the schema, or the format, raises ValueError or TypeError."""

    def columns(self, columns: Columns, count: int) -> list[bytes]:
        """The written forms of `count` records that are given as columns; raises as for a single one."""


class Key(NamedTuple):
    """A key: its text, which names rows and groups inside the application, and its value."""

    text: str
    value: Any


class KeyDecoder(Learning, Protocol):
    """Reads keys."""

    def __call__(self, key: bytes | None) -> Key:
        """The key; raises BadRecord when it is null or cannot be read."""


class KeyEncoder(Protocol):
    """Writes keys."""

    def __call__(self, value: Any) -> bytes:
        """The written form of a value; raises ValueError or TypeError when it does not fit the key's type."""

    def of_text(self, text: str) -> bytes:
        """The written form of the value that has this text (`ColumnType.group`); raises as for the value."""
