"""Parts of the data that are fetched bit by bit: cubes by window, the last two hours by minute, the latest sales."""

import time
from collections.abc import Callable, Iterable
from itertools import groupby

from pipeline.dashboard.snapshot import Cell, Cells, Recent, Sale, Window
from pipeline.timebase import HOUR_MS, MINUTE_MS

KEPT_MS = 2 * HOUR_MS
TAIL_MINUTES = 5
RECENT_EVERY_S = 10.0
WHOLE_EVERY_S = 300.0
LATEST_SALES = 300


class CubeCache:
    """The cells of a cube by window; `fetch(from_ms, to_ms)` is asked for the span of windows whose totals changed."""

    def __init__(self, fetch: Callable[[int, int], Cells], size_ms: int) -> None:
        self._fetch = fetch
        self._size_ms = size_ms
        self._totals: dict[int, int] = {}
        self._windows: dict[int, Window] = {}

    def refresh(self, windows: Iterable[Cell]) -> tuple[Window, ...]:
        """The cube as of now, by start; `windows` are the current totals. Unchanged windows are the same objects."""
        totals: dict[int, int] = {}
        for cell in windows:
            totals[cell.start_ms] = totals.get(cell.start_ms, 0) + cell.value
        changed = [start for start, total in totals.items() if self._totals.get(start) != total]
        kept = {start: window for start, window in self._windows.items() if start in totals}
        if changed:
            lo, hi = min(changed), max(changed) + self._size_ms
            fresh = by_window(self._fetch(lo, hi))
            kept = {start: window for start, window in kept.items() if not lo <= start < hi}
            for start, cells in fresh.items():
                old = self._windows.get(start)
                kept[start] = old if old is not None and old.cells == cells else Window(start, cells)
        self._windows, self._totals = kept, totals
        return tuple(kept[start] for start in sorted(kept))


def by_window(cells: Cells) -> dict[int, Cells]:
    """{start: sorted cells}."""
    ordered = sorted(cells, key=lambda cell: (cell.start_ms, cell))
    return {start: tuple(found) for start, found in groupby(ordered, key=lambda cell: cell.start_ms)}


class MinuteCache:
    """Cells by minute of the last two hours; between whole reads only the last few minutes are asked for again.

    While older minutes still change, or the last few have nothing, workers may be catching up: every read is whole.
    """

    def __init__(self, fetch: Callable[[int, int], Cells]) -> None:
        self._fetch = fetch
        self._cells: Cells = ()
        self._read_s = 0.0
        self._settled = False

    def refresh(self, minute_ms: int, now_s: float) -> Cells:
        """Cells of [minute_ms - two hours, minute_ms); `now_s` is a monotonic clock."""
        begin_ms = minute_ms - KEPT_MS
        tail_ms = minute_ms - TAIL_MINUTES * MINUTE_MS
        known = _between(self._cells, begin_ms, tail_ms)
        if self._settled and now_s - self._read_s < WHOLE_EVERY_S:
            self._cells = tuple(sorted((*known, *self._fetch(tail_ms, minute_ms))))
            return self._cells
        self._cells = tuple(sorted(self._fetch(begin_ms, minute_ms)))
        is_live = any(cell.start_ms >= tail_ms for cell in self._cells)
        self._settled = is_live and bool(known) and known == _between(self._cells, begin_ms, tail_ms)
        self._read_s = now_s
        return self._cells


def _between(cells: Cells, from_ms: int, to_ms: int) -> Cells:
    return tuple(cell for cell in cells if from_ms <= cell.start_ms < to_ms)


class Paced:
    """Calls `fetch(minute_ms)` at most every RECENT_EVERY_S seconds, and remembers what it returned."""

    def __init__(self, fetch: Callable[[int], Recent], clock_s: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock_s = clock_s
        self._last_s: float | None = None
        self._value = Recent()

    def refresh(self, now_ms: int) -> Recent:
        """The last value, or a new one when it is time; the running minute is left out, since it still grows."""
        now_s = self._clock_s()
        if self._last_s is None or now_s - self._last_s >= RECENT_EVERY_S:
            self._value = self._fetch(now_ms // MINUTE_MS * MINUTE_MS)
            self._last_s = now_s
        return self._value


class LatestSales:
    """The newest sales; `fetch(from_ms)` is asked for those since the oldest one that is still among them."""

    def __init__(self, fetch: Callable[[int], Iterable[Sale]]) -> None:
        self._fetch = fetch
        self._from_ms = 0

    def refresh(self) -> tuple[Sale, ...]:
        """At most LATEST_SALES sales, newest first."""
        sales = tuple(sorted(self._fetch(self._from_ms), reverse=True)[:LATEST_SALES])
        self._from_ms = sales[-1].event_time_ms if len(sales) == LATEST_SALES else 0
        return sales
