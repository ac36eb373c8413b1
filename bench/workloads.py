"""What the programs have to do, and what must come out: recomputed by plain arithmetic over all views at once."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.inputs import Views
from pipeline.timebase import DAY_MS, HOUR_MS, MINUTE_MS

Counts = dict[tuple[str, int], tuple[int, int]]
"""{(group, start_ms): (count, end_ms)}; the end is exclusive for time windows, a session's last event."""


class Kind(StrEnum):
    """What is made of a view that has been joined with its page."""

    TUMBLING = "tumbling"
    HOPPING = "hopping"
    SESSION = "session"
    ENRICHMENT = "enrichment"
    APPLICATION = "application"


SIZE_MS = HOUR_MS
ADVANCE_MS = HOUR_MS // 2
GAP_MS = 15 * MINUTE_MS
GRACE_MS = DAY_MS


@dataclass(frozen=True, slots=True)
class Workload:
    """One of the things that programs are measured at."""

    name: str
    kind: Kind
    title: str

    @property
    def counts(self) -> bool:
        """Whether its output is counts by page group and window."""
        return self.kind in (Kind.TUMBLING, Kind.HOPPING, Kind.SESSION)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("a", Kind.TUMBLING, "page views joined with pages, counted by page group, tumbling windows of 1 h"),
        Workload("b", Kind.HOPPING, "the same, hopping windows of 1 h every 30 min"),
        Workload("c", Kind.SESSION, "the same, session windows with a gap of 15 min"),
        Workload("d", Kind.ENRICHMENT, "page views joined with pages, one Avro row out per view"),
        Workload("e", Kind.APPLICATION, "the whole application: both enriched streams and all eight outputs"),
    )
}


def expected_counts(views: Views, count: int, groups: Sequence[str], kind: Kind) -> Counts:
    """The counts of the first `count` views; `groups` is the group of each page."""
    times, pages = views.times_ms[:count], views.pages[:count]
    if kind is Kind.SESSION:
        return _sessions(times, pages, groups)
    advance = SIZE_MS if kind is Kind.TUMBLING else ADVANCE_MS
    found: Counter[tuple[int, int]] = Counter()
    for time_ms, page in zip(times, pages, strict=True):
        start = time_ms - time_ms % advance
        while start > time_ms - SIZE_MS and start >= 0:
            found[page, start] += 1
            start -= advance
    counts: Counts = {}
    for (page, start), number in found.items():
        key = groups[page], start
        counts[key] = counts.get(key, (0, 0))[0] + number, start + SIZE_MS
    return counts


def _sessions(times: Sequence[int], pages: Sequence[int], groups: Sequence[str]) -> Counts:
    by_group: dict[str, list[int]] = defaultdict(list)
    for time_ms, page in zip(times, pages, strict=True):
        by_group[groups[page]].append(time_ms)
    counts: Counts = {}
    for group, found in by_group.items():
        found.sort()
        first = last = found[0]
        number = 0
        for time_ms in found:
            if time_ms - last > GAP_MS:
                counts[group, first] = number, last
                first, number = time_ms, 0
            number, last = number + 1, time_ms
        counts[group, first] = number, last
    return counts


def differences(expected: Counts, found: Counts, *, ends: bool = True, limit: int = 5) -> list[str]:
    """Sentences that name the first differing rows; `ends`: whether the windows' ends are compared."""
    wrong = []
    for key in sorted(expected.keys() | found.keys()):
        want, have = expected.get(key), found.get(key)
        same = want == have if ends or want is None or have is None else want[0] == have[0]
        if not same:
            wrong.append(f"{key[0]} at {key[1]}: expected {want}, found {have}")
    return wrong[:limit] + ([f"and {len(wrong) - limit} more"] if len(wrong) > limit else [])
