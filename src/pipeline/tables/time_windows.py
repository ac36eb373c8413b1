"""Tumbling, hopping and unwindowed aggregates over one source partition."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.closing import Closing
from pipeline.tables.grouping import FEW, Grouped, places_by_window
from pipeline.tables.groups import groups_of
from pipeline.tables.partials import Folded, Late, Partial, Progress, Rows
from pipeline.tables.state import State
from pipeline.tables.windows import TimeWindow, Unwindowed

Touched = dict[tuple[str, int], list[Any]]


class WindowFold:
    """One aggregate with a time window (or none) over one partition."""

    def __init__(self, aggregate: Aggregate, window: TimeWindow, partition: int, state: State) -> None:
        self._aggregate = aggregate
        self._window = window
        self._partition = partition
        self._state = state
        self._open_windows = Closing()
        if not isinstance(window, Unwindowed):
            for key in state.rows:
                if key[0] == aggregate.name:
                    self._open_windows.add(key[2], key[1])

    def drop_closed(self, stream_time_ms: int) -> None:
        """Drop the partials of windows that take no more rows; `stream_time_ms` must be that of the last marker."""
        for start, group in self._open_windows.take(lambda start: self._window.closed(start, stream_time_ms)):
            self._state.delete((self._aggregate.name, group, start))

    def closes(self, before_ms: int, stream_time_ms: int) -> bool:
        """Whether stream time, moving on, has closed a window or passed a border of windows."""
        if isinstance(self._window, Unwindowed):
            return False
        advance = self._window.advance_ms
        return before_ms // advance != stream_time_ms // advance or self._open_windows.any(
            lambda start: self._window.closed(start, stream_time_ms)
        )

    def fold(self, replayed: Rows, rows: Rows, progress: Progress, out: Folded) -> None:
        """Fold `rows` in; partials that `replayed` had touched go out again, unchanged."""
        touched: Touched = {}
        self._recall(replayed, touched)
        grouped = Grouped.of(self._aggregate, rows)
        progress.null_groups += grouped.nulls
        out.null_groups += grouped.nulls
        if not self._fold_at_once(grouped, progress, touched):
            self._fold_one_by_one(grouped, progress, touched, out)
        self._close_batch(touched, progress.stream_time_ms, out)

    def _fold_at_once(self, rows: Grouped, progress: Progress, touched: Touched) -> bool:
        """Fold all rows in by (group, window), which is quick; False, with nothing done, when one may be late."""
        if len(rows.offsets) < FEW:
            return False
        stream_time = max(progress.stream_time_ms, max(rows.times_ms))
        if self._window.closed(self._window.starts(min(rows.times_ms))[0], stream_time):
            return False
        places = self._places(rows)
        if places is None:
            return False
        offsets, times_ms, values = rows.offsets, rows.times_ms, rows.values
        for (group, start), at in places.items():
            entry = touched.get((group, start)) or self._open(group, start, touched)
            if offsets[at[0]] <= entry[0]:
                at = [place for place in at if offsets[place] > entry[0]]
                if not at:
                    continue
            chosen = [values[place] for place in at] if values else ()
            self._add(entry, start, max(map(times_ms.__getitem__, at)), chosen, [offsets[place] for place in at])
        progress.stream_time_ms = stream_time
        return True

    def _places(self, rows: Grouped) -> dict[tuple[str, int], list[int]] | None:
        return places_by_window(self._window, rows)

    def _add(self, entry: list[Any], start: int, time_ms: int, values: Sequence[Any], offsets: Sequence[int]) -> None:
        """Add rows to what is kept under a start; `time_ms` is the latest of theirs."""
        entry[0], entry[1] = offsets[-1], max(entry[1], time_ms)
        entry[2] = self._aggregate.function.add_many(entry[2], values, offsets)

    def _fold_one_by_one(self, rows: Grouped, progress: Progress, touched: Touched, out: Folded) -> None:
        add, starts, closed = self._aggregate.function.add, self._window.starts, self._window.closed
        stream_time = progress.stream_time_ms
        for place, (offset, time_ms, group) in enumerate(zip(rows.offsets, rows.times_ms, rows.groups, strict=True)):
            if time_ms > stream_time:
                stream_time = time_ms
            value = rows.values[place] if rows.values else None
            for start in starts(time_ms):
                if closed(start, stream_time):
                    progress.late += 1
                    out.late.append(self._late(offset, time_ms, start, stream_time))
                    continue
                entry = touched.get((group, start)) or self._open(group, start, touched)
                if offset > entry[0]:
                    entry[0] = offset
                    entry[1] = max(entry[1], time_ms)
                    entry[2] = add(entry[2], value, offset)
        progress.stream_time_ms = stream_time

    def _recall(self, replayed: Rows, touched: Touched) -> None:
        groups = groups_of(self._aggregate, replayed)
        for time_ms, group in zip(replayed.times_ms, groups, strict=True):
            if group is not None:
                for start in self._kept_under(time_ms):
                    known = self._state.get((self._aggregate.name, group, start))
                    if known is not None and (group, start) not in touched:
                        touched[group, start] = list(known)

    def _kept_under(self, time_ms: int) -> Iterable[int]:
        """The starts under which a row of this time is kept."""
        return self._window.starts(time_ms)

    def _zero(self) -> Any:
        return self._aggregate.function.zero()

    def _open(self, group: str, start: int, touched: Touched) -> list[Any]:
        known = self._state.get((self._aggregate.name, group, start))
        entry = [-1, -1, self._zero()] if known is None else list(known)
        touched[group, start] = entry
        if known is None and not isinstance(self._window, Unwindowed):
            self._open_windows.add(start, group)
        return entry

    def _close_batch(self, touched: Touched, stream_time: int, out: Folded) -> None:
        name = self._aggregate.name
        for (group, start), entry in touched.items():
            self._state.put((name, group, start), entry)
            offset, time_ms, total = entry
            out.partials.append(Partial(name, group, start, self._partition, offset, time_ms, total, stream_time))

    def _late(self, offset: int, time_ms: int, start: int, stream_time: int) -> Late:
        end = self._window.end(start)
        grace = getattr(self._window, "grace_ms", 0)
        return Late(self._aggregate.name, offset, time_ms, start, end, stream_time - end - grace)
