"""The verification by SQL without a cluster: what operators make is right, and whatever is broken is found."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from judged import Lying, changed, feed, judge, judged, lying

from pipeline import Application, Count, Hopping, Session, Stream, Sum, Table, Tumbling, c
from pipeline.applications.loading import declared as runnable_of
from pipeline.errors import VerifyError
from pipeline.runner.cases import Input
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings
from pipeline.verify.declared import declared, oracle_of
from pipeline.verify.report import Noted
from pipeline.verify.subject import Subject

CLICK = {"user": "STRING", "page": "STRING", "price": "DECIMAL(9, 2)", "at": "BIGINT"}
CLICKS = Stream("clicks", CLICK, key="user", time="at")
PAGES = Table("pages", {"page": "STRING", "shelf": "STRING"}, key="page", everywhere=True)
USERS = Table("users", {"user": "STRING", "age": "INT"}, key="user")

SHOWN = CLICKS.join("of", PAGES, on=c.page).join("who", USERS)
PAID = SHOWN.where(c.price > 0).select(c.user, c.page, c.price, c.at, shelf=c.of.shelf, age=c.who.age).to("PAID")
APPLICATION = Application(
    "shop",
    CLICKS.window(Tumbling(100, grace_ms=20)).group_by(c.page).aggregate(n=Count(), paid=Sum(c.price)).to("BY_PAGE"),
    CLICKS.window(Session(30, grace_ms=20)).group_by(c.page).aggregate(n=Count()).to("VISITS"),
    PAID.window(Hopping(100, 50, grace_ms=20)).group_by(c.shelf, c.age).aggregate(n=Count()).to("BY_SHELF"),
    CLICKS.group_by().aggregate(n=Count()).to("ALL_CLICKS"),
    USERS.where(c.age >= 18).select(c.user, c.age).to("ADULTS"),
)
ORACLE = """
CREATE VIEW by_page AS SELECT *, page AS _group FROM clicks WHERE page IS NOT NULL;
CREATE TABLE expected.BY_PAGE AS
SELECT page, count(*) AS n, coalesce(sum(price), 0) AS paid, max(_time_ms) AS event_time_ms, window_start_ms,
    window_end_ms
FROM tumbling(by_page, 100, 20) GROUP BY ALL;
CREATE TABLE expected.VISITS AS
SELECT page, count(*) AS n, window_start_ms, window_end_ms FROM sessions(by_page, 30, 20) GROUP BY ALL;
CREATE TABLE expected.PAID AS
SELECT clicks."user", clicks.page, price, "at", shelf, age
FROM clicks LEFT JOIN latest(pages) p ON clicks.page = p._key
ASOF LEFT JOIN versions(users) u ON clicks._key = u._key AND clicks._time_ms >= u._time_ms
WHERE price > 0;
CREATE VIEW shelved AS SELECT * FROM PAID WHERE shelf IS NOT NULL AND age IS NOT NULL;
CREATE TABLE expected.BY_SHELF AS
SELECT shelf, age, count(*) AS n, window_start_ms, window_end_ms FROM hopping(shelved, 100, 50, 20) GROUP BY ALL;
CREATE TABLE expected.ALL_CLICKS AS SELECT count(*) AS n FROM clicks HAVING n > 0;
CREATE TABLE expected.ADULTS AS SELECT "user", age FROM latest(users) WHERE age >= 18;
"""

FIRST = [
    Input("pages", "tea", {"page": "tea", "shelf": "low"}, 0),
    Input("pages", "cup", {"page": "cup", "shelf": "top"}, 0),
    Input("users", "ann", {"user": "ann", "age": 17}, 0),
    Input("users", "bob", {"user": "bob", "age": 40}, 0),
    Input("users", "cid", {"user": "cid", "age": 50}, 0),
    Input("users", "cid", None, 1),
]
Made = tuple[LocalApplication, Lying]


def click(user: str, page: str | None, at: int, price: float = 1) -> Input:
    return Input("clicks", user, {"user": user, "page": page, "price": price, "at": at}, at)


CAME = [
    click("ann", "tea", 110),
    click("bob", "tea", 135),
    click("ann", "cup", 140, 0),
    Input("users", "ann", {"user": "ann", "age": 18}, 150),
    click("ann", "tea", 160),
    click("ann", None, 170),
    click("ann", "cup", 260),
    click("ann", "tea", 130),  # late for its windows, and for a session of its own
    click("bob", "cup", 290, 2.5),
    click("bob", "cup", 325),  # a session of its own, until the next one joins it to that of 290
    click("bob", "cup", 305),
]


def subject(folder: Path, oracle: str = ORACLE) -> Subject:
    path = folder / "shop.oracle.sql"
    path.write_text(oracle)
    return declared(APPLICATION, path)


async def run(inputs: Sequence[Input], partitions: int = 2) -> Made:
    application = LocalApplication(Settings(), runnable_of(APPLICATION), partitions)
    async with application.running():
        await feed(application, inputs)
    return application, lying(application)


@pytest.fixture
async def made() -> Made:
    return await run([*FIRST, *CAME])


async def wrong(folder: Path, made: Made, records: Lying | None = None, **more: Any) -> dict[str, list[str]]:
    application, there = made
    return await judge(Settings(), subject(folder), application.schemas, records or there, **more)


async def test_what_operators_make_is_right(tmp_path: Path, made: Made) -> None:
    assert {topic for topic in made[1] if topic.isupper()} == {o.name for o in APPLICATION.outputs}
    assert any("late" in topic for topic in made[1])
    assert await wrong(tmp_path, made) == {}


def row(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    """The last row that has these values."""
    return next(r for r in reversed(rows) if all(r[name] == value for name, value in wanted.items()))


def without(topic: str, **wanted: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        kept = [r for r in rows if any(r[name] != value for name, value in wanted.items())]
        assert len(kept) < len(rows), topic
        rows[:] = kept

    return change


def with_values(values: dict[str, Any], **wanted: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: row(rows, **wanted).update(values)


def again(values: dict[str, Any], **wanted: Any) -> Callable[[list[dict[str, Any]]], None]:
    """The last such row once more, changed, in a place of its own."""

    def change(rows: list[dict[str, Any]]) -> None:
        found = row(rows, **wanted)
        record = found["_record"]
        after = type(record)(**{**vars(record), "offset": 1_000, "key": str(values.get("page", "x")).encode()})
        rows.append({**found, **values, "_record": after})

    return change


def unretired(rows: list[dict[str, Any]]) -> None:
    """A session that was joined to another is a result still."""
    assert row(rows, window_start_ms=325)["retired"]
    rows[:] = [r for r in rows if not (r["retired"] and r["window_start_ms"] == 325)]


@pytest.mark.parametrize(
    ("topic", "change", "sentence"),
    [
        (
            "BY_PAGE",
            with_values({"n": 7}, page="tea", window_start_ms=100),
            "page=tea, window_start_ms=100: expected n=3, found n=7",
        ),
        (
            "BY_PAGE",
            without("BY_PAGE", page="cup", window_start_ms=300),
            "page=cup, window_start_ms=300: expected n=2, paid=",
        ),
        (
            "BY_PAGE",
            again({"page": "rum"}, page="cup", window_start_ms=300),
            "page=rum, window_start_ms=300: not expected, found ",
        ),
        (
            "BY_PAGE",  # the late click, counted
            with_values({"n": 4, "paid": Decimal(4)}, page="tea", window_start_ms=100),
            "page=tea, window_start_ms=100: expected n=3, paid=3.00, found n=4, paid=4.00",
        ),
        (
            "BY_PAGE",
            with_values({"window_end": "2000-01-01 00:00:00"}, page="tea", window_start_ms=100),
            "expected window_end=1970-01-01 00:00:00, found window_end=2000-01-01 00:00:00",
        ),
        (
            "VISITS",
            unretired,
            "page=cup, window_start_ms=325: not expected, found n=1, ",
        ),
        (
            "PAID",  # a wrong partner: ann was 17 then
            with_values({"age": 18}, user="ann", at=110),
            "user=ann, page=tea, price=1.00, at=110, shelf=low, age=18: not expected, found once",
        ),
        ("PAID", without("PAID", user="bob", at=290), "at=290, shelf=top, age=40: expected once, found nothing"),
        ("PAID", with_values({"shelf": None}, user="bob", at=290), "at=290, shelf=None, age=40: not expected"),
        ("ALL_CLICKS", with_values({"n": 9}, n=10), "_key=[]: expected n=10, found n=9"),
        ("ADULTS", with_values({"retired": True}, user="ann", age=18), "user=ann: expected age=18, found nothing"),
        ("ADULTS", with_values({"age": 41}, user="bob"), "user=bob: expected age=40, found age=41"),
    ],
)
async def test_whatever_is_wrong_is_found(tmp_path: Path, made: Made, topic: str, change: Any, sentence: str) -> None:
    found = await wrong(tmp_path, made, changed(made[0], made[1], topic, change))
    assert topic in found
    assert any(sentence in text for text in found[topic]), found


async def test_a_stream_row_that_comes_twice_is_wrong_unless_it_may(tmp_path: Path, made: Made) -> None:
    application, records = made
    last = records["PAID"][-1]
    twice = type(last)(**{**vars(last), "offset": last.offset + 1})
    doubled = {**records, "PAID": [*records["PAID"], twice]}
    found = await wrong(tmp_path, made, doubled)
    assert any("expected once, found 2 times" in text for text in found["PAID"])
    often = Settings(processing_guarantee="at_least_once")
    assert "PAID" not in await judge(often, subject(tmp_path), application.schemas, doubled)


async def test_an_optional_row_may_be_missing_but_not_be_wrong(tmp_path: Path, made: Made) -> None:
    application, records = made
    plain, told = "SELECT page, count(*) AS n, coalesce", "SELECT page, true AS _optional, count(*) AS n, coalesce"
    missing = changed(application, records, "BY_PAGE", without("BY_PAGE", page="cup", window_start_ms=300))
    assert "BY_PAGE" in await wrong(tmp_path, made, missing)
    optional = subject(tmp_path, ORACLE.replace(plain, told))
    assert await judge(Settings(), optional, application.schemas, missing) == {}
    false = changed(application, records, "BY_PAGE", with_values({"n": 7}, page="tea", window_start_ms=100))
    assert "BY_PAGE" in await judge(Settings(), optional, application.schemas, false)


HISTORY = """
CREATE TABLE history.ADULTS AS SELECT "user", age FROM users WHERE age >= 18;
"""


@pytest.mark.parametrize(("age", "is_right"), [(30, True), (31, True), (32, True), (29, False), (33, False)])
async def test_while_sources_move_a_row_is_one_of_those_that_it_has_had(
    tmp_path: Path, age: int, is_right: bool
) -> None:
    """Nothing is known of how ages change; the oracle knows which ones there were."""
    aged = [Input("users", "dan", {"user": "dan", "age": n}, n) for n in (29, 30, 31, 32)]
    _, before = await run([*FIRST, *aged[:2]])
    application, after = await run([*FIRST, *aged])
    found = changed(application, after, "ADULTS", with_values({"age": age}, user="dan"))
    told = subject(tmp_path, ORACLE + HISTORY)
    wrong = await judge(Settings(), told, application.schemas, found, low=before)
    assert (wrong == {}) == is_right
    # without it, a row that changes may be any
    assert await judge(Settings(), subject(tmp_path), application.schemas, found, low=before) == {}


async def test_what_the_oracle_lets_pass_is_counted(tmp_path: Path, made: Made) -> None:
    noted = """
    CREATE TABLE noted.early_clicks AS SELECT _time_ms FROM clicks WHERE _time_ms < 150;
    CREATE TABLE noted.cheap_clicks AS SELECT price FROM clicks WHERE price < 1;
    CREATE TABLE noted.dear_clicks AS SELECT price FROM clicks WHERE price > 100;
    """
    report = await judged(Settings(), subject(tmp_path, ORACLE + noted), made[0].schemas, made[1])
    assert report.noted == {"early_clicks": Noted(4, 110), "cheap_clicks": Noted(1)}


def test_an_output_is_made_of_what_its_rows_come_from(tmp_path: Path) -> None:
    made_of = {output.topic.name: output.made_of for output in subject(tmp_path).outputs}
    assert made_of["BY_PAGE"] == {"clicks"}
    assert made_of["BY_SHELF"] == {"clicks", "PAID"}
    assert made_of["ADULTS"] == {"users"}


async def test_retention_leaves_out_windows_of_what_was_removed_and_compares_the_others(tmp_path: Path) -> None:
    made = application, records = await run([*FIRST, *CAME, click("ann", "cup", 900), click("ann", "cup", 1_010)])
    begins = {"clicks": {record.partition: record.offset + 1 for record in records["clicks"] if record.timestamp < 200}}
    kept = [r for r in records["clicks"] if r.offset >= begins["clicks"].get(r.partition, 0)]
    there = {**records, "clicks": kept}
    assert (await wrong(tmp_path, made, there)) != {}
    report = await judged(Settings(), subject(tmp_path), application.schemas, there, begins=begins)
    assert {name: outcome.wrong for name, outcome in report.outcomes.items() if outcome.wrong} == {}
    left_out = {name: outcome.left_out for name, outcome in report.outcomes.items() if outcome.left_out}
    assert left_out.keys() >= {"BY_PAGE", "VISITS", "ALL_CLICKS", "PAID"} and "ADULTS" not in left_out
    false = changed(application, there, "BY_PAGE", with_values({"n": 7}, page="cup", window_start_ms=1_000))
    report = await judged(Settings(), subject(tmp_path), application.schemas, false, begins=begins)
    assert any("window_start_ms=1000" in text for text in report.outcomes["BY_PAGE"].wrong)


async def test_several_writers_of_a_stream_are_one_output(tmp_path: Path) -> None:
    first = CLICKS.where(c.price > 1).select(c.user, p=c.ROWPARTITION, o=c.ROWOFFSET).to("MARKED")
    more = CLICKS.where(c.price < 1).select(c.user, p=c.ROWPARTITION, o=c.ROWOFFSET).into(first)
    both = Application("marks", first, more)
    path = tmp_path / "marks.oracle.sql"
    path.write_text(
        'CREATE TABLE expected.MARKED AS SELECT "user", _partition AS p, _offset AS o FROM clicks WHERE price <> 1;'
    )
    application = LocalApplication(Settings(), runnable_of(both), 2)
    async with application.running():
        await feed(application, CAME[:3] + CAME[-3:-2])
    there = lying(application)
    assert len(there["MARKED"]) == 2
    assert await judge(Settings(), declared(both, path), application.schemas, there) == {}
    there["MARKED"].pop()
    assert "found nothing" in (await judge(Settings(), declared(both, path), application.schemas, there))["MARKED"][0]


async def test_while_sources_move_results_may_stand_between_both_cuts(tmp_path: Path) -> None:
    _, before = await run([*FIRST, *CAME[:7]])
    application, between = await run([*FIRST, *CAME[:9]])
    _, after = await run([*FIRST, *CAME])
    outputs = {o.name for o in APPLICATION.outputs} - {"PAID"}
    mixed = {topic: (between if topic in outputs else after)[topic] for topic in after}
    assert await judge(Settings(), subject(tmp_path), application.schemas, mixed, low=before) == {}
    too_much = changed(application, mixed, "BY_PAGE", with_values({"n": 4}, page="cup", window_start_ms=200))
    found = await judge(Settings(), subject(tmp_path), application.schemas, too_much, low=before)
    assert "expected between" in found["BY_PAGE"][0]
    unread = changed(application, mixed, "BY_PAGE", without("BY_PAGE", page="tea", window_start_ms=100))
    found = await judge(Settings(), subject(tmp_path), application.schemas, unread, low=before)
    assert "page=tea, window_start_ms=100: expected" in found["BY_PAGE"][0]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("CREATE TABLE expected.ADULTS", "CREATE TABLE other", "it says nothing of ADULTS, but must have CREATE TABLE"),
        ("CREATE TABLE expected.ADULTS", "CREATE VIEW expected.ADULTS", "is a view, but must be a table"),
        (
            'SELECT "user", age FROM latest',
            'SELECT "user" FROM latest',
            "has no column age, but must have every one of",
        ),
        ('AS SELECT "user", age FROM l', "AS SELECT *, 1 AS one FROM l", "but ADULTS has only user, age"),
        (
            "CREATE TABLE expected.ADULTS",
            'CREATE VIEW history.ADULTS AS SELECT "user", age FROM users; CREATE TABLE expected.ADULTS',
            'history."ADULTS" is a view, but must be a table',
        ),
        (
            "CREATE TABLE expected.ADULTS",
            'CREATE TABLE history.ADULTS AS SELECT "user" FROM users; CREATE TABLE expected.ADULTS',
            'history."ADULTS" has no column age, but must have every one of ADULTS',
        ),
        (
            "CREATE TABLE expected.ADULTS",
            "CREATE TABLE noted.some AS SELECT 'soon' AS _time_ms; CREATE TABLE expected.ADULTS",
            'noted."some": Conversion Error: ',
        ),
        ("HAVING n > 0", "HAVING m > 0", "oracle shop.oracle.sql: Binder Error: "),
        (
            "latest(users) WHERE age >= 18",
            "versions(users) WHERE age > 0",
            "has 2 rows of user=ann, but must have one",
        ),
        (
            "SELECT count(*) AS n FROM clicks HAVING n > 0",
            "SELECT 'many' AS n",
            "Could not convert string 'many'",
        ),
    ],
)
async def test_an_oracle_that_cannot_be_right_is_refused(
    tmp_path: Path, made: Made, before: str, after: str, sentence: str
) -> None:
    assert before in ORACLE
    wrong_one = subject(tmp_path, ORACLE.replace(before, after))
    with pytest.raises(VerifyError, match=r"application shop, oracle shop\.oracle\.sql: ") as raised:
        await judge(Settings(), wrong_one, made[0].schemas, made[1])
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_without_an_oracle_the_sentence_says_where_it_has_to_lie(tmp_path: Path) -> None:
    missing = replace(subject(tmp_path), oracle=tmp_path / "nowhere.sql")
    with pytest.raises(VerifyError, match=r"application shop has no oracle, but must have one.*nowhere\.sql"):
        missing.script()


def test_an_oracle_lies_in_the_folder_or_beside_the_module() -> None:
    assert oracle_of(Path("a/clicks/__init__.py")) == Path("a/clicks/oracle.sql")
    assert oracle_of(Path("a/clicks.py")) == Path("a/clicks.oracle.sql")


def test_stages_follow_the_rows(tmp_path: Path) -> None:
    stages = [{topic.name for topic in stage} for stage in subject(tmp_path).stages]
    assert stages[0] == {"clicks", "users"}
    assert stages[1] >= {"PAID", "shop-BY_PAGE-partials", "shop-VISITS-partials"}
    assert stages[2:] == [{"shop-BY_SHELF-partials"}]


def test_nothing_but_a_verification_loads_the_engine() -> None:
    """Both take a third of a second, and megabytes, that no worker should pay."""
    code = "import sys, pipeline.cli, pipeline.verify.run; sys.exit(bool({'duckdb', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
