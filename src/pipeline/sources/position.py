"""Which ids of an incrementing table have been sent: pure, and small enough to be written with every batch.

An auto-increment id is given when a row is inserted and seen when its transaction commits, so that ids turn up out
of order. Therefore the position is not only the largest id sent, but also the gaps below it: ranges of ids that have
not turned up yet. They are looked for again at every poll, whatever their size and however far below they lie.

A rolled-back insert uses up its id, so that some gaps stay for ever. A gap is given up when it has been looked for
long enough, and the oldest ones earlier when there are too many. What was given up is remembered, and so are the ids
whose rows could only be sent as dead letters: `again` makes gaps of them once more. Ids below the first one sent
are new, too, ids of 0 and below among them. A gap that is being filled is not given up.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from pipeline.errors import SourceError
from pipeline.sources.recent import Recent

LOWEST_ID = -(1 << 63)
MOST_RANGES = 200
"""Ranges that are remembered of what was given up, and of what became letters; the latest ones."""


class Range(NamedTuple):
    """Ids from `first` to `last`, both inclusive; `at_s`: since when they are looked for, or when they were given up.

    Times are epoch seconds.
    """

    first: int
    last: int
    at_s: int

    @property
    def size(self) -> int:
        """How many ids."""
        return self.last - self.first + 1


Ranges = tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """Every id from `first_id` to `last_id` has been sent, but those in `gaps`, in `given_up` and in `letters`.

    `first_id` is None where nothing has been sent yet. `gaps` do not overlap and ascend, and so do the others.
    `given_up_ids` counts all ids ever given up and not asked for again; `early_s` is when a gap was last given up
    before its time, 0 for never.
    """

    last_id: int = 0
    first_id: int | None = None
    gaps: Ranges = ()
    given_up: Ranges = ()
    letters: Ranges = ()
    given_up_ids: int = 0
    early_s: int = 0

    @property
    def missing(self) -> int:
        """How many ids below the largest one have not been seen yet."""
        return sum(gap.size for gap in self.gaps)

    def is_new(self, row_id: int) -> bool:
        """True for an id that has been neither sent nor given up."""
        if self.first_id is None or row_id > self.last_id or row_id < self.first_id:
            return True
        index = bisect_right(self.gaps, row_id, key=lambda gap: gap.first) - 1
        return index >= 0 and row_id <= self.gaps[index].last

    def advance(self, sent: Collection[int], at_s: int, letters: Collection[int] = ()) -> "Position":
        """The position after these ids have been sent as well; those in `letters` were sent as dead letters."""
        done = sorted({*sent, *letters})
        if not done:
            return self
        if self.first_id is None:
            opened = [Range(done[0], done[-1], at_s)]
            first_id, last_id = done[0], done[-1]
        else:
            opened = [*self.gaps, Range(self.last_id + 1, done[-1], at_s), Range(done[0], self.first_id - 1, at_s)]
            first_id, last_id = min(self.first_id, done[0]), max(self.last_id, done[-1])
        bad = merged([*self.letters, *(Range(row_id, row_id, at_s) for row_id in letters)])
        gaps = tuple(without(opened, done, at_s))
        return replace(self, first_id=first_id, last_id=last_id, gaps=gaps, letters=_latest(bad))

    def give_up(self, now_s: int, wait_s: float, most: int) -> tuple["Position", Ranges]:
        """Without gaps that have been looked for `wait_s` seconds, and without the oldest where more than `most` are.

        Returns the gaps that were given up besides. To be called after they have been looked for.
        """
        kept = [gap for gap in self.gaps if now_s - gap.at_s < wait_s]
        early = len(kept) > most
        if early:
            kept = sorted(sorted(kept, key=lambda gap: gap.at_s)[len(kept) - most :])
        lost = tuple(sorted(set(self.gaps).difference(kept)))
        if not lost:
            return self, ()
        position = replace(
            self,
            gaps=tuple(kept),
            given_up=_latest(merged([*self.given_up, *(Range(first, last, now_s) for first, last, _ in lost)])),
            given_up_ids=self.given_up_ids + sum(gap.size for gap in lost),
            early_s=now_s if early else self.early_s,
        )
        return position, lost

    def again(self, first: int, last: int, at_s: int, unsent: Iterable[Range] = ()) -> "Position":
        """Look once more for the ids in [first, last] that were given up or became letters, and for `unsent` ones.

        `unsent`: ranges in [first_id, last_id] which are known not to have been sent.
        """
        wanted = [*cut(self.given_up, first, last), *cut(self.letters, first, last), *cut(unsent, first, last)]
        gaps = merged([*self.gaps, *(Range(a, b, at_s) for a, b, _ in wanted)])
        back = sum(gap.size for gap in cut(self.given_up, first, last))
        given_up = outside(self.given_up, first, last)
        return replace(
            self,
            gaps=tuple(gaps),
            given_up=given_up,
            letters=outside(self.letters, first, last),
            given_up_ids=self.given_up_ids - back,
            early_s=self.early_s if given_up else 0,
        )


def without(ranges: Iterable[Range], ids: Sequence[int], now_s: int) -> list[Range]:
    """What is left of the ranges without these ids (ascending); ascending where the ranges do not overlap.

    What is left of a range that lost some of its ids is as of `now_s`: it is being filled.
    """
    left = []
    for first, last, at_s in ranges:
        hits = ids[bisect_left(ids, first) : bisect_right(ids, last)]
        at_s = now_s if hits else at_s
        for row_id in hits:
            if first < row_id:
                left.append(Range(first, row_id - 1, at_s))
            first = row_id + 1
        if first <= last:
            left.append(Range(first, last, at_s))
    return sorted(left)


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same ids in ascending ranges that neither overlap nor, where their times are equal, touch.

    Where ranges overlap, the ids take the later time.
    """
    out: list[Range] = []
    for found in sorted(ranges):
        before = out[-1] if out else None
        if before is not None and found.first <= before.last + (found.at_s == before.at_s):
            out[-1] = Range(before.first, max(before.last, found.last), max(before.at_s, found.at_s))
        else:
            out.append(found)
    return out


def cut(ranges: Iterable[Range], first: int, last: int) -> list[Range]:
    """The parts of the ranges within [first, last]."""
    parts = (Range(max(a, first), min(b, last), at_s) for a, b, at_s in ranges)
    return [part for part in parts if part.first <= part.last]


def outside(ranges: Iterable[Range], first: int, last: int) -> Ranges:
    """The parts of the ranges outside [first, last]."""
    parts = [part for a, b, t in ranges for part in (Range(a, min(b, first - 1), t), Range(max(a, last + 1), b, t))]
    return tuple(part for part in parts if part.first <= part.last)


def _latest(ranges: Sequence[Range]) -> Ranges:
    """Those MOST_RANGES that came last, ascending."""
    return tuple(sorted(sorted(ranges, key=lambda found: found.at_s)[-MOST_RANGES:]))


RECENT = "timestamp+incrementing"
"""What the position of a table that is read by timestamp says of its mode."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A position as the position's topic holds it: `owner` is the process that wrote it, `at_ms` when (epoch ms)."""

    position: Position | Recent
    owner: str
    at_ms: int

    def to_json(self, table: str) -> bytes:
        """The record's value."""
        position = self.position
        own = _fields(position) if isinstance(position, Position) else {"mode": RECENT, **position.fields()}
        fields = {"table": table, **own, "owner": self.owner, "at_ms": self.at_ms}
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Self:
        """Read a value written by `to_json`, of this release or before; raises SourceError when it is none."""
        try:
            fields = json.loads(value)
            at_ms = int(fields["at_ms"])
            position: Position | Recent
            if fields.get("mode") == RECENT:
                position = Recent.of(fields)
            else:
                position = _older(fields, at_ms) if "missing" in fields else _position(fields)
            return cls(position, str(fields["owner"]), at_ms)
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(f"the poller's stored position cannot be read: {value[:200]!r}: {error}") from None


def _fields(position: Position) -> dict[str, Any]:
    return {
        "first_id": position.first_id,
        "last_id": position.last_id,
        "gaps": position.gaps,
        "given_up": position.given_up,
        "letters": position.letters,
        "given_up_ids": position.given_up_ids,
        "early_s": position.early_s,
    }


def _position(fields: dict[str, Any]) -> Position:
    first_id = fields["first_id"]
    gaps, given_up, letters = (_ranges(fields[name]) for name in ("gaps", "given_up", "letters"))
    return Position(
        int(fields["last_id"]),
        None if first_id is None else int(first_id),
        gaps,
        given_up,
        letters,
        int(fields["given_up_ids"]),
        int(fields["early_s"]),
    )


def _ranges(found: Any) -> Ranges:
    return tuple(Range(int(first), int(last), int(at_s)) for first, last, at_s in found)


def _older(fields: dict[str, Any], at_ms: int) -> Position:
    """The form of release 0.1, {last_id, missing: ids}: it sent ids from 1 on, and had given up those not missing."""
    last_id, missing = int(fields["last_id"]), sorted(int(row_id) for row_id in fields["missing"])
    if not last_id and not missing:
        return Position()
    gaps = merged(Range(row_id, row_id, at_ms // 1_000) for row_id in missing)
    return Position(last_id, 1, tuple(gaps))
