"""One golden case in every format of source and results; and bytes as others write them, good and bad."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline import Application, Count, Stream, SumDecimal, Tumbling, c
from pipeline.applications.loading import declared
from pipeline.codecs import HEADER, MAGIC
from pipeline.errors import CaseError, SettingError
from pipeline.formats import registrations
from pipeline.records import RecordBatch
from pipeline.runner.cases import actual, load, run
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings
from pipeline.topics import KeyFormat, ValueFormat

FOLDER = Path(__file__).parent / "formats"
PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
ORDER = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "shop", "type": ["null", "string"]},
        {"name": "price", "type": ["null", PRICE]},
        {"name": "paid", "type": "boolean"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
COLUMN_FORMATS = [one for one in ValueFormat if one is not ValueFormat.KAFKA]


def shop(source: ValueFormat, keys: KeyFormat = KeyFormat.TEXT, **formats: Any) -> Application:
    """Orders in the formats of `source` and `keys`, and what is counted of them in others."""
    orders = Stream("orders", ORDER, key="id", time="at", value_format=source, key_format=keys)
    totals = orders.window(Tumbling(60_000)).group_by(c.shop).aggregate(total=SumDecimal(c.price))
    ids = orders.group_by(c.id).aggregate(n=Count())
    return Application("shop", totals.to("SHOPS", **formats), ids.to("IDS", **formats))


@pytest.mark.parametrize("key_format", list(KeyFormat))
@pytest.mark.parametrize("value_format", COLUMN_FORMATS)
async def test_a_case_in_every_format(value_format: ValueFormat, key_format: KeyFormat) -> None:
    case = load(FOLDER / "orders.input.json", FOLDER / "orders.output.json")
    given = shop(value_format, key_format, value_format=value_format, key_format=key_format)
    assert {one.value_format for one in given.outputs} == {value_format}
    assert await run(case, LocalApplication(Settings(), declared(given))) is None


@asynccontextmanager
async def running(value_format: ValueFormat) -> AsyncIterator[LocalApplication]:
    async with LocalApplication(Settings(), declared(shop(value_format))).running() as app:
        yield app


async def letters(app: LocalApplication) -> list[tuple[int, str]]:
    rows = [row for _, row in await app.rows("pipeline-dead-letters")]
    return [(row["offset"], row["reason"]) for row in rows if row is not None]


GOOD: dict[ValueFormat, list[bytes]] = {
    ValueFormat.JSON: [
        b'{"id":1,"shop":"north","price":0.1,"paid":true,"at":1000}',
        b'{"ID": 2, "SHOP": "north", "PRICE": 0.2, "PAID": true, "AT": 2000, "more": {"x": [1]}}',
        b'{"id":3,"paid":false,"at":3000}',
    ],
    ValueFormat.DELIMITED: [b"1,north,0.1,true,1000", b'2,"north",0.2,TRUE,2000\n', b"3,,,false,3000"],
    ValueFormat.PROTOBUF: [
        b"\0" + bytes.fromhex("0801 1205 6e6f727468 1a05 0a010a 1802 2001 2a02 0801"),
        b"\0" + bytes.fromhex("0802 1205 6e6f727468 1a05 0a0114 1802 2001 2a02 0802"),
        b"\0" + bytes.fromhex("0803 2a02 0803"),
    ],
}
BAD: dict[ValueFormat, tuple[bytes, str]] = {
    ValueFormat.JSON: (
        b'{"id":"x","paid":true,"at":1000}',
        "column id of type long is 'x', but must be a whole number in -9223372036854775808 .. 9223372036854775807",
    ),
    ValueFormat.DELIMITED: (b"1,north", "value has 2 columns, but must have the 5 of Order: b'1,north'"),
    ValueFormat.PROTOBUF: (b"\0\x08", "value is no Order in Protobuf: it ends within a number: "),
}


@pytest.mark.parametrize("value_format", list(GOOD))
async def test_values_of_others_count_and_bad_ones_are_letters(value_format: ValueFormat) -> None:
    async with running(value_format) as app:
        header = b""
        if value_format is ValueFormat.PROTOBUF:
            header = HEADER.pack(MAGIC, app.schemas.ids[registrations(app.topics["orders"])[0].subject])
        bad, reason = BAD[value_format]
        values = [header + value for value in (*GOOD[value_format], bad, GOOD[value_format][0])]
        batch = RecordBatch("orders", 0, range(5), [7] * 5, [None] * 5, values)
        await app.feed_batch(batch)
        await app.feed("orders", None, None, 7)
        found = [(row["key"], str(row["value"]["total"])) for row in await actual(app, "SHOPS")]
        assert found == [("north", "0.4")]
        [(offset, why), (_, last)] = await letters(app)
        assert offset == 3
        assert why.startswith(reason)
        assert last == "null value"


async def test_the_key_of_a_case_must_fit_its_type() -> None:
    async with LocalApplication(Settings(), declared(shop(ValueFormat.JSON, KeyFormat.KAFKA))).running() as app:
        with pytest.raises(CaseError, match="the key of an input to orders does not fit its type: key of type long is"):
            app.encode_key("orders", "x")
        await app.feed("orders", b"x", None, 7)
        with pytest.raises(CaseError, match="topic orders has a key that cannot be read"):
            await app.key_texts("orders")


def test_formats_that_cannot_hold_the_columns_are_refused() -> None:
    with pytest.raises(SettingError, match="stream orders, topic orders: the value_format KAFKA has 5 columns"):
        shop(ValueFormat.KAFKA)
    with pytest.raises(SettingError, match="stream orders, to SHOPS, topic SHOPS: the value_format KAFKA has 9 col"):
        shop(ValueFormat.JSON, value_format=ValueFormat.KAFKA)
