"""Sessions of one group over several source partitions."""

from collections.abc import Callable, Collection
from typing import Any

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.partials import SessionPartial
from pipeline.tables.results import Result
from pipeline.tables.windows import Session

Bounds = tuple[int, int]


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
        self._name = aggregate.name
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

    def is_known(self) -> bool:
        """Whether any origin has sent sessions that are still held."""
        return bool(self._offsets)

    def holds(self, origin: int, bounds: Bounds) -> bool:
        """Whether this session of an origin is held."""
        return bounds in self._parts.get(origin, {})

    def closed(self, closed: Callable[[int], bool]) -> list[Bounds]:
        """Merged sessions whose last event has closed, by first event."""
        return [bounds for bounds in self._unions() if closed(bounds[1])]

    def lasts(self) -> list[int]:
        """The last event of each merged session."""
        return [last for _, last in self._unions()]

    def drop(self, dropped: Collection[Bounds]) -> list[Any] | None:
        """The stored form without these merged sessions, None when none is left. The latest batch must be done."""
        unions = self._unions()
        for bounds in dropped:
            for origin, part in unions.get(bounds, []):
                del self._parts[origin][part]
        if not any(self._parts.values()):
            return None
        self._before, self._kept_retired, self._retired = self._unions(), [], {}
        return self.value()

    def result(self, group: str, bounds: Bounds) -> Result:
        """The result of one merged session."""
        return self._result(group, bounds, self._unions()[bounds])

    def every(self, group: str) -> list[Result]:
        """The results of all merged sessions, by first event."""
        return [self._result(group, bounds, members) for bounds, members in self._unions().items()]

    def _result(self, group: str, bounds: Bounds, members: list[tuple[int, Bounds]]) -> Result:
        state = self._function.zero()
        for origin, part in members:
            state = self._function.merge(state, self._parts[origin][part])
        return Result(self._name, group, *bounds, state, bounds[1], self._version())

    def _version(self) -> int:
        return sum(offset + 1 for offset in self._offsets.values())

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

    def results(self, group: str) -> list[Result]:
        """Retired sessions first, then the sessions that have changed, by first event."""
        after = self._unions()
        retired = self._all_retired(after)
        results = [
            Result(self._name, group, first, last, None, last, self._version(), retired=True) for first, last in retired
        ]
        for bounds, members in after.items():
            fresh = bounds not in self._before or bounds in retired or self._again
            if fresh or any(member in self._changed for member in members):
                results.append(self._result(group, bounds, members))
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
