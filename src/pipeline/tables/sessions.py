"""Session windows over one source partition: merging, retirement of absorbed sessions, lateness.

The rules are those of Kafka Streams' session aggregate (see docs/operators.md): the gap is inclusive, an event that
reaches several sessions joins them all, each absorbed session is retired before the merged one goes out, closed
sessions take no more events.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.closing import FirstClosing
from pipeline.tables.grouping import FEW, Grouped
from pipeline.tables.groups import groups_of
from pipeline.tables.partials import Folded, Late, Progress, Rows, SessionPartial
from pipeline.tables.state import State
from pipeline.tables.windows import Session

Bounds = tuple[int, int]


class Sessions:
    """The sessions of one group in one partition while a batch is folded in.

    `value` is the stored form: [offset, [[first, last, state], ...], [[first, last], ...]]; the last list holds the
    sessions that the latest batch retired, which nothing else could tell after a crash.
    """

    def __init__(self, value: list[Any] | None, aggregate: Aggregate, window: Session, stream_time_ms: int) -> None:
        self._function = aggregate.function
        self._window = window
        self.offset = -1 if value is None else int(value[0])
        known = [] if value is None else value[1]
        self.kept_retired: list[list[int]] = [] if value is None else value[2]
        self.live: dict[Bounds, Any] = {
            (first, last): state for first, last, state in known if not window.closed(last, stream_time_ms)
        }
        self.shown = set(self.live)
        self.touched: dict[Bounds, None] = {}
        self.retired: dict[Bounds, None] = {}

    def add(self, time_ms: int, value: object, offset: int, stream_time_ms: int) -> bool:
        """Fold one event in; False when it is late: even merged, its session would be closed."""
        gap, function = self._window.gap_ms, self._function
        first = last = time_ms
        state = function.zero()
        absorbed: list[Bounds] = []
        for bounds, known in self.live.items():
            if bounds[0] - gap <= time_ms <= bounds[1] + gap and not self._window.closed(bounds[1], stream_time_ms):
                first, last = min(first, bounds[0]), max(last, bounds[1])
                state = function.merge(state, known)
                absorbed.append(bounds)
        if self._window.closed(last, stream_time_ms):
            return False
        if first != last or absorbed not in ([], [(first, last)]):
            for bounds in absorbed:
                self._retire(bounds)
        self.live[first, last] = function.add(state, value, offset)
        self.touched[first, last] = None
        return True

    def add_run(self, first: int, last: int, values: Sequence[Any], offsets: Sequence[int]) -> None:
        """Fold events in which are all at most one gap apart; no session that they reach may be closed.

        Sessions that came and went within the batch were never shown to anybody: they need no retirement.
        """
        gap, function = self._window.gap_ms, self._function
        absorbed = [bounds for bounds in self.live if bounds[0] - gap <= last and first <= bounds[1] + gap]
        merged = min([first, *(b[0] for b in absorbed)]), max([last, *(b[1] for b in absorbed)])
        state = function.zero()
        for bounds in absorbed:
            state = function.merge(state, self.live.pop(bounds))
            self.touched.pop(bounds, None)
            if bounds != merged and bounds in self.shown:
                self.retired[bounds] = None
        self.live[merged] = function.add_many(state, values, offsets)
        self.touched[merged] = None

    def _retire(self, bounds: Bounds) -> None:
        del self.live[bounds]
        self.touched.pop(bounds, None)
        self.retired[bounds] = None

    def value(self) -> list[Any]:
        """The stored form after the batch."""
        return [
            self.offset,
            [[first, last, state] for (first, last), state in sorted(self.live.items())],
            [list(bounds) for bounds in self.retired],
        ]


class SessionFold:
    """One aggregate with session windows over one partition."""

    def __init__(self, aggregate: Aggregate, window: Session, partition: int, state: State) -> None:
        self._aggregate = aggregate
        self._window = window
        self._partition = partition
        self._state = state
        self._open_sessions = FirstClosing()
        for key, value in state.items():
            if key[0] == aggregate.name:
                for _, last, _ in value[1]:
                    self._open_sessions.add(last, key[1])

    def drop_closed(self, stream_time_ms: int) -> None:
        """Drop groups whose sessions have all closed; `stream_time_ms` must be that of the last marker."""
        for group in self._open_sessions.take(lambda last: self._window.closed(last, stream_time_ms)):
            value = self._state.get((self._aggregate.name, group))
            if value is None:
                continue
            still_open = [last for _, last, _ in value[1] if not self._window.closed(last, stream_time_ms)]
            if still_open:
                self._open_sessions.add(min(still_open), group)
            else:
                self._state.delete((self._aggregate.name, group))

    def closes(self, before_ms: int, stream_time_ms: int) -> bool:
        """Whether stream time, moving on, has closed a session or moved on by a gap."""
        gap = self._window.gap_ms
        return before_ms // gap != stream_time_ms // gap or self._open_sessions.any(
            lambda last: self._window.closed(last, stream_time_ms)
        )

    def fold(self, replayed: Rows, rows: Rows, progress: Progress, out: Folded) -> None:
        """Fold `rows` in; groups that `replayed` had touched send all that they hold again."""
        groups = groups_of(self._aggregate, replayed)
        again: dict[str, None] = dict.fromkeys(group for group in groups if group is not None)
        grouped = Grouped.of(self._aggregate, rows)
        progress.null_groups += grouped.nulls
        out.null_groups += grouped.nulls
        touched: dict[str, Sessions] = {}
        if not self._fold_at_once(grouped, progress, touched, again):
            self._fold_one_by_one(grouped, progress, touched, again, out)
        self._close_batch(touched, again, progress.stream_time_ms, out)

    def _fold_at_once(
        self, rows: Grouped, progress: Progress, touched: dict[str, Sessions], again: dict[str, None]
    ) -> bool:
        """Fold all rows in by runs of a group's events, which is quick; False, and nothing done, if one may be late."""
        if len(rows.offsets) < FEW:
            return False
        before, gap = progress.stream_time_ms, self._window.gap_ms
        stream_time = max(before, max(rows.times_ms))
        if self._window.closed(min(rows.times_ms) - gap, stream_time):
            return False
        offsets, values = rows.offsets, rows.values
        for group, at in rows.places_by_group().items():
            sessions = touched[group] = self._sessions(group, before, again)
            if offsets[at[0]] <= sessions.offset:
                again[group] = None
                at = [place for place in at if offsets[place] > sessions.offset]
                if not at:
                    continue
            for first, last, run in runs(rows.times_ms, at, gap):
                chosen = [values[place] for place in run] if values else ()
                sessions.add_run(first, last, chosen, [offsets[place] for place in run])
            sessions.offset = offsets[at[-1]]
        progress.stream_time_ms = stream_time
        return True

    def _sessions(self, group: str, before: int, again: dict[str, None]) -> Sessions:
        known = self._state.get((self._aggregate.name, group))
        closed_by = -1 if group in again else before  # what goes out again is still needed
        return Sessions(known, self._aggregate, self._window, closed_by)

    def _fold_one_by_one(
        self, rows: Grouped, progress: Progress, touched: dict[str, Sessions], again: dict[str, None], out: Folded
    ) -> None:
        before = stream_time = progress.stream_time_ms
        for place, (offset, time_ms, group) in enumerate(zip(rows.offsets, rows.times_ms, rows.groups, strict=True)):
            stream_time = max(stream_time, time_ms)
            sessions = touched.get(group)
            if sessions is None:
                sessions = touched[group] = self._sessions(group, before, again)
            if offset <= sessions.offset:
                again[group] = None
            elif sessions.add(time_ms, rows.values[place] if rows.values else None, offset, stream_time):
                sessions.offset = offset
            else:
                progress.late += 1
                late_by = stream_time - self._window.grace_ms - self._window.gap_ms - time_ms
                out.late.append(Late(self._aggregate.name, offset, time_ms, time_ms, time_ms, late_by))
        progress.stream_time_ms = stream_time

    def _close_batch(self, touched: dict[str, Sessions], again: dict[str, None], stream_time: int, out: Folded) -> None:
        name = self._aggregate.name
        for group in again.keys() - touched.keys():
            known = self._state.get((name, group))
            if known is not None:
                offset, live, retired = known
                out.partials.append(SessionPartial(name, group, self._partition, offset, live, retired, stream_time))
        for group, sessions in touched.items():
            if not sessions.touched and group not in again:
                continue  # late events only
            if group in again:
                upserts: list[Bounds] = sorted(sessions.live)
                sessions.retired = dict.fromkeys([*map(_bounds, sessions.kept_retired), *sessions.retired])
            else:
                upserts = list(sessions.touched)
            value = sessions.value()
            self._state.put((name, group), value)
            for _, last in upserts:
                self._open_sessions.add(last, group)
            rows = [[first, last, sessions.live[first, last]] for first, last in upserts]
            out.partials.append(
                SessionPartial(name, group, self._partition, sessions.offset, rows, value[2], stream_time)
            )


def runs(times_ms: Sequence[int], places: Sequence[int], gap_ms: int) -> Iterator[tuple[int, int, list[int]]]:
    """(first time, last time, places, rising) of events that follow each other within the gap, by time."""
    by_time = sorted(places, key=times_ms.__getitem__)
    start = 0
    for end in range(1, len(by_time) + 1):
        last = times_ms[by_time[end - 1]]
        if end == len(by_time) or times_ms[by_time[end]] - last > gap_ms:
            yield times_ms[by_time[start]], last, sorted(by_time[start:end])
            start = end


def _bounds(pair: list[int]) -> Bounds:
    return pair[0], pair[1]
