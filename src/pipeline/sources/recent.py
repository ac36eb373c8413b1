"""What has been sent of a table that is read by timestamp and id: pure, without clock, database and Kafka.

Rows become visible when their transaction commits, which may be later than their timestamp. So what is not older than
the largest timestamp by the overlap is read again at every poll, and of each row in there is known what was last sent:
a digest of what was written, by the row's id. A row is sent when its digest is another one. Timestamps are
microseconds since 1970 in UTC.

A poll goes from `lowest` up to the largest timestamp as it was when the poll began. How far `last` gets is bounded by
the database's clock at that moment, too: rows ahead of it do not hide those that come later.

When `last` has not moved for as long as the overlap, every transaction with such timestamps has come to its end: what
lies at or below it is final from then on. `floor` is the largest timestamp that is final; it is never read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

SECOND_US = 1_000_000
MOST_LETTERS = 200
"""Rows in the overlap of which the position remembers that they became letters: a topic does not tell of them."""


class Sent(NamedTuple):
    """What was last sent of a row: its timestamp, the digest of what was written, the record's time (epoch ms).

    Of a row that became a letter the time is None.
    """

    at_us: int
    digest: int
    sent_ms: int | None


class Version(NamedTuple):
    """A row as a poll found it: the text of its id, its timestamp and the digest of what would be written."""

    row_id: str
    at_us: int
    digest: int
    is_letter: bool = False


@dataclass(frozen=True, slots=True)
class Recent:
    """How far a table has been sent. `last_us` is the largest timestamp that counts, `last_id` the id that it was of.

    `tail_ms`: records of rows in the overlap have this time or a later one (epoch ms). `overlap_us` is the overlap for
    which that holds. `letters` are {id: what was last sent} of rows in the overlap that became letters.
    """

    last_us: int | None = None
    last_id: str = ""
    floor_us: int | None = None
    tail_ms: int = 0
    overlap_us: int = 0
    letters: tuple[tuple[str, int, int], ...] = ()

    def fields(self) -> dict[str, Any]:
        """As JSON values."""
        names = ("last_us", "last_id", "floor_us", "tail_ms", "overlap_us", "letters")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """What `fields` gave; raises KeyError, ValueError or TypeError for anything else."""
        last, floor = (None if fields[name] is None else int(fields[name]) for name in ("last_us", "floor_us"))
        letters = tuple((str(row_id), int(at), int(digest)) for row_id, at, digest in fields["letters"])
        return cls(last, str(fields["last_id"]), floor, int(fields["tail_ms"]), int(fields["overlap_us"]), letters)

    def widened(self, overlap_us: int) -> "Recent":
        """The position under another overlap: of what a narrower one did not hold nothing is known, so it is final."""
        floor = self.floor_us
        if self.last_us is not None and overlap_us > self.overlap_us:
            known = self.last_us - self.overlap_us - 1
            floor = known if floor is None else max(floor, known)
        return replace(self, floor_us=floor, overlap_us=overlap_us)


class Window:
    """The position of a table and the digests of the rows in its overlap.

    `begin`, then `page` for each page in the order of (timestamp, id), then `end`. What they note counts once the
    records are committed: whoever fails to commit them throws the window away, and makes a new one of the topic.
    """

    def __init__(self, position: Recent, overlap_us: int, sent: dict[str, Sent] | None = None) -> None:
        self.position = position.widened(overlap_us)
        self._overlap_us = overlap_us
        self._sent = dict(sent or {})
        for row_id, at_us, digest in position.letters:
            if row_id not in self._sent or self._sent[row_id].at_us < at_us:
                self._sent[row_id] = Sent(at_us, digest, None)
        self._moved_s: float | None = None
        self._began_s = 0.0
        self._most_us = 0
        self._prune()

    def __len__(self) -> int:
        """How many rows' digests are held."""
        return len(self._sent)

    def begin(self, largest_us: int, now_us: int, clock_s: float) -> None:
        """A poll begins: the table's largest timestamp and the database's clock, then any clock in seconds."""
        self._most_us = min(largest_us, now_us)
        self._began_s = clock_s
        if self._moved_s is None:
            self._moved_s = clock_s

    @property
    def lowest_us(self) -> int | None:
        """Rows from this timestamp on are to be read; None: all rows."""
        last, floor = self.position.last_us, self.position.floor_us
        if last is None:
            return None if floor is None else floor + 1
        return last - self._overlap_us if floor is None else max(last - self._overlap_us, floor + 1)

    def page(self, versions: Sequence[Version], at_ms: int) -> list[int]:
        """The places of the versions that are to be sent, in their order; `at_ms` is their records' time (epoch ms)."""
        new = []
        for place, (row_id, at_us, digest, is_letter) in enumerate(versions):
            known = self._sent.get(row_id)
            if known is None or (known.at_us, known.digest) != (at_us, digest):
                self._sent[row_id] = Sent(at_us, digest, None if is_letter else at_ms)
                new.append(place)
        if versions:
            last = versions[-1]
            moved = self._move(min(last.at_us, self._most_us), last.row_id)
            self._settle(at_ms, moved or any(versions[place].is_letter for place in new))
        return new

    def end(self, at_ms: int) -> None:
        """All pages have been read."""
        moved = self._move(self._most_us, self.position.last_id)
        assert self._moved_s is not None
        if self._began_s - self._moved_s >= self._overlap_us / SECOND_US:
            moved |= self.position.floor_us != self.position.last_us
            self.position = replace(self.position, floor_us=self.position.last_us)
        self._settle(at_ms, moved)

    def _move(self, to_us: int, row_id: str) -> bool:
        if self.position.last_us is not None and to_us <= self.position.last_us:
            return False
        self.position = replace(self.position, last_us=to_us, last_id=row_id)
        self._moved_s = self._began_s
        return True

    def _settle(self, at_ms: int, is_moved: bool) -> None:
        """Forget what is not read again, and say from when on records tell the rest: an earlier time is right, too."""
        if not is_moved:
            self.position = replace(self.position, tail_ms=self.position.tail_ms or at_ms)
            return
        self._prune()
        letters = [(row_id, one.at_us, one.digest) for row_id, one in self._sent.items() if one.sent_ms is None]
        times = (one.sent_ms for one in self._sent.values() if one.sent_ms is not None)
        tail_ms = min(times, default=at_ms)
        self.position = replace(self.position, tail_ms=tail_ms, letters=tuple(letters[-MOST_LETTERS:]))

    def _prune(self) -> None:
        lowest_us = self.lowest_us
        if lowest_us is not None:
            self._sent = {row_id: one for row_id, one in self._sent.items() if one.at_us >= lowest_us}
