"""Records that others write, in every way that they can: none ends a worker, and each bad one is one dead letter.

Against the real registry, brokers and Pinot: what a schema is, whether references are told and what becomes of ids that
nobody knows, is for them to say.
"""

import asyncio
import json
import struct
import time
from collections.abc import Iterator
from io import BytesIO
from itertools import cycle, islice
from typing import Any
from uuid import UUID

import fastavro
import httpx
import pytest
from test_application import assert_clean

from pipeline import kafka, topics
from pipeline.chaos.poison import USER, VIEW
from pipeline.codecs import HEADER, MAGIC, schema
from pipeline.registry import Registry
from pipeline.settings import Settings
from running import Application

GOOD, BAD = 100_000, 1_000
PROTOBUF = 'syntax = "proto3"; message View { string userid = 1; }'
JSON_SCHEMA = {"type": "object", "properties": {"userid": {"type": "string"}}}
Sent = tuple[topics.Topic, bytes | None, bytes | None, int | None]


def record(*fields: dict[str, Any], name: str = "view") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def view_with(**types: Any) -> dict[str, Any]:
    """The view's schema with other types for some fields."""
    fields = [{**field, "type": types.get(field["name"], field["type"])} for field in schema("pageview")["fields"]]
    return {**schema("pageview"), "fields": fields}


async def register(settings: Settings, subject: str, given: Any, kind: str = "AVRO", **more: Any) -> int:
    """Register a schema under a subject of its own; returns its id."""
    text = given if isinstance(given, str) and kind == "PROTOBUF" else json.dumps(given)
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{settings.registry_url}/subjects/{subject}/versions"
        answer = await client.post(url, json={"schema": text, "schemaType": kind, **more})
        assert answer.status_code == 200, answer.text
        return int(answer.json()["id"])


def written(number: int, given: Any, value: Any) -> bytes:
    """A value in the wire format."""
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(given), value)
    return HEADER.pack(MAGIC, number) + out.getvalue()


async def bad_records(settings: Settings) -> list[Sent]:
    """One of every kind; the large ones last."""
    registry = Registry(settings)
    view, user = (await registry.encoder(topics.PAGEVIEW))(VIEW), (await registry.encoder(topics.USERS))(USER)
    sale = await registry.encoder(topics.FLASH_SALES)
    names = ("customer_id", "province_id", "product_id", "region_id", "discount", "original_price")
    timeless = {**dict.fromkeys(names), "sale_id": 10**9, "sale_price": None, "quantity": 2, "sale_datetime": None}
    nullable, longs = view_with(userid=["null", "string"]), view_with(userid="long")
    kinds: list[tuple[Any, str, Any]] = [
        ("string", "AVRO", "User_1"),
        (["null", view_with()], "AVRO", VIEW),
        ({"type": "array", "items": "string"}, "AVRO", ["User_1"]),
        ({"type": "enum", "name": "kind", "symbols": ["A"]}, "AVRO", "A"),
        (record({"name": "userid", "type": "string"}, name="less"), "AVRO", {"userid": "User_1"}),
        (longs, "AVRO", {**VIEW, "userid": 1}),
        (nullable, "AVRO", {**VIEW, "userid": None}),
        (PROTOBUF, "PROTOBUF", b"\0\n\6User_1"),
        (JSON_SCHEMA, "JSON", b'{"userid": "User_1"}'),
    ]
    bad: list[Sent] = []
    for place, (given, kind, value) in enumerate(kinds):
        number = await register(settings, f"foreign-bad-{place}", given, kind)
        raw = HEADER.pack(MAGIC, number) + value if isinstance(value, bytes) else written(number, given, value)
        bad.append((topics.PAGEVIEW, b"User_1", raw, None))
    bad += [(topics.PAGEVIEW, b"User_1", b"\0" + struct.pack(">I", number) + b"abc", None) for number in UNKNOWN_IDS]
    bad += [(topics.PAGEVIEW, None, raw, None) for raw in (b"", b"\0", b"\1random", view[:-3], view + b"xx")]
    bad += [
        (topics.PAGEVIEW, b"User_1", None, None),
        (topics.PAGEVIEW, b"User_1", view, -5),
        (topics.PAGEVIEW, b"User_1", user, None),
        (topics.USERS, None, user, None),
        (topics.USERS, b"\xff", user, None),
        (topics.USERS, b"User_2", user, None),
        (topics.FLASH_SALES, None, sale(timeless), None),
        (topics.FLASH_SALES, b"1000000000", sale({**timeless, "sale_datetime": -1_000}), None),
    ]
    encode_view, encode_user = await registry.encoder(topics.PAGEVIEW), await registry.encoder(topics.USERS)
    control = "\1" * 200_000
    bad += [
        (topics.PAGEVIEW, None, encode_view({**VIEW, "userid": "u" * 524_240}), None),
        (topics.PAGEVIEW, None, view + bytes(600_000), None),
        (topics.USERS, control.encode(), encode_user({**USER, "userid": control}), None),
    ]
    return bad


UNKNOWN_IDS = (0, 987_654, (1 << 31) - 1, 1 << 31, 0xFFFF_FFFF)
LARGE = 3


async def good_foreign_records(settings: Settings) -> list[bytes]:
    """Views that other writers' schemas describe in other words."""
    text = {"type": "record", "name": "Text", "namespace": "com.acme", "fields": [{"name": "text", "type": "string"}]}
    await register(settings, "foreign-text", text)
    reference = {"name": "com.acme.Text", "subject": "foreign-text", "version": 1}
    referring = {
        **schema("pageview"),
        "fields": [*schema("pageview")["fields"], {"name": "note", "type": "com.acme.Text"}],
    }
    upper = record(
        *({"name": f["name"].upper(), "type": ["null", f["type"]]} for f in schema("pageview")["fields"]),
        name="KsqlDataSourceSchema",
    )
    uuids = view_with(userid={"type": "string", "logicalType": "uuid"})
    millis = view_with(viewtime={"type": "long", "logicalType": "timestamp-millis"})
    symbols = view_with(userid={"type": "enum", "name": "user", "symbols": ["User_1", "User_2"]})
    number = await register(settings, "foreign-referring", referring, references=[reference])
    whole = {**referring, "fields": [*schema("pageview")["fields"], {"name": "note", "type": text}]}
    good = [written(number, whole, {**VIEW, "note": {"text": "x"}})]
    for place, (given, value) in enumerate(
        (
            (upper, {name.upper(): found for name, found in VIEW.items()}),
            (uuids, {**VIEW, "userid": UUID(int=7)}),
            (millis, VIEW),
            (symbols, VIEW),
            (view_with(userid=["null", "string"]), VIEW),
        )
    ):
        good.append(written(await register(settings, f"foreign-good-{place}", given), given, value))
    return good


async def feed(settings: Settings) -> int:
    """GOOD views with BAD foreign records among them; returns how many good ones were sent."""
    encode = await Registry(settings).encoder(topics.PAGEVIEW)
    bad, good = await bad_records(settings), await good_foreign_records(settings)
    small = cycle(bad[:-LARGE])
    among: Iterator[Sent] = iter([*bad[-LARGE:], *islice(small, BAD - LARGE)])
    async with kafka.producer(settings) as producer:
        sent = 0
        for number in range(GOOD):
            user = f"User_{number % 9 + 1}"
            value = encode({**VIEW, "viewtime": number, "userid": user})
            if number % 1_000 < len(good):
                user, value = "User_1", good[number % 1_000]
            waiting = await producer.send(topics.PAGEVIEW.name, value, user.encode())
            sent += 1
            if number % (GOOD // BAD) == 0:
                topic, key, foreign, time_ms = next(among)
                await producer.send(topic.name, foreign, key, timestamp_ms=time_ms)
        await producer.flush()
        await waiting
    return sent


@pytest.mark.integration
def test_a_thousand_foreign_records_among_a_hundred_thousand_views(application: Application) -> None:
    """Every good view counts, each foreign record is one letter, and the workers are the same processes at the end."""
    application.quiet()
    before = application.letters()
    workers = [application.pid(f"worker-{number}") for number in (1, 2)]
    sent = asyncio.run(feed(application.settings))
    assert sent == GOOD
    time.sleep(5)
    report = application.verified(resume=False)
    assert_clean(report)
    assert application.letters() - before == BAD
    assert [application.pid(f"worker-{number}") for number in (1, 2)] == workers
    application.stack.start("poller", "generator")


@pytest.mark.integration
def test_an_id_that_the_registry_learns_later_is_known_from_then_on(application: Application) -> None:
    """A worker refused it until it was restarted."""
    application.quiet()
    settings, before = application.settings, application.letters()

    async def send(raw: bytes) -> None:
        async with kafka.producer(settings) as producer:
            await producer.send_and_wait(topics.PAGEVIEW.name, raw, b"User_1")

    given = view_with(viewtime=["long", "null"])
    ids = [asyncio.run(register(settings, "foreign-later-0", view_with(viewtime=["long", "string"])))]
    unknown = ids[0] + 1
    asyncio.run(send(written(unknown, given, VIEW)))
    deadline = time.monotonic() + 30
    while application.letters() == before:
        assert time.monotonic() < deadline, "a record of an unknown id has no letter"
        time.sleep(0.5)
    assert asyncio.run(register(settings, "foreign-later-1", given)) == unknown
    asyncio.run(send(written(unknown, given, VIEW)))
    assert_clean(application.verified(resume=False))
    assert application.letters() - before == 1
    application.stack.start("poller", "generator")
