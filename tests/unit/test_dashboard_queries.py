"""What the dashboard asks of Pinot, and what it makes of the answers."""

from collections.abc import Mapping
from typing import Any

import pytest
from dashboard_data import H22, H23, NEXT

from pipeline.dashboard import queries
from pipeline.dashboard.cubes import LATEST_SALES, CubeCache, LatestSales, MinuteCache, Paced
from pipeline.dashboard.queries import PinotSource, cells
from pipeline.dashboard.snapshot import Cell, Cells, Recent, Sale, Session, Window
from pipeline.errors import QueryError
from pipeline.timebase import HOUR_MS

Rows = list[dict[str, Any]]


class FakePinot:
    """Answers each query with the rows that were set for it; remembers parameters."""

    def __init__(self) -> None:
        self.rows: dict[str, Rows] = {}
        self.asked: list[tuple[str, Mapping[str, Any] | None]] = []

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> Rows:
        self.asked.append((sql, params))
        return self.rows.get(sql, [])


@pytest.fixture
def pinot() -> FakePinot:
    fake = FakePinot()
    fake.rows = {
        queries.PAGEVIEWS_BY_GROUP: [
            {"page_group": "Other", "n": 2, "newest": 50},
            {"page_group": "Fashion", "n": 9, "newest": 70},
        ],
        queries.PAGEVIEWS_BY_REGION: [{"region_name": "North", "n": 4, "newest": 40}],
        queries.PAGEVIEWS_TUMBLING: [{"page_group": "Fashion", "start_ms": H22, "n": 11.0}],
        queries.PAGEVIEW_SESSIONS: [{"page_group": "Fashion", "start_ms": H22, "end_ms": H23, "n": 11}],
        queries.ACTIVE_USERS: [{"n": 3}],
        queries.ACTIVE_USERS_BY_REGION: [{"region_name": "North", "n": 2}],
        queries.SALES_BY_GROUP: [{"product_group": "Fashion", "start_ms": H22, "n": 12_345, "newest": 90}],
        queries.SALES_BY_REGION: [{"region_name": "North", "start_ms": H22, "n": 12_345}],
        queries.SALES_HOPPING: [{"product_group": "Fashion", "start_ms": H22, "n": 7}],
        queries.SALE_SESSIONS: [{"product_group": "Fashion", "start_ms": H22, "end_ms": H23, "n": 12_345}],
        queries.SALES_AHEAD: [{"product_group": "Fashion", "region_name": "South", "n": 1}],
        queries.USERS_BY_REGION: [{"region_id": "Region_2", "n": 3.0, "ever": 5, "newest": 60.0}],
        queries.PAGEVIEW_CUBE: [
            {"start_ms": H22, "page_group": "Fashion", "region_id": "Region_2", "region_name": "North", "n": 4}
        ],
        queries.SALES_CUBE: [
            {
                "start_ms": H22,
                "product_group": "Fashion",
                "region_id": "Region_6",
                "region_name": "South",
                "n": 12_345.0,
            }
        ],
    }
    return fake


def test_one_refresh_brings_everything(pinot: FakePinot) -> None:
    data = PinotSource(pinot, HOUR_MS)()
    assert data.pageviews_by_group == (Cell("Fashion", "", 0, 9), Cell("Other", "", 0, 2))
    assert data.pageviews_by_region == (Cell("", "North", 0, 4),)
    assert data.pageviews_tumbling == (Cell("Fashion", "", H22, 11),)
    assert data.sales_by_group == (Cell("Fashion", "", H22, 12_345),)
    assert data.sales_by_region == (Cell("", "North", H22, 12_345),)
    assert data.sales_cube == (Window(H22, (Cell("Fashion", "South", H22, 12_345),)),)
    assert data.pageview_cube == (Window(H22, (Cell("Fashion", "North", H22, 4),)),)
    assert data.sessions[0].end_ms == H23
    assert data.sales_hopping == (Cell("Fashion", "", H22, 7),)
    assert data.sale_sessions == (Session("Fashion", H22, H23, 12_345),)
    assert data.sales_ahead == (Cell("Fashion", "South", 0, 1),)
    assert data.users_ever == 5
    assert data.recent.users == (("", 3), ("North", 2))
    assert data.users_by_region == (Cell("", "Region_2", 0, 3),)
    assert data.region_ids == (("Region_2", "North"), ("Region_6", "South"))
    assert data.newest_event_ms == 90
    assert [sql for sql, _ in pinot.asked].count(queries.SALES_CUBE) == 1
    assert len(pinot.asked) == len(queries.ALL) + 2  # the last hour's users and those of the hour before


def test_what_is_dated_ahead_is_neither_new_nor_among_the_latest(pinot: FakePinot) -> None:
    ahead = {"product_group": "Fashion", "start_ms": NEXT + HOUR_MS, "n": 1, "newest": NEXT + HOUR_MS + 5}
    pinot.rows[queries.SALES_BY_GROUP].append(ahead)
    data = PinotSource(pinot, HOUR_MS, lambda: NEXT + 5)()
    assert dict(data.newest_ms)["sales"] == 90
    asked = {sql: params["end_ms"] for sql, params in pinot.asked if params and "end_ms" in params}
    wanted = (queries.LATEST, queries.SALES_AHEAD, queries.PAGEVIEW_SESSIONS, queries.SALE_SESSIONS)
    assert asked == dict.fromkeys(wanted, NEXT + HOUR_MS)


def test_equal_answers_in_another_order_are_equal_data(pinot: FakePinot) -> None:
    source = PinotSource(pinot, HOUR_MS)
    first = source()
    pinot.rows[queries.PAGEVIEWS_BY_GROUP].reverse()
    assert source() == first


def test_cubes_are_asked_for_changed_windows_only(pinot: FakePinot) -> None:
    source = PinotSource(pinot, HOUR_MS)
    source()
    pinot.asked.clear()
    source()
    assert len(pinot.asked) == len(queries.EVERY_TICK)
    pinot.rows[queries.SALES_BY_REGION].append({"region_name": "South", "start_ms": NEXT, "n": 1})
    pinot.asked.clear()
    source()
    params = [params for sql, params in pinot.asked if sql == queries.SALES_CUBE]
    assert params == [{"granularity": "3600000:MILLISECONDS", "from_ms": NEXT, "to_ms": NEXT + HOUR_MS}]


def test_an_empty_pinot_is_no_data(pinot: FakePinot) -> None:
    pinot.rows.clear()
    data = PinotSource(pinot, HOUR_MS)()
    assert data.newest_event_ms is None
    assert data.sales_cube == data.pageviews_by_group == ()


def test_an_answer_cut_off_by_the_limit_is_an_error(pinot: FakePinot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "LIMIT", 2)
    with pytest.raises(QueryError, match="at most 1 rows of a table"):
        PinotSource(pinot, HOUR_MS)()


def test_a_null_dimension_is_the_empty_string() -> None:
    assert cells([{"product_group": "", "region_name": None, "n": 1}]) == (Cell("", "", 0, 1),)


def flat(windows: tuple[Window, ...]) -> Cells:
    return tuple(cell for window in windows for cell in window.cells)


def test_windows_that_did_not_change_are_the_same_objects() -> None:
    cube = Cube((Cell("a", "N", H22, 1), Cell("a", "N", H23, 2)))
    cache = CubeCache(cube.fetch, HOUR_MS)
    before = cache.refresh(cube.totals())
    cube.rows = (cube.rows[0], Cell("a", "N", H23, 5))
    after = cache.refresh(cube.totals())
    assert after[0] is before[0]
    assert after[1] is not before[1]


MINUTE = 60_000
WHOLE, TAIL = (NEXT - 119 * MINUTE, NEXT + MINUTE), (NEXT - 4 * MINUTE, NEXT + MINUTE)


def test_minutes_are_read_whole_until_they_stand_still_and_then_at_the_tail() -> None:
    cube = Cube(tuple(Cell("", "N", NEXT - n * MINUTE, n) for n in range(1, 130)))
    cache = MinuteCache(cube.fetch)
    assert len(cache.refresh(NEXT, 0.0)) == 120
    for now_s in (10.0, 20.0, 30.0, 311.0):
        assert len(cache.refresh(NEXT + MINUTE, now_s)) == 119
    assert cube.reads == [(NEXT - 120 * MINUTE, NEXT), WHOLE, TAIL, TAIL, WHOLE]


def test_minutes_that_workers_catch_up_with_are_not_missed() -> None:
    past = tuple(Cell("", "N", NEXT - n * MINUTE, 1) for n in range(60, 100))
    caught_up = tuple(Cell("", "N", NEXT - n * MINUTE, 1) for n in range(100))
    cube = Cube(())
    cache = MinuteCache(cube.fetch)
    for now_s, rows in ((0.0, ()), (10.0, past), (20.0, past), (30.0, caught_up), (40.0, caught_up), (50.0, caught_up)):
        cube.rows = rows
        assert len(cache.refresh(NEXT + MINUTE, now_s)) == len(rows)
    assert cube.reads == [WHOLE] * 5 + [TAIL]


def test_what_is_slow_is_asked_now_and_then() -> None:
    clock, asked = [0.0], []

    def ask(minute_ms: int) -> Recent:
        asked.append(minute_ms)
        return Recent(minute_ms)

    paced = Paced(ask, lambda: clock[0])
    for second in (0.0, 1.0, 9.9, 10.0):
        clock[0] = second
        paced.refresh(NEXT + 59_999)
    assert asked == [NEXT, NEXT]


def test_latest_sales_are_asked_from_the_oldest_that_is_shown() -> None:
    asked = []
    sales = [Sale(n, n, "p", "g", "r", 1, 1) for n in range(LATEST_SALES + 50)]

    def ask(from_ms: int) -> list[Sale]:
        asked.append(from_ms)
        return [sale for sale in sales if sale.event_time_ms >= from_ms]

    latest = LatestSales(ask)
    assert latest.refresh()[0].sale_id == LATEST_SALES + 49
    assert len(latest.refresh()) == LATEST_SALES
    assert asked == [0, 50]


class Cube:
    """A table of cells that counts what is read."""

    def __init__(self, rows: Cells) -> None:
        self.rows = rows
        self.reads: list[tuple[int, int]] = []

    def fetch(self, lo: int, hi: int) -> Cells:
        self.reads.append((lo, hi))
        return tuple(cell for cell in self.rows if lo <= cell.start_ms < hi)

    def totals(self) -> Cells:
        return tuple(Cell("", cell.region, cell.start_ms, cell.value) for cell in self.rows)


def test_the_cache_follows_the_table_through_changes_and_expiry() -> None:
    cube = Cube((Cell("a", "N", H22, 1), Cell("a", "N", H23, 2), Cell("b", "S", H23, 3)))
    cache = CubeCache(cube.fetch, HOUR_MS)
    assert flat(cache.refresh(cube.totals())) == cube.rows
    assert cube.reads == [(H22, NEXT)]
    cube.rows = (*cube.rows[:2], Cell("b", "S", H23, 30), Cell("c", "S", NEXT, 4))
    assert flat(cache.refresh(cube.totals())) == cube.rows
    assert cube.reads[1:] == [(H23, NEXT + HOUR_MS)]
    assert flat(cache.refresh(cube.totals())) == cube.rows
    assert len(cube.reads) == 2
    cube.rows = cube.rows[1:]  # the oldest window has left the retention
    assert flat(cache.refresh(cube.totals())) == cube.rows
    assert len(cube.reads) == 2


def test_a_failed_read_is_tried_again() -> None:
    cube = Cube((Cell("a", "N", H22, 1),))
    answers = [QueryError("away")]

    def fetch(lo: int, hi: int) -> Cells:
        if answers:
            raise answers.pop()
        return cube.fetch(lo, hi)

    cache = CubeCache(fetch, HOUR_MS)
    with pytest.raises(QueryError):
        cache.refresh(cube.totals())
    assert flat(cache.refresh(cube.totals())) == cube.rows
