"""Stream-table joins, and what all joins have in common.

The stream's row triggers; the table's row is the one known when the stream's is processed; the output's time is that
of the stream's row. The rules are those of Kafka Streams (see docs/operators.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Row
from pipeline.tables.lookup import Lookup
from pipeline.tables.partials import Late


class Side(IntEnum):
    """One of the two inputs of a join."""

    LEFT = 0
    RIGHT = 1

    @property
    def other(self) -> "Side":
        """The other input."""
        return Side.RIGHT if self is Side.LEFT else Side.LEFT


class JoinKind(StrEnum):
    """Which rows go out without a partner: none, the left ones, the right ones, those of both sides."""

    INNER = "inner"
    LEFT = "left"
    RIGHT = "right"
    OUTER = "outer"

    def keeps(self, side: Side) -> bool:
        """Whether a row of this side goes out without a partner."""
        return self is JoinKind.OUTER or self is (JoinKind.LEFT if side is Side.LEFT else JoinKind.RIGHT)


@dataclass(slots=True)
class KeyedRows:
    """Decoded records of one partition of one input, as columns of equal length; `offsets` rise.

    A record is null where the value was: in a table that is a tombstone. Records are plain JSON values, since joins
    keep them in their state.
    """

    offsets: Sequence[int]
    times_ms: Sequence[int]
    keys: Sequence[str | None]
    records: Sequence[Row | None]


class JoinedRow(NamedTuple):
    """One result of a join: the rows of both sides, null where there is none, and their offsets, then -1.

    A `retired` result is a tombstone: the key has no joined row any more; its rows are both null. The key is null where
    a row had none and goes out alone.
    """

    key: str | None
    left: Row | None
    right: Row | None
    time_ms: int
    left_offset: int
    right_offset: int
    retired: bool = False

    @property
    def version(self) -> int:
        """In a join of two tables: never falls for a key, so that the larger one is the newer row."""
        return self.left_offset + self.right_offset + 2


@dataclass(slots=True)
class Joined:
    """What a batch brought forth, in order, and what was left out of it."""

    rows: list[JoinedRow] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    null_keys: int = 0
    null_values: int = 0


@dataclass(frozen=True, slots=True)
class StreamTableJoin:
    """Joins the rows of a stream with the table's row of the same key; only the stream's rows trigger.

    LEFT: a row without a partner goes out alone, and so does one without a key (Kafka Streams since 3.7, KIP-962);
    INNER: both are dropped. Nothing is kept, so that a row that is read again simply gives its result again.
    """

    kind: JoinKind = JoinKind.LEFT

    def __post_init__(self) -> None:
        if self.kind.keeps(Side.RIGHT):
            raise SettingError(
                f"StreamTableJoin: kind is '{self.kind}', but must be 'inner' or 'left': the table never triggers"
            )

    def join(self, rows: KeyedRows, table: Lookup) -> Joined:
        """One result per row, in the stream's order.

        Rows without a value are dropped and counted; so are those without a key, unless the kind is LEFT.
        """
        out = Joined()
        for offset, time_ms, key, record in zip(rows.offsets, rows.times_ms, rows.keys, rows.records, strict=True):
            if record is None:
                out.null_values += key is not None
                out.null_keys += key is None
            elif key is None and not self.kind.keeps(Side.LEFT):
                out.null_keys += 1
            else:
                known = None if key is None else table.get(key)
                if known is not None or self.kind.keeps(Side.LEFT):
                    right = None if known is None else dict(known)
                    out.rows.append(JoinedRow(key, record, right, time_ms, offset, -1))
        return out
