"""Second stage: the newest partial of each source partition, merged into the result of a (group, window).

Regrouping by merging needs no trust in anyone's commit: a partial that comes again only replaces itself, and the
result goes out again. Nothing here judges lateness: that was done where the row lay.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.partials import Partial, SessionPartial
from pipeline.tables.state import State
from pipeline.tables.windows import Session

Bounds = tuple[int, int]


class Result(NamedTuple):
    """The full aggregate of one (group, window), never a delta.

    `end_ms` is exclusive for time windows, 0 without a window, the last event's time for sessions. `version` never
    falls for a (group, window). A `retired` result takes back a session that another one absorbed; its state is None.
    """

    aggregate: str
    group: str
    start_ms: int
    end_ms: int
    state: Any
    time_ms: int
    version: int
    retired: bool = False


class PartitionMerge:
    """All aggregates whose groups lie in one partition of the partials' topic."""

    def __init__(self, aggregates: Iterable[Aggregate], state: State) -> None:
        self._aggregates = {aggregate.name: aggregate for aggregate in aggregates}
        self._state = state

    def merge(self, partials: Iterable[Partial | SessionPartial]) -> list[Result]:
        """Take a batch of partials in; one result per touched (group, window), in the order of the first touch."""
        windows: dict[tuple[str, str, int], list[list[Any]]] = {}
        sessions: dict[tuple[str, str], MergedSessions] = {}
        for partial in partials:
            if isinstance(partial, Partial):
                key = (partial.aggregate, partial.group, partial.start_ms)
                if key not in windows:
                    windows[key] = [list(entry) for entry in self._state.get(key) or []]
                _replace(windows[key], partial)
            else:
                group = (partial.aggregate, partial.group)
                if group not in sessions:
                    sessions[group] = self._merged(group)
                sessions[group].take(partial)
        results = [self._total(key, entries) for key, entries in windows.items()]
        for group, merged in sessions.items():
            self._state.put(group, merged.value())
            results.extend(merged.results(*group))
        return results

    def _merged(self, group: tuple[str, str]) -> "MergedSessions":
        aggregate = self._aggregates[group[0]]
        assert isinstance(aggregate.window, Session)
        return MergedSessions(self._state.get(group), aggregate, aggregate.window)

    def _total(self, key: tuple[str, str, int], entries: list[list[Any]]) -> Result:
        self._state.put(key, entries)
        name, group, start = key
        aggregate = self._aggregates[name]
        assert not isinstance(aggregate.window, Session)
        total = aggregate.function.zero()
        for _, _, _, state in entries:
            total = aggregate.function.merge(total, state)
        time_ms = max(entry[2] for entry in entries)
        version = sum(entry[1] + 1 for entry in entries)
        return Result(name, group, start, aggregate.window.end(start), total, time_ms, version)


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


class MergedSessions:
    """The sessions of one group over all source partitions, while a batch of partials is taken in.

    Sessions of different origins at most one gap apart are one session. Sessions of the same origin are never joined
    here: where they were folded, they were found to be apart (the earlier one had closed).
    The stored form is [[[origin, offset, [[first, last, state], ...]], ...], [[first, last], ...]]; the last list
    holds what the latest batch retired.
    """

    def __init__(self, value: list[Any] | None, aggregate: Aggregate, window: Session) -> None:
        origins: list[Any] = value[0] if value else []
        self._kept_retired: list[Bounds] = [(first, last) for first, last in value[1]] if value else []
        self._function = aggregate.function
        self._gap_ms = window.gap_ms
        self._offsets: dict[int, int] = {}
        self._parts: dict[int, dict[Bounds, Any]] = {}
        for origin, offset, parts in origins:
            self._offsets[origin] = offset
            self._parts[origin] = {(first, last): state for first, last, state in parts}
        self._before = self._unions()
        self._changed: set[tuple[int, Bounds]] = set()
        self._retired: dict[Bounds, None] = {}
        self._again = False

    def take(self, partial: SessionPartial) -> None:
        """One origin's changes; older ones than those known only make everything go out again."""
        if partial.offset <= self._offsets.get(partial.origin, -1):
            self._again = True
            return
        self._offsets[partial.origin] = partial.offset
        parts = self._parts.setdefault(partial.origin, {})
        for first, last in partial.retired:
            parts.pop((first, last), None)
            self._retired[self._shown((first, last))] = None
        for first, last, state in partial.upserts:
            parts[first, last] = state
            self._changed.add((partial.origin, (first, last)))

    def _shown(self, bounds: Bounds) -> Bounds:
        """The session under which consumers have seen a partial session: the union that held it before."""
        for union in self._before:
            if union[0] <= bounds[0] and bounds[1] <= union[1]:
                return union
        return bounds

    def _unions(self) -> dict[Bounds, list[tuple[int, Bounds]]]:
        """Bounds of every merged session with the partial sessions in it, by first event."""
        items = sorted((bounds, origin) for origin, parts in self._parts.items() for bounds in parts)
        clusters: list[list[tuple[Bounds, int]]] = []
        for bounds, origin in items:
            joined = [(bounds, origin)]
            apart = []
            for cluster in clusters:
                near = any(o != origin and b[1] + self._gap_ms >= bounds[0] for b, o in cluster)
                if near:
                    joined = cluster + joined
                else:
                    apart.append(cluster)
            clusters = [*apart, joined]
        return {
            (min(b[0] for b, _ in cluster), max(b[1] for b, _ in cluster)): [(o, b) for b, o in cluster]
            for cluster in sorted(clusters)
        }

    def results(self, name: str, group: str) -> list[Result]:
        """Retired sessions first, then the sessions that have changed, by first event."""
        after = self._unions()
        version = sum(offset + 1 for offset in self._offsets.values())
        retired = self._all_retired(after)
        results = [Result(name, group, first, last, None, last, version, retired=True) for first, last in retired]
        for bounds, members in after.items():
            fresh = bounds not in self._before or bounds in retired or self._again
            if fresh or any(member in self._changed for member in members):
                state = self._function.zero()
                for origin, part in members:
                    state = self._function.merge(state, self._parts[origin][part])
                results.append(Result(name, group, *bounds, state, bounds[1], version))
        return results

    def _all_retired(self, after: dict[Bounds, Any]) -> dict[Bounds, None]:
        retired = dict.fromkeys(self._kept_retired) if self._again else {}
        retired |= self._retired
        retired |= dict.fromkeys(bounds for bounds in self._before if bounds not in after)
        return dict(sorted(retired.items()))

    def value(self) -> list[Any]:
        """The stored form after the batch."""
        origins = [
            [origin, self._offsets[origin], [[*bounds, state] for bounds, state in sorted(parts.items())]]
            for origin, parts in sorted(self._parts.items())
        ]
        return [origins, [list(bounds) for bounds in self._all_retired(self._unions())]]
