"""Asks Pinot for everything that the page shows, once for all viewers.

Totals and windows come from the output tables. What combines two filters (product group and region; region and
date) comes from the enriched streams as cubes by window; of these only the windows whose totals changed are asked for
again, so that a refresh does not read the whole retention every second.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any, Protocol

from pipeline.dashboard.choices import window_end_ms
from pipeline.dashboard.cubes import KEPT_MS, LATEST_SALES, CubeCache, LatestSales, MinuteCache, Paced
from pipeline.dashboard.snapshot import Cell, Cells, Data, Recent, Sale, Session
from pipeline.errors import QueryError
from pipeline.timebase import HOUR_MS, MINUTE_MS, now_ms

LIMIT = 100_000
SESSIONS = 200
QUERIES_AT_ONCE = 6
USER_BUCKET_MS = 10 * MINUTE_MS

PAGEVIEWS_BY_GROUP = f"""
SELECT page_group AS page_group, count_view AS n, event_time_ms AS newest
FROM PAGEVIEWS_BY_PAGEGROUP_TABLE LIMIT {LIMIT}"""

PAGEVIEWS_BY_REGION = f"""
SELECT region_name AS region_name, count_view AS n, event_time_ms AS newest
FROM PAGEVIEWS_BY_REGION_TABLE LIMIT {LIMIT}"""

PAGEVIEWS_TUMBLING = f"""
SELECT page_group AS page_group, window_start_ms AS start_ms, total_pageview AS n
FROM TOTAL_PAGEVIEW_BY_PAGEGROUP_TUMBLING_WINDOW LIMIT {LIMIT}"""

PAGEVIEWS_HOPPING = f"""
SELECT page_group AS page_group, window_start_ms AS start_ms, total_pageview AS n
FROM TOTAL_PAGEVIEW_BY_PAGEGROUP_HOPPING_WINDOW LIMIT {LIMIT}"""

PAGEVIEW_SESSIONS = f"""
SELECT page_group AS page_group, window_start_ms AS start_ms, window_end_ms AS end_ms, total_pageview AS n
FROM TOTAL_PAGEVIEW_BY_PAGEGROUP_SESSION_WINDOW WHERE retired = false AND window_start_ms < %(end_ms)s
ORDER BY window_end_ms DESC LIMIT {SESSIONS}"""

SALES_HOPPING = f"""
SELECT product_group AS product_group, window_start_ms AS start_ms, total_sales_cents AS n
FROM TOTAL_SALES_BY_PRODUCTGROUP_HOPPING_WINDOW LIMIT {LIMIT}"""

SALE_SESSIONS = f"""
SELECT product_group AS product_group, window_start_ms AS start_ms, window_end_ms AS end_ms, total_sales_cents AS n
FROM TOTAL_SALES_BY_PRODUCTGROUP_SESSION_WINDOW WHERE retired = false AND window_start_ms < %(end_ms)s
ORDER BY window_end_ms DESC LIMIT {SESSIONS}"""

SALES_BY_GROUP = f"""
SELECT product_group AS product_group, window_start_ms AS start_ms, total_sales_cents AS n, event_time_ms AS newest
FROM TOTAL_SALES_BY_PRODUCTGROUP_TUMBLING_WINDOW LIMIT {LIMIT}"""

SALES_BY_REGION = f"""
SELECT region_name AS region_name, window_start_ms AS start_ms, total_sales_cents AS n
FROM TOTAL_SALES_BY_REGION_TUMBLING_WINDOW LIMIT {LIMIT}"""

USERS_BY_REGION = f"""
SELECT regionid AS region_id, SUM(CASE WHEN retired = false THEN 1 ELSE 0 END) AS n, COUNT(*) AS ever,
       MAX(event_time_ms) AS newest
FROM USER_TRANSFORMED_TABLE GROUP BY regionid LIMIT {LIMIT}"""

_WINDOW = "DATETIMECONVERT(event_time_ms, '1:MILLISECONDS:EPOCH', '1:MILLISECONDS:EPOCH', %(granularity)s)"
_SPAN = "event_time_ms >= %(from_ms)s AND event_time_ms < %(to_ms)s"

PAGEVIEW_CUBE = f"""
SELECT {_WINDOW} AS start_ms, page_group AS page_group, regionid AS region_id, region_name AS region_name,
       COUNT(*) AS n
FROM EXTENDED_PAGEVIEWS_STREAM
WHERE {_SPAN} AND region_name <> ''
GROUP BY {_WINDOW}, page_group, regionid, region_name LIMIT {LIMIT}"""

SALES_CUBE = f"""
SELECT {_WINDOW} AS start_ms, product_group AS product_group, region_id AS region_id, region_name AS region_name,
       product_name AS product_name, SUM(sales_amount_cents) AS n
FROM EXTENDED_FLASHSALES_STREAM
WHERE {_SPAN} AND product_group <> '' AND region_name <> ''
GROUP BY {_WINDOW}, product_group, region_id, region_name, product_name LIMIT {LIMIT}"""

PAGEVIEW_MINUTES = f"""
SELECT {_WINDOW} AS start_ms, page_group AS page_group, region_name AS region_name, COUNT(*) AS n
FROM EXTENDED_PAGEVIEWS_STREAM WHERE {_SPAN}
GROUP BY {_WINDOW}, page_group, region_name LIMIT {LIMIT}"""

SALES_MINUTES = f"""
SELECT {_WINDOW} AS start_ms, product_group AS product_group, region_name AS region_name, SUM(sales_amount_cents) AS n
FROM EXTENDED_FLASHSALES_STREAM
WHERE {_SPAN} AND product_group <> '' AND region_name <> ''
GROUP BY {_WINDOW}, product_group, region_name LIMIT {LIMIT}"""

ACTIVE_USERS = f"SELECT DISTINCTCOUNT(userid) AS n FROM EXTENDED_PAGEVIEWS_STREAM WHERE {_SPAN} LIMIT 1"

ACTIVE_USERS_BY_REGION = f"""
SELECT region_name AS region_name, DISTINCTCOUNT(userid) AS n
FROM EXTENDED_PAGEVIEWS_STREAM WHERE {_SPAN} AND region_name <> '' GROUP BY region_name LIMIT {LIMIT}"""

ACTIVE_USERS_BY_BUCKET = f"""
SELECT {_WINDOW} AS start_ms, DISTINCTCOUNT(userid) AS n
FROM EXTENDED_PAGEVIEWS_STREAM WHERE {_SPAN} GROUP BY {_WINDOW} LIMIT {LIMIT}"""

ACTIVE_USERS_BY_BUCKET_AND_REGION = f"""
SELECT {_WINDOW} AS start_ms, region_name AS region_name, DISTINCTCOUNT(userid) AS n
FROM EXTENDED_PAGEVIEWS_STREAM WHERE {_SPAN} AND region_name <> '' GROUP BY {_WINDOW}, region_name LIMIT {LIMIT}"""

LATEST = f"""
SELECT event_time_ms AS event_time_ms, sale_id AS sale_id, product_name AS product_name,
       product_group AS product_group, region_name AS region_name, quantity AS quantity, sales_amount_cents AS n
FROM EXTENDED_FLASHSALES_STREAM WHERE event_time_ms >= %(from_ms)s AND event_time_ms < %(end_ms)s
ORDER BY event_time_ms DESC, sale_id DESC LIMIT {LATEST_SALES}"""

SALES_AHEAD = f"""
SELECT product_group AS product_group, region_name AS region_name, COUNT(*) AS n
FROM EXTENDED_FLASHSALES_STREAM WHERE event_time_ms >= %(end_ms)s
GROUP BY product_group, region_name LIMIT {LIMIT}"""

EVERY_TICK = (
    PAGEVIEWS_BY_GROUP,
    PAGEVIEWS_BY_REGION,
    PAGEVIEWS_TUMBLING,
    PAGEVIEWS_HOPPING,
    PAGEVIEW_SESSIONS,
    SALES_BY_GROUP,
    SALES_BY_REGION,
    SALES_HOPPING,
    SALE_SESSIONS,
    SALES_AHEAD,
    USERS_BY_REGION,
    LATEST,
)
ON_CHANGE = (PAGEVIEW_CUBE, SALES_CUBE)
NOW_AND_THEN = (
    PAGEVIEW_MINUTES,
    SALES_MINUTES,
    ACTIVE_USERS,
    ACTIVE_USERS_BY_REGION,
    ACTIVE_USERS_BY_BUCKET,
    ACTIVE_USERS_BY_BUCKET_AND_REGION,
)
ALL = (*EVERY_TICK, *ON_CHANGE, *NOW_AND_THEN)

Row = Mapping[str, Any]


class Client(Protocol):
    """What is needed of `pipeline.serving.pinot.Pinot`."""

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a query."""


class PinotSource:
    """One call is one refresh: all queries, several at a time, and the data that they make.

    Raises QueryError when one fails.
    """

    def __init__(self, client: Client, size_ms: int, clock_ms: Callable[[], int] = now_ms) -> None:
        self._client = client
        self._size_ms = size_ms
        self._clock_ms = clock_ms
        self._region_ids: dict[str, str] = {}
        self._pageviews = CubeCache(lambda lo, hi: self._cube(PAGEVIEW_CUBE, lo, hi), size_ms)
        self._sales = CubeCache(lambda lo, hi: self._cube(SALES_CUBE, lo, hi), size_ms)
        self._pageview_minutes = MinuteCache(lambda lo, hi: self._minutes(PAGEVIEW_MINUTES, lo, hi))
        self._sales_minutes = MinuteCache(lambda lo, hi: self._minutes(SALES_MINUTES, lo, hi))
        self._recent = Paced(self._ask_recent)
        self._latest = LatestSales(self._ask_latest)
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self) -> Data:
        if self._pool is None:  # the first call comes from the process that serves, after its fork
            self._pool = ThreadPoolExecutor(QUERIES_AT_ONCE, "pinot-query")
        ask = self._pool.submit
        end_ms = window_end_ms(self._clock_ms(), self._size_ms)
        latest = ask(self._latest.refresh)
        found: dict[str, Future[list[dict[str, Any]]]] = {
            sql: ask(self._rows, sql, {"end_ms": end_ms} if "%(end_ms)s" in sql else None)
            for sql in EVERY_TICK
            if sql is not LATEST
        }
        sales_by_region = cells(found[SALES_BY_REGION].result())
        sales_cube = ask(self._sales.refresh, sales_by_region)
        tumbling = cells(found[PAGEVIEWS_TUMBLING].result())
        pageview_cube = ask(self._pageviews.refresh, tumbling)
        pageviews, regions = found[PAGEVIEWS_BY_GROUP].result(), found[PAGEVIEWS_BY_REGION].result()
        sales, users = found[SALES_BY_GROUP].result(), found[USERS_BY_REGION].result()
        in_time = [row for row in sales if row["start_ms"] < end_ms]
        newest = {"pageviews": pageviews, "regions": regions, "sales": in_time, "users": users}
        return Data(
            pageviews_by_group=cells(pageviews),
            pageviews_by_region=cells(regions),
            pageviews_tumbling=tumbling,
            pageviews_hopping=cells(found[PAGEVIEWS_HOPPING].result()),
            sessions=sessions(found[PAGEVIEW_SESSIONS].result()),
            sales_hopping=cells(found[SALES_HOPPING].result()),
            sale_sessions=sessions(found[SALE_SESSIONS].result()),
            sales_ahead=cells(found[SALES_AHEAD].result()),
            pageview_cube=pageview_cube.result(),
            sales_by_group=cells(sales),
            sales_by_region=sales_by_region,
            sales_cube=sales_cube.result(),
            users_by_region=cells(users, region="region_id"),
            users_ever=sum(int(row["ever"]) for row in users),
            region_ids=tuple(sorted(self._region_ids.items())),
            latest_sales=latest.result(),
            recent=self._recent.refresh(self._clock_ms()),
            newest_ms=tuple((name, max(int(row["newest"]) for row in rows)) for name, rows in newest.items() if rows),
        )

    def close(self) -> None:
        """End the threads; a later call starts new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        rows = self._client.query(sql, params)
        if len(rows) >= LIMIT:
            raise QueryError(f"the dashboard shows at most {LIMIT - 1:,} rows of a table, but Pinot has more: {sql}")
        return rows

    def _cube(self, sql: str, from_ms: int, to_ms: int) -> Cells:
        rows = self._rows(sql, {"granularity": f"{self._size_ms}:MILLISECONDS", "from_ms": from_ms, "to_ms": to_ms})
        self._region_ids.update({row["region_id"]: row["region_name"] for row in rows})
        return cells(rows)

    def _minutes(self, sql: str, from_ms: int, to_ms: int) -> Cells:
        return cells(self._rows(sql, {"granularity": "1:MINUTES", "from_ms": from_ms, "to_ms": to_ms}))

    def _ask_recent(self, minute_ms: int) -> Recent:
        span = {"from_ms": minute_ms - KEPT_MS, "to_ms": minute_ms, "granularity": f"{USER_BUCKET_MS}:MILLISECONDS"}
        return Recent(
            minute_ms,
            self._pageview_minutes.refresh(minute_ms, monotonic()),
            self._sales_minutes.refresh(minute_ms, monotonic()),
            self._users(minute_ms - HOUR_MS, minute_ms),
            self._users(minute_ms - KEPT_MS, minute_ms - HOUR_MS),
            cells([*self._rows(ACTIVE_USERS_BY_BUCKET, span), *self._rows(ACTIVE_USERS_BY_BUCKET_AND_REGION, span)]),
        )

    def _users(self, from_ms: int, to_ms: int) -> tuple[tuple[str, int], ...]:
        span = {"from_ms": from_ms, "to_ms": to_ms}
        everywhere = [("", int(row["n"])) for row in self._rows(ACTIVE_USERS, span)]
        by_region = sorted((row["region_name"], int(row["n"])) for row in self._rows(ACTIVE_USERS_BY_REGION, span))
        return (*everywhere, *by_region)

    def _ask_latest(self, from_ms: int) -> list[Sale]:
        end_ms = window_end_ms(self._clock_ms(), self._size_ms)
        return [
            Sale(
                int(row["event_time_ms"]),
                int(row["sale_id"]),
                row["product_name"] or "",
                row["product_group"] or "",
                row["region_name"] or "",
                int(row["quantity"]),
                int(row["n"]),
            )
            for row in self._rows(LATEST, {"from_ms": from_ms, "end_ms": end_ms})
        ]


def cells(rows: Iterable[Row], region: str = "region_name") -> Cells:
    """Rows as sorted cells; Pinot's SUM is a double, which holds whole numbers exactly up to 2**53."""
    return tuple(
        sorted(
            Cell(
                _group(row),
                row.get(region) or "",
                int(row.get("start_ms") or 0),
                int(row["n"]),
                row.get("product_name") or "",
            )
            for row in rows
        )
    )


def sessions(rows: Iterable[Row]) -> tuple[Session, ...]:
    """Rows as sessions, sorted."""
    return tuple(sorted(Session(_group(row), int(row["start_ms"]), int(row["end_ms"]), int(row["n"])) for row in rows))


def _group(row: Row) -> str:
    return row.get("product_group") or row.get("page_group") or ""
