"""What the dashboard asks of Pinot, and what it makes of the answers."""

from collections.abc import Mapping
from typing import Any

import pytest
from dashboard_data import H22, H23, NEXT

from pipeline.dashboard import queries
from pipeline.dashboard.queries import CubeCache, PinotSource, cells
from pipeline.dashboard.snapshot import Cell, Cells
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
        queries.PAGEVIEWS_BY_REGION: [{"region_name": "North", "n": 4}],
        queries.PAGEVIEW_WINDOWS: [{"start_ms": H22, "n": 11.0}],
        queries.SALES_BY_GROUP: [{"product_group": "Fashion", "start_ms": H22, "n": 12_345, "newest": 90}],
        queries.SALES_BY_REGION: [{"region_name": "North", "start_ms": H22, "n": 12_345}],
        queries.USERS_BY_REGION: [{"region_id": "Region_2", "n": 3, "newest": 60.0}],
        queries.PAGEVIEW_CUBE: [{"start_ms": H22, "region_id": "Region_2", "region_name": "North", "n": 4}],
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
    assert data.pageview_windows == (Cell("", "", H22, 11),)
    assert data.sales_by_group == (Cell("Fashion", "", H22, 12_345),)
    assert data.sales_by_region == (Cell("", "North", H22, 12_345),)
    assert data.sales_cube == (Cell("Fashion", "South", H22, 12_345),)
    assert data.pageview_cube == (Cell("", "North", H22, 4),)
    assert data.users_by_region == (Cell("", "Region_2", 0, 3),)
    assert data.region_ids == (("Region_2", "North"), ("Region_6", "South"))
    assert data.newest_event_ms == 90
    assert [sql for sql, _ in pinot.asked].count(queries.SALES_CUBE) == 1
    assert len(pinot.asked) == len(queries.ALL)


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
    assert len(pinot.asked) == len(queries.ALL) - 2
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
    assert cache.refresh(cube.totals()) == cube.rows
    assert cube.reads == [(H22, NEXT)]
    cube.rows = (*cube.rows[:2], Cell("b", "S", H23, 30), Cell("c", "S", NEXT, 4))
    assert cache.refresh(cube.totals()) == cube.rows
    assert cube.reads[1:] == [(H23, NEXT + HOUR_MS)]
    assert cache.refresh(cube.totals()) == cube.rows
    assert len(cube.reads) == 2
    cube.rows = cube.rows[1:]  # the oldest window has left the retention
    assert cache.refresh(cube.totals()) == cube.rows
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
    assert cache.refresh(cube.totals()) == cube.rows
