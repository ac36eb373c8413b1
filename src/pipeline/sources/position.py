"""Which ids of an incrementing table have been sent: pure, and small enough to be written with every batch.

An auto-increment id is given when a row is inserted and seen when its transaction commits, so that ids turn up out
of order. Therefore the position is not only the largest id sent but also the ids below it, within an overlap, which
have not turned up yet. Only those are asked for again: the rest of the overlap is known to have been sent.

No id is skipped or sent twice as long as no transaction commits an id which lies `overlap` or more below the largest
id sent by then. An id that has not turned up when it leaves the overlap is given up: mostly it never existed, since
a rolled-back insert uses up its id.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from pipeline.errors import SourceError


@dataclass(frozen=True, slots=True)
class Position:
    """Every id up to and including `last_id` has been sent or given up, except those in `missing`."""

    last_id: int = 0
    missing: frozenset[int] = frozenset()

    def is_new(self, row_id: int) -> bool:
        """True for an id that has been neither sent nor given up."""
        return row_id > self.last_id or row_id in self.missing

    def advance(self, sent: Collection[int], overlap: int) -> "Position":
        """The position after these ids have been sent as well; `missing` keeps ids in (last_id - overlap, last_id]."""
        if not sent:
            return self
        sent = sent if isinstance(sent, set | frozenset) else frozenset(sent)
        last_id = max(self.last_id, max(sent))
        floor = max(last_id - overlap, 0)
        still = {row_id for row_id in self.missing if row_id > floor and row_id not in sent}
        skipped = {row_id for row_id in range(max(self.last_id, floor) + 1, last_id) if row_id not in sent}
        return Position(last_id, frozenset(still | skipped))


@dataclass(frozen=True, slots=True)
class Stored:
    """A position as the position's topic holds it: `owner` is the process that wrote it, `at_ms` when (epoch ms)."""

    position: Position
    owner: str
    at_ms: int

    def to_json(self, table: str) -> bytes:
        """The record's value."""
        fields = {
            "table": table,
            "last_id": self.position.last_id,
            "missing": sorted(self.position.missing),
            "owner": self.owner,
            "at_ms": self.at_ms,
        }
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Self:
        """Read a value written by `to_json`; raises SourceError when it is none."""
        try:
            fields = json.loads(value)
            position = Position(int(fields["last_id"]), frozenset(int(row_id) for row_id in fields["missing"]))
            return cls(position, str(fields["owner"]), int(fields["at_ms"]))
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(f"the poller's stored position cannot be read: {value[:200]!r}: {error}") from None
