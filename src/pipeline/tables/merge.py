"""Second stage: the newest partial of each source partition, merged into the result of a (group, window).

Regrouping by merging needs no trust in anyone's commit: a partial that comes again only replaces itself, and the
result goes out again. Lateness was judged where the row lay. A window is dropped once every source partition has said
(by its watermark) that it has closed there; results that are sent only then are kept until their batch is done.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from pipeline.tables.aggregate import HAVING, Aggregate
from pipeline.tables.closing import Closing, FirstClosing
from pipeline.tables.merged_sessions import Bounds, MergedSessions
from pipeline.tables.partials import Partial, Sent, SessionPartial, Watermark
from pipeline.tables.results import Result
from pipeline.tables.state import State
from pipeline.tables.windows import Session, TimeWindow, Unwindowed

MARKER = ("marker",)


class PartitionMerge:
    """All aggregates whose groups lie in one partition of the partials' topic.

    `origins` is the number of source partitions: a window is dropped when all of them have closed it.
    """

    def __init__(self, aggregates: Iterable[Aggregate], origins: int, state: State) -> None:
        self.state = state
        marker = state.get(MARKER)
        applied, watermarks, kept = marker if marker is not None else (-1, {}, [])
        self._applied: int = applied
        self._kept = [Result(*result) for result in kept]
        self._merges: dict[str, WindowMerge | SessionMerge] = {
            aggregate.name: (
                SessionMerge(aggregate, aggregate.window, origins, state)
                if isinstance(aggregate.window, Session)
                else WindowMerge(aggregate, aggregate.window, origins, state)
            )
            for aggregate in aggregates
        }
        for name, (reached_ms, known) in watermarks.items():
            self._merges[name].resume(reached_ms, dict(known))

    @property
    def applied(self) -> int:
        """The offset up to which everything has been merged."""
        return self._applied

    def merge(self, batch: Iterable[Sent], first_offset: int, last_offset: int) -> list[Result]:
        """Take a batch of partials, of these offsets of their topic, in.

        Returns one result per touched (group, window), in the order of the first touch; then the final results of
        what the batch has closed, by window start and group.
        """
        replayed = first_offset <= self._applied
        if not replayed:  # the latest batch is done: what it closed need not go out again
            for merge in self._merges.values():
                merge.drop_closed()
        for sent in batch:
            if isinstance(sent, Watermark):
                for name, merge in self._merges.items():
                    merge.advance(sent.origin, sent.stream_times_ms.get(name, -1), sent.idle)
            else:
                self._merges[sent.aggregate].take(sent)
        results = [result for merge in self._merges.values() for result in merge.changes()]
        finals = [result for merge in self._merges.values() for result in merge.close()]
        self._kept = [*self._kept, *finals] if replayed else finals
        if last_offset > self._applied:
            self._applied = last_offset
            watermarks = {
                name: [m.reached_ms, list(m.watermarks.items())] for name, m in self._merges.items() if m.watermarks
            }
            self.state.put(MARKER, [self._applied, watermarks, [list(result) for result in self._kept]])
        return results + self._kept


class _Merge(ABC):
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

    def resume(self, reached_ms: int, watermarks: dict[int, int]) -> None:
        """Go on after a restart: what had been closed by then was sent, and is to be dropped."""
        self.reached_ms, self.watermarks = reached_ms, watermarks
        self.close()

    @abstractmethod
    def close(self) -> list[Result]:
        """Note what has closed everywhere, to be dropped later; its results where they are sent only when final."""

    def advance(self, origin: int, time_ms: int, idle: bool) -> None:
        """A source partition has come so far. `reached_ms` is what all have reached that are not idle; never falls."""
        self.watermarks[origin] = max(time_ms, self.watermarks.get(origin, -1))
        (self._idle.add if idle else self._idle.discard)(origin)
        awake = [time for known, time in self.watermarks.items() if known not in self._idle]
        if awake and len(self.watermarks) == self._origins:
            self.reached_ms = max(self.reached_ms, min(awake))


class WindowMerge(_Merge):
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
        key = (partial.group, partial.start_ms)
        if key not in self._touched:
            known = self._state.get((self._aggregate.name, *key))
            if known is None and self._window.closed(partial.start_ms, self.reached_ms):
                self.ignored += 1
                return
            self._touched[key] = [list(entry) for entry in known or []]
            if known is None and not isinstance(self._window, Unwindowed):
                self._open.add(partial.start_ms, partial.group)
        _replace(self._touched[key], partial)

    def changes(self) -> list[Result]:
        """Write what the batch has touched; its results, unless they are sent only when final."""
        results = []
        for (group, start), entries in self._touched.items():
            self._state.put((self._aggregate.name, group, start), entries)
            results.append(self._total(group, start, entries))
        self._touched = {}
        return [] if self._aggregate.final else results

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
        total = self._aggregate.function.zero()
        for _, _, _, state in entries:
            total = self._aggregate.function.merge(total, state)
        time_ms = max(entry[2] for entry in entries)
        version = sum(entry[1] + 1 for entry in entries)
        return Result(self._aggregate.name, group, start, self._window.end(start), total, time_ms, version)


def _replace(entries: list[list[Any]], partial: Partial) -> None:
    """Keep the newest partial per origin; entries are [origin, offset, time, state], sorted by origin."""
    fresh = [partial.origin, partial.offset, partial.time_ms, partial.state]
    for index, entry in enumerate(entries):
        if entry[0] == partial.origin:
            if partial.offset > entry[1]:
                entries[index] = fresh
            return
    entries.append(fresh)
    entries.sort(key=lambda entry: int(entry[0]))


class SessionMerge(_Merge):
    """One aggregate with session windows. State: (name, group) -> see MergedSessions."""

    def __init__(self, aggregate: Aggregate, window: Session, origins: int, state: State) -> None:
        super().__init__(aggregate, origins, state)
        self._window = window
        self._open = FirstClosing()
        # a session of another partition may still join one that has closed, up to one gap later
        margin_ms = 0 if origins == 1 else window.gap_ms
        self._closing = Session(window.gap_ms, window.grace_ms + margin_ms)
        self._touched: dict[str, MergedSessions] = {}
        self._closed: dict[str, set[Bounds]] = {}
        for key in state.rows:
            if key[0] == aggregate.name:
                self._note(key[1], self._sessions(key[1]))

    def take(self, partial: Sent) -> None:
        """Take one origin's changes of a group in; sessions that have closed and are not held were dropped: ignored."""
        assert isinstance(partial, SessionPartial)
        group, origin = partial.group, partial.origin
        merged = self._touched[group] if group in self._touched else self._sessions(group)
        upserts = [u for u in partial.upserts if not self._is_closed(u[1]) or merged.holds(origin, (u[0], u[1]))]
        retired = [r for r in partial.retired if not self._is_closed(r[1]) or merged.holds(origin, (r[0], r[1]))]
        self.ignored += len(upserts) < len(partial.upserts)
        if upserts or merged.is_known():
            self._touched[group] = merged
            merged.take(partial._replace(upserts=upserts, retired=retired))

    def changes(self) -> list[Result]:
        """Write what the batch has touched; its results, unless they are sent only when final."""
        results = []
        for group, merged in self._touched.items():
            results += merged.results(group)
            self._state.put((self._aggregate.name, group), merged.value())
            self._note(group, merged)
        self._touched = {}
        return [] if self._aggregate.final else results

    def close(self) -> list[Result]:
        """Note the sessions that have closed everywhere; their results where they are sent only when final."""
        finals = []
        for group in self._open.take(self._is_closed):
            merged = self._sessions(group)
            for bounds in merged.closed(self._is_closed):
                known = self._closed.setdefault(group, set())
                if bounds not in known:
                    known.add(bounds)
                    finals.append(merged.result(group, bounds))
            for last in merged.lasts():
                if not self._is_closed(last):
                    self._open.add(last, group)
        finals.sort(key=lambda result: (result.start_ms, result.group))
        return finals if self._aggregate.final else []

    def drop_closed(self) -> None:
        """Drop what earlier batches have closed."""
        for group, closed in self._closed.items():
            for first_ms, _ in closed:
                self._state.delete((HAVING, self._aggregate.name, group, first_ms))
            left = self._sessions(group).drop(closed)
            if left is None:
                self._state.delete((self._aggregate.name, group))
            else:
                self._state.put((self._aggregate.name, group), left)
        self._closed = {}

    def _is_closed(self, last_ms: int) -> bool:
        return self._closing.closed(last_ms, self.reached_ms)

    def _sessions(self, group: str) -> MergedSessions:
        return MergedSessions(self._state.get((self._aggregate.name, group)), self._aggregate, self._window)

    def _note(self, group: str, merged: MergedSessions) -> None:
        for last in merged.lasts():
            self._open.add(last, group)
