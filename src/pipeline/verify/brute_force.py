"""The outputs by the plainest possible arithmetic over all events at once; slow, short, and independent."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce

from pipeline.timebase import DAY_MS


@dataclass(frozen=True, slots=True)
class Event:
    """A row of an enriched stream in its partition; `amount` is 1 for a view, the sale's amount for a sale."""

    partition: int
    time_ms: int
    group: str | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Total:
    """An aggregate: the sum of amounts and the largest event time."""

    amount: Decimal
    time_ms: int


@dataclass(slots=True)
class Recomputed:
    """Totals by (group, start, end), and events that came too late for a window."""

    totals: dict[tuple[str, int, int], Total]
    late: int = 0


def _grace(grace_ms: int | None, size_ms: int) -> int:
    return max(DAY_MS - size_ms, 0) if grace_ms is None else grace_ms


def unwindowed(events: Iterable[Event]) -> Recomputed:
    """Totals per group over all time."""
    held: dict[tuple[str, int, int], list[Event]] = defaultdict(list)
    for event in events:
        if event.group is not None:
            held[event.group, 0, 0].append(event)
    return Recomputed(_totals(held))


def time_windows(events: Iterable[Event], size_ms: int, advance_ms: int, grace_ms: int | None) -> Recomputed:
    """Totals per group and window `[start, end)`; late is judged by each partition's own stream time."""
    grace = _grace(grace_ms, size_ms)
    seen: dict[int, int] = {}
    late = 0
    held: dict[tuple[str, int, int], list[Event]] = defaultdict(list)
    for event in events:
        if event.group is None:
            continue
        now = seen[event.partition] = max(seen.get(event.partition, -1), event.time_ms)
        start = event.time_ms // advance_ms * advance_ms
        while start > event.time_ms - size_ms and start >= 0:
            if now >= start + size_ms + grace:
                late += 1
            else:
                held[event.group, start, start + size_ms].append(event)
            start -= advance_ms
    return Recomputed(_totals(held), late)


@dataclass(frozen=True, slots=True)
class _Session:
    """A session within one partition."""

    partition: int
    first_ms: int
    last_ms: int
    amount: Decimal

    def near(self, other: "_Session", gap_ms: int) -> bool:
        """Whether at most `gap_ms` lie between the two."""
        return self.first_ms - gap_ms <= other.last_ms and other.first_ms <= self.last_ms + gap_ms

    def join(self, other: "_Session") -> "_Session":
        """Both as one."""
        first, last = min(self.first_ms, other.first_ms), max(self.last_ms, other.last_ms)
        return _Session(self.partition, first, last, self.amount + other.amount)


def sessions(events: Iterable[Event], gap_ms: int, grace_ms: int | None) -> Recomputed:
    """Totals per group and session `[first, last]`: each partition on its own, then joined over partitions."""
    grace = _grace(grace_ms, gap_ms)  # the gap stands where the size does
    seen: dict[int, int] = {}
    late = 0
    apart: dict[tuple[str, int], list[_Session]] = defaultdict(list)
    for event in events:
        if event.group is None:
            continue
        now = seen[event.partition] = max(seen.get(event.partition, -1), event.time_ms)
        limit = now - grace - gap_ms
        fresh = _Session(event.partition, event.time_ms, event.time_ms, event.amount)
        known = apart[event.group, event.partition]
        near = [s for s in known if s.last_ms >= limit and s.near(fresh, gap_ms)]
        if not near and event.time_ms < limit:
            late += 1
            continue
        for session in near:
            known.remove(session)
            fresh = fresh.join(session)
        known.append(fresh)
    by_group: dict[str, list[_Session]] = defaultdict(list)
    for (group, _), found in apart.items():
        by_group[group] += found
    totals = {
        (group, joined.first_ms, joined.last_ms): Total(joined.amount, joined.last_ms)
        for group, found in by_group.items()
        for joined in _joined(found, gap_ms)
    }
    return Recomputed(totals, late)


def _joined(found: list[_Session], gap_ms: int) -> list[_Session]:
    """Sessions of different partitions at most one gap apart are one; those of the same partition were found apart."""
    clusters: list[list[_Session]] = []
    for session in sorted(found, key=lambda s: s.first_ms):
        touching = [c for c in clusters if any(s.partition != session.partition and s.near(session, gap_ms) for s in c)]
        clusters = [c for c in clusters if c not in touching]
        clusters.append([session, *(s for c in touching for s in c)])
    return [reduce(_Session.join, cluster) for cluster in clusters]


def _totals(held: dict[tuple[str, int, int], list[Event]]) -> dict[tuple[str, int, int], Total]:
    return {
        key: Total(sum((e.amount for e in events), Decimal(0)), max(e.time_ms for e in events))
        for key, events in held.items()
    }
