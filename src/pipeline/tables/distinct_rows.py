"""Rows of one source partition without copies: of those that are alike and near each other, the first."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.tables.closing import Closing
from pipeline.tables.partials import Late
from pipeline.tables.state import State

MARKER = ("marker",)
SEEN = "seen"


@dataclass(slots=True)
class Kept:
    """Of the rows of a batch: whether each goes on, and those of which that cannot be told any more."""

    mask: list[bool] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)


class PartitionDistinct:
    """Lets a row pass unless one with the same id did whose event time is at most `within_ms` apart, either way.

    A row that comes when stream time is more than `within_ms` past it is late, and does not pass: so one that passed
    can be forgotten once stream time is twice as much past it. A row of the latest batch that is read again passes as
    it did before.

    State: (SEEN, id) -> [[event time, offset], ...] of the rows that passed and are not forgotten; the marker: [offset
    of the last row, stream time, late rows of the latest batch].
    """

    def __init__(self, name: str, within_ms: int, state: State) -> None:
        self.state = state
        self._name = name
        self._within_ms = within_ms
        applied, stream_time_ms, late = state.get(MARKER) or (-1, -1, [])
        self._applied: int = applied
        self._stream_time_ms: int = stream_time_ms
        self._late = [Late(*one) for one in late]
        self._known = Closing()
        for key, value in state.items():
            if key != MARKER:
                for time_ms, _ in value:
                    self._known.add(time_ms, key[1])

    def take(self, ids: Sequence[str | None], times_ms: Sequence[int], offsets: Sequence[int]) -> Kept:
        """The rows of a batch, by rising offsets; a row without an id is like no other."""
        found = Kept()
        if not offsets:
            return found
        if offsets[0] > self._applied:  # else the latest batch may have to go out again
            self._forget()
        now, applied = self._stream_time_ms, self._applied
        for one, time_ms, offset in zip(ids, times_ms, offsets, strict=True):
            now = max(now, time_ms)
            known = () if one is None else self.state.get((SEEN, one)) or ()
            if one is None or any(passed == offset for _, passed in known):
                found.mask.append(True)
            elif offset <= applied or any(abs(time_ms - passed_ms) <= self._within_ms for passed_ms, _ in known):
                found.mask.append(False)
            elif time_ms < now - self._within_ms:
                late_by_ms = now - self._within_ms - time_ms
                found.late.append(Late(self._name, offset, time_ms, time_ms, time_ms, late_by_ms))
                found.mask.append(False)
            else:
                left = [entry for entry in known if entry[0] >= now - 2 * self._within_ms or entry[1] >= offsets[0]]
                self.state.put((SEEN, one), [*left, [time_ms, offset]])
                self._known.add(time_ms, one)
                found.mask.append(True)
        if offsets[0] <= applied:
            found.late = [*(late for late in self._late if late.offset >= offsets[0]), *found.late]
        if offsets[-1] > applied:
            self._applied, self._stream_time_ms, self._late = offsets[-1], now, found.late
            self.state.put(MARKER, [self._applied, now, [list(late) for late in found.late]])
        return found

    def _forget(self) -> None:
        limit_ms = self._stream_time_ms - 2 * self._within_ms
        for _, one in self._known.take(lambda time_ms: time_ms < limit_ms):
            known = self.state.get((SEEN, one))
            if known is not None and all(time_ms < limit_ms for time_ms, _ in known):
                self.state.delete((SEEN, one))
