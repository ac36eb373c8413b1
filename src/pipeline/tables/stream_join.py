"""Joins of two streams whose times lie within a given distance of each other.

The rules are those of Kafka Streams' windowed join (see docs/operators.md). A row's window is `[time - within, time +
within]`, both ends inclusive; it closes when stream time, the largest time of both sides in the partition, has passed
its end plus the grace. Two rows of one key are joined when each lies in the other's window and neither window has
closed when the second of them arrives: so a row is shown with partners or alone, never both.
"""

from dataclasses import dataclass
from typing import Any

from pipeline.errors import SettingError
from pipeline.tables.join_buffer import Entry, JoinBuffer, Place
from pipeline.tables.joins import Joined, JoinedRow, JoinKind, KeyedRows, Side
from pipeline.tables.partials import Late
from pipeline.tables.state import State
from pipeline.timebase import DAY_MS


@dataclass(frozen=True, slots=True)
class StreamJoin:
    """`left JOIN right WITHIN (within_ms, GRACE PERIOD grace_ms) ON left.key = right.key`.

    LEFT: a left row without a partner goes out alone once its window has closed; OUTER: a row of either side.
    `grace_ms` is 24 hours unless given, as in ksqlDB. `name` is the key of its state in the changelog: never change it
    for a running application.
    """

    name: str
    within_ms: int
    grace_ms: int = DAY_MS
    kind: JoinKind = JoinKind.INNER

    def __post_init__(self) -> None:
        for setting, value in (("within_ms", self.within_ms), ("grace_ms", self.grace_ms)):
            if value < 0:
                raise SettingError(f"StreamJoin {self.name}: {setting} is {value}, but must be at least 0 ms")

    def closed(self, time_ms: int, stream_time_ms: int) -> bool:
        """Whether the window of a row of this time has closed: `time + within + grace < stream time`."""
        return time_ms + self.within_ms + self.grace_ms < stream_time_ms

    def open_together(self, left: Entry, right: Entry) -> bool:
        """Whether both rows' windows were open when the second of them came, whichever that was."""
        second_came_ms = max(left.stream_time_ms, right.stream_time_ms)
        return not self.closed(min(left.time_ms, right.time_ms), second_came_ms)

    def late(self, offset: int, time_ms: int, stream_time_ms: int) -> Late:
        """The report of a row that came after its own window had closed; both ends of the window are inclusive."""
        start, end = time_ms - self.within_ms, time_ms + self.within_ms
        return Late(self.name, offset, time_ms, start, end, stream_time_ms - end - self.grace_ms)


class PartitionStreamJoin:
    """One join over one partition of both streams, which must be co-partitioned.

    State: rows as JoinBuffer holds them, until nothing can match them any more; ("marker", name, side) -> [applied
    offset, stream time, stream time at which the latest batch of that side began]. What had closed by then has no
    part in that batch's results, and is dropped.
    """

    def __init__(self, join: StreamJoin, state: State) -> None:
        self.state = state
        self._join = join
        self._buffer = JoinBuffer(join.name, state)
        markers = [state.get(("marker", join.name, int(side))) or [-1, -1, None] for side in Side]
        self._applied: list[int] = [marker[0] for marker in markers]
        self._began: list[int | None] = [marker[2] for marker in markers]
        self.stream_time_ms: int = max(marker[1] for marker in markers)
        self._buffer.close(self._is_closed)

    def take(self, side: Side, rows: KeyedRows) -> Joined:
        """Take a batch of one side in: its results in order.

        For each row, those are first the rows of any key that stay alone, since it closes their windows, by time;
        then its partners, by time. Late rows are reported and rows without a key or a value counted: both are
        dropped. Rows that were applied before change nothing, but their results go out again.
        """
        out = Joined()
        if not rows.offsets:
            return out
        applied = self._applied[side]
        if rows.offsets[0] <= applied:
            out.rows += [row for place in self._buffer.closed for row in self._alone(place)]
        else:
            self._began[side] = self.stream_time_ms
            self._drop()
        for offset, time_ms, key, record in zip(rows.offsets, rows.times_ms, rows.keys, rows.records, strict=True):
            fresh = offset > applied
            if key is None:
                out.null_keys += fresh
            elif record is None:
                out.null_values += fresh
            else:
                self._advance(time_ms, out)
                place = Place(time_ms, side, offset, key)
                entry = self._buffer.get(place)
                if entry is None and fresh:
                    entry = self._admit(place, record, out)
                if entry is not None:
                    self._match(place, entry, out)
        if rows.offsets[-1] > applied:
            self._applied[side] = rows.offsets[-1]
            marker = [rows.offsets[-1], self.stream_time_ms, self._began[side]]
            self.state.put(("marker", self._join.name, int(side)), marker)
        return out

    def acked(self, side: Side) -> None:
        """Say that all which the latest batch of a side brought forth is safe, so that it need not be kept.

        The side's next batch says the same; only a side that falls silent needs this, or it would hold the state.
        """
        self._began[side] = None

    def _advance(self, time_ms: int, out: Joined) -> None:
        """Move stream time on; rows whose windows that closes go out alone, if they have had no partner."""
        if time_ms > self.stream_time_ms:
            self.stream_time_ms = time_ms
            out.rows += [row for place in self._buffer.close(self._is_closed) for row in self._alone(place)]

    def _admit(self, place: Place, record: dict[str, Any], out: Joined) -> Entry | None:
        """Hold a row, unless it is late."""
        if self._is_closed(place.time_ms):
            out.late.append(self._join.late(place.offset, place.time_ms, self.stream_time_ms))
            return None
        return self._buffer.add(place, Entry(place.time_ms, self.stream_time_ms, record))

    def _match(self, place: Place, entry: Entry, out: Joined) -> None:
        """The results of a row with its partners of the other side."""
        for other in self._buffer.near(place, self._join.within_ms):
            partner = self._buffer.get(other)
            assert partner is not None
            if self._join.open_together(entry, partner):
                out.rows.append(_pair(place, entry, other, partner))
                if self._join.kind.keeps(place.side):
                    self._buffer.matched(place, entry)
                if self._join.kind.keeps(other.side):
                    self._buffer.matched(other, partner)

    def _alone(self, place: Place) -> list[JoinedRow]:
        """The result of a row whose window has closed: none if it has had a partner or need not go out alone."""
        entry = self._buffer.get(place)
        if entry is None or entry.matched or not self._join.kind.keeps(place.side):
            return []
        if place.side is Side.LEFT:
            return [JoinedRow(place.key, entry.record, None, entry.time_ms, place.offset, -1)]
        return [JoinedRow(place.key, None, entry.record, entry.time_ms, -1, place.offset)]

    def _is_closed(self, time_ms: int) -> bool:
        return self._join.closed(time_ms, self.stream_time_ms)

    def _drop(self) -> None:
        """Drop what had closed before any batch began whose results may still have to go out again."""
        began = min(time_ms for time_ms in self._began if time_ms is not None)
        self._buffer.drop(lambda time_ms: self._join.closed(time_ms, began))


def _pair(place: Place, entry: Entry, other: Place, partner: Entry) -> JoinedRow:
    time_ms = max(entry.time_ms, partner.time_ms)
    if place.side is Side.LEFT:
        return JoinedRow(place.key, entry.record, partner.record, time_ms, place.offset, other.offset)
    return JoinedRow(place.key, partner.record, entry.record, time_ms, other.offset, place.offset)
