"""Which joined views the oracle of flash sales takes for possible: records by hand, no operator has a part in it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from judged import Judged, Lying, judged

from pipeline import topics
from pipeline.runner.local import PackagedSchemas
from pipeline.settings import Settings
from pipeline.topics import Topic
from pipeline.verify.flash_sales import flash_sales
from pipeline.verify.report import Noted

SETTINGS = Settings()
SUBJECT = flash_sales(SETTINGS.session_gap_ms)
SCHEMAS = PackagedSchemas(topics.ALL)
JOINED = topics.EXTENDED_PAGEVIEWS.name
HOUR, RACE_MS = 3_600_000, 60_000
RACED = "views_that_raced_with_their_user"
VIEW = {"viewtime": 1, "userid": "User_1", "pageid": "Page_10"}
ROW = VIEW | {"page_group": "G", "page_name": "N", "regionid": "1", "gender": "MALE", "region_name": "North"}
NORTH, SOUTH = ROW, {**ROW, "regionid": "2", "region_name": "South"}
NOBODY = {**ROW, "regionid": None, "gender": None, "region_name": None}
Version = tuple[str | None, int]
"""(region, time) of a user; None where it was deleted."""


def lies(topic: Topic, offset: int, key: str, row: Mapping[str, Any] | None, time_ms: int = 0) -> Any:
    value = None if row is None else SCHEMAS.encoder_of(topic)(dict(row))
    return SimpleNamespace(partition=0, offset=offset, timestamp=time_ms, key=key.encode(), value=value)


def user(offset: int, region: str | None, time_ms: int, userid: str = "User_1") -> Any:
    made = {
        "userid": userid,
        "regionid": region,
        "gender": "MALE",
        "registertime": 1,
        "interests": [],
        "contactinfo": {},
    }
    return lies(topics.USERS, offset, userid, None if region is None else made, time_ms)


REFERENCES: list[tuple[Topic, str, dict[str, Any]]] = [
    (topics.PAGES, "Page_10", {"page_id": "Page_10", "page_group": "G", "page_name": "N"}),
    (topics.REGION, "1", {"region_id": "1", "region_name": "North"}),
    (topics.REGION, "2", {"region_id": "2", "region_name": "South"}),
]


def records(users: Sequence[Any], views: Sequence[tuple[Mapping[str, Any] | None, int]]) -> Lying:
    """Views of these times, and what they have been joined to; None: nothing."""
    there: Lying = {}
    for offset, (topic, key, row) in enumerate(REFERENCES):
        there.setdefault(topic.name, []).append(lies(topic, offset, key, row))
    there[topics.USERS.name] = list(users)
    there[topics.PAGEVIEW.name] = [lies(topics.PAGEVIEW, n, "User_1", VIEW, at) for n, (_, at) in enumerate(views)]
    there[JOINED] = [
        lies(
            topics.EXTENDED_PAGEVIEWS,
            n,
            "User_1",
            {"event_time_ms": at, "origin_partition": 0, "origin_offset": n, **row},
            at,
        )
        for n, (row, at) in enumerate(views)
        if row is not None
    ]
    return there


async def found(row: Mapping[str, Any] | None, users: Sequence[Version], time_ms: int, **more: Any) -> Judged:
    versions = [user(offset, *version) for offset, version in enumerate(users)]
    return await judged(SETTINGS, SUBJECT, SCHEMAS, records(versions, [(row, time_ms)]), **more)


async def verdict(row: Mapping[str, Any], users: Sequence[Version], time_ms: int, **more: Any) -> str:
    """`right`, `wrong`, or the oracle's name for what it lets pass."""
    report = await found(row, users, time_ms, **more)
    assert len(report.outcomes[JOINED].wrong) + sum(noted.rows for noted in report.noted.values()) <= 1
    return "wrong" if report.outcomes[JOINED].wrong else next(iter(report.noted), "right")


@pytest.mark.parametrize(
    ("row", "at"),
    [(NOBODY, 0), (SOUTH, 1), (SOUTH, HOUR - 1), (NORTH, HOUR), (NORTH, 2 * HOUR - 1), (NOBODY, 2 * HOUR)],
)
async def test_a_view_meets_the_version_of_its_own_time(row: Mapping[str, Any], at: int) -> None:
    assert await verdict(row, [("2", 1), ("1", HOUR), (None, 2 * HOUR)], at) == "right"


@pytest.mark.parametrize(("row", "at"), [(SOUTH, 2 * HOUR), (NORTH, 10 * HOUR), (NOBODY, 2 * HOUR), (NORTH, HOUR - 1)])
async def test_another_version_is_wrong_however_real_it_is(row: Mapping[str, Any], at: int) -> None:
    """It was taken for good: of 65,679 views 58,019 had another region than their user had at that time."""
    assert await verdict(row, [("2", 1), ("1", HOUR), ("2", 9 * HOUR)], at) == "wrong"


async def test_all_views_without_a_user_are_noticed() -> None:
    users = [user(n, str(1 + n % 2), n * HOUR) for n in range(10)]
    views = [(NOBODY, at) for at in range(HOUR + RACE_MS + 1, 10 * HOUR, HOUR)]
    report = await judged(SETTINGS, SUBJECT, SCHEMAS, records(users, views))
    assert len(report.outcomes[JOINED].wrong) == len(views) == 9


@pytest.mark.parametrize(
    ("row", "at", "is_right"),
    [
        (SOUTH, 2 * HOUR, True),
        (SOUTH, 9 * HOUR + RACE_MS, True),
        (SOUTH, 9 * HOUR + RACE_MS + 1, False),
        (NOBODY, 2 * HOUR, False),
    ],
)
async def test_a_version_that_came_too_late_is_a_race(row: Mapping[str, Any], at: int, is_right: bool) -> None:
    """How late it came is seen in its partition: a record of 9 o'clock lies before it, so it was written after that."""
    users = [user(0, "2", 1), user(1, "1", 9 * HOUR, "User_9"), user(2, "1", HOUR)]
    report = await judged(SETTINGS, SUBJECT, SCHEMAS, records(users, [(row, at)]))
    assert (report.outcomes[JOINED].wrong == []) == is_right
    assert report.noted == ({RACED: Noted(1, at)} if is_right else {})


@pytest.mark.parametrize(("row", "told"), [(SOUTH, RACED), (NOBODY, "wrong")])
async def test_a_version_written_just_before_is_a_race(row: Mapping[str, Any], told: str) -> None:
    assert await verdict(row, [("2", 1), ("1", HOUR)], HOUR + RACE_MS) == told


@pytest.mark.parametrize(("users", "told"), [([], "views_whose_user_was_removed"), ([("1", 1)], "wrong")])
async def test_a_row_that_retention_may_have_removed_cannot_be_missed(users: list[Version], told: str) -> None:
    begins = {topics.USERS.name: {0: 1}}
    assert await verdict(SOUTH, users, 2 * HOUR, begins=begins) == told


async def test_of_a_view_that_comes_later_than_rows_are_kept_it_cannot_be_told() -> None:
    """Its user's row of that time may have been dropped, since other views have come so much later."""
    kept = SETTINGS.join_history_ms
    users, old = [user(0, "2", 1), user(1, "1", 5)], 2 * RACE_MS
    views = [(NORTH, old + kept + 1), (SOUTH, old)]
    report = await judged(SETTINGS, SUBJECT, SCHEMAS, records(users, views))
    assert (report.outcomes[JOINED].wrong, report.noted) == ([], {"views_whose_user_was_forgotten": Noted(1, old)})
    report = await judged(SETTINGS, SUBJECT, SCHEMAS, records(users, [(NORTH, old + kept), (SOUTH, old)]))
    assert len(report.outcomes[JOINED].wrong) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"regionid": "3", "region_name": None},
        {"gender": "OTHER"},
        {"region_name": "South"},
        {"region_name": None},
        {"page_group": "H"},
        {"page_name": None},
        {"event_time_ms": 6},
        {"userid": "User_2"},
        {"pageid": "Page_11"},
        {"viewtime": 2},
        {"origin_offset": 1},
        {"origin_partition": 1},
    ],
)
async def test_what_no_join_could_give_is_a_difference(change: dict[str, Any]) -> None:
    assert await verdict(ROW, [("2", 1), ("1", 2)], 5) == "right"
    assert (await found({**ROW, **change}, [("2", 1), ("1", 2)], 5)).outcomes[JOINED].wrong


async def test_a_row_that_is_missing_is_a_difference() -> None:
    (sentence,) = (await found(None, [("1", 1)], 5)).outcomes[JOINED].wrong
    assert "found nothing" in sentence


async def test_many_versions_of_a_user_cost_little_even_where_every_view_is_wrong() -> None:
    times = range(0, 10_000 * 1_000, 1_000)
    users = [user(n, "1", at) for n, at in enumerate(times)]
    there = records(users, [(SOUTH if at > 0 else NORTH, at) for at in times])
    began_s = time.monotonic()
    report = await judged(SETTINGS, SUBJECT, SCHEMAS, there)
    assert len(report.outcomes[JOINED].wrong) == len(times) - 1
    assert time.monotonic() - began_s < 20


def may_have_met(users: Sequence[Any], at: int) -> set[str | None]:
    """Regions that a view of User_1 may have met, by going through all that may have been there when it was joined."""
    versions, clock = [], 0
    for record, (region, userid) in users:
        clock = max(clock, record.timestamp)
        if userid == "User_1" and record.timestamp <= at:
            versions.append((record.timestamp, record.offset, region, clock))
    there = max((place for place, version in enumerate(versions) if version[3] < at - RACE_MS), default=-1)
    return {
        max(versions[:count], key=lambda version: version[:2])[2] if count else None
        for count in range(there + 1, len(versions) + 1)
    }


CAME = st.lists(
    st.tuples(st.sampled_from("123" + " "), st.sampled_from(["User_1", "User_1", "User_2"]), st.integers(0, 9)),
    max_size=8,
)


@tried(deadline=None, max_examples=20)
@given(came=CAME, at=st.integers(0, 9))
def test_any_order_of_versions_allows_what_going_through_all_of_them_allows(
    came: list[tuple[str, str, int]], at: int
) -> None:
    regions = [None if region == " " else region for region, _, _ in came]
    users = [user(n, regions[n], 20_000 * t, name) for n, (_, name, t) in enumerate(came)]
    origins = list(zip(regions, [name for _, name, _ in came], strict=True))
    allowed = may_have_met(list(zip(users, origins, strict=True)), 20_000 * at)
    met: list[str | None] = ["1", "2", "3", None]
    rows = [
        {**ROW, "regionid": region, "region_name": {"1": "North", "2": "South"}.get(region or "")} for region in met
    ]
    rows[-1]["gender"] = None
    report = asyncio.run(judged(SETTINGS, SUBJECT, SCHEMAS, records(users, [(row, 20_000 * at) for row in rows])))
    wrong = report.outcomes[JOINED].wrong
    named = [any(text.startswith(f"origin_partition=0, origin_offset={n}: ") for text in wrong) for n in range(4)]
    assert named == [region not in allowed for region in met]
