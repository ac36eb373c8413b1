"""The oracle of flash sales finds what is broken: joins, counts, sums, sessions, and letters."""

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
import pytest
from judged import Lying, changed, feed, judge, judged, lying

from pipeline.applications.flash_sales import topology
from pipeline.applications.loading import runnable
from pipeline.declare.compiled import compiled
from pipeline.declare.expressions import cast
from pipeline.runner.cases import Input
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings
from pipeline.tables.types import column_type
from pipeline.topics import OUTPUTS
from pipeline.verify.flash_sales import flash_sales

HOUR = 3_600_000
SETTINGS = Settings(grace_ms=HOUR)
SUBJECT = flash_sales(SETTINGS.session_gap_ms)
PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
Made = tuple[LocalApplication, Lying]
VIEWS, SALES = "EXTENDED_PAGEVIEWS_STREAM", "EXTENDED_FLASHSALES_STREAM"
SESSIONS = "TOTAL_PAGEVIEW_BY_PAGEGROUP_SESSION_WINDOW"


def user(region: str | None, at: int, name: str = "User_1", registered: int = 0) -> Input:
    row = {"userid": name, "regionid": region, "gender": "MALE", "registertime": registered}
    made = {**row, "interests": ["a", "b"], "contactinfo": {"city": "x", "phone": "1"}}
    return Input("Users_", name, None if region is None else made, at)


def view(at: int, page: str = "1", name: str = "User_1") -> Input:
    return Input("PageView", name, {"userid": name, "pageid": page, "viewtime": 1}, at)


def sale(number: int, at: int, price: float | None, quantity: int = 1, product: str = "1") -> Input:
    row = {"sale_id": number, "customer_id": 1, "province_id": 1, "discount": 0, "original_price": 1, "region_id": "1"}
    row |= {"product_id": product, "sale_price": price, "quantity": quantity, "sale_datetime": at}
    return Input("MysqlSource-flash_sales", str(number), row, at)


REFERENCES = [
    *(Input("MysqlSource-pages", p, {"page_id": p, "page_group": f"G{p}", "page_name": p}, 0) for p in "12"),
    *(Input("MysqlSource-region", r, {"region_id": r, "region_name": f"N{r}"}, 0) for r in "12"),
    Input("MysqlSource-product", "1", {"product_id": "1", "product_group": "P1", "product_name": "p"}, 0),
]
CAME = [
    user("1", HOUR),
    user("2", 5 * HOUR),
    user("1", HOUR, "User_2"),
    user("1", HOUR, "User_3", registered=-1),
    user(None, 7 * HOUR, "User_2"),
    view(4 * HOUR),
    view(6 * HOUR),
    view(8 * HOUR, name="User_2"),
    view(6 * HOUR + 20 * 60_000, "2"),
    view(6 * HOUR + 40 * 60_000, "2"),
    view(6 * HOUR + 30 * 60_000, "2"),  # joins the two sessions before it
    view(2 * HOUR),  # late for its windows
    sale(1, 4 * HOUR, 12.34, 3),
    sale(2, 4 * HOUR, None),
    sale(3, 4 * HOUR, 99_999_999.99, 2_000_000_000),
]


async def run(inputs: Sequence[Input]) -> Made:
    application = LocalApplication(SETTINGS, runnable(SETTINGS), partitions=2)
    async with application.running():
        await feed(application, [*REFERENCES, *inputs])
    return application, lying(application)


async def wrong(made: Made, records: Lying | None = None, **more: Any) -> dict[str, list[str]]:
    return await judge(SETTINGS, SUBJECT, made[0].schemas, records or made[1], **more)


@pytest.fixture
async def made() -> Made:
    return await run(CAME)


async def test_all_outputs_are_right(made: Made) -> None:
    assert {topic.name for topic in OUTPUTS} <= made[1].keys()
    assert await wrong(made) == {}


def with_values(values: dict[str, Any], **wanted: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        found = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
        found[-1].update(values)

    return change


def dropped(place: int) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows.remove(rows[place])


def without_rows(**wanted: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[:] = [row for row in rows if any(row[name] != value for name, value in wanted.items())]

    return change


def unretired(rows: list[dict[str, Any]]) -> None:
    start = 6 * HOUR + 40 * 60_000
    assert [row["retired"] for row in rows if row["window_start_ms"] == start] == [False, True]
    rows[:] = [row for row in rows if not (row["retired"] and row["window_start_ms"] == start)]


@pytest.mark.parametrize(
    ("topic", "change", "sentence"),
    [
        (
            VIEWS,  # the user's row of another time, however real it is
            with_values({"regionid": "1", "region_name": "N1"}, event_time_ms=6 * HOUR),
            "expected regionid=2, region_name=N2, found regionid=1, region_name=N1",
        ),
        (
            VIEWS,
            with_values({"regionid": None, "gender": None, "region_name": None}, event_time_ms=6 * HOUR),
            "expected regionid=2, gender=MALE, region_name=N2, found regionid=None, gender=None, region_name=None",
        ),
        (
            VIEWS,  # a user that was deleted before
            with_values({"regionid": "1", "gender": "MALE", "region_name": "N1"}, event_time_ms=8 * HOUR),
            "expected regionid=None, gender=None, region_name=None, found regionid=1",
        ),
        (VIEWS, with_values({"region_name": "N1"}, event_time_ms=6 * HOUR), "expected region_name=N2, found"),
        (VIEWS, with_values({"page_group": "G2"}, event_time_ms=6 * HOUR), "expected page_group=G1, found"),
        (VIEWS, with_values({"userid": "User_9"}, event_time_ms=6 * HOUR), "expected userid=User_1, found"),
        (VIEWS, dropped(0), "found nothing"),
        (VIEWS, with_values({"gender": "OTHER"}, event_time_ms=6 * HOUR), "expected gender=MALE, found gender=OTHER"),
        (VIEWS, with_values({"origin_offset": 99}, event_time_ms=6 * HOUR), "origin_offset=99: not expected, found"),
        (SALES, dropped(0), "found nothing"),
        (SALES, with_values({"origin_offset": 99}, sale_id=1), "origin_offset=99: not expected, found"),
        (SALES, with_values({"quantity": 4}, sale_id=1), "expected quantity=3, found quantity=4"),
        (SALES, with_values({"region_name": "N2"}, sale_id=1), "expected region_name=N1, found region_name=N2"),
        (SALES, with_values({"event_time_ms": 5}, sale_id=1), f"expected event_time_ms={4 * HOUR}, found"),
        (SALES, with_values({"sale_datetime": 5}, sale_id=1), "expected sale_datetime="),
        ("USER_TRANSFORMED_TABLE", with_values({"city": "y"}, userid="User_1"), "expected city=x, found city=y"),
        ("USER_TRANSFORMED_TABLE", with_values({"interests_2": "a"}, userid="User_1"), "expected interests_2=b, found"),
        ("USER_TRANSFORMED_TABLE", without_rows(userid="User_1"), "userid=User_1: expected "),
        (SALES, with_values({"sales_amount_cents": 3703}, sale_id=1), "expected sales_amount_cents=3702, found"),
        (SALES, with_values({"product_group": None}, sale_id=1), "expected product_group=P1, found product_group=None"),
        ("USER_TRANSFORMED_TABLE", with_values({"regionid": "1"}, userid="User_1"), "expected regionid=2, found"),
        ("USER_TRANSFORMED_TABLE", with_values({"retired": False}, userid="User_2"), "userid=User_2: not expected"),
        ("PAGEVIEWS_BY_PAGEGROUP_TABLE", with_values({"count_view": 5}, page_group="G1"), "expected count_view=4"),
        (
            "TOTAL_SALES_BY_REGION_TUMBLING_WINDOW",
            with_values({"total_sales": 37.03}, region_name="N1"),
            "expected total_sales=37.02, found total_sales=37.03",
        ),
        (SESSIONS, unretired, f"page_group=G2, window_start_ms={6 * HOUR + 40 * 60_000}: not expected, found"),
        (
            "TOTAL_PAGEVIEW_BY_PAGEGROUP_HOPPING_WINDOW",
            with_values({"total_pageview": 2}, page_group="G1", window_start_ms=4 * HOUR),
            "expected total_pageview=1, found total_pageview=2",
        ),
    ],
)
async def test_whatever_is_wrong_is_found(made: Made, topic: str, change: Any, sentence: str) -> None:
    found = await wrong(made, changed(made[0], made[1], topic, change))
    assert any(sentence in text for text in found.get(topic, ())), found


async def test_a_late_view_that_is_counted_is_found(made: Made) -> None:
    """As if its window had been open."""
    topic = "TOTAL_PAGEVIEW_BY_PAGEGROUP_TUMBLING_WINDOW"

    def count(rows: list[dict[str, Any]]) -> None:
        values = {"window_start_ms": 2 * HOUR, "window_end_ms": 3 * HOUR, "event_time_ms": 2 * HOUR}
        record = rows[-1]["_record"]
        after = type(record)(**{**vars(record), "offset": 1_000, "key": b"G1"})
        rows.append({**rows[-1], **values, "page_group": "G1", "total_pageview": 1, "_record": after})

    found = await wrong(made, changed(made[0], made[1], topic, count))
    assert f"page_group=G1, window_start_ms={2 * HOUR}: not expected" in found[topic][0]


@pytest.mark.parametrize(("came_at", "is_right"), [(6 * HOUR - 30_000, True), (6 * HOUR - 70_000, False)])
async def test_a_view_that_raced_is_right_and_one_that_missed_an_older_version_is_not(
    came_at: int, is_right: bool
) -> None:
    """The version lay in its topic a minute before the view's time, or did not."""
    made = await run([user("1", HOUR), view(6 * HOUR), user("2", came_at)])
    found = await wrong(made)
    assert (found == {}) == is_right
    if not is_right:
        assert "expected regionid=2, region_name=N2, found regionid=1, region_name=N1" in found[VIEWS][0]


async def test_where_retention_has_taken_users_a_view_without_one_cannot_be_judged() -> None:
    made = await run([user("1", HOUR), view(6 * HOUR)])
    without = {
        topic: records for topic, records in made[1].items() if topic not in ("Users_", "USER_TRANSFORMED_TABLE")
    }
    assert "expected regionid=None" in (await wrong(made, without))[VIEWS][0]
    assert await wrong(made, without, begins={"Users_": {0: 1}}) == {}


async def test_records_that_are_none_of_the_application_must_have_letters(
    made: Made,
) -> None:
    letters = (await judged(SETTINGS, SUBJECT, made[0].schemas, made[1])).letters
    rows = await made[0].rows("pipeline-dead-letters")
    written = {(row["topic"], row["partition"], row["offset"]) for _, row in rows if row is not None}
    assert {topic for topic, _, _ in letters} == {"Users_", "MysqlSource-flash_sales"}
    assert letters == written


@pytest.mark.parametrize("topic", [topic.name for topic in OUTPUTS])
async def test_in_every_output_a_wrong_and_a_missing_row_is_found(made: Made, topic: str) -> None:
    def at_a_wrong_time(rows: list[dict[str, Any]]) -> None:
        rows[-1].update(event_time_ms=rows[-1]["event_time_ms"] + 1, retired=False)

    assert "event_time_ms=" in (await wrong(made, changed(made[0], made[1], topic, at_a_wrong_time)))[topic][0]
    without_any = {**made[1], topic: []}
    assert "found nothing" in (await wrong(made, without_any))[topic][0]


@pytest.mark.parametrize(
    ("price", "quantity"),
    [(Decimal("9.9950"), 1), (Decimal("0.0149"), 3), (Decimal("-0.005"), 1), (Decimal("0.0001"), 50)],
)
async def test_amounts_are_rounded_half_up_sale_by_sale(price: Decimal, quantity: int) -> None:
    """A writer's scale of 4: the worker rounded, a check once cut off."""
    cents = int((price * quantity).quantize(Decimal("0.01"), ROUND_HALF_UP) * 100)
    connection = duckdb.connect()
    (row,) = connection.execute(f"SELECT round({price}::DECIMAL(27, 4) * {quantity}, 2) * 100").fetchall()
    assert row == (cents,)
    declared = {"sale_price": column_type(PRICE), "quantity": column_type("int")}
    written = compiled(cast(topology.amount * 100, "BIGINT"), declared)
    columns = {"sale_price": [price], "quantity": [quantity]}
    assert written.column(columns.__getitem__, 1) == ([cents], {})


# While sources move ---------------------------------------------------------------------------------------------------
async def between(change: Any, topic: str) -> list[str]:
    """The sentences about an output that was read when two more views, a sale and a user's change were on their way."""
    first = [user("1", HOUR), view(2 * HOUR), sale(1, 2 * HOUR, 1)]
    more = [user("2", 2 * HOUR + 2), view(2 * HOUR + 5), sale(2, 2 * HOUR + 5, 2)]
    last = [user("1", 2 * HOUR + 8), view(2 * HOUR + 9), sale(3, 2 * HOUR + 9, 3)]
    _, low = await run(first)
    application, mid = await run([*first, *more])
    _, high = await run([*first, *more, *last])
    records = {name: (mid if name == topic else high)[name] for name in high}
    mixed = changed(application, records, topic, change)
    return (await judge(SETTINGS, SUBJECT, application.schemas, mixed, low=low)).get(topic, [])


def last_with(**values: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[-1].update(values)


USERS, BY_PAGE = "USER_TRANSFORMED_TABLE", "TOTAL_PAGEVIEW_BY_PAGEGROUP_TUMBLING_WINDOW"
SOLD, VISITS = "TOTAL_SALES_BY_REGION_TUMBLING_WINDOW", SESSIONS


@pytest.mark.parametrize(
    ("topic", "values", "is_right"),
    [
        (BY_PAGE, {}, True),
        (BY_PAGE, {"total_pageview": 3}, True),
        (BY_PAGE, {"total_pageview": 4}, False),
        (BY_PAGE, {"total_pageview": 0}, False),
        (BY_PAGE, {"event_time_ms": 2 * HOUR + 7}, True),
        (BY_PAGE, {"event_time_ms": 2 * HOUR + 10}, False),
        (BY_PAGE, {"event_time_ms": 2 * HOUR - 1}, False),
        (BY_PAGE, {"window_end": "1971-01-01 00:00:00"}, False),
        (BY_PAGE, {"window_end_ms": 5}, False),
        (BY_PAGE, {"page_group": "H"}, False),
        (SOLD, {}, True),
        (SOLD, {"total_sales_cents": 601, "total_sales": 6.01}, False),
        (SOLD, {"total_sales": 99.0}, False),
        (VISITS, {}, True),
        (VISITS, {"total_pageview": 9}, False),
        (VISITS, {"window_end_ms": 2 * HOUR + 10}, False),
        (USERS, {}, True),
        (USERS, {"regionid": "1"}, False),
        (USERS, {"regionid": "9"}, False),
        (USERS, {"event_time_ms": 2 * HOUR + 3}, False),
        (USERS, {"retired": True}, False),
    ],
)
async def test_between_two_cuts_every_column_is_held(topic: str, values: dict[str, Any], is_right: bool) -> None:
    """Only counts were once; and of a user, it must be one of the rows that it has had."""
    found = await between(last_with(**values), topic)
    assert (found == []) == is_right, found


# What retention has removed -------------------------------------------------------------------------------------------
def cut_off(records: Lying, topic: str, before_ms: int) -> tuple[Lying, dict[str, dict[int, int]]]:
    """Records without the first ones of a topic, which are older than this, and where its partitions begin."""
    begins = dict.fromkeys((0, 1), 0)
    for record in records[topic]:
        if record.timestamp < before_ms:
            begins[record.partition] = record.offset + 1
    return {**records, topic: [r for r in records[topic] if r.offset >= begins[r.partition]]}, {topic: begins}


OLD = [
    user("1", HOUR),
    user("1", HOUR, "User_4"),
    user("1", 6 * HOUR),
    *(view(at * HOUR, name=name) for at in (2, 3, 8, 9) for name in ("User_1", "User_4")),
]
SOME_SOLD = [sale(n, at * HOUR, 1) for n, at in enumerate((2, 3, 8, 9, 2, 3, 8, 9))]


async def left(topic: str, change_of: str = "", change: Any = None) -> dict[str, tuple[int, list[str]]]:
    """{output: (rows left out, sentences)} where retention has removed all of a topic before 5 o'clock."""
    application, records = await run(sorted([*OLD, *SOME_SOLD], key=lambda item: item.timestamp_ms))
    there, begins = cut_off(records, topic, 5 * HOUR)
    if change is not None:
        there = changed(application, there, change_of, change)
    outcomes = (await judged(SETTINGS, SUBJECT, application.schemas, there, begins=begins)).outcomes
    return {name: (outcome.left_out, outcome.wrong) for name, outcome in outcomes.items()}


@pytest.mark.parametrize(
    ("topic", "left_out"),
    [
        ("PageView", {VIEWS}),
        ("MysqlSource-flash_sales", {SALES}),
        (
            VIEWS,
            {VIEWS, "PAGEVIEWS_BY_PAGEGROUP_TABLE", "PAGEVIEWS_BY_REGION_TABLE"}
            | {f"TOTAL_PAGEVIEW_BY_PAGEGROUP_{kind}_WINDOW" for kind in ("TUMBLING", "HOPPING", "SESSION")},
        ),
        (
            SALES,
            {SALES, "TOTAL_SALES_BY_REGION_TUMBLING_WINDOW"}
            | {f"TOTAL_SALES_BY_PRODUCTGROUP_{kind}_WINDOW" for kind in ("TUMBLING", "HOPPING", "SESSION")},
        ),
        (BY_PAGE, {BY_PAGE}),
        ("Users_", {USERS}),
    ],
)
async def test_what_retention_removed_is_left_out_and_nothing_else(topic: str, left_out: set[str]) -> None:
    found = await left(topic)
    assert {name: wrong for name, (_, wrong) in found.items() if wrong} == {}
    assert {name for name, (count, _) in found.items() if count} == left_out


@pytest.mark.parametrize(
    ("topic", "of", "change"),
    [
        ("PageView", VIEWS, last_with(region_name="N2")),
        ("PageView", VIEWS, lambda rows: rows.pop()),
        ("PageView", BY_PAGE, last_with(total_pageview=9)),
        ("PageView", "TOTAL_SALES_BY_REGION_TUMBLING_WINDOW", last_with(total_sales=9.0)),
        (VIEWS, VIEWS, last_with(region_name="N2")),
        (VIEWS, VIEWS, lambda rows: rows.pop()),
        (VIEWS, BY_PAGE, last_with(total_pageview=9)),
        (SALES, BY_PAGE, last_with(total_pageview=9)),
        (BY_PAGE, BY_PAGE, last_with(total_pageview=9)),
        ("Users_", USERS, with_values({"regionid": "9"}, userid="User_1")),
    ],
)
async def test_what_retention_has_left_is_compared(topic: str, of: str, change: Any) -> None:
    assert (await left(topic, of, change))[of][1] != []


async def test_a_record_far_ahead_of_its_time_may_be_among_those_that_are_gone() -> None:
    """What is left tells nothing of it; the sales that it came from are all there, and do."""
    ordered = sorted([*OLD, *SOME_SOLD], key=lambda item: item.timestamp_ms)
    application, records = await run([*(sale(number, 12 * HOUR, 1) for number in (100, 101, 102, 103)), *ordered])
    there, begins = cut_off(records, SALES, 5 * HOUR)
    assert all(record.timestamp < 12 * HOUR for record in there[SALES])
    outcomes = (await judged(SETTINGS, SUBJECT, application.schemas, there, begins=begins)).outcomes
    assert {name: outcome.wrong for name, outcome in outcomes.items() if outcome.wrong} == {}
    assert outcomes[SALES].left_out > 0
