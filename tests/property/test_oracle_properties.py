"""Whatever comes in whatever order, SQL says what operators make of it, and what plain arithmetic says."""

import asyncio
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged import feed, judge, lying
from recomputed import Event, sessions, time_windows

from pipeline import Application, Count, Hopping, Session, Stream, Tumbling, c
from pipeline.applications.loading import declared as runnable_of
from pipeline.applications.loading import runnable
from pipeline.runner.cases import Input
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings
from pipeline.verify import database
from pipeline.verify.declared import declared
from pipeline.verify.flash_sales import flash_sales

MACROS = (Path(database.__file__).with_name("macros.sql")).read_text("utf-8")
SLOW = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)

EVENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 200), st.sampled_from("ab")), max_size=40)
"""(partition, time, group), in the order of their coming."""


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute(MACROS)
    return made


def by_sql(
    connection: duckdb.DuckDBPyConnection, events: list[tuple[int, int, str]], windows: str
) -> dict[tuple[str, int, int], int]:
    columns = {
        "_partition": pa.array([partition for partition, _, _ in events], pa.int32()),
        "_offset": pa.array(range(len(events)), pa.int64()),
        "_time_ms": pa.array([time_ms for _, time_ms, _ in events], pa.int64()),
        "_group": pa.array([group for _, _, group in events], pa.string()),
    }
    rows = pa.table(columns)
    connection.register("came", rows)
    found = connection.execute(
        f"SELECT _group, window_start_ms, window_end_ms, count(*) FROM {windows} GROUP BY ALL"
    ).fetchall()
    connection.unregister("came")
    return {(group, start, end): count for group, start, end, count in found}


@settings(deadline=None, max_examples=60, suppress_health_check=SLOW)
@given(events=EVENTS, gap=st.integers(1, 12), grace=st.sampled_from([0, 1, 5, 20, 100]))
def test_sessions_are_those_of_plain_arithmetic(
    connection: duckdb.DuckDBPyConnection, events: list[tuple[int, int, str]], gap: int, grace: int
) -> None:
    wanted, _ = sessions([Event(*event) for event in events], gap, grace)
    assert by_sql(connection, events, f"sessions(came, {gap}, {grace})") == wanted


@settings(deadline=None, max_examples=40, suppress_health_check=SLOW)
@given(events=EVENTS, advance=st.integers(1, 30), times=st.integers(1, 3), grace=st.sampled_from([0, 1, 20, 100]))
def test_windows_are_those_of_plain_arithmetic(
    connection: duckdb.DuckDBPyConnection, events: list[tuple[int, int, str]], advance: int, times: int, grace: int
) -> None:
    size = advance * times
    wanted, _ = time_windows([Event(*event) for event in events], size, advance, grace)
    assert by_sql(connection, events, f"hopping(came, {size}, {advance}, {grace})") == wanted


CLICKS = Stream("clicks", {"user": "STRING", "page": "STRING", "at": "BIGINT"}, key="user", time="at")
BY_PAGE = CLICKS.window(Tumbling(50, grace_ms=20)).group_by(c.page).aggregate(n=Count()).to("BY_PAGE")
HOPPING = CLICKS.window(Hopping(60, 20, grace_ms=0)).group_by(c.page).aggregate(n=Count()).to("HOPPING")
VISITS = CLICKS.window(Session(10, grace_ms=15)).group_by(c.page).aggregate(n=Count()).to("VISITS")
APPLICATION = Application("clicks", BY_PAGE, HOPPING, VISITS)
ORACLE = """
CREATE VIEW by_page AS SELECT *, page AS _group FROM clicks WHERE page IS NOT NULL;
CREATE TABLE expected.BY_PAGE AS
SELECT page, count(*) AS n, max(_time_ms) AS event_time_ms, window_start_ms, window_end_ms
FROM tumbling(by_page, 50, 20) GROUP BY ALL;
CREATE TABLE expected.HOPPING AS
SELECT page, count(*) AS n, window_start_ms, window_end_ms FROM hopping(by_page, 60, 20, 0) GROUP BY ALL;
CREATE TABLE expected.VISITS AS
SELECT page, count(*) AS n, window_start_ms, window_end_ms FROM sessions(by_page, 10, 15) GROUP BY ALL;
"""
CLICKED = st.lists(
    st.tuples(st.sampled_from(["u1", "u2", "u3", "u4"]), st.sampled_from(["x", "y", None]), st.integers(0, 200)),
    max_size=30,
)


@settings(deadline=None, max_examples=12, suppress_health_check=SLOW)
@given(clicks=CLICKED)
def test_operators_make_what_the_oracle_says(
    tmp_path_factory: pytest.TempPathFactory, clicks: list[tuple[str, str | None, int]]
) -> None:
    oracle = tmp_path_factory.mktemp("oracle") / "clicks.oracle.sql"
    oracle.write_text(ORACLE)
    inputs = [Input("clicks", user, {"user": user, "page": page, "at": at}, at) for user, page, at in clicks]

    async def judged() -> dict[str, list[str]]:
        application = LocalApplication(Settings(), runnable_of(APPLICATION), partitions=3)
        async with application.running():
            await feed(application, inputs)
        return await judge(Settings(), declared(APPLICATION, oracle), application.schemas, lying(application))

    assert asyncio.run(judged()) == {}


USER = {"interests": ["a"], "contactinfo": {"city": "x"}, "gender": "MALE", "registertime": 5}
SALE = {"customer_id": 1, "province_id": 1, "discount": 0, "original_price": 1}
REFERENCES = [
    *(Input("MysqlSource-pages", p, {"page_id": p, "page_group": f"G{p}", "page_name": p}, 0) for p in "12"),
    *(Input("MysqlSource-region", r, {"region_id": r, "region_name": f"N{r}"}, 0) for r in "12"),
    *(Input("MysqlSource-product", p, {"product_id": p, "product_group": f"P{p}", "product_name": p}, 0) for p in "12"),
]
IDS, REGIONS, TIMES = st.sampled_from(["User_1", "User_2"]), st.sampled_from("123"), st.integers(0, 60_000)
"""Within a minute: a view that came before an older version of its user has raced then, and is not wrong."""
VIEW = st.builds(
    lambda u, p, at: Input("PageView", u, {"userid": u, "pageid": p, "viewtime": 1}, at),
    IDS,
    st.sampled_from("123"),
    TIMES,
)
CHANGE = st.builds(
    lambda u, r, at: Input("Users_", u, None if r is None else {**USER, "userid": u, "regionid": r}, at),
    IDS,
    st.sampled_from(["1", "2", None]),
    TIMES,
)
SOLD = st.builds(
    lambda number, p, r, price, count, at: Input(
        "MysqlSource-flash_sales",
        str(number),
        {
            **SALE,
            "sale_id": number,
            "product_id": p,
            "region_id": r,
            "sale_price": price,
            "quantity": count,
            "sale_datetime": at,
        },
        at,
    ),
    st.integers(1, 9),
    st.sampled_from("123"),
    REGIONS,
    st.sampled_from([0.01, 3, 12.34, None, 99_999_999.99]),
    st.sampled_from([1, 3, None, 2_000_000_000]),
    st.one_of(TIMES, st.none()).map(lambda at: 0 if at is None else at),
)
SMALL = {"tumbling_size_ms": 10_000, "hopping_size_ms": 9_000, "hopping_advance_ms": 3_000, "session_gap_ms": 2_000}


@settings(deadline=None, max_examples=8, suppress_health_check=SLOW)
@given(inputs=st.lists(st.one_of(VIEW, CHANGE, SOLD), max_size=30))
def test_flash_sales_is_what_its_oracle_says(inputs: list[Input]) -> None:
    given_settings = Settings(**SMALL, grace_ms=5_000, partitions=3)

    async def judged() -> dict[str, list[str]]:
        application = LocalApplication(given_settings, runnable(given_settings), partitions=3)
        async with application.running():
            await feed(application, [*REFERENCES, *inputs])
        subject = flash_sales(given_settings.session_gap_ms)
        return await judge(given_settings, subject, application.schemas, lying(application))

    assert asyncio.run(judged()) == {}
