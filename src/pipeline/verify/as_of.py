"""The user's row that a view must have met, worked out from the source topics alone: by looking at all of them.

A view meets the newest version of its user whose time is not after its own. Only one thing may differ: a version that
had not reached the broker when the view was joined. How late it can have come shows in its own partition: a record
was written after all those before it, so not before the largest time among them. A view that missed a version which
was written up to RACE_MS before it, or later, has raced; one that missed an older version is wrong.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.verify.source_side import SourceRecord

RACE_MS = 60_000
"""A producer that waits for a broker to come back sends its records this much later than they were stamped, at most."""

Columns = tuple[str | None, ...]
NOTHING: Columns = (None, None)


@dataclass(frozen=True, slots=True)
class Version:
    """A user's columns from a time on. It was written when records of `written_ms` had been, or after that."""

    time_ms: int
    offset: int
    columns: Columns
    written_ms: int


class UserVersions:
    """All versions of all users."""

    def __init__(self, users: Iterable[SourceRecord]) -> None:
        self._versions: defaultdict[str, list[Version]] = defaultdict(list)
        self._late: set[str] = set()
        stream_times: defaultdict[int, int] = defaultdict(int)
        for record in users:  # by partition, in the order of offsets
            row = record.value
            stream_times[record.partition] = max(stream_times[record.partition], record.time_ms)
            columns = NOTHING if row is None else (row["regionid"], row["gender"])
            version = Version(record.time_ms, record.offset, columns, stream_times[record.partition])
            self._versions[record.key or ""].append(version)
            if version.time_ms < version.written_ms:
                self._late.add(record.key or "")
        for versions in self._versions.values():
            versions.sort(key=lambda version: (version.time_ms, version.offset))

    def as_of(self, userid: str, time_ms: int) -> Columns | None:
        """What a view of this time must have met; None where no version is old enough."""
        versions = self._versions.get(userid, [])
        place = bisect_right(versions, time_ms, key=lambda version: version.time_ms)
        return versions[place - 1].columns if place else None

    def may_have_raced(self, userid: str, time_ms: int, columns: Columns) -> bool:
        """Whether a view may have met these columns since the newest versions had not reached the broker."""
        versions = self._versions.get(userid, [])
        if userid not in self._late:  # then they were written in the order of their times
            place = bisect_left(versions, time_ms - RACE_MS, key=lambda version: version.time_ms)
            end = bisect_right(versions, time_ms, key=lambda version: version.time_ms)
            return any(columns == (versions[n].columns if n >= 0 else NOTHING) for n in range(place - 1, end - 1))
        valid = [version for version in versions if version.time_ms <= time_ms]
        there = [version for version in valid if version.written_ms < time_ms - RACE_MS]
        first = max((version.offset for version in there), default=-1)
        arriving = sorted((v for v in valid if v.offset > first), key=lambda version: version.offset)
        known = [version for version in valid if version.offset <= first]
        for count in range(len(arriving)):
            met: Any = max([*known, *arriving[:count]], key=lambda v: (v.time_ms, v.offset), default=None)
            if columns == (NOTHING if met is None else met.columns):
                return True
        return False
