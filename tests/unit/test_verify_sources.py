"""What the verification keeps of the topics, and which joined rows it takes for possible."""

import time
from decimal import Decimal

import pytest

from pipeline import topics
from pipeline.applications.flash_sales import topology
from pipeline.declare.compiled import compiled
from pipeline.declare.expressions import cast
from pipeline.settings import Settings
from pipeline.tables.types import column_type
from pipeline.verify.as_of import RACE_MS
from pipeline.verify.compare import differences
from pipeline.verify.expected import Sources
from pipeline.verify.joins import JoinReport, check_views
from pipeline.verify.retention import Retention, removed_until_ms
from pipeline.verify.source_side import Enriched, References, Row, SourceRecord, sale_amount

PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
VIEW_COLUMNS = {"viewtime": 0, "userid": 1, "pageid": 2}
VIEW = {"viewtime": 1, "userid": "User_1", "pageid": "Page_10"}
USER_COLUMNS = {"userid": 0, "regionid": 1, "gender": 2}
PAGES = References({"Page_10": [{"page_group": "G", "page_name": "N"}]})
REGIONS = References({"Region_1": [{"region_name": "North"}], "Region_2": [{"region_name": "South"}]})
ENRICHED = {
    **VIEW,
    "page_group": "G",
    "page_name": "N",
    "regionid": "Region_1",
    "gender": "MALE",
    "region_name": "North",
    "event_time_ms": 5,
}


def user(regionid, gender="MALE", time_ms=1, offset=0):
    row = Row(USER_COLUMNS, {"userid": "User_1", "regionid": regionid, "gender": gender})
    return SourceRecord(0, offset, time_ms, "User_1", row)


def deleted(time_ms, offset):
    return SourceRecord(0, offset, time_ms, "User_1", None)


def joined(row=ENRICHED, users=None, time_ms=5, **kwargs):
    views = {(0, 0): SourceRecord(0, 0, time_ms, "User_1", Row(VIEW_COLUMNS, VIEW))}
    rows = {} if row is None else {(0, 0): (0, {**row, "event_time_ms": row["event_time_ms"] + time_ms - 5})}
    users = [user("Region_2", offset=0), user("Region_1", offset=1)] if users is None else users
    sources = Sources(views, {}, users, Enriched(rows, 0), Enriched({}, 0))
    return check_views(Settings(), sources, PAGES, REGIONS, **kwargs)


def wrong(*args, **kwargs):
    return joined(*args, **kwargs).wrong


def test_a_row_is_its_record_whatever_the_order_of_the_writers_fields():
    row = Row(VIEW_COLUMNS, dict(reversed(VIEW.items())))
    assert dict(row) == VIEW
    assert row == VIEW
    assert len(row) == 3
    with pytest.raises(KeyError):
        row["nothing"]


NOBODY = {**ENRICHED, "regionid": None, "gender": None, "region_name": None}
SOUTH = {**ENRICHED, "regionid": "Region_2", "region_name": "South"}
HOUR = 3_600_000


def test_a_view_meets_the_version_of_its_own_time():
    users = [user("Region_2", time_ms=1), user("Region_1", time_ms=HOUR, offset=1), deleted(2 * HOUR, 2)]
    for time_ms, row in ((1, SOUTH), (HOUR - 1, SOUTH), (HOUR, ENRICHED), (2 * HOUR - 1, ENRICHED), (2 * HOUR, NOBODY)):
        assert joined(row, users, time_ms) == JoinReport()
    assert joined(NOBODY, users, 0) == JoinReport()
    assert joined(NOBODY, []) == JoinReport()


def test_another_version_is_wrong_however_real_it_is():
    """It was taken for good: of 65,679 views 58,019 had another region than their user had at that time."""
    users = [
        user("Region_2", time_ms=1),
        user("Region_1", time_ms=HOUR, offset=1),
        user("Region_2", time_ms=9 * HOUR, offset=2),
    ]
    for time_ms, row in ((2 * HOUR, SOUTH), (10 * HOUR, ENRICHED), (2 * HOUR, NOBODY), (HOUR - 1, ENRICHED)):
        assert joined(row, users, time_ms) == JoinReport(wrong=1)


def test_all_rows_without_a_user_are_noticed():
    users = [user(f"Region_{1 + n % 2}", time_ms=n * HOUR, offset=n) for n in range(10)]
    assert sum(wrong(NOBODY, users, time_ms) for time_ms in range(HOUR, 10 * HOUR, HOUR)) == 9


def test_a_version_that_came_too_late_is_a_race_and_so_is_one_written_just_before():
    """How late it came is seen in its partition: a record of 9 o'clock lies before it, so it was written after that."""
    before = [user("Region_2", time_ms=1)]
    late = [*before, other("User_9", 9 * HOUR, 1), user("Region_1", time_ms=HOUR, offset=2)]
    assert joined(SOUTH, late, 2 * HOUR) == JoinReport(raced=1, first_raced_ms=2 * HOUR)
    assert joined(SOUTH, late, 9 * HOUR + RACE_MS) == JoinReport(raced=1, first_raced_ms=9 * HOUR + RACE_MS)
    assert joined(SOUTH, late, 9 * HOUR + RACE_MS + 1) == JoinReport(wrong=1)
    just_before = [*before, user("Region_1", time_ms=HOUR, offset=1)]
    assert joined(SOUTH, just_before, HOUR + RACE_MS) == JoinReport(raced=1, first_raced_ms=HOUR + RACE_MS)
    assert joined(NOBODY, just_before, HOUR + RACE_MS) == JoinReport(wrong=1)


def other(userid, time_ms, offset):
    row = Row(USER_COLUMNS, {"userid": userid, "regionid": "Region_1", "gender": "MALE"})
    return SourceRecord(0, offset, time_ms, userid, row)


def test_a_row_that_retention_may_have_removed_cannot_be_missed():
    assert joined(SOUTH, [], 2 * HOUR, users_removed=True) == JoinReport(unknown=1)
    assert joined(SOUTH, [user("Region_1")], 2 * HOUR, users_removed=True) == JoinReport(wrong=1)


@pytest.mark.parametrize(
    "change",
    [
        {"regionid": "Region_3"},
        {"gender": "OTHER"},
        {"region_name": "South"},
        {"page_group": "H"},
        {"event_time_ms": 6},
        {"userid": "User_2"},
    ],
)
def test_what_no_join_could_give_is_a_difference(change):
    assert wrong({**ENRICHED, **change}) == 1


def test_a_row_that_is_missing_is_a_difference():
    assert wrong(None) == 1


def test_many_versions_of_a_user_cost_little():
    times = range(0, 10_000 * 1_000, 1_000)
    views = {(0, n): SourceRecord(0, n, time_ms, "User_1", Row(VIEW_COLUMNS, VIEW)) for n, time_ms in enumerate(times)}
    rows = {origin: (0, {**ENRICHED, "event_time_ms": times[origin[1]]}) for origin in views}
    users = [user("Region_1", time_ms=time_ms, offset=n) for n, time_ms in enumerate(times)]
    began_s = time.monotonic()
    report = check_views(Settings(), Sources(views, {}, users, Enriched(rows, 0), Enriched({}, 0)), PAGES, REGIONS)
    assert report == JoinReport()
    assert time.monotonic() - began_s < 5


def test_amounts_are_rounded_half_up_sale_by_sale_as_the_worker_does():
    """A writer's scale of 4: the worker rounded, the check cut off."""
    declared = {"sale_price": column_type(PRICE), "quantity": column_type("int")}
    written = compiled(cast(topology.amount * 100, "BIGINT"), declared)
    for price, quantity in (("9.9950", 1), ("0.0149", 3), ("-0.005", 1), ("99999999.99", 9), ("0.0001", 50)):
        amount = sale_amount({"sale_price": Decimal(price), "quantity": quantity})
        assert amount is not None
        row = {"sale_price": [Decimal(price)], "quantity": [quantity]}
        assert written.column(row.__getitem__, 1) == ([int(amount * 100)], {})


def test_what_retention_removed_ends_with_the_oldest_record_left_and_the_disorder():
    events = [(0, 50), (1, 10), (0, 90), (0, 70), (1, 20)]
    assert removed_until_ms(events, {0: 0, 1: 0}) == -1
    assert removed_until_ms(events, {0: 3, 1: 0}) == 70
    assert removed_until_ms(events, {0: 3, 1: 5}) == 70
    assert removed_until_ms(events, {2: 3}) == float("inf")


def test_rows_that_cannot_be_recomputed_are_left_out_and_counted():
    settings = Settings()
    retention = Retention(
        views_until_ms=100, outputs_removed=frozenset({"TOTAL_PAGEVIEW_BY_PAGEGROUP_TUMBLING_WINDOW"})
    )
    windowed = {("G", start): {"total_pageview": 1} for start in (0, 100, 200, 300)}
    low, _, found = retention.comparable(
        settings, topics.PAGEVIEWS_TUMBLING, (windowed, windowed, {("G", 0): {}, ("G", 200): {}}), in_topic=True
    )
    assert (set(low), set(found)) == ({("G", 200)}, {("G", 200)})
    low, _, _ = retention.comparable(settings, topics.PAGEVIEWS_TUMBLING, (windowed, windowed, {}), in_topic=False)
    assert set(low) == {("G", 200), ("G", 300)}
    whole = {("G",): {"count_view": 1}}
    assert retention.comparable(settings, topics.PAGEVIEWS_BY_REGION, (whole, whole, whole), in_topic=False)[0] == {}
    assert (
        retention.comparable(settings, topics.SALES_BY_REGION, (windowed, windowed, windowed), in_topic=True)[0]
        == windowed
    )
    assert retention.left_out == {
        "TOTAL_PAGEVIEW_BY_PAGEGROUP_TUMBLING_WINDOW": 2,
        "PAGEVIEWS_BY_REGION_TABLE": 1,
        "TOTAL_SALES_BY_REGION_TUMBLING_WINDOW": 0,
    }


ROW = {"page_group": "G", "total_pageview": 5, "event_time_ms": 50, "window_end": "1970-01-01 00:00:00"}


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({}, False),
        ({"total_pageview": 7, "event_time_ms": 60}, False),
        ({"total_pageview": 10}, True),
        ({"event_time_ms": 99}, True),
        ({"event_time_ms": 49}, True),
        ({"window_end": "1971-01-01 00:00:00"}, True),
        ({"page_group": "H"}, True),
        ({"total_pageview": None}, True),
    ],
)
def test_between_two_cuts_every_column_is_held(change, differs):
    """Only counts were; a wrong time or sum went through wherever the sources were still being written."""
    low, high = {("G", 0): ROW}, {("G", 0): {**ROW, "total_pageview": 9, "event_time_ms": 80}}
    assert bool(differences(low, high, {("G", 0): {**ROW, **change}})) is differs


def test_between_two_cuts_a_user_has_one_of_the_rows_in_between():
    low, high = {("u",): {"gender": "A", "regionid": "1"}}, {("u",): {"gender": "C", "regionid": "3"}}
    between = {("u",): [{"gender": "B", "regionid": "2"}, high["u",]]}
    for row, differs in (({"gender": "B", "regionid": "2"}, False), ({"gender": "B", "regionid": "3"}, True)):
        assert bool(differences(low, high, {("u",): row}, between)) is differs
