"""Declared applications in one process: names that never change, batches of any size, replays, how they are found."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline import Application, Count, Generator, Hopping, Stream, Sum, Table, c, f, now, numbers, one_of, seconds
from pipeline.applications.loading import declared, load, names
from pipeline.declare.expressions import case
from pipeline.errors import SettingError
from pipeline.plan.explain import drawn, explained
from pipeline.plan.plan import Plan
from pipeline.records import RecordBatch
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings

ORDERS = Stream(
    "orders", {"id": "STRING", "user": "STRING", "items": {"type": "array", "items": "string"}, "n": "INT"}, key="id"
)
USERS = Table("users", {"user": "STRING", "country": "STRING"}, key="user")
ITEMS = ORDERS.where(c.n > 0).explode(c["items"], "item")
PER_ITEM = ITEMS.group_by(item=f.ucase(c.item)).aggregate(orders=Count(), total=Sum(c.n)).to("PER_ITEM")
HOPS = ITEMS.window(Hopping(seconds(10), seconds(5))).group_by(c.item).aggregate(orders=Count()).to("HOPS")
BY_COUNTRY = (
    ORDERS.repartition("orders-by-user", key=c.user)
    .join("who", USERS)
    .group_by(country=c.who.country)
    .aggregate(orders=Count())
    .to("BY_COUNTRY")
)
APPLICATION = Application("shop", PER_ITEM, HOPS, BY_COUNTRY)


def order(number: int, random: Random) -> dict[str, Any]:
    items = [random.choice(("a", "B", "c")) for _ in range(random.randint(0, 3))]
    return {"id": f"o{number}", "user": f"u{random.randint(1, 3)}", "items": items, "n": random.randint(-1, 3)}


async def fed(local: LocalApplication, orders: Sequence[dict[str, Any]], borders: Sequence[int]) -> None:
    """Feed orders as batches that end at these places, each of them twice: as a replay would."""
    values = [local.encode("orders", row) for row in orders]
    ends = sorted({*borders, len(orders)} - {0})
    for start, end in zip([0, *ends], ends, strict=False):
        offsets = range(start, end)
        times = [1_000 * number for number in offsets]
        keys = [orders[number]["id"].encode() for number in offsets]
        batch = RecordBatch("orders", 0, list(offsets), times, keys, values[start:end])
        await local.feed_batch(batch)
        await local.feed_batch(batch)


async def latest(local: LocalApplication, topic: str) -> dict[Any, dict[str, Any]]:
    """The rows of a topic by key and window, the newest of each."""
    found: dict[Any, dict[str, Any]] = {}
    for record, row in await local.rows(topic):
        assert row is not None
        found[record.key, row.get("window_start_ms")] = row
    return found


@hypothesis_settings(max_examples=25)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 40), borders=st.lists(st.integers(0, 40), max_size=5))
async def test_whatever_the_batches_and_replays_results_are_those_of_the_rows(
    seed: int, count: int, borders: list[int]
) -> None:
    random = Random(seed)
    orders = [order(number, random) for number in range(count)]
    local = LocalApplication(Settings(), declared(APPLICATION))
    async with local.running():
        for number in (1, 2):
            user = {"user": f"u{number}", "country": "DE" if number == 1 else "FR"}
            await local.feed("users", user["user"].encode(), local.encode("users", user), 0)
        await fed(local, orders, [border for border in borders if border < count])
        found = {
            key[0].decode(): (row["orders"], row["total"]) for key, row in (await latest(local, "PER_ITEM")).items()
        }
        hops = {(key[0].decode(), key[1]): row["orders"] for key, row in (await latest(local, "HOPS")).items()}
        countries = {key[0].decode(): row["orders"] for key, row in (await latest(local, "BY_COUNTRY")).items()}
    rows = [(number, item, one["n"]) for number, one in enumerate(orders) if one["n"] > 0 for item in one["items"]]
    assert found == {
        item: (sum(i.upper() == item for _, i, _ in rows), sum(n for _, i, n in rows if i.upper() == item))
        for item in {i.upper() for _, i, _ in rows}
    }
    wanted = Counter(
        (item, start)
        for number, item, _ in rows
        for start in range(0, 1_000 * number + 1, 5_000)
        if start <= 1_000 * number < start + 10_000
    )
    assert hops == dict(wanted)
    known = {"u1": "DE", "u2": "FR"}
    assert countries == dict(Counter(known[one["user"]] for one in orders if one["user"] in known))


def test_names_of_topics_and_states_follow_from_what_is_declared() -> None:
    plan = Plan(APPLICATION)
    assert [topic.name for topic in plan.topics()] == [
        "orders",
        "users",
        "PER_ITEM",
        "HOPS",
        "BY_COUNTRY",
        "shop-orders-by-user",
        "shop-PER_ITEM-partials",
        "shop-HOPS-partials",
        "shop-BY_COUNTRY-partials",
        "pipeline-dead-letters",
        "pipeline-late-records",
    ]
    again = Plan(Application("shop", BY_COUNTRY, HOPS, PER_ITEM))
    assert {topic.name for topic in again.topics()} == {topic.name for topic in plan.topics()}


def test_only_what_is_read_goes_to_another_partition() -> None:
    orders = ORDERS.where(c.n > 0).repartition("by-user", key=c.user).group_by(c.user).aggregate(n=Count()).to("N")
    (between,) = (topic for topic in Plan(Application("few", orders)).topics() if topic.name == "few-by-user")
    assert isinstance(between.schema, dict)
    assert [field["name"] for field in between.schema["fields"]] == ["user"]


def test_records_of_a_source_go_to_another_partition_as_they_are() -> None:
    """Their values are not read and written again: the topic needs no schema of its own."""
    plan = Plan(APPLICATION)
    root = plan.roots["shop-orders-by-user"]
    assert (root.topic.schema, root.read_as) == (None, ORDERS.topic)


@pytest.mark.parametrize("partitions", [1, 3])
async def test_rows_that_lie_at_home_go_on_at_once(partitions: int) -> None:
    """Only the others go by way of the topic in between; what becomes of all of them is the same."""
    who = USERS.select(c.user, c.country)
    joined = ORDERS.repartition("by-user", key=c.user).join("who", who).select(c.id, c.user, country=c.who.country)
    running = LocalApplication(Settings(), declared(Application("home", joined.to("JOINED"))), partitions)
    async with running.running() as local:
        for user in ("u1", "u2", "u3", "u4"):
            await local.feed("users", user.encode(), local.encode("users", {"user": user, "country": user.upper()}), 1)
        for number, user in enumerate(("u1", "u2", "u3", "u4") * 3):
            row = {"id": f"o{number}", "user": user, "items": [], "n": 1}
            await local.feed("orders", f"o{number}".encode(), local.encode("orders", row), 10)
        rows = [(record.key, row) for record, row in await local.rows("JOINED")]
        assert sorted(row["id"] for _, row in rows if row) == sorted(f"o{number}" for number in range(12))
        assert all(row and row["country"] == row["user"].upper() and key == row["user"].encode() for key, row in rows)
        between = local.broker.topics.get("home-by-user", [])
        assert (len(between) == 0) if partitions == 1 else (0 < len(between) < 12)


def test_explain_shows_the_tree_with_what_branches_share_once() -> None:
    text = explained(Plan(APPLICATION))
    assert text.count("WHERE n > 0") == 1
    assert text.count("EXPLODE(items) AS item") == 1
    assert "goes on in topic shop-orders-by-user" in text
    assert "LEFT JOIN users who (as of the row's time)" in text
    assert (
        "GROUP BY item WINDOW HOPPING (SIZE 10000 ms, ADVANCE BY 5000 ms, GRACE PERIOD 86390000 ms) INTO HOPS" in text
    )
    assert "users_versions: versions of the rows of users" in text


def test_a_drawing_has_every_topic_and_an_arrow_to_every_output() -> None:
    text = drawn(Plan(APPLICATION))
    for name in ("orders", "users", "PER_ITEM", "HOPS", "BY_COUNTRY", "shop-orders-by-user"):
        assert f'["{name}"]' in text
    assert text.startswith("flowchart LR\n")
    assert text.count("-->") == 4


def test_a_generator_gives_the_same_rows_for_the_same_seed_and_fits_the_schema() -> None:
    made = Generator(ORDERS, per_s=5, user=one_of("u1", "u2"), n=numbers(1, 3))
    first, second = made.maker(7), made.maker(7)
    rows = [first(number) for number in range(50)]
    assert rows == [second(number) for number in range(50)]
    assert {row["user"] for row in rows} == {"u1", "u2"}
    assert {row["n"] for row in rows} == {1, 2, 3}
    assert Generator(Stream("t", {"k": "STRING", "at": "BIGINT"}, key="k", time="at")).maker(1)(17)["at"] == 17
    assert now()(Random(1), 5) == 5


def write(folder: Path, text: str, name: str = "mine") -> Path:
    (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1", "module {name} has no APPLICATION, but must have one"),
        ("APPLICATION = 3", "module {name} has no APPLICATION, but must have one"),
        ("import nothing_like_this", "cannot be loaded: ModuleNotFoundError"),
        ("APPLICATION = 1 / 0", "cannot be loaded: ZeroDivisionError: division by zero ({file}, line 1)"),
        ("def (", "cannot be loaded: SyntaxError"),
        ("from pipeline import *\nStream('s', {'a': 'STRING'}, key='b')", "stream s: key is 'b', but must be one of"),
    ],
)
def test_an_application_that_cannot_be_loaded_says_why(tmp_path: Path, text: str, sentence: str) -> None:
    name = f"mine_{abs(hash(text))}"
    write(tmp_path, text, name)
    with pytest.raises(SettingError) as refused:
        load(name, tmp_path)
    assert sentence.format(name=name, file=tmp_path / f"{name}.py") in str(refused.value)
    assert str(refused.value).startswith(f"application {name}")
    assert "\n" not in str(refused.value)


def test_an_application_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    write(tmp_path, "APPLICATION = 1", "here")
    assert names(tmp_path) == ("flash_sales", "here", "user_sessions")
    with pytest.raises(SettingError, match=r"no such module in .* those that are known are flash_sales, here"):
        load("gone", tmp_path)


async def test_a_value_that_cannot_be_is_null_and_told_and_the_row_goes_on() -> None:
    shares = ORDERS.select(c.id, share=10 / c.n, size=case((c.n > 2, "big"), otherwise="small")).to("SHARES")
    local = LocalApplication(Settings(), declared(Application("shares", shares)))
    async with local.running():
        for number, n in enumerate((5, 0, None)):
            row = {"id": str(number), "user": None, "items": None, "n": n}
            await local.feed("orders", str(number).encode(), local.encode("orders", row), number)
        rows = [row for _, row in await local.rows("SHARES")]
        letters = [row for _, row in await local.rows("pipeline-dead-letters")]
    assert rows == [
        {"id": "0", "share": 2, "size": "big"},
        {"id": "1", "share": None, "size": "small"},
        {"id": "2", "share": None, "size": "small"},
    ]
    assert [letter["reason"] for letter in letters if letter] == ["10 / n has no value: divides 10 by zero"]
    assert [letter["offset"] for letter in letters if letter] == [1]
