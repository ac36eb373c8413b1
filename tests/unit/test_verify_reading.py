"""Records read many at once are read as one by one: the same rows, the same bad ones, the same large ones."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import topics
from pipeline.runner.local import PackagedSchemas
from pipeline.topics import Topic
from pipeline.verify.records import LARGE_BYTES, LAST_MS, MOST_BYTES
from pipeline.verify.topic_reader import TopicReader

SCHEMAS = PackagedSchemas(topics.ALL)
VIEW = {"viewtime": 1, "userid": "User_1", "pageid": "Page_1"}
USER = {"userid": "User_1", "regionid": "1", "gender": "M", "registertime": 1, "interests": [], "contactinfo": {}}
SALE = {"sale_id": 1, "sale_price": None, "quantity": 2, "sale_datetime": 5}
BAD_TIMES = [-1, LAST_MS]
KEYS = st.sampled_from([b"User_1", b"User_1", b"\xff", None, b"k" * (LARGE_BYTES + 1)])
TIMES = st.sampled_from([0, 5, LAST_MS - 1, *BAD_TIMES])


def value_of(topic: Topic, row: dict[str, Any]) -> bytes:
    return SCHEMAS.encoder_of(topic)(row)


VALUES: dict[str, list[bytes | None]] = {
    topics.PAGEVIEW.name: [
        value_of(topics.PAGEVIEW, VIEW),
        value_of(topics.PAGEVIEW, {**VIEW, "userid": "u" * (LARGE_BYTES + 1)}),
        value_of(topics.PAGEVIEW, {**VIEW, "userid": "u" * MOST_BYTES}),
        value_of(topics.PAGEVIEW, VIEW) + b"x",
        None,
    ],
    topics.USERS.name: [value_of(topics.USERS, USER), value_of(topics.USERS, {**USER, "regionid": "2"}), b"\1x", None],
    topics.FLASH_SALES.name: [
        *(value_of(topics.FLASH_SALES, {**SALE, "sale_datetime": at}) for at in (5, 6, None, *BAD_TIMES)),
        None,
    ],
}
RECORDS = {
    name: st.lists(st.tuples(KEYS, st.sampled_from(values), TIMES), max_size=8)
    | st.lists(st.tuples(st.just(b"User_1"), st.sampled_from(values[:2]), st.just(5)), max_size=8)
    for name, values in VALUES.items()
}


def read(topic: Topic, records: list[Any], **kind: bool) -> tuple[pa.Table, set[Any], set[Any]]:
    reader = TopicReader(topic, **{"table": False, **kind})
    return asyncio.run(reader.rows(SCHEMAS, records)), reader.bad, reader.large


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        (topics.PAGEVIEW, {}),
        (topics.PAGEVIEW, {"of_output": True}),
        (topics.USERS, {"table": True}),
        (topics.USERS, {"table": True, "of_output": True}),
        (topics.FLASH_SALES, {}),
        (topics.FLASH_SALES, {"of_output": True}),
    ],
)
@given(data=st.data())
def test_many_at_once_are_as_one_by_one(topic: Topic, kind: dict[str, bool], data: st.DataObject) -> None:
    records = [
        SimpleNamespace(partition=offset % 2, offset=offset, key=key, value=value, timestamp=time_ms)
        for offset, (key, value, time_ms) in enumerate(data.draw(RECORDS[topic.name]))
    ]
    rows, bad, large = read(topic, records, **kind)
    one_by_one = [read(topic, [record], **kind) for record in records]
    assert bad == {origin for _, found, _ in one_by_one for origin in found}
    assert large == {origin for _, _, found in one_by_one for origin in found}
    assert rows.to_pylist() == [row for found, _, _ in one_by_one for row in found.to_pylist()]
    assert rows.num_rows + len(bad) == len(records)


def lie(value: bytes | None, time_ms: int = 5, key: bytes | None = b"User_1") -> Any:
    return SimpleNamespace(partition=0, offset=0, key=key, value=value, timestamp=time_ms)


VALUE = VALUES[topics.PAGEVIEW.name]


@pytest.mark.parametrize(
    ("record", "is_bad", "is_large"),
    [
        (lie(VALUE[0]), False, False),
        (lie(VALUE[0], key=None), False, False),
        (lie(VALUE[0], key=b"\xff"), False, False),
        (lie(VALUE[1]), False, True),
        (lie(VALUE[0], key=b"k" * (LARGE_BYTES + 1)), False, True),
        (lie(VALUE[2]), True, False),
        (lie(VALUE[3]), True, False),
        (lie(None), True, False),
        (lie(VALUE[0], -1), True, False),
        (lie(VALUE[0], LAST_MS), True, False),
    ],
)
def test_what_is_bad_and_what_is_large_of_a_source(record: Any, is_bad: bool, is_large: bool) -> None:
    _, bad, large = read(topics.PAGEVIEW, [record])
    assert (bad != set(), large != set()) == (is_bad, is_large)


@pytest.mark.parametrize(
    ("key", "value", "is_bad"), [(b"u", None, False), (None, VALUE[0], True), (b"\xff", None, True)]
)
def test_a_table_takes_deletions_but_no_record_without_a_key(key: bytes | None, value: Any, is_bad: bool) -> None:
    _, bad, _ = read(topics.PAGEVIEW, [lie(value, key=key)], table=True)
    assert (bad != set()) == is_bad


def test_an_output_may_be_as_large_as_brokers_take_and_of_any_time() -> None:
    rows, bad, _ = read(topics.PAGEVIEW, [lie(VALUE[2], -1)], of_output=True)
    assert (rows.num_rows, bad) == (1, set())
