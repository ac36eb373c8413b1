"""Second stage of hopping windows in slices: the newest parts of each source partition, added up to windows."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.tables.aggregate import HAVING, Aggregate
from pipeline.tables.closing import FirstClosing
from pipeline.tables.partials import Partial, Sent
from pipeline.tables.results import Result
from pipeline.tables.sliced_windows import Entries, Part, totals
from pipeline.tables.state import State
from pipeline.tables.window_merge import WindowMerge, replace_partial
from pipeline.tables.windows import Hopping


class SlicedMerge(WindowMerge):
    """One aggregate with hopping windows in slices.

    State: (name, group, slice's start) -> [[origin, offset, time, parts], ...]. A slice is dropped when the last of its
    windows, which starts where it does, has closed everywhere. Before that, earlier windows that hold it have closed,
    and nothing of them goes out any more: `_dropped_ms` is how far the partitions had come when it was last dropped.
    """

    _window: Hopping

    def __init__(self, aggregate: Aggregate, window: Hopping, origins: int, state: State) -> None:
        super().__init__(aggregate, window, origins, state)
        self._changed: dict[tuple[str, int], None] = {}
        self._dropped_ms = -1
        self._due = Due(window) if aggregate.final else None
        if self._due is not None:
            for key in state.rows:
                if key[0] == aggregate.name:
                    self._due.add(key[1], key[2], self.reached_ms)

    def resume(self, reached_ms: int, watermarks: Iterable[Any], dropped_ms: int = -1) -> None:
        """Go on after a restart."""
        self._dropped_ms = dropped_ms
        super().resume(reached_ms, watermarks)

    def progress(self) -> list[Any]:
        """What `resume` takes, as a marker keeps it."""
        return [*super().progress(), self._dropped_ms]

    def take(self, partial: Sent) -> None:
        """Keep the newest partial per origin, and note the windows that it changes."""
        assert isinstance(partial, Partial)
        entries = self._entries(partial)
        if entries is None:
            return
        since_ms = _first_changed(entries, partial)
        replace_partial(entries, partial)
        if not self._aggregate.emits_changes:
            return
        for window in self._window.starts(partial.start_ms):
            if window >= since_ms and not self._window.closed(window, self._dropped_ms):
                self._changed[partial.group, window] = None

    def _note(self, group: str, start: int) -> None:
        super()._note(group, start)
        if self._due is not None:
            self._due.add(group, start, self.reached_ms)

    def changes(self) -> list[Result]:
        """Write the slices that the batch has touched; the results of the windows, unless sent only when final."""
        self._write()
        changed, self._changed = self._changed, {}
        windows: dict[str, list[int]] = {}
        for group, start in changed:
            windows.setdefault(group, []).append(start)
        results = {
            (group, start): result
            for group, starts in windows.items()
            for start, result in self._results(group, sorted(starts)).items()
        }
        return [results[key] for key in changed if key in results]

    def close(self) -> list[Result]:
        """Note the slices that have closed everywhere; the results of the windows where sent only when final."""
        reached = self.reached_ms
        self._closed += [(group, start) for start, group in self._open.take(lambda s: self._window.closed(s, reached))]
        if self._due is None:
            return []
        due = self._due.take(reached)
        results = [result for group, starts in due.items() for result in self._results(group, starts).values()]
        return sorted(results, key=lambda result: (result.start_ms, result.group))

    def drop_closed(self) -> None:
        """Drop the slices that earlier batches have closed, and what is kept of the windows."""
        self._dropped_ms = self.reached_ms
        for group, start in self._closed:
            self._state.delete((self._aggregate.name, group, start))
            if self._due is not None:
                self._due.drop(group, start)
            for window in self._window.starts(start):
                self._state.delete((HAVING, self._aggregate.name, group, window))
        self._closed = []

    def _results(self, group: str, starts: Sequence[int]) -> dict[int, Result]:
        """The results of a group's windows by their starts, which rise; none of windows without rows."""
        name, get = self._aggregate.name, self._state.get

        def slice_at(start: int) -> Entries | None:
            found: Entries | None = get((name, group, start))
            return found

        return {
            start: Result(name, group, start, self._window.end(start), total.state, total.time_ms, total.version)
            for start, total in totals(self._window, self._aggregate.function, starts, slice_at)
        }


class Due:
    """Which windows of each group have closed, each told once: those that hold one of the group's slices."""

    def __init__(self, window: Hopping) -> None:
        self._window = window
        self._slices: dict[str, list[int]] = {}
        self._next: dict[str, int] = {}
        self._first = FirstClosing()

    def add(self, group: str, start: int, reached_ms: int) -> None:
        """A new slice of a group."""
        insort(self._slices.setdefault(group, []), start)
        following = self._following(group, start, reached_ms)
        if following < self._next.get(group, following + 1):
            self._next[group] = following
            self._first.add(following, group)

    def drop(self, group: str, start: int) -> None:
        """A slice is gone."""
        slices = self._slices[group]
        slices.remove(start)
        if not slices:
            del self._slices[group]

    def take(self, reached_ms: int) -> dict[str, list[int]]:
        """The starts of windows that have closed since, by group, rising."""
        found: dict[str, list[int]] = {}
        closed, size, advance = self._window.closed, self._window.size_ms, self._window.advance_ms
        for group in self._first.take(lambda start: closed(start, reached_ms)):
            start, slices, starts = self._next.pop(group), self._slices[group], found.setdefault(group, [])
            while closed(start, reached_ms):
                place = bisect_left(slices, start)
                if place == len(slices):
                    break
                if slices[place] < start + size:
                    starts.append(start)
                    start += advance
                else:
                    start = self._window.starts(slices[place])[0]
            else:
                self._next[group] = start
                self._first.add(start, group)
        return found

    def _following(self, group: str, start: int, reached_ms: int) -> int:
        """The first window of a slice that has not closed; the last one where all have."""
        windows = self._window.starts(start)
        return next((window for window in windows if not self._window.closed(window, reached_ms)), start)


def _first_changed(entries: Sequence[Sequence[Any]], partial: Partial) -> int:
    """The start of the first window that a partial changes; of one that comes again, the first that it is in."""
    parts: list[Part] = partial.state
    known = next((entry for entry in entries if entry[0] == partial.origin), None)
    if known is None or known[1] >= partial.offset:
        return int(parts[0][0])
    return int(next((part[0] for part in parts if part not in known[3]), parts[0][0]))
