"""Times of events before a first start, so that a new page has a day to show and an hour to compare with."""

from collections.abc import Iterable, Iterator
from itertools import islice
from math import pi, sin
from random import Random

from pipeline.timebase import DAY_MS, HOUR_MS, SECOND_MS

PEAK_HOUR = 15
SWING = 0.5
MOST_A_SECOND = 1.0
"""However fast the generators are: a day at this rate is written and counted within seconds."""
BATCH = 1_000


def rhythm(ms: int) -> float:
    """How busy the shop is at this time of the day (UTC), on average 1: most at 15:00, a third of that at 3:00."""
    return 1 + SWING * sin(2 * pi * (ms % DAY_MS / DAY_MS - (PEAK_HOUR - 6) / 24))


def past(now_ms: int, hours: float, rate: float, seed: str) -> Iterator[int]:
    """Event times in [now - hours, now), ascending, epoch milliseconds; none for 0 hours.

    As many a second as `rate` (0: as fast as possible; MOST_A_SECOND at most) at `now_ms`, at other times by the
    rhythm of the day. The same arguments give the same times.
    """
    random, now_rate = Random(f"history/{seed}"), min(rate or MOST_A_SECOND, MOST_A_SECOND) / rhythm(now_ms)
    at_ms = now_ms - hours * HOUR_MS
    while (at_ms := at_ms + random.expovariate(now_rate * rhythm(int(at_ms))) * SECOND_MS) < now_ms:
        yield int(at_ms)


def in_batches(times_ms: Iterable[int]) -> Iterator[list[int]]:
    """The same times in lists of BATCH at most."""
    left = iter(times_ms)
    while batch := list(islice(left, BATCH)):
        yield batch
