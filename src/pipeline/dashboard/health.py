"""What the health page shows: the collected state of every part, judged green, amber or red with a reason.

One thread collects, at a slow pace, and only while somebody looks; viewers get the last report.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from threading import Event, Lock, Thread

from pipeline.dashboard.snapshot import Freshness
from pipeline.settings import Settings
from pipeline.status import Status, collect
from pipeline.timebase import SECOND_MS, now_ms

log = logging.getLogger(__name__)

GREEN, AMBER, RED = "green", "amber", "red"
ORDER = (GREEN, AMBER, RED)
WATCHED_S = 60.0
LAG_AMBER_S = 10.0
LAG_RED_S = 60.0
LETTER_RECENT_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Report:
    """A status, when it was collected (epoch ms), and the rates since the one before, records a second by topic.

    `read` is how fast the application's group reads each topic. Both are empty in the first report.
    """

    status: Status
    at_ms: int
    written: dict[str, float]
    read: dict[str, float]


@dataclass(frozen=True, slots=True)
class Light:
    """One part's light: `state` is green, amber or red, `reason` a sentence."""

    part: str
    state: str
    reason: str


def following(before: Report | None, status: Status, at_ms: int, group: str) -> Report:
    """The report of a status, with rates when there is one before it."""
    seconds = 0.0 if before is None else (at_ms - before.at_ms) / SECOND_MS
    if before is None or seconds <= 0:
        return Report(status, at_ms, {}, {})
    old = before.status.topics
    written = {
        name: max(0.0, (topic.messages - old[name].messages) / seconds)
        for name, topic in status.topics.items()
        if name in old
    }
    lag, old_lag = _lag(status, group), _lag(before.status, group)
    read = {
        name: max(0.0, written[name] - (lag[name] - old_lag[name]) / seconds)
        for name in lag
        if name in old_lag and name in written
    }
    return Report(status, at_ms, written, read)


def _lag(status: Status, group: str) -> dict[str, int]:
    found = status.groups.get(group)
    return {} if found is None else found.topics


def lights(report: Report, settings: Settings, page: Freshness) -> list[Light]:
    """Every part's light. Red: numbers are wrong or stand still; amber: someone should look; green: neither."""
    status = report.status
    return [
        _plain("Brokers", "brokers", status, f"{len(status.brokers)} brokers answer"),
        _topics(status),
        _workers(report, settings),
        _plain("Registry", "schemas", status, f"{len(status.schemas)} subjects are registered"),
        *([_poller(report, settings)] if status.has_poller else []),
        _plain("Pinot", "pinot", status, f"{len(status.pinot)} tables answer"),
        _letters(report),
        _late(report),
        _page(page),
    ]


def worst(found: list[Light]) -> str:
    """The worst state among lights."""
    return max((light.state for light in found), key=ORDER.index, default=GREEN)


def _plain(name: str, part: str, status: Status, good: str) -> Light:
    problem = status.problems.get(part)
    return Light(name, RED, problem) if problem else Light(name, GREEN, good)


def _topics(status: Status) -> Light:
    problem = status.problems.get("topics")
    if problem is None:
        return Light("Topics", GREEN, f"{len(status.topics)} topics, every replica in sync")
    harmless = (
        bool(status.topics) and not any(t.leaderless for t in status.topics.values()) and "missing" not in problem
    )
    return Light("Topics", AMBER if harmless else RED, problem)


def _workers(report: Report, settings: Settings) -> Light:
    problem = report.status.problems.get("groups")
    if problem:
        return Light("Workers", RED, problem)
    lag = sum(_lag(report.status, settings.app_id).values())
    rate = sum(report.read.values())
    said = f"{lag:,} records behind, {rate:,.0f} read a second"
    if not report.read:
        return Light("Workers", GREEN if not lag else AMBER, f"{lag:,} records behind; the rate is not known yet")
    if lag and not rate:
        return Light("Workers", RED, f"{said}: nothing is being read")
    behind_s = lag / rate if rate else 0.0
    state = RED if behind_s > LAG_RED_S else AMBER if behind_s > LAG_AMBER_S else GREEN
    return Light("Workers", state, f"{said}, {behind_s:.1f} s of work")


def _poller(report: Report, settings: Settings) -> Light:
    status = report.status
    problem = status.problems.get("poller")
    written = [table.written_ms for table in status.tables.values() if table.written_ms is not None]
    if not problem and status.poller is None and written:
        return Light("Poller", GREEN, f"wrote its position {max(0, report.at_ms - max(written)) / SECOND_MS:.0f} s ago")
    if problem or status.poller is None:
        return Light("Poller", RED if problem else AMBER, problem or "it has not stored a position yet")
    age_s = max(0, report.at_ms - status.poller.at_ms) / SECOND_MS
    said = f"sent up to sale {status.poller.last_id:,}, {age_s:.0f} s ago"
    quiet = age_s > max(settings.stale_after_s, 5 * settings.poll_interval_s)
    return Light("Poller", AMBER if quiet else GREEN, said + (": no new sale, or no poller" if quiet else ""))


def _letters(report: Report) -> Light:
    problem = report.status.problems.get("dead_letters")
    if problem:
        return Light("Dead letters", AMBER, problem)
    letters = report.status.dead_letters
    if not letters.count:
        return Light("Dead letters", GREEN, "none")
    recent = any(report.at_ms - letter.timestamp_ms < LETTER_RECENT_MS for letter in letters.latest)
    said = f"{letters.count:,} records could not be used"
    return Light("Dead letters", AMBER if recent else GREEN, said + (", some in the last hour" if recent else ""))


def _late(report: Report) -> Light:
    problem = report.status.problems.get("late_records")
    if problem:
        return Light("Late records", AMBER, problem)
    count = report.status.late_records.count
    said = f"{count:,} windows had closed when their record came; it is not in them" if count else "none"
    return Light("Late records", GREEN, said)


def _page(page: Freshness) -> Light:
    states = {
        "live": (GREEN, "its numbers are live"),
        "stale": (AMBER, "Pinot answers, but its numbers stand still"),
        "starting": (AMBER, "no numbers yet"),
        "unreachable": (RED, "Pinot does not answer; the last good numbers are shown"),
    }
    return Light("Dashboard", *states[page.state])


class Watch:
    """Collects in a thread of its own every `interval_s` while `current` was asked for in the last minute."""

    def __init__(
        self,
        settings: Settings,
        ask: Callable[[Settings], Awaitable[Status]] = collect,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._settings = settings
        self._ask = ask
        self._clock_ms = clock_ms
        self._report: Report | None = None
        self._watched_s = 0.0
        self._wanted = Event()
        self._lock = Lock()
        self._thread: Thread | None = None

    def current(self) -> Report | None:
        """The last report, None before the first; starts the thread when it does not run."""
        self._watched_s = time.monotonic()
        self._wanted.set()
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="health", daemon=True)
                self._thread.start()
        return self._report

    def collect(self) -> None:
        """Ask every part once."""

        async def ask() -> Status:
            return await self._ask(self._settings)

        status = asyncio.run(ask())
        self._report = following(self._report, status, self._clock_ms(), self._settings.app_id)

    def _run(self) -> None:
        while True:
            if time.monotonic() - self._watched_s > WATCHED_S:
                self._wanted.clear()
                self._wanted.wait()
            try:
                self.collect()
            except Exception:  # the thread must outlive anything, or the page would silently freeze
                log.exception("the health page's parts could not be asked")
            time.sleep(self._settings.health_interval_s)
