"""What is done with rows at the end of a branch: written to a topic, or sent to the partition of another key."""

import struct
from collections.abc import Callable, Sequence
from typing import Any, cast

from pipeline.agents.blocks import Block
from pipeline.agents.letters import DeadLetters
from pipeline.declare.statements import StreamStatement
from pipeline.declare.steps import Repartition
from pipeline.formats import KeyEncoder, ValueEncoder
from pipeline.records import Outgoing, outgoing
from pipeline.tables.types import ColumnType
from pipeline.topics import Topic
from pipeline.transport.outbox import partition_for

HEADER = struct.Struct(">iq")
"""Before a row that goes to another partition: partition and offset of the source record that it comes from."""
KEPT_HOMES = 1_000_000


def key_bytes(values: Sequence[Any], kind: ColumnType) -> list[bytes]:
    """Keys of records from a column: the texts of the values; empty for null."""
    return _encoded(kind.texts(values))


def _encoded(texts: Sequence[str | None]) -> list[bytes]:
    return [b"" if text is None else text.encode() for text in texts]


class Encoding:
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
        self._timed = statement.output.event_time is not None
        key = statement.stream.key
        self._own_key = None if key is None else (key, statement.stream.columns[key])
        self._keys = keys
        self._rows = Encoding(tuple(statement.stream.columns), encoder, letters)

    def __call__(self, block: Block) -> list[Outgoing]:
        """One record a row, dead letters for what does not fit. A row without a key gets its column's value for one."""
        out: list[Outgoing] = []
        block, values = self._rows.encoded(block, self._topic, out)
        times_ms = block.record_times_ms if self._timed else block.times_ms
        if self._key is None:
            keys: Sequence[bytes | None] = block.keys
            if None in keys:
                own = [b""] * len(block) if self._own_key is None else self._of_column(block, *self._own_key)
                keys = [made if key is None else key for key, made in zip(keys, own, strict=True)]
            written = self._written(cast("Sequence[bytes]", keys))
            return out + outgoing(self._topic, written, values, times_ms, block.batch.partition)
        made, kind = self._key
        rows = zip(self._written(key_bytes(block.value(made), kind)), values, times_ms, strict=True)
        return out + [Outgoing(self._topic, key, value, time_ms) for key, value, time_ms in rows]

    @staticmethod
    def _of_column(block: Block, name: str, kind: ColumnType) -> list[bytes]:
        return key_bytes(block.column(name), kind)

    def _written(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """Keys in the topic's format, from their texts."""
        return keys if self._keys is None else [written_key(self._keys, key) for key in keys]


def written_key(encode: KeyEncoder, text: bytes) -> bytes:
    """A key in a topic's format, from its text; an empty one stays so."""
    return encode.of_text(text.decode("utf-8", "surrogateescape")) if text else text


class Homes(dict[bytes, int]):
    """The partition of each key, worked out when it is first asked for; never more than KEPT_HOMES are kept."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._partitions = partitions

    def __missing__(self, key: bytes) -> int:
        if len(self) >= KEPT_HOMES:
            self.clear()
        home = self[key] = partition_for(key, self._partitions)
        return home


class Rekey:
    """Rows into the application's own topic of another key, each with where it comes from.

    `rows` writes their columns; without it, the values of their records go there as they are. With `at_home`, rows that
    lie in the partition of their key already go on there at once: that is not for what keeps state by offset, which
    has one topic.
    """

    def __init__(
        self,
        step: Repartition,
        topic: Topic,
        partitions: int,
        rows: Encoding | None,
        at_home: Callable[[Block], list[Outgoing]] | None = None,
    ) -> None:
        self._key, self._kind, self._topic = step.key, step.key_type, topic.name
        self._homes = Homes(partitions)
        self._rows = rows
        self._at_home = at_home
        self.null_keys = 0

    def __call__(self, block: Block) -> list[Outgoing]:
        """What becomes of the rows at home, and one record for each other that has a key."""
        out: list[Outgoing] = []
        values = block.value(self._key)
        texts = self._kind.texts(values)
        keys = _encoded(texts)
        block = block.keyed(keys, texts)
        if None in values:
            self.null_keys += sum(value is None for value in values)
            block = block.where([value is not None for value in values])
            keys = [key for key, value in zip(keys, values, strict=True) if value is not None]
        homes, here = list(map(self._homes.__getitem__, keys)), block.batch.partition
        if self._at_home is not None and (count := homes.count(here)):
            if count == len(homes):
                return self._at_home(block)
            out += self._at_home(block.where([home == here for home in homes]))
            block = block.where([home != here for home in homes])
            homes = [home for home in homes if home != here]
        return out + self._sent(block, homes)

    def _sent(self, block: Block, homes: Sequence[int]) -> list[Outgoing]:
        out: list[Outgoing] = []
        if self._rows is None:
            values: Sequence[bytes] = [block.batch.values[place] or b"" for place in block.places]
        else:
            block, values = self._rows.encoded(block, self._topic, out)
            homes = [self._homes[key or b""] for key in block.keys]
        rows = zip(block.keys, values, block.origins, block.times_ms, homes, strict=True)
        return out + [
            Outgoing(self._topic, key or b"", HEADER.pack(*origin) + value, time_ms, home)
            for key, value, origin, time_ms, home in rows
        ]
