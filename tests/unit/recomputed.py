"""Windows and sessions by the plainest possible arithmetic over all events at once: slow, short, and independent.

What operators make, what SQL says and what the benchmark expects is held against it.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from pipeline.timebase import DAY_MS

Counts = dict[tuple[str, int, int], int]
"""How many events are in each (group, start, end)."""


class Event(NamedTuple):
    """A row of a group; events of a partition are in the order of their coming."""

    partition: int
    time_ms: int
    group: str


class Span(NamedTuple):
    """A session within one partition."""

    partition: int
    first_ms: int
    last_ms: int
    count: int

    def near(self, other: "Span", gap_ms: int) -> bool:
        """Whether at most `gap_ms` lie between the two."""
        return self.first_ms - gap_ms <= other.last_ms and other.first_ms <= self.last_ms + gap_ms


def grace_of(grace_ms: int | None, size_ms: int) -> int:
    """ksqlDB's grace where none is given; of a session, the size is the gap."""
    return max(DAY_MS - size_ms, 0) if grace_ms is None else grace_ms


def time_windows(events: Iterable[Event], size_ms: int, advance_ms: int, grace_ms: int | None) -> tuple[Counts, int]:
    """Counts by group and window `[start, end)`, and how often an event was too late for one."""
    now: dict[int, int] = {}
    late, counts = 0, defaultdict(int)
    for event in events:
        now[event.partition] = max(now.get(event.partition, -1), event.time_ms)
        start = event.time_ms // advance_ms * advance_ms
        while start > event.time_ms - size_ms and start >= 0:
            if now[event.partition] >= start + size_ms + grace_of(grace_ms, size_ms):
                late += 1
            else:
                counts[event.group, start, start + size_ms] += 1
            start -= advance_ms
    return dict(counts), late


def sessions(events: Iterable[Event], gap_ms: int, grace_ms: int | None) -> tuple[Counts, int]:
    """Counts by group and session `[first, last]`, by partition, then joined over these; and how many came too late."""
    now: dict[int, int] = {}
    late, found = 0, defaultdict(list)
    for event in events:
        now[event.partition] = max(now.get(event.partition, -1), event.time_ms)
        limit = now[event.partition] - grace_of(grace_ms, gap_ms) - gap_ms
        fresh, known = Span(event.partition, event.time_ms, event.time_ms, 1), found[event.group]
        near = [
            span
            for span in known
            if span.partition == event.partition and span.last_ms >= limit and span.near(fresh, gap_ms)
        ]
        if not near and event.time_ms < limit:
            late += 1
            continue
        found[event.group] = [span for span in known if span not in near] + [joined([fresh, *near])]
    return {
        (group, whole.first_ms, whole.last_ms): whole.count
        for group, spans in found.items()
        for whole in map(joined, over_partitions(spans, gap_ms))
    }, late


def over_partitions(spans: Iterable[Span], gap_ms: int) -> list[list[Span]]:
    """Sessions of different partitions at most one gap apart are one; those of the same partition were found apart."""
    clusters: list[list[Span]] = []
    for span in sorted(spans, key=lambda s: s.first_ms):
        touching = [c for c in clusters if any(s.partition != span.partition and s.near(span, gap_ms) for s in c)]
        clusters = [c for c in clusters if c not in touching] + [[span, *(s for c in touching for s in c)]]
    return clusters


def joined(spans: list[Span]) -> Span:
    """Several as one."""
    first, last = min(s.first_ms for s in spans), max(s.last_ms for s in spans)
    return Span(spans[0].partition, first, last, sum(s.count for s in spans))
