"""What is done with rows at the end of a branch: written to a topic, or sent to the partition of another key."""

import struct
from collections.abc import Sequence
from typing import Any

from pipeline.agents.blocks import Block
from pipeline.agents.letters import DeadLetters
from pipeline.declare.statements import StreamStatement
from pipeline.declare.steps import Repartition
from pipeline.formats import KeyEncoder, ValueEncoder
from pipeline.records import Outgoing, outgoing
from pipeline.tables.types import ColumnType
from pipeline.topics import Topic

HEADER = struct.Struct(">iq")
"""Before a row that goes to another partition: partition and offset of the source record that it comes from."""


def key_bytes(values: Sequence[Any], kind: ColumnType) -> list[bytes]:
    """Keys of records from a column: the texts of the values; empty for null."""
    texts = values if kind.family == "string" else kind.texts(values)
    return [b"" if text is None else text.encode() for text in texts]


class _Encoding:
    """Writes the columns of rows; a row that does not fit the schema becomes a dead letter."""

    def __init__(self, names: Sequence[str], encoder: ValueEncoder, letters: DeadLetters) -> None:
        self._names = tuple(names)
        self._encode = encoder
        self._letters = letters

    def encoded(self, block: Block, topic: str, out: list[Outgoing]) -> tuple[Block, Sequence[bytes]]:
        """The rows that fit, and their values."""
        columns = {name: block.column(name) for name in self._names}
        try:
            return block, self._encode.columns(columns, len(block))
        except (ValueError, TypeError, ArithmeticError):
            pass
        values, good = [], []
        for row, fields in enumerate(zip(*columns.values(), strict=True)):
            try:
                values.append(self._encode(dict(zip(self._names, fields, strict=True))))
                good.append(row)
            except (ValueError, TypeError, ArithmeticError) as error:
                reason = f"what becomes of it does not fit the schema of {topic} and was not sent: {error}"
                out.append(self._letters.letter(block.batch, block.places[row], reason))
        return block.at(good), values


class Write:
    """Rows into the topic of a statement, at their event times: where they lie unless they get another key.

    `keys` writes keys that are not texts.
    """

    def __init__(
        self, statement: StreamStatement, encoder: ValueEncoder, letters: DeadLetters, keys: KeyEncoder | None = None
    ) -> None:
        self._topic = statement.output.name
        self._key = statement.key
        self._keys = keys
        self._rows = _Encoding(tuple(statement.stream.columns), encoder, letters)

    def __call__(self, block: Block) -> list[Outgoing]:
        """One record a row, dead letters for what does not fit."""
        out: list[Outgoing] = []
        block, values = self._rows.encoded(block, self._topic, out)
        if self._key is None:
            keys = [key or b"" for key in block.keys]
            return out + outgoing(self._topic, self._written(keys), list(values), block.times_ms, block.batch.partition)
        made, kind = self._key
        rows = zip(self._written(key_bytes(block.value(made), kind)), values, block.times_ms, strict=True)
        return out + [Outgoing(self._topic, key, value, time_ms) for key, value, time_ms in rows]

    def _written(self, keys: list[bytes]) -> list[bytes]:
        """Keys in the topic's format, from their texts."""
        return keys if self._keys is None else [written_key(self._keys, key) for key in keys]


def written_key(encode: KeyEncoder, text: bytes) -> bytes:
    """A key in a topic's format, from its text; an empty one stays so."""
    return encode.of_text(text.decode("utf-8", "surrogateescape")) if text else text


class Rekey:
    """Rows into the application's own topic of another key, each with where it comes from."""

    def __init__(
        self, step: Repartition, topic: Topic, names: Sequence[str], encoder: ValueEncoder, letters: DeadLetters
    ):
        self._key, self._kind, self._topic = step.key, step.key_type, topic.name
        self._rows = _Encoding(names, encoder, letters)
        self.null_keys = 0

    def __call__(self, block: Block) -> list[Outgoing]:
        """One record for each row that has a key."""
        out: list[Outgoing] = []
        keys = block.value(self._key)
        block = block.keyed(key_bytes(keys, self._kind))
        if None in keys:
            self.null_keys += sum(key is None for key in keys)
            block = block.where([key is not None for key in keys])
        block, values = self._rows.encoded(block, self._topic, out)
        rows = zip(block.keys, values, block.origins, block.times_ms, strict=True)
        return out + [
            Outgoing(self._topic, key or b"", HEADER.pack(*origin) + value, time_ms)
            for key, value, origin, time_ms in rows
        ]
