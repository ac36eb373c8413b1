"""Hopping windows that are made of slices: an event is kept once, not once for each window that holds it.

A slice is one advance long, and starts where a window does; a window whose size is a multiple of the advance is the sum
of the slices in it. (The idea: Li and others, "No Pane, No Gain", SIGMOD Record 2005.) What is kept under a slice is a
list of parts, [first window, offset, time, state]: a row that comes too late for the earliest windows of its slice, but
not for all of them, is in a part of its own, which only windows from the first one on take in. So every window counts
what it counts when it is kept by itself; almost always a slice has one part.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from pipeline.tables.aggregate import Function
from pipeline.tables.grouping import Grouped, places_by_slice
from pipeline.tables.partials import Folded, Progress
from pipeline.tables.time_windows import Touched, WindowFold
from pipeline.tables.windows import Hopping, Window

LEAST_SLICES = 5
"""Windows of fewer slices are kept by themselves: adding slices up would cost what it saves."""

Part = list[Any]
"""[start of the first window that takes it in, offset of the last row, latest event time, the function's state]."""


def are_sliced(window: Window) -> bool:
    """Whether windows like these are kept in slices, where the planner decides."""
    return isinstance(window, Hopping) and window.slices >= LEAST_SLICES


class SlicedFold(WindowFold):
    """One aggregate with hopping windows in slices over one partition.

    State: (name, group, slice's start) -> [offset of the last row, latest event time, parts].
    """

    _window: Hopping

    def _places(self, rows: Grouped) -> dict[tuple[str, int], list[int]] | None:
        return places_by_slice(self._window.advance_ms, rows)

    def _kept_under(self, time_ms: int) -> tuple[int]:
        return (time_ms - time_ms % self._window.advance_ms,)

    def _zero(self) -> list[Part]:
        return []

    def _add(self, entry: list[Any], start: int, time_ms: int, values: Sequence[Any], offsets: Sequence[int]) -> None:
        self._add_from(self._window.starts(start)[0], entry, time_ms, values, offsets)

    def _add_from(
        self, first_window: int, entry: list[Any], time_ms: int, values: Sequence[Any], offsets: Sequence[int]
    ) -> None:
        entry[0], entry[1] = offsets[-1], max(entry[1], time_ms)
        parts: list[Part] = entry[2]
        place = next((n for n, part in enumerate(parts) if part[0] == first_window), None)
        before_ms, state = (-1, self._aggregate.function.zero()) if place is None else parts[place][2:]
        state = self._aggregate.function.add_many(state, values, offsets)
        part = [first_window, offsets[-1], max(before_ms, time_ms), state]
        others = parts if place is None else [*parts[:place], *parts[place + 1 :]]
        entry[2] = sorted([*others, part], key=itemgetter(0))

    def _fold_one_by_one(self, rows: Grouped, progress: Progress, touched: Touched, out: Folded) -> None:
        closed, advance = self._window.closed, self._window.advance_ms
        stream_time = progress.stream_time_ms
        for place, (offset, time_ms, group) in enumerate(zip(rows.offsets, rows.times_ms, rows.groups, strict=True)):
            stream_time = max(stream_time, time_ms)
            windows = self._window.starts(time_ms)
            late = 0
            if closed(windows[0], stream_time):
                late = next((n for n, start in enumerate(windows) if not closed(start, stream_time)), len(windows))
                progress.late += late
                out.late += [self._late(offset, time_ms, start, stream_time) for start in windows[:late]]
                if late == len(windows):
                    continue
            start = time_ms - time_ms % advance
            entry = touched.get((group, start)) or self._open(group, start, touched)
            if offset > entry[0]:
                values = rows.values[place : place + 1] if rows.values else ()
                self._add_from(windows[late], entry, time_ms, values, [offset])
        progress.stream_time_ms = stream_time


class Total(NamedTuple):
    """What a window holds: the last offset by source partition, the latest event time, the function's state."""

    offsets: dict[int, int]
    time_ms: int
    state: Any

    @property
    def version(self) -> int:
        """As that of a window that is kept by itself: it never falls."""
        return sum(offset + 1 for offset in self.offsets.values())


Entries = Sequence[Sequence[Any]]
"""Of a slice, by source partition: [origin, offset, time, parts]."""


def totals(
    window: Hopping, function: Function, starts: Sequence[int], slice_at: Callable[[int], Entries | None]
) -> Iterator[tuple[int, Total]]:
    """(start, total) of the windows at these rising starts, of those that hold something.

    `slice_at` gives what is kept under a slice's start. Windows side by side share what they have in common: two sums a
    slice and one a window, however many slices it has (van Herk's and Gil and Werman's running maximum, with sums).
    """
    for run in _runs(starts, window.advance_ms):
        slices = range(run[0], run[-1] + window.size_ms, window.advance_ms)
        plain: list[Total | None] = []
        late: list[tuple[int, int, Total]] = []  # slice's start, first window, of what not every window takes in
        for start in slices:
            first_window = window.starts(start)[0]
            found: Total | None = None
            for origin, _, _, parts in slice_at(start) or ():
                for first, offset, time_ms, state in parts:
                    one = Total({origin: offset}, time_ms, state)
                    if first <= first_window:
                        found = _sum(function, found, one)
                    else:
                        late.append((start, first, one))
            plain.append(found)
        for start, total in zip(run, _running(function, plain, window.slices), strict=True):
            end = start + window.size_ms
            for at, first, more in late:
                if first <= start <= at < end:
                    total = _sum(function, total, more)
            if total is not None:
                yield start, total


def _sum(function: Function, left: Total | None, right: Total | None) -> Total | None:
    if left is None or right is None:
        return right if left is None else left
    offsets = dict(left.offsets)
    for origin, offset in right.offsets.items():
        offsets[origin] = max(offset, offsets.get(origin, -1))
    return Total(offsets, max(left.time_ms, right.time_ms), function.merge(left.state, right.state))


def _running(function: Function, parts: Sequence[Total | None], count: int) -> list[Total | None]:
    """The sums of each `count` neighbours: within blocks of so many, all sums from the left and from the right."""
    left, right = list(parts), list(parts)
    for place in range(1, len(parts)):
        if place % count:
            left[place] = _sum(function, left[place - 1], parts[place])
    for place in range(len(parts) - 2, -1, -1):
        if (place + 1) % count:
            right[place] = _sum(function, parts[place], right[place + 1])
    ends = range(count - 1, len(parts))
    return [left[end] if (end + 1) % count == 0 else _sum(function, right[end - count + 1], left[end]) for end in ends]


def _runs(starts: Sequence[int], advance_ms: int) -> Iterator[Sequence[int]]:
    """The starts in pieces without gaps."""
    begin = 0
    for place, (before, after) in enumerate(pairwise(starts), 1):
        if after != before + advance_ms:
            yield starts[begin:place]
            begin = place
    if starts:
        yield starts[begin:]
