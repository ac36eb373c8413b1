"""What the verification keeps of the topics, and which joined rows it takes for possible."""

import time

import pytest

from pipeline.verify.expected import Sources, check_views
from pipeline.verify.source_side import Enriched, References, Row, SourceRecord

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


def user(regionid, gender="MALE"):
    return SourceRecord(
        0, 0, 1, "User_1", Row(USER_COLUMNS, {"userid": "User_1", "regionid": regionid, "gender": gender})
    )


def wrong(row=ENRICHED, users=None):
    views = {(0, 0): SourceRecord(0, 0, 5, "User_1", Row(VIEW_COLUMNS, VIEW))}
    rows = {} if row is None else {(0, 0): (0, row)}
    users = [user("Region_2"), user("Region_1")] if users is None else users
    return check_views(Sources(views, {}, users, Enriched(rows, 0), Enriched({}, 0)), PAGES, REGIONS)


def test_a_row_is_its_record_whatever_the_order_of_the_writers_fields():
    row = Row(VIEW_COLUMNS, dict(reversed(VIEW.items())))
    assert dict(row) == VIEW
    assert row == VIEW
    assert len(row) == 3
    with pytest.raises(KeyError):
        row["nothing"]


def test_any_version_of_the_user_is_possible():
    assert wrong() == 0
    assert wrong({**ENRICHED, "regionid": "Region_2", "region_name": "South"}) == 0


def test_an_unknown_user_is_possible_and_a_deleted_one_too():
    nobody = {**ENRICHED, "regionid": None, "gender": None, "region_name": None}
    assert wrong(nobody) == 0
    assert wrong(nobody, [SourceRecord(0, 0, 1, "User_1", None)]) == 0


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
    views = {(0, n): SourceRecord(0, n, 5, "User_1", Row(VIEW_COLUMNS, VIEW)) for n in range(10_000)}
    rows = dict.fromkeys(views, (0, ENRICHED))
    users = [user("Region_2", str(n)) for n in range(10_000)] + [user("Region_1")]
    began_s = time.monotonic()
    assert check_views(Sources(views, {}, users, Enriched(rows, 0), Enriched({}, 0)), PAGES, REGIONS) == 0
    assert time.monotonic() - began_s < 5
