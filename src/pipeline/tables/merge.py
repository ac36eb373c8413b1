"""Second stage: the newest partial of each source partition, merged into the result of a (group, window).

Regrouping by merging needs no trust in anyone's commit: a partial that comes again only replaces itself, and the
result goes out again. Lateness was judged where the row lay. A window is dropped once every source partition has said
(by its watermark) that it has closed there; results that are sent only then are kept until their batch is done.
"""

from collections.abc import Iterable

from pipeline.tables.aggregate import HAVING, Aggregate
from pipeline.tables.closing import FirstClosing
from pipeline.tables.merged_sessions import Bounds, MergedSessions
from pipeline.tables.partials import Sent, SessionPartial, Watermark
from pipeline.tables.results import Result
from pipeline.tables.sliced_merge import SlicedMerge
from pipeline.tables.state import State
from pipeline.tables.window_merge import Merging, WindowMerge
from pipeline.tables.windows import Hopping, Session

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
        self._merges = {aggregate.name: _merge(aggregate, origins, state) for aggregate in aggregates}
        for name, progress in watermarks.items():
            self._merges[name].resume(*progress)

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
            watermarks = {name: merge.progress() for name, merge in self._merges.items() if merge.watermarks}
            self.state.put(MARKER, [self._applied, watermarks, [list(result) for result in self._kept]])
        return results + self._kept


def _merge(aggregate: Aggregate, origins: int, state: State) -> Merging:
    """What merges the partials of one aggregate."""
    window = aggregate.window
    if isinstance(window, Session):
        return SessionMerge(aggregate, window, origins, state)
    if aggregate.sliced:
        assert isinstance(window, Hopping)
        return SlicedMerge(aggregate, window, origins, state)
    return WindowMerge(aggregate, window, origins, state)


class SessionMerge(Merging):
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
        return results if self._aggregate.emits_changes else []

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
