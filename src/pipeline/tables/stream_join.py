"""Joins of two streams whose times lie within a given distance of each other.

The rules are those of Kafka Streams' KStreamKStreamJoin as ksqlDB 8.0 uses it (see docs/operators.md). Each side has a
stream time of its own, the largest of its rows': a row is held for partners until its own side has gone on by `before +
after + grace`, whatever the other side does. So a row that comes late still meets the rows of the other side which are
held; only it is not held itself. When a row goes out alone is a matter of both sides: a window closes when the larger
stream time has passed its end plus the grace.
"""

from dataclasses import dataclass
from typing import Any

from pipeline.errors import SettingError
from pipeline.tables.aggregate import RESERVED
from pipeline.tables.join_buffer import Entry, JoinBuffer, Place
from pipeline.tables.joins import Joined, JoinedRow, JoinKind, KeyedRows, Side
from pipeline.tables.partials import Late
from pipeline.tables.state import State
from pipeline.tables.windows import default_grace_ms


@dataclass(frozen=True, slots=True)
class StreamJoin:
    """`left JOIN right WITHIN within_ms [GRACE PERIOD grace_ms] ON left.key = right.key`.

    A right row is a left row's partner when it lies in `[time - before, time + after]`, both ends inclusive;
    `within_ms` is both, or a pair (before, after). LEFT, RIGHT, OUTER: rows of the left, the right, either side without
    a partner go out alone. Without a grace that is at once, and a partner that comes later makes another row. With a
    grace it is when the window has closed, and only if there was none; what comes after that goes out at once.

    Without `grace_ms` rows are held as if it were what `2 * before` leaves of 24 hours. `name` is the key of its state
    in the changelog: never change it for a running application.
    """

    name: str
    within_ms: int | tuple[int, int]
    grace_ms: int | None = None
    kind: JoinKind = JoinKind.INNER

    def __post_init__(self) -> None:
        if self.name in RESERVED:
            raise SettingError(f"a StreamJoin's name is {self.name!r}, but must be another: states use this one")
        for setting, values in (("within_ms", self.reach_ms), ("grace_ms", (self.grace_ms or 0,))):
            if min(values) < 0:
                raise SettingError(f"StreamJoin {self.name}: {setting} is {min(values)}, but must be at least 0 ms")

    @property
    def reach_ms(self) -> tuple[int, int]:
        """(before, after) of a left row; a right row's are the other way round."""
        return self.within_ms if isinstance(self.within_ms, tuple) else (self.within_ms, self.within_ms)

    @property
    def used_grace_ms(self) -> int:
        """The grace that is given, or what is used in its place."""
        return default_grace_ms(2 * self.reach_ms[0]) if self.grace_ms is None else self.grace_ms

    @property
    def kept_ms(self) -> int:
        """How far a side may go on before its row is held no more: not before its window has closed.

        That is Kafka Streams' retention, but for 1 ms more where before or after is 0: its WITHIN 0 never matches.
        """
        return max(sum(self.reach_ms), max(self.reach_ms) + 1) + self.used_grace_ms

    def reach_of(self, side: Side) -> tuple[int, int]:
        """(before, after) of a row of this side."""
        before, after = self.reach_ms
        return (before, after) if side is Side.LEFT else (after, before)

    def closed(self, side: Side, time_ms: int, stream_time_ms: int) -> bool:
        """Whether the window of a row of this time has closed: `time + after + grace < stream time` of both sides."""
        return time_ms + self.reach_of(side)[1] + self.used_grace_ms < stream_time_ms

    def waits(self, side: Side, entry: Entry) -> bool:
        """Whether a row will go out alone when its window closes, unless it has a partner by then."""
        waiting = not entry.matched and not entry.alone
        return waiting and self.grace_ms is not None and self.kind.keeps(side)

    def late(self, place: Place, own_time_ms: int) -> Late:
        """The report of a row that came too late to be held; both ends of its window are inclusive."""
        before, after = self.reach_of(place.side)
        start, end = place.time_ms - before, place.time_ms + after
        return Late(self.name, place.offset, place.time_ms, start, end, own_time_ms - self.kept_ms - place.time_ms)


class PartitionStreamJoin:
    """One join over one partition of both streams, which must be co-partitioned.

    State: rows as JoinBuffer holds them, until nothing can match them any more; ("marker", name, side) -> [applied
    offset, stream time, both stream times at which the latest batch of that side began]. What was done by then has no
    part in that batch's results, and is dropped.
    """

    def __init__(self, join: StreamJoin, state: State) -> None:
        self.state = state
        self._join = join
        self._buffer = JoinBuffer(join.name, state, join.kept_ms, join.waits)
        markers = [state.get(("marker", join.name, int(side))) or [-1, -1, None] for side in Side]
        self._applied: list[int] = [marker[0] for marker in markers]
        self._began: list[list[int] | None] = [marker[2] for marker in markers]
        self.times_ms: list[int] = [marker[1] for marker in markers]

    def take(self, side: Side, rows: KeyedRows) -> Joined:
        """Take a batch of one side in: its results in order.

        For each row, those are first the rows of any key that stay alone, since it closes their windows, by time; then
        itself, if it goes out alone at once; then its partners, by time. A row without a key has no partner: it goes
        out alone where its side's do, else it is counted, as a row without a value is. A late row is reported. Rows
        that were applied before change nothing, but their results go out again.
        """
        out = Joined()
        if not rows.offsets:
            return out
        applied = self._applied[side]
        if rows.offsets[0] <= applied:
            out.rows += self._sent_alone(side, rows)
        else:
            self._began[side] = list(self.times_ms)
            self._drop(side)
        for offset, time_ms, key, record in zip(rows.offsets, rows.times_ms, rows.keys, rows.records, strict=True):
            fresh = offset > applied
            if key is None:
                if record is not None and self._join.kind.keeps(side):
                    out.rows.append(_alone(side, key, time_ms, offset, record))
                else:
                    out.null_keys += fresh
            elif record is None:
                out.null_values += fresh
            else:
                self._advance(side, time_ms, out)
                self._take(Place(time_ms, side, offset, key), record, fresh, out)
        if rows.offsets[-1] > applied:
            self._applied[side] = rows.offsets[-1]
            marker = [rows.offsets[-1], self.times_ms[side], self._began[side]]
            self.state.put(("marker", self._join.name, int(side)), marker)
        return out

    def acked(self, side: Side) -> None:
        """Say that all which the latest batch of a side brought forth is safe, so that it need not be kept.

        The side's next batch says the same; only a side that falls silent needs this, or it would hold the state.
        """
        self._began[side] = None

    def _advance(self, side: Side, time_ms: int, out: Joined) -> None:
        """Move a side's stream time on; rows whose windows that closes go out alone, if they have had no partner."""
        self.times_ms[side] = max(self.times_ms[side], time_ms)
        stream_time_ms = max(self.times_ms)
        for place in self._buffer.close(lambda side, time: self._join.closed(side, time, stream_time_ms)):
            entry = self._buffer.get(place)
            assert entry is not None
            if not entry.matched:
                self._buffer.update(place, entry._replace(alone=True))
                out.rows.append(_of(place, entry))

    def _take(self, place: Place, record: dict[str, Any], fresh: bool, out: Joined) -> None:
        entry = self._buffer.get(place)
        if entry is None:
            if not fresh:
                return
            entry = self._admitted(place, record)
        if fresh and self._buffer.is_late(place.side, entry):
            out.late.append(self._join.late(place, entry.times_ms[place.side]))
        if entry.alone:
            out.rows.append(_of(place, entry))
        for other, partner in self._partners(place, entry):
            out.rows.append(_pair(place, entry, other, partner))
            if self._join.waits(other.side, partner):
                self._buffer.update(other, partner._replace(matched=True))

    def _admitted(self, place: Place, record: dict[str, Any]) -> Entry:
        """A row that has come, held: whether it has partners already, and if not, whether it goes out alone at once."""
        entry = self._buffer.new(place.time_ms, self.times_ms, record)
        if self._partners(place, entry):
            entry = entry._replace(matched=True)
        elif self._join.kind.keeps(place.side):
            closed = self._join.closed(place.side, place.time_ms, max(self.times_ms))
            entry = entry._replace(alone=self._join.grace_ms is None or closed)
        self._buffer.add(place, entry)
        return entry

    def _partners(self, place: Place, entry: Entry) -> list[tuple[Place, Entry]]:
        """The rows of the other side that a row meets, by time."""
        found = []
        for other in self._buffer.near(place, *self._join.reach_of(place.side)):
            partner = self._buffer.get(other)
            assert partner is not None
            if self._met(place, entry, other, partner):
                found.append((other, partner))
        return found

    def _met(self, place: Place, entry: Entry, other: Place, partner: Entry) -> bool:
        """Whether the first of two rows was still held when the second of them came, whichever that was."""
        if entry.number < partner.number:
            return entry.time_ms > partner.times_ms[place.side] - self._join.kept_ms
        return partner.time_ms > entry.times_ms[other.side] - self._join.kept_ms

    def _sent_alone(self, side: Side, rows: KeyedRows) -> list[JoinedRow]:
        """The rows that have gone out alone, but for those of the batch: they are taken in again."""
        batch = range(rows.offsets[0], rows.offsets[-1] + 1)
        places = [p for p in self._buffer.gone_alone() if p.side is not side or p.offset not in batch]
        return [_of(place, entry) for place in places if (entry := self._buffer.get(place)) is not None]

    def _drop(self, side: Side) -> None:
        """Drop what was done before any batch began whose results may still have to go out again.

        What is held no more has closed, too: see `StreamJoin.kept_ms`.
        """
        began = [times_ms for times_ms in self._began if times_ms is not None]
        done_ms = [min(times_ms[side] for times_ms in began) - self._join.kept_ms for side in Side]
        self._buffer.drop(side, self._applied[side], done_ms)


def _of(place: Place, entry: Entry) -> JoinedRow:
    return _alone(place.side, place.key, place.time_ms, place.offset, entry.record)


def _alone(side: Side, key: str | None, time_ms: int, offset: int, record: dict[str, Any]) -> JoinedRow:
    if side is Side.LEFT:
        return JoinedRow(key, record, None, time_ms, offset, -1)
    return JoinedRow(key, None, record, time_ms, -1, offset)


def _pair(place: Place, entry: Entry, other: Place, partner: Entry) -> JoinedRow:
    time_ms = max(entry.time_ms, partner.time_ms)
    if place.side is Side.LEFT:
        return JoinedRow(place.key, entry.record, partner.record, time_ms, place.offset, other.offset)
    return JoinedRow(place.key, partner.record, entry.record, time_ms, other.offset, place.offset)
