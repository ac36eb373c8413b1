"""Joins by a foreign key as agents run them: what explain shows, batches of any size, replays, workers that restart."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline import INNER, LEFT, Application, Table, c
from pipeline.applications.loading import declared
from pipeline.errors import SettingError
from pipeline.plan.explain import drawn, explained
from pipeline.plan.plan import Plan
from pipeline.records import RecordBatch
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings
from pipeline.tables.foreign_join import ForeignJoin
from pipeline.tables.joins import JoinKind
from pipeline.transport.outbox import partition_for

ORDERS = Table("orders", {"id": "STRING", "customer": "STRING", "n": "INT"}, key="id")
CUSTOMERS = Table("customers", {"id": "STRING", "name": "STRING", "ok": "BOOLEAN"}, key="id")


def application(kind: JoinKind) -> Application:
    """Orders with their customers, of those that are ok."""
    joined = ORDERS.join("who", CUSTOMERS.where(c.ok), on=c.customer, kind=kind)
    return Application("shop", joined.select(c.id, c.n, name=c.who.name).to("PLACED"))


def test_explain_shows_both_topics_and_both_states() -> None:
    text = explained(Plan(application(INNER)))
    assert "INNER JOIN customers who ON customer = who->id (by a foreign key)" in text
    assert "asks in topic shop-who-subscriptions, goes on with the answers in topic shop-who-answers" in text
    assert "  shop-who-subscriptions (internal)\n  shop-who-answers (internal)" in text
    assert "  who_subscriptions: left rows and what they name, by partition of orders" in text
    assert "  who_subscribers: right rows and who names them, by partition of customers" in text
    assert "      INTO PLACED\n" in text
    assert "right side of: INNER JOIN customers who" in text


def test_the_drawing_goes_by_way_of_both_topics() -> None:
    lines = drawn(Plan(application(INNER))).splitlines()
    ids = {line.split('"')[1]: line.split("[")[0].strip() for line in lines if '["' in line}
    asked, answered = ids["shop-who-subscriptions"], ids["shop-who-answers"]
    assert any(line.startswith(f"  {ids['orders']} --") and line.endswith(f"> {asked}") for line in lines)
    assert any(line.startswith(f"  {asked} --") and line.endswith(f"> {answered}") for line in lines)
    assert any(line.startswith(f"  {ids['customers']} --") and line.endswith(f"> {answered}") for line in lines)
    assert any(line.startswith(f"  {answered} --") and line.endswith(f"> {ids['PLACED']}") for line in lines)


def test_a_key_as_foreign_key_is_the_join_of_equal_keys() -> None:
    assert str(ORDERS.join("who", CUSTOMERS, on=c.id).steps[0]) == "LEFT JOIN customers who (two tables)"


def test_a_right_or_outer_join_has_no_key_for_its_result() -> None:
    with pytest.raises(SettingError, match="join j: kind is 'outer', but must be 'inner' or 'left'"):
        ForeignJoin("j", JoinKind.OUTER)


async def fed(local: LocalApplication, topic: str, rows: list[tuple[str, dict[str, Any] | None]], first: int) -> None:
    """Rows as batches, one of each partition, each of them twice: as a replay would."""
    by_partition: dict[int, list[tuple[int, str, dict[str, Any] | None]]] = {}
    for number, (key, row) in enumerate(rows):
        by_partition.setdefault(partition_for(key.encode(), 3), []).append((first + number, key, row))
    for partition, records in by_partition.items():
        offsets = [offset for offset, _, _ in records]
        values = [None if row is None else local.encode(topic, row) for _, _, row in records]
        batch = RecordBatch(topic, partition, offsets, offsets, [key.encode() for _, key, _ in records], values)
        await local.feed_batch(batch)
        for table in local.app.processors.values():
            table.reset()  # as a worker that starts anew over the same state
        await local.feed_batch(batch)


@hypothesis_settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from([INNER, LEFT]))
async def test_whatever_the_batches_and_replays_the_table_is_the_join_of_both(seed: int, kind: JoinKind) -> None:
    random = Random(seed)
    local = LocalApplication(Settings(), declared(application(kind)), 3)
    tables: dict[str, dict[str, Any]] = {"orders": {}, "customers": {}}
    async with local.running():
        offset = 0
        for _ in range(random.randint(1, 8)):
            topic, rows = random.choice(("orders", "customers")), []
            for _ in range(random.randint(1, 5)):
                key = f"{topic[0]}{random.randint(1, 3)}"
                row: dict[str, Any] | None = {
                    "id": key,
                    "customer": random.choice((None, "c1", "c2", "c3")),
                    "n": offset,
                }
                if topic == "customers":
                    row = {"id": key, "name": f"n{random.randint(1, 9)}", "ok": random.random() < 0.7}
                row = None if random.random() < 0.2 else row
                rows.append((key, row))
                tables[topic][key] = row
            await fed(local, topic, rows, offset)
            offset += len(rows)
        placed: dict[str, tuple[int, Any]] = {}
        for record, row in await local.rows("PLACED"):
            assert row is not None
            if row["version"] >= placed.get(row["id"], (-1, None))[0]:
                placed[row["id"]] = (row["version"], None if row["retired"] else (row["n"], row["name"]))
            assert record.key.decode() == row["id"]
        assert local.broker.topics.get("pipeline-dead-letters") is None
    expected = {}
    for key, one in tables["orders"].items():
        who = tables["customers"].get((one or {}).get("customer"))
        name = who["name"] if who and who["ok"] else None
        if one is not None and (name is not None or kind is LEFT):
            expected[key] = (one["n"], name)
    assert {key: row for key, (_, row) in placed.items() if row is not None} == expected
