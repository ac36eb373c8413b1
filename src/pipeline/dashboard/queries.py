"""Asks Pinot for everything that the page shows, once for all viewers.

Totals and windows come from the output tables. What combines two filters (product group and region; region and
date) comes from the enriched streams as cubes by window; of these only the windows whose totals changed are asked for
again, so that a refresh does not read the whole retention every second.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from pipeline.dashboard.snapshot import Cell, Cells, Data
from pipeline.errors import QueryError

LIMIT = 100_000

PAGEVIEWS_BY_GROUP = f"""
SELECT page_group AS page_group, count_view AS n, event_time_ms AS newest
FROM PAGEVIEWS_BY_PAGEGROUP_TABLE LIMIT {LIMIT}"""

PAGEVIEWS_BY_REGION = f"""
SELECT region_name AS region_name, count_view AS n
FROM PAGEVIEWS_BY_REGION_TABLE LIMIT {LIMIT}"""

PAGEVIEW_WINDOWS = f"""
SELECT window_start_ms AS start_ms, SUM(total_pageview) AS n
FROM TOTAL_PAGEVIEW_BY_PAGEGROUP_TUMBLING_WINDOW GROUP BY window_start_ms LIMIT {LIMIT}"""

SALES_BY_GROUP = f"""
SELECT product_group AS product_group, window_start_ms AS start_ms, total_sales_cents AS n, event_time_ms AS newest
FROM TOTAL_SALES_BY_PRODUCTGROUP_TUMBLING_WINDOW LIMIT {LIMIT}"""

SALES_BY_REGION = f"""
SELECT region_name AS region_name, window_start_ms AS start_ms, total_sales_cents AS n
FROM TOTAL_SALES_BY_REGION_TUMBLING_WINDOW LIMIT {LIMIT}"""

USERS_BY_REGION = f"""
SELECT regionid AS region_id, COUNT(*) AS n, MAX(event_time_ms) AS newest
FROM USER_TRANSFORMED_TABLE GROUP BY regionid LIMIT {LIMIT}"""

_WINDOW = "DATETIMECONVERT(event_time_ms, '1:MILLISECONDS:EPOCH', '1:MILLISECONDS:EPOCH', %(granularity)s)"

PAGEVIEW_CUBE = f"""
SELECT {_WINDOW} AS start_ms, regionid AS region_id, region_name AS region_name, COUNT(*) AS n
FROM EXTENDED_PAGEVIEWS_STREAM
WHERE event_time_ms >= %(from_ms)s AND event_time_ms < %(to_ms)s AND region_name <> ''
GROUP BY {_WINDOW}, regionid, region_name LIMIT {LIMIT}"""

SALES_CUBE = f"""
SELECT {_WINDOW} AS start_ms, product_group AS product_group, region_id AS region_id, region_name AS region_name,
       SUM(sales_amount_cents) AS n
FROM EXTENDED_FLASHSALES_STREAM
WHERE event_time_ms >= %(from_ms)s AND event_time_ms < %(to_ms)s AND product_group <> '' AND region_name <> ''
GROUP BY {_WINDOW}, product_group, region_id, region_name LIMIT {LIMIT}"""

ALL = (
    PAGEVIEWS_BY_GROUP,
    PAGEVIEWS_BY_REGION,
    PAGEVIEW_WINDOWS,
    SALES_BY_GROUP,
    SALES_BY_REGION,
    USERS_BY_REGION,
    PAGEVIEW_CUBE,
    SALES_CUBE,
)

Row = Mapping[str, Any]


class Client(Protocol):
    """What is needed of `pipeline.serving.pinot.Pinot`."""

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a query."""


class PinotSource:
    """One call is one refresh: all queries, and the data that they make. Raises QueryError when one fails."""

    def __init__(self, client: Client, size_ms: int) -> None:
        self._client = client
        self._region_ids: dict[str, str] = {}
        self._pageviews = CubeCache(lambda lo, hi: self._cube(PAGEVIEW_CUBE, size_ms, lo, hi), size_ms)
        self._sales = CubeCache(lambda lo, hi: self._cube(SALES_CUBE, size_ms, lo, hi), size_ms)

    def __call__(self) -> Data:
        pageviews = self._rows(PAGEVIEWS_BY_GROUP)
        pageview_windows = cells(self._rows(PAGEVIEW_WINDOWS))
        sales = self._rows(SALES_BY_GROUP)
        sales_by_region = cells(self._rows(SALES_BY_REGION))
        users = self._rows(USERS_BY_REGION)
        return Data(
            pageviews_by_group=cells(pageviews),
            pageviews_by_region=cells(self._rows(PAGEVIEWS_BY_REGION)),
            pageview_windows=pageview_windows,
            pageview_cube=self._pageviews.refresh(pageview_windows),
            sales_by_group=cells(sales),
            sales_by_region=sales_by_region,
            sales_cube=self._sales.refresh(sales_by_region),
            users_by_region=cells(users, region="region_id"),
            region_ids=tuple(sorted(self._region_ids.items())),
            newest_event_ms=max((int(row["newest"]) for row in (*pageviews, *sales, *users)), default=None),
        )

    def _rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        rows = self._client.query(sql, params)
        if len(rows) >= LIMIT:
            raise QueryError(f"the dashboard shows at most {LIMIT - 1:,} rows of a table, but Pinot has more: {sql}")
        return rows

    def _cube(self, sql: str, size_ms: int, from_ms: int, to_ms: int) -> Cells:
        rows = self._rows(sql, {"granularity": f"{size_ms}:MILLISECONDS", "from_ms": from_ms, "to_ms": to_ms})
        self._region_ids.update({row["region_id"]: row["region_name"] for row in rows})
        return cells(rows)


class CubeCache:
    """The cells of a cube by window; `fetch(from_ms, to_ms)` is asked for the span of windows whose totals changed."""

    def __init__(self, fetch: Callable[[int, int], Cells], size_ms: int) -> None:
        self._fetch = fetch
        self._size_ms = size_ms
        self._totals: dict[int, int] = {}
        self._cells: Cells = ()

    def refresh(self, windows: Iterable[Cell]) -> Cells:
        """The cube as of now; `windows` are the current totals."""
        totals: dict[int, int] = {}
        for cell in windows:
            totals[cell.start_ms] = totals.get(cell.start_ms, 0) + cell.value
        changed = [start for start, total in totals.items() if self._totals.get(start) != total]
        kept = [cell for cell in self._cells if cell.start_ms in totals]
        if changed:
            lo, hi = min(changed), max(changed) + self._size_ms
            fresh = self._fetch(lo, hi)
            kept = [cell for cell in kept if not lo <= cell.start_ms < hi]
            kept.extend(fresh)
        self._cells, self._totals = tuple(sorted(kept)), totals
        return self._cells


def cells(rows: Iterable[Row], region: str = "region_name") -> Cells:
    """Rows as sorted cells; Pinot's SUM is a double, which holds whole numbers exactly up to 2**53."""
    return tuple(
        sorted(
            Cell(
                row.get("product_group") or row.get("page_group") or "",
                row.get(region) or "",
                int(row.get("start_ms") or 0),
                int(row["n"]),
            )
            for row in rows
        )
    )
