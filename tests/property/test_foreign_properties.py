"""Whatever lies in a source topic, among good records: every record is one row or one dead letter, and all good count.

Random bytes, random schemas that can and cannot be resolved, random values and random damage under them.
"""

from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_one
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import topics
from pipeline.chaos.poison import USER, VIEW
from pipeline.codecs import HEADER, MAGIC, schema
from pipeline.records import RecordBatch
from pipeline.runner.local import LocalApplication, flash_sales_application
from pipeline.settings import Settings

TYPES: list[Any] = [
    *("null", "boolean", "int", "long", "float", "double", "bytes", "string"),
    {"type": "string", "logicalType": "uuid"},
    {"type": "int", "logicalType": "date"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "time-micros"},
    {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 4},
    {"type": "fixed", "name": "four", "size": 4},
    {"type": "enum", "name": "kind", "symbols": ["User_1", "B"]},
    {"type": "array", "items": "string"},
    {"type": "map", "values": ["null", "string"]},
]
SALE = {
    **dict.fromkeys(("customer_id", "province_id", "discount", "original_price")),
    "sale_id": 1,
    "product_id": "P10",
    "region_id": "Region_1",
    "sale_price": Decimal("9.99"),
    "quantity": 1,
    "sale_datetime": datetime(2026, 11, 22, tzinfo=UTC),
}
SOURCES = [
    (topics.PAGEVIEW, VIEW, topics.EXTENDED_PAGEVIEWS),
    (topics.USERS, USER, topics.USER_TRANSFORMED),
    (topics.FLASH_SALES, SALE, topics.EXTENDED_FLASHSALES),
]


def other_schemas(topic: topics.Topic) -> st.SearchStrategy[Any]:
    """The topic's schema with other types, names or fields; or no record at all."""
    fields = schema(topic.schema or "")["fields"]
    kinds = st.one_of(st.none(), st.sampled_from(TYPES), st.sampled_from(TYPES).map(lambda kind: ["null", kind]))
    names = st.sampled_from([str.upper, str.title, str])
    record = st.tuples(st.lists(kinds, min_size=len(fields), max_size=len(fields)), names, st.integers(0, 3)).map(
        lambda drawn: {
            "type": "record",
            "name": "other",
            "fields": [
                {"name": drawn[1](field["name"]), "type": field["type"] if kind is None else _named(kind, place)}
                for place, (field, kind) in enumerate(zip(fields, drawn[0], strict=True))
            ][: len(fields) - (drawn[2] == 3)],
        }
    )
    return st.one_of(record, st.sampled_from(TYPES[1:]))


def _named(kind: Any, place: int) -> Any:
    """A type whose name, if it has one, is given once in a schema."""
    if isinstance(kind, list):
        return [_named(branch, place) for branch in kind]
    return {**kind, "name": f"{kind['name']}{place}"} if isinstance(kind, dict) and "name" in kind else kind


def written(given_schema: Any) -> bytes:
    """A random value of a schema."""
    parsed, out = fastavro.parse_schema(given_schema), BytesIO()
    fastavro.schemaless_writer(out, parsed, generate_one(parsed))
    return out.getvalue()


FOREIGN = ("bytes", "schema", "damaged", "null")


@pytest.mark.parametrize(("topic", "good", "output"), SOURCES, ids=[topic.name for topic, _, _ in SOURCES])
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
async def test_every_record_is_one_row_or_one_letter(
    topic: topics.Topic, good: dict[str, Any], output: topics.Topic, data: st.DataObject
) -> None:
    async with flash_sales_application(Settings()).running() as application:
        kinds = data.draw(st.lists(st.sampled_from(("good", *FOREIGN)), min_size=1, max_size=12))
        values = [value_of(application, topic, good, kind, data) for kind in kinds]
        keys = [
            data.draw(st.sampled_from([b"User_1", b"", None, b"\xff"])) if k != "good" else b"User_1" for k in kinds
        ]
        times_ms = [5 if k == "good" else data.draw(st.sampled_from([5, 0, -1, 10**15])) for k in kinds]
        offsets = list(range(len(kinds)))
        await application.feed_batch(RecordBatch(topic.name, 0, offsets, times_ms, keys, values))
        letters = [row for _, row in await application.rows(topics.DEAD_LETTERS.name) if row]
        rows = [row for _, row in await application.rows(output.name)]
        bad = [letter["offset"] for letter in letters if letter["topic"] == topic.name]
        assert len(set(bad)) == len(bad)
        assert not {place for place, kind in enumerate(kinds) if kind == "good"} & set(bad)
        assert len(rows) + len(bad) == len(kinds)
        # what is good goes all the way: nothing of it is refused later
        assert {letter["topic"] for letter in letters} <= {topic.name}


def value_of(
    application: LocalApplication, topic: topics.Topic, good: dict[str, Any], kind: str, data: st.DataObject
) -> bytes | None:
    """A record's value of this kind."""
    if kind == "null":
        return None
    if kind == "bytes":
        number = data.draw(st.sampled_from([0, 1, 2, 3, 999, 0xFFFF_FFFF]))
        return data.draw(st.sampled_from([b"", HEADER.pack(MAGIC, number)])) + data.draw(st.binary(max_size=60))
    if kind == "schema":
        given_schema = data.draw(other_schemas(topic))
        application.schemas._known.append(given_schema)
        return HEADER.pack(MAGIC, len(application.schemas._known)) + written(given_schema)
    value = application.schemas.encoder(topic.schema or "")(good)
    if kind == "damaged":
        place = data.draw(st.integers(0, len(value)))
        return value[:place] + data.draw(st.binary(max_size=4)) + value[place:]
    return value
