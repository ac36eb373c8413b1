"""A Pinot that has the rows of `visits`, and the page over it on a port of its own."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import visits
from pages import Serving

from pipeline.dashboard.declared.app import create_app
from pipeline.dashboard.declared.board import PageSource
from pipeline.dashboard.declared.kpis import total
from pipeline.dashboard.declared.queries import queries
from pipeline.dashboard.snapshot import Poller
from pipeline.errors import QueryError
from pipeline.settings import load
from pipeline.timebase import MINUTE_MS, SECOND_MS, now_ms

COUNTRIES = (
    "DE",
    "US",
    "France",
    "BRA",
    "India",
    "SG",
    "Japan",
    "AU",
    "KE",
    "Canada",
    "Mexico",
    "ES",
    "Atlantis",
    "GB",
)
SOURCES = ("Homepage", "Inbox", "External")
Rows = list[dict[str, Any]]


class FakePinot:
    """Answers the page's queries; `error` takes it away, `dressed` changes the rows."""

    def __init__(self) -> None:
        self.error = ""
        self.empty = False
        self.asked: list[str] = []
        self.dressed: Callable[[Rows], Rows] = lambda rows: rows

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> Rows:
        self.asked.append(sql)
        if self.error:
            raise QueryError(self.error)
        if "NO_SUCH_TABLE" in sql:
            raise QueryError(
                "Pinot at http://127.0.0.1:8099 refused a query: TableDoesNotExistError <b>NO_SUCH_TABLE</b>"
            )
        if self.empty:
            return [{"n": 0, "newest": -math.inf}] if "COUNT(*)" in sql else []
        return self.dressed(self._rows(sql))

    def _rows(self, sql: str) -> Rows:
        now = now_ms()
        minute = now // MINUTE_MS * MINUTE_MS
        if "COUNT(*)" in sql:
            return [{"n": 1_234, "newest": float(now - 1_500)}]
        if "AS value FROM VISITS_BY_COUNTRY" in sql:
            return [{"value": 1_234_567.0 if "views" in sql else 98_765.432}]
        if "previous" in sql:
            return [{"value": 4_321.0, "previous": 4_000.0}]
        if "FROM VISITS_BY_COUNTRY" in sql:
            return [
                {"country": name, "users": 2_000 // (n + 1), "average_age": 30 + 1.37 * n}
                for n, name in enumerate(COUNTRIES)
            ]
        if '"VISITS_SESSION"' in sql:
            return [
                {
                    "source": source,
                    "window_start_ms": now - (4 * k + n + 2) * 40 * SECOND_MS,
                    "window_end_ms": now - (4 * k + n) * 40 * SECOND_MS - 9_000 * k,
                    "users": 12 + k,
                }
                for n, source in enumerate(SOURCES)
                for k in range(4)
            ]
        if "FROM LATEST" in sql:
            return [
                {"session_id": f"s-{n}", "source": SOURCES[n % 3], "first_view_ms": now - n * 9_000, "views": 1_000 * n}
                for n in range(1, 13)
            ]
        step = MINUTE_MS // 2 if '"VISITS_HOPPING"' in sql else MINUTE_MS
        column = re.search(r'SUM\("(\w+)"\)', sql)
        return [
            {
                **({"source": source} if "source" in sql else {}),
                **({"time_ms": start} if column is None else {"window_start_ms": start}),
                "window_end_ms": start + MINUTE_MS,
                "value" if column is None else column[1]: float(90 + 40 * n + 25 * math.sin(start / step + n) // 1),
            }
            for start in range(minute - 14 * MINUTE_MS, minute + 1, step)
            for n, source in enumerate(SOURCES)
        ]


class ServedVisits:
    """The page of `visits` over a `FakePinot`."""

    def __init__(self) -> None:
        self.pinot = FakePinot()
        page = visits.APPLICATION.page
        assert page is not None
        assert not hasattr(page, "function")
        found = queries(visits.APPLICATION, page)  # type: ignore[arg-type]
        self.poller = Poller(PageSource(self.pinot, found, {"p2": total}), 0.5)
        settings = load(app="visits", app_dir=Path(__file__).parent)
        app = create_app(settings, visits.APPLICATION, page, self.poller)  # type: ignore[arg-type]
        self.serving = Serving(app.server)
        self.url = f"http://127.0.0.1:{self.serving.port}/"

    def stop(self) -> None:
        self.serving.stop()
        self.poller.stop()
