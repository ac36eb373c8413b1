"""What merging partials of windows has in common, and time windows of which each is kept by itself."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.tables.aggregate import HAVING, Aggregate
from pipeline.tables.closing import Closing
from pipeline.tables.partials import Partial, Sent
from pipeline.tables.results import Result
from pipeline.tables.state import State
from pipeline.tables.windows import TimeWindow, Unwindowed


class Merging(ABC):
    """What time windows and sessions have in common: watermarks, and what they close.

    `ignored` counts partials of what has been dropped: sent twice by a crash, or later than an idle partition may.
    """

    def __init__(self, aggregate: Aggregate, origins: int, state: State) -> None:
        self._aggregate = aggregate
        self._origins = origins
        self._state = state
        self._idle: set[int] = set()
        self.watermarks: dict[int, int] = {}
        self.reached_ms = -1
        self.ignored = 0

    def resume(self, reached_ms: int, watermarks: Iterable[Any]) -> None:
        """Go on after a restart: what had been closed by then was sent, and is to be dropped."""
        self.reached_ms, self.watermarks = reached_ms, dict(watermarks)
        self.close()

    def progress(self) -> list[Any]:
        """What `resume` takes, as a marker keeps it."""
        return [self.reached_ms, list(self.watermarks.items())]

    @abstractmethod
    def take(self, sent: Sent) -> None:
        """Take what one source partition has sent in."""

    @abstractmethod
    def changes(self) -> list[Result]:
        """Write what the batch has touched; its results, unless they are sent only when final."""

    @abstractmethod
    def close(self) -> list[Result]:
        """Note what has closed everywhere, to be dropped later; its results where they are sent only when final."""

    @abstractmethod
    def drop_closed(self) -> None:
        """Drop what earlier batches have closed."""

    def advance(self, origin: int, time_ms: int, idle: bool) -> None:
        """A source partition has come so far. `reached_ms` is what all have reached that are not idle; never falls."""
        self.watermarks[origin] = max(time_ms, self.watermarks.get(origin, -1))
        (self._idle.add if idle else self._idle.discard)(origin)
        awake = [time for known, time in self.watermarks.items() if known not in self._idle]
        if awake and len(self.watermarks) == self._origins:
            self.reached_ms = max(self.reached_ms, min(awake))


class WindowMerge(Merging):
    """One aggregate with a time window, or none.

    State: (name, group, start) -> [[origin, offset, time, state], ...].
    """

    def __init__(self, aggregate: Aggregate, window: TimeWindow, origins: int, state: State) -> None:
        super().__init__(aggregate, origins, state)
        self._window = window
        self._open = Closing()
        self._touched: dict[tuple[str, int], list[list[Any]]] = {}
        self._closed: list[tuple[str, int]] = []
        for key in state.rows:
            if key[0] == aggregate.name and not isinstance(window, Unwindowed):
                self._open.add(key[2], key[1])

    def take(self, partial: Sent) -> None:
        """Keep the newest partial per origin; one of a window that all have closed has been merged before."""
        assert isinstance(partial, Partial)
        entries = self._entries(partial)
        if entries is not None:
            replace_partial(entries, partial)

    def _entries(self, partial: Partial) -> list[list[Any]] | None:
        """What is kept under a partial's group and start, to be changed; None where that has closed and is dropped."""
        key = (partial.group, partial.start_ms)
        if key not in self._touched:
            known = self._state.get((self._aggregate.name, *key))
            if known is None and self._window.closed(partial.start_ms, self.reached_ms):
                self.ignored += 1
                return None
            self._touched[key] = [list(entry) for entry in known or []]
            if known is None:
                self._note(*key)
        return self._touched[key]

    def _note(self, group: str, start: int) -> None:
        """A start is new to a group."""
        if not isinstance(self._window, Unwindowed):
            self._open.add(start, group)

    def _write(self) -> dict[tuple[str, int], list[list[Any]]]:
        """Write what the batch has touched, and give it."""
        touched, self._touched = self._touched, {}
        for (group, start), entries in touched.items():
            self._state.put((self._aggregate.name, group, start), entries)
        return touched

    def changes(self) -> list[Result]:
        """Write what the batch has touched; its results, unless they are sent only when final."""
        touched = self._write()
        if not self._aggregate.emits_changes:
            return []
        return [self._total(group, start, entries) for (group, start), entries in touched.items()]

    def close(self) -> list[Result]:
        """Note the windows that have closed everywhere; their results where they are sent only when final."""
        reached = self.reached_ms
        closed = [(group, start) for start, group in self._open.take(lambda s: self._window.closed(s, reached))]
        self._closed += closed
        if not self._aggregate.final:
            return []
        name = self._aggregate.name
        return [self._total(group, start, self._state.get((name, group, start))) for group, start in closed]

    def drop_closed(self) -> None:
        """Drop what earlier batches have closed."""
        for group, start in self._closed:
            self._state.delete((self._aggregate.name, group, start))
            self._state.delete((HAVING, self._aggregate.name, group, start))
        self._closed = []

    def _total(self, group: str, start: int, entries: list[list[Any]]) -> Result:
        return total_of(self._aggregate, self._window, group, start, entries)


def total_of(
    aggregate: Aggregate, window: TimeWindow, group: str, start: int, entries: Sequence[Sequence[Any]]
) -> Result:
    """The result of what is kept of one (group, window)."""
    total = aggregate.function.zero()
    for _, _, _, state in entries:
        total = aggregate.function.merge(total, state)
    time_ms = max(entry[2] for entry in entries)
    version = sum(entry[1] + 1 for entry in entries)
    return Result(aggregate.name, group, start, window.end(start), total, time_ms, version)


def replace_partial(entries: list[list[Any]], partial: Partial) -> None:
    """Keep the newest partial per origin; entries are [origin, offset, time, state], sorted by origin."""
    fresh = [partial.origin, partial.offset, partial.time_ms, partial.state]
    for index, entry in enumerate(entries):
        if entry[0] == partial.origin:
            if partial.offset > entry[1]:
                entries[index] = fresh
            return
    entries.append(fresh)
    entries.sort(key=lambda entry: int(entry[0]))
