"""What the dashboard knows of Pinot, and since when: an immutable, versioned snapshot that one thread publishes."""

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol

from pipeline.errors import PipelineError, QueryError
from pipeline.timebase import SECOND_MS, now_ms

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    D = TypeVar("D", bound="Known", default="Data")
else:
    from typing import TypeVar

    D = TypeVar("D")

log = logging.getLogger(__name__)

LESS_FOR_S = 60.0
RETRY_S = 2.0
"""A page of a slow pace asks again so soon after a refresh that failed."""


class Known(Protocol):
    """What a poller needs of the data that it publishes."""

    @property
    def totals(self) -> tuple[int, ...]:
        """Numbers none of which ever falls while all rows are there."""

    @property
    def newest_event_ms(self) -> int | None:
        """The largest event time of all, None without events."""


class Cell(NamedTuple):
    """A number with its coordinates; "" and 0 where the table that it comes from has no such column.

    `start_ms` is the window's inclusive start; `value` counts views or users, or is money in cents.
    """

    group: str
    region: str
    start_ms: int
    value: int
    product: str = ""


Cells = tuple[Cell, ...]


class Window:
    """The cells of one window of a cube; the same object while they do not change, so that comparing is quick.

    `sums` remembers what was added up of it, by filters; it goes when the window goes.
    """

    __slots__ = ("cells", "start_ms", "sums")

    def __init__(self, start_ms: int, cells: Cells) -> None:
        self.start_ms = start_ms
        self.cells = cells
        self.sums: dict[tuple[tuple[str, ...], tuple[str, ...]], WindowSums] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Window) and (self.start_ms, self.cells) == (other.start_ms, other.cells)

    def __hash__(self) -> int:
        return hash(self.start_ms)


class WindowSums(NamedTuple):
    """What filters leave of a window: by product group, by region, by (product, product group)."""

    by_group: dict[str, int]
    by_region: dict[str, int]
    by_product: dict[tuple[str, str], int]


class Session(NamedTuple):
    """One session window of a page or product group: first and last event, both inclusive; views, or cents."""

    group: str
    start_ms: int
    end_ms: int
    value: int


class Sale(NamedTuple):
    """One flash sale as it came in."""

    event_time_ms: int
    sale_id: int
    product: str
    group: str
    region: str
    quantity: int
    cents: int


@dataclass(frozen=True, slots=True)
class Recent:
    """The last two hours by minute, up to the last whole minute; `users` and `users_before` are distinct viewers of
    the last and the last but one sixty minutes by region, under "" those of all; `users_by_bucket` likewise by time.
    """

    minute_ms: int = 0
    pageviews: Cells = ()
    sales: Cells = ()
    users: tuple[tuple[str, int], ...] = ()
    users_before: tuple[tuple[str, int], ...] = ()
    users_by_bucket: Cells = ()


@dataclass(frozen=True, slots=True)
class Data:
    """All that the page shows, as fetched by one refresh; every field is sorted, so that equal data compare equal.

    `users_ever` are users with those who were deleted; `sales_ahead` counts sales dated after the window that is open.
    `newest_ms` holds, by source ("pageviews", "regions", "sales", "users"), the largest event time folded in, without
    those ahead.
    """

    pageviews_by_group: Cells = ()
    pageviews_by_region: Cells = ()
    pageviews_tumbling: Cells = ()
    pageviews_hopping: Cells = ()
    sessions: tuple[Session, ...] = ()
    sales_hopping: Cells = ()
    sale_sessions: tuple[Session, ...] = ()
    sales_ahead: Cells = ()
    pageview_cube: tuple[Window, ...] = ()
    sales_by_group: Cells = ()
    sales_by_region: Cells = ()
    sales_cube: tuple[Window, ...] = ()
    users_by_region: Cells = ()
    users_ever: int = 0
    region_ids: tuple[tuple[str, str], ...] = ()
    latest_sales: tuple[Sale, ...] = ()
    recent: Recent = Recent()
    newest_ms: tuple[tuple[str, int], ...] = ()

    @property
    def totals(self) -> tuple[int, int, int]:
        """Page views, sales in cents, users ever: none of them ever falls while all rows are there."""
        views, cents = (sum(cell.value for cell in cells) for cells in (self.pageviews_by_group, self.sales_by_group))
        return views, cents, self.users_ever

    @property
    def newest_event_ms(self) -> int | None:
        """The largest event time of all, None without events."""
        return max((ms for _, ms in self.newest_ms), default=None)


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[D]):
    """The last good data. `version` rises when the data changed; `error` is set while the latest refresh failed.

    Times are epoch milliseconds: `refreshed_ms` of the last good refresh, `changed_ms` of the last change of the data
    (for the first data: of the newest event in it, since nobody saw when they arrived).
    """

    version: int = 0
    data: D | None = None
    refreshed_ms: int | None = None
    changed_ms: int | None = None
    error: str | None = None

    def refreshed(self, data: D, now_ms: int) -> "Snapshot[D]":
        """The snapshot after a good refresh."""
        if data == self.data:
            return replace(self, refreshed_ms=now_ms, error=None)
        changed_ms = now_ms if self.data is not None else min(now_ms, data.newest_event_ms or now_ms)
        return Snapshot(self.version + 1, data, now_ms, changed_ms)

    def failed(self, error: str) -> "Snapshot[D]":
        """The snapshot after a refresh that failed: the last good data stay."""
        return replace(self, error=error)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How live a snapshot is; ages in seconds, None where there is nothing yet.

    `state`: "starting" before the first answer, "unreachable" when Pinot has not answered for `refresh_limit_s`,
    "stale" when it answers but the data have not changed for `stale_after_s`, else "live".
    """

    state: str
    refresh_age_s: float | None = None
    change_age_s: float | None = None
    event_age_s: float | None = None


def freshness(snapshot: Snapshot[D], now_ms: int, refresh_limit_s: float, stale_after_s: float) -> Freshness:
    """Judge a snapshot at a time."""
    if snapshot.data is None or snapshot.refreshed_ms is None or snapshot.changed_ms is None:
        return Freshness("starting" if snapshot.error is None else "unreachable")
    newest_ms = snapshot.data.newest_event_ms
    refresh_age_s = max(0, now_ms - snapshot.refreshed_ms) / SECOND_MS
    change_age_s = max(0, now_ms - snapshot.changed_ms) / SECOND_MS
    event_age_s = None if newest_ms is None else max(0, now_ms - newest_ms) / SECOND_MS
    if refresh_age_s > refresh_limit_s:
        state = "unreachable"
    elif newest_ms is None:
        state = "starting"
    else:
        state = "stale" if change_age_s > stale_after_s else "live"
    return Freshness(state, refresh_age_s, change_age_s, event_age_s)


class Poller(Generic[D]):
    """Calls `source` every `interval_s` in one thread and publishes the result; readers never wait.

    A source that takes longer than the interval is given as long a rest as it took. Pinot that starts or stops answers
    with a part of its rows: data whose totals are less than before count as a failure, until they have been less for
    LESS_FOR_S seconds. `refreshes` counts how often the source was asked; `epoch` tells the snapshots of this process
    from those of another, whose versions began at 0 too.
    """

    def __init__(self, source: Callable[[], D], interval_s: float, clock_ms: Callable[[], int] = now_ms) -> None:
        self.epoch = uuid.uuid4().hex[:8]
        self.current: Snapshot[D] = Snapshot()
        self.refreshes = 0
        self._source = source
        self._interval_s = interval_s
        self._clock_ms = clock_ms
        self._stopped = Event()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._due_s = 0.0
        self._less_since_s: float | None = None

    def due_in_s(self) -> float:
        """Seconds until the next snapshot is expected, 0 when it is late."""
        return max(0.0, self._due_s - time.monotonic())

    def start(self) -> None:
        """Start the thread unless it runs already; call it after a fork, not before."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._stopped.clear()
                self._thread = Thread(target=self._run, name="pinot-poller", daemon=True)
                self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop the thread, waiting for a refresh under way."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def refresh(self) -> Snapshot[D]:
        """Ask once, and publish what came of it."""
        self.refreshes += 1
        try:
            self.current = self.current.refreshed(self._believed(self._source()), self._clock_ms())
        except PipelineError as error:
            self._fail(str(error))
        except Exception as error:  # the thread must outlive anything, or every viewer's page would silently freeze
            log.exception("the dashboard's refresh failed")
            self._fail(f"{type(error).__name__}: {error}")
        return self.current

    def _believed(self, data: D) -> D:
        known = self.current.data
        if known is None or all(new >= old for new, old in zip(data.totals, known.totals, strict=True)):
            self._less_since_s = None
            return data
        now_s = time.monotonic()
        if self._less_since_s is None:
            self._less_since_s = now_s
        if now_s - self._less_since_s < LESS_FOR_S:
            raise QueryError("Pinot has fewer events than before: it is starting or stopping, or data were deleted")
        self._less_since_s = None
        return data

    def _fail(self, error: str) -> None:
        if self.current.error != error:
            log.warning("refresh failed: %s", error)
        self.current = self.current.failed(error)

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            self.refresh()
            took_s = time.monotonic() - began
            interval_s = self._interval_s if self.current.error is None else min(self._interval_s, RETRY_S)
            rest_s = max(interval_s - took_s, min(took_s, 10 * interval_s))
            self._due_s = time.monotonic() + rest_s + took_s
            self._stopped.wait(rest_s)
