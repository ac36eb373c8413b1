"""The application's own agents under Faust's test context: joins, dead letters, re-keying, all ten outputs."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry

from pipeline import topics
from pipeline.agents.letters import KEPT_BYTES
from pipeline.agents.processor import MAX_VALUE_BYTES
from pipeline.agents.tree import TopicProcessor
from pipeline.app import new_app
from pipeline.codecs import Record
from pipeline.errors import SettingError
from pipeline.records import RecordBatch
from pipeline.runner.local import LocalApplication, flash_sales_application
from pipeline.settings import Settings
from pipeline.timebase import HOUR_MS
from pipeline.transport.metrics import RecordCounts

USER = {
    "registertime": 1_500_000_000_000,
    "userid": "User_1",
    "regionid": "Region_2",
    "gender": "OTHER",
    "interests": ["Game", "News"],
    "contactinfo": {"zipcode": "95112", "state": "CA", "phone": "408-366-7586", "city": "San Jose"},
}
VIEW = {"viewtime": 1, "userid": "User_1", "pageid": "Page_10"}
SALE = {
    "sale_id": 1,
    "customer_id": 7,
    "province_id": 3,
    "product_id": "P10",
    "region_id": "Region_2",
    "discount": Decimal("10.00"),
    "original_price": Decimal("10.00"),
    "sale_price": Decimal("9.99"),
    "quantity": 3,
    "sale_datetime": datetime.fromtimestamp(3 * 3600, UTC),
}


@pytest.fixture
async def application() -> AsyncIterator[LocalApplication]:
    async with flash_sales_application(Settings()).running() as running:
        await put(running, topics.PAGES, "Page_10", {"page_id": "Page_10", "page_group": "G", "page_name": "N"}, 0)
        await put(running, topics.PRODUCT, "P10", {"product_id": "P10", "product_group": "PG", "product_name": "PN"}, 0)
        await put(running, topics.REGION, "Region_2", {"region_id": "Region_2", "region_name": "North"}, 0)
        yield running


async def put(app: LocalApplication, topic: topics.Topic, key: str | None, value: Record | None, time_ms: int) -> None:
    assert topic.schema is not None
    raw = None if value is None else app.schemas.encoder(topic.schema)(value)
    await app.feed(topic.name, None if key is None else key.encode(), raw, time_ms)


async def values(app: LocalApplication, topic: topics.Topic) -> list[Record | None]:
    return [value for _, value in await app.rows(topic.name)]


async def expect(app: LocalApplication, topic: topics.Topic, *rows: Record) -> None:
    """The topic's rows have these columns, in order."""
    found = await values(app, topic)
    assert [{name: row[name] for name in e} for row, e in zip(found, rows, strict=True) if row] == list(rows)


async def reasons(app: LocalApplication) -> list[str]:
    return [letter["reason"] for letter in await values(app, topics.DEAD_LETTERS) if letter is not None]


async def test_a_user_is_flattened(application: LocalApplication) -> None:
    await put(application, topics.USERS, "User_1", USER, 5)
    assert await values(application, topics.USER_TRANSFORMED) == [
        {
            "userid": "User_1",
            "registertime": "2017-07-14 02:40:00",
            "registertime_ms": 1_500_000_000_000,
            "gender": "OTHER",
            "regionid": "Region_2",
            "interests_1": "Game",
            "interests_2": "News",
            "phone": "408-366-7586",
            "city": "San Jose",
            "state": "CA",
            "zipcode": "95112",
            "event_time_ms": 5,
            "version": 0,
            "retired": False,
        }
    ]


async def test_a_deleted_user_is_a_retired_row_that_tells_nothing_else(application: LocalApplication) -> None:
    await put(application, topics.USERS, "User_1", USER, 5)
    await put(application, topics.USERS, "User_1", None, 6)
    await put(application, topics.USERS, "User_7", None, 7)
    await put(application, topics.USERS, "User_1", USER, 8)
    rows = await application.rows(topics.USER_TRANSFORMED.name)
    assert [(r.key, r.timestamp_ms, v and (v["retired"], v["version"])) for r, v in rows] == [
        (b"User_1", 5, (False, 0)),
        (b"User_1", 6, (True, 1)),
        (b"User_7", 7, (True, 2)),
        (b"User_1", 8, (False, 3)),
    ]
    told = [{name: x for name, x in (value or {}).items() if x is not None} for _, value in rows]
    assert told[1] == {"userid": "User_1", "event_time_ms": 6, "version": 1, "retired": True}


async def test_a_view_is_joined_and_counted_everywhere(application: LocalApplication) -> None:
    await put(application, topics.USERS, "User_1", USER, 5)
    await put(application, topics.PAGEVIEW, "User_1", VIEW, 2 * HOUR_MS + 1)
    (row,) = await values(application, topics.EXTENDED_PAGEVIEWS)
    assert row == {
        **VIEW,
        "page_group": "G",
        "page_name": "N",
        "regionid": "Region_2",
        "gender": "OTHER",
        "region_name": "North",
        "event_time_ms": 2 * HOUR_MS + 1,
        "origin_partition": 0,
        "origin_offset": 0,
    }
    await expect(application, topics.PAGEVIEWS_BY_PAGEGROUP, {"page_group": "G", "count_view": 1})
    await expect(application, topics.PAGEVIEWS_BY_REGION, {"region_name": "North", "count_view": 1})
    hour = {"window_start_ms": 2 * HOUR_MS, "window_end_ms": 3 * HOUR_MS, "total_pageview": 1}
    await expect(application, topics.PAGEVIEWS_TUMBLING, hour)
    half_past_one = {"window_start_ms": 3 * HOUR_MS // 2, "window_start": "1970-01-01 01:30:00", "total_pageview": 1}
    await expect(application, topics.PAGEVIEWS_HOPPING, half_past_one, hour)
    lone = {"window_start_ms": 2 * HOUR_MS + 1, "window_end_ms": 2 * HOUR_MS + 1, "retired": False}
    await expect(application, topics.PAGEVIEWS_SESSION, lone)


async def test_an_unknown_user_page_or_region_is_a_left_join(application: LocalApplication) -> None:
    await put(application, topics.PAGEVIEW, "User_9", {**VIEW, "userid": "User_9", "pageid": "Page_0"}, 1)
    (row,) = await values(application, topics.EXTENDED_PAGEVIEWS)
    assert row is not None
    assert [row[c] for c in ("page_group", "page_name", "regionid", "gender", "region_name")] == [None] * 5
    assert await values(application, topics.PAGEVIEWS_BY_PAGEGROUP) == []
    assert await reasons(application) == []


async def test_a_view_is_joined_with_the_users_row_of_its_moment(application: LocalApplication) -> None:
    await put(application, topics.PAGEVIEW, "User_1", VIEW, 1)
    await put(application, topics.USERS, "User_1", USER, 2)
    await put(application, topics.PAGEVIEW, "User_1", VIEW, 3)
    await put(application, topics.USERS, "User_1", None, 4)
    await put(application, topics.PAGEVIEW, "User_1", VIEW, 5)
    rows = await values(application, topics.EXTENDED_PAGEVIEWS)
    assert [row and row["region_name"] for row in rows] == [None, "North", None]
    assert [row and row["retired"] for row in await values(application, topics.USER_TRANSFORMED)] == [False, True]


async def test_sales_add_up_to_the_cent(application: LocalApplication) -> None:
    for number in range(3):
        await put(application, topics.FLASH_SALES, str(number), {**SALE, "sale_id": number}, 0)
    totals = await values(application, topics.SALES_BY_PRODUCTGROUP)
    assert [(t["total_sales_cents"], t["total_sales"]) for t in totals if t] == [
        (2997, 29.97),
        (5994, 59.94),
        (8991, 89.91),
    ]
    (first, *_) = await values(application, topics.SALES_BY_REGION)
    assert first is not None
    assert (first["region_name"], first["window_start"]) == ("North", "1970-01-01 03:00:00")


async def test_each_bad_record_is_a_dead_letter_and_the_good_ones_around_it_count(
    application: LocalApplication,
) -> None:
    view = application.schemas.encoder("pageview")(VIEW)
    bad = [
        (b"User_1", b"random bytes", 1, "wire format"),
        (b"User_1", b"\x00\x00\x00\x03\xe7abc", 1, "unknown schema id 999"),
        (b"User_1", view, -5, "timestamp -5 ms is before 1970"),
        (b"User_1", view, 1_700_000_000_000_000, "timestamp 1700000000000000 ms is after the year 9998"),
        (b"User_1", view + b"xx", 1, "2 bytes left over"),
        (b"User_1", view[:-3], 1, "under schema id"),
        (b"User_1", None, 1, "null value"),
    ]
    for key, value, time_ms, _ in bad:
        await application.feed(topics.PAGEVIEW.name, key, value, time_ms)
        await put(application, topics.PAGEVIEW, "User_1", VIEW, 1)
    letters = await values(application, topics.DEAD_LETTERS)
    for offset, (letter, (key, value, time_ms, reason)) in enumerate(zip(letters, bad, strict=True)):
        assert letter is not None
        assert reason in letter["reason"]
        assert (letter["topic"], letter["partition"], letter["offset"]) == ("PageView", 0, 2 * offset)
        assert (letter["key"], letter["value"], letter["timestamp_ms"]) == (key, value, time_ms)
    counts = await values(application, topics.PAGEVIEWS_BY_PAGEGROUP)
    assert counts[-1] is not None
    assert counts[-1]["count_view"] == len(bad)


async def test_a_null_key_is_no_matter_to_a_stream_and_a_dead_letter_in_a_table(application: LocalApplication) -> None:
    """ksqlDB counts rows without a key when they are grouped by a column; a table has no row without one."""
    await put(application, topics.USERS, "User_1", USER, 1)
    await put(application, topics.USERS, None, USER, 2)
    await put(application, topics.PAGEVIEW, None, VIEW, 3)
    await put(application, topics.FLASH_SALES, None, SALE, 3)
    assert await reasons(application) == ["null key"]
    await expect(application, topics.PAGEVIEWS_BY_REGION, {"region_name": "North", "count_view": 1})
    await expect(application, topics.SALES_BY_PRODUCTGROUP, {"total_sales_cents": 2997})
    assert [record.key for record, _ in await application.rows(topics.EXTENDED_FLASHSALES.name)] == [b"1"]


async def test_an_empty_key_is_a_key(application: LocalApplication) -> None:
    """A product whose id was '' made a dead letter at every poll."""
    product = {"product_id": "", "product_group": "Nameless", "product_name": "None"}
    await put(application, topics.PRODUCT, "", product, 1)
    await put(application, topics.USERS, "", {**USER, "userid": ""}, 1)
    await put(application, topics.FLASH_SALES, "1", {**SALE, "product_id": ""}, 2)
    await put(application, topics.PAGEVIEW, "", {**VIEW, "userid": ""}, 2)
    assert await reasons(application) == []
    await expect(application, topics.SALES_BY_PRODUCTGROUP, {"product_group": "Nameless"})
    await expect(application, topics.PAGEVIEWS_BY_REGION, {"region_name": "North"})


async def test_a_record_too_large_to_be_sent_on_is_a_dead_letter_with_its_beginning(
    application: LocalApplication,
) -> None:
    view = application.schemas.encoder("pageview")(VIEW)
    await application.feed(topics.PAGEVIEW.name, b"User_1", view + bytes(MAX_VALUE_BYTES), 1)
    (letter,) = await values(application, topics.DEAD_LETTERS)
    assert letter is not None
    assert letter["reason"] == f"value of {len(view) + MAX_VALUE_BYTES} bytes is larger than {MAX_VALUE_BYTES}"
    assert letter["value"] == (view + bytes(MAX_VALUE_BYTES))[:KEPT_BYTES]


@pytest.mark.parametrize("moment", [None, -1_000, datetime(9999, 1, 1, tzinfo=UTC)])
async def test_a_sale_without_event_time_is_a_dead_letter(
    application: LocalApplication, moment: int | datetime | None
) -> None:
    await put(application, topics.FLASH_SALES, "1", {**SALE, "sale_datetime": moment}, 0)
    assert len(await reasons(application)) == 1
    assert await values(application, topics.EXTENDED_FLASHSALES) == []


async def test_a_sale_whose_amount_is_too_large_is_a_dead_letter_and_those_beside_it_count(
    application: LocalApplication,
) -> None:
    encode = application.schemas.encoder("flash_sale")
    too_large = {**SALE, "sale_price": Decimal("99999999.99"), "quantity": (1 << 31) - 1}
    sales = [encode(SALE), encode(too_large), encode({**SALE, "sale_price": None})]
    await application.feed_batch(RecordBatch(topics.FLASH_SALES.name, 0, [4, 5, 6], [1] * 3, [b"1"] * 3, sales))
    (letter,) = await values(application, topics.DEAD_LETTERS)
    assert letter is not None
    assert (letter["offset"], letter["reason"]) == (5, "its amount is beyond 10000000000000")
    rows = await values(application, topics.EXTENDED_FLASHSALES)
    assert [row and (row["origin_offset"], row["sales_amount_cents"]) for row in rows] == [(4, 2997), (6, None)]


async def test_a_user_in_the_wrong_partition_is_a_dead_letter(application: LocalApplication) -> None:
    await put(application, topics.USERS, "User_2", USER, 0)
    assert await reasons(application) == ["key 'User_2' is not the userid 'User_1'"]


async def test_a_retired_session_is_sent_with_its_flag(application: LocalApplication) -> None:
    for time_ms in (0, 60_000):
        await put(application, topics.PAGEVIEW, "User_1", VIEW, time_ms)
    rows = await values(application, topics.PAGEVIEWS_SESSION)
    assert [(r["window_start_ms"], r["window_end_ms"], r["total_pageview"], r["retired"]) for r in rows if r] == [
        (0, 0, 1, False),
        (0, 0, 0, True),
        (0, 60_000, 2, False),
    ]


async def test_a_late_view_goes_to_the_late_topic_once_for_each_closed_window() -> None:
    settings = Settings(grace_ms=0)
    async with flash_sales_application(settings).running() as running:
        await put(running, topics.PAGES, "Page_10", {"page_id": "Page_10", "page_group": "G", "page_name": "N"}, 0)
        for time_ms in (2 * HOUR_MS, HOUR_MS):
            await put(running, topics.PAGEVIEW, "User_1", VIEW, time_ms)
        letters = [letter for letter in await values(running, topics.LATE_RECORDS) if letter]
    common = {"topic": "EXTENDED_PAGEVIEWS_STREAM", "partition": 0, "offset": 1, "event_time_ms": HOUR_MS}
    half = HOUR_MS // 2
    assert letters == [
        {**common, "aggregate": name, "window_start_ms": start, "window_end_ms": end, "late_by_ms": late_by}
        for name, start, end, late_by in (
            ("pageviews_tumbling", HOUR_MS, 2 * HOUR_MS, 0),
            ("pageviews_hopping", half, 3 * half, half),
            ("pageviews_hopping", HOUR_MS, 2 * HOUR_MS, 0),
            ("pageviews_session", HOUR_MS, HOUR_MS, HOUR_MS - settings.session_gap_ms),
        )
    ]


async def test_what_became_of_the_records_is_a_metric(application: LocalApplication) -> None:
    await put(application, topics.PAGEVIEW, "User_1", VIEW, -1)
    await put(application, topics.PAGEVIEW, "User_1", VIEW, 1)
    registry = CollectorRegistry()
    registry.register(RecordCounts(application.app.processors))

    def count(agent: str, outcome: str) -> float | None:
        return registry.get_sample_value("pipeline_records_total", {"agent": agent, "outcome": outcome})

    assert (count("PageView", "consumed"), count("PageView", "bad")) == (2, 1)
    folded = topics.EXTENDED_PAGEVIEWS.name
    assert (count(folded, "consumed"), count(folded, "null_groups")) == (1, 1)


async def test_rows_that_are_folded_one_by_one_do_not_pile_up(application: LocalApplication) -> None:
    """Each row is handed over to its fold, which has to take it out however few come at a time."""
    await put(application, topics.USERS, "User_1", USER, 1)
    for number in range(3):
        await put(application, topics.PAGEVIEW, "User_1", VIEW, number)
        await put(application, topics.FLASH_SALES, "1", SALE, number)
    for name in (topics.EXTENDED_PAGEVIEWS.name, topics.EXTENDED_FLASHSALES.name):
        fold = application.app.processors[name]
        assert isinstance(fold, TopicProcessor)
        assert fold._decode.handover is not None
        assert (fold.counts["consumed"], len(fold._decode.handover)) == (3, 0)


async def test_changelogs_are_compacted_soon(application: LocalApplication) -> None:
    """Else what a worker has to restore would grow with the time that the application has been running."""
    topic = application.app.tables["pageview_partials"].changelog_topic
    assert (topic.compacting, topic.config["segment.bytes"]) == (True, "4194304")


def test_a_topic_has_one_agent_since_offsets_are_committed_for_all_of_it() -> None:
    app = new_app(Settings())
    app.batch_topic(topics.PAGEVIEW)
    with pytest.raises(SettingError, match=r"^topic PageView has two agents, but must have one"):
        app.batch_topic(topics.PAGEVIEW)
