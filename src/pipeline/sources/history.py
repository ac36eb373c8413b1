"""The past that a first start begins with, so that a new page has a day to show and an hour to compare with.

A view meets the row that its user had at the time of the view. So the past of users is written and acknowledged first,
and begins with a row of every user as of just before any view; then the past of views; and only then do both go on.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Past:
    """A generator's past, and its place among those of others.

    `times_ms` ascend, none before `from_ms` (epoch ms). It begins when `after` is set, sets `done` when it is written
    (or there is none to write), and what comes after it waits for `then`.
    """

    times_ms: Iterable[int] = ()
    from_ms: int = 0
    after: asyncio.Event | None = None
    done: asyncio.Event | None = None
    then: asyncio.Event | None = None

    def __bool__(self) -> bool:
        """Whether there are times at all: a generator of times always counts as some."""
        return bool(self.times_ms)

    @property
    def first_ms(self) -> int:
        """The time of what comes before any event of the past, epoch ms."""
        return self.from_ms - 1

    async def begin(self, stop: asyncio.Event) -> None:
        """Wait for one's turn, or the stop."""
        await _either(self.after, stop)

    async def end(self, stop: asyncio.Event) -> None:
        """Say that the past is written, and wait until events of now may be sent, or for the stop."""
        if self.done is not None and not stop.is_set():
            self.done.set()
        await _either(self.then, stop)


async def _either(event: asyncio.Event | None, stop: asyncio.Event) -> None:
    if event is None:
        return
    waiting = [asyncio.ensure_future(one.wait()) for one in (event, stop)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def pasts(now_ms: int, hours: float, rates: dict[str, float], seed: int) -> dict[str, Past]:
    """The past of each kind of events in `rates` ({kind: events a second}); none for 0 hours.

    Kinds: pageviews wait for users, and users of now wait for pageviews of the past.
    """
    if not hours:
        return {kind: Past() for kind in rates}
    users, views = (asyncio.Event() if kind in rates else None for kind in ("users", "pageviews"))
    order = {"users": (None, users, views), "pageviews": (users, views, None)}
    from_ms = int(now_ms - hours * HOUR_MS)
    return {
        kind: Past(past(now_ms, hours, rate, f"{kind}/{seed}"), from_ms, *order.get(kind, (None, None, None)))
        for kind, rate in rates.items()
    }
