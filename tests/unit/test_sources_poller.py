"""What a poll sends: only new rows, by id, as the JDBC source connector would write them."""

import time
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs import Decoder, Encoder, schema
from pipeline.sources.poller import record_of, sale_records
from pipeline.sources.position import Position

AT = datetime(2024, 2, 29, 23, 59, 58)  # noqa: DTZ001 - MySQL's DATETIME is naive
AT_MS = 1_709_251_198_000


def row(sale_id, **changes):
    return {
        "sale_id": sale_id,
        "customer_id": 2**40,
        "province_id": 77,
        "product_id": "P10",
        "region_id": "Region_1",
        "discount": Decimal("12.50"),
        "original_price": Decimal("99999999.99"),
        "sale_price": Decimal("87499999.99"),
        "quantity": 3,
        "sale_datetime": AT,
    } | changes


@pytest.fixture
def encode():
    return Encoder("flash_sale", 7)


@pytest.fixture
def decode():
    decoder = Decoder("flash_sale")
    decoder.learn(7, schema("flash_sale"))
    return decoder


def test_only_new_rows_go_out_once_and_in_order(encode):
    position = Position(5, frozenset({3}))
    outgoing = sale_records([row(i) for i in (7, 6, 3, 2, 5, 6)], position, encode, 1)
    assert [record.key for record in outgoing] == [b"3", b"6", b"7"]
    assert {record.topic for record in outgoing} == {"MysqlSource-flash_sales"}
    assert {record.timestamp_ms for record in outgoing} == {1}, "not the time of the sale: retention goes by it"


def test_a_sale_survives_the_wire(encode, decode):
    (record,) = sale_records([row(1)], Position(), encode, 1)
    value = decode(record.value)
    assert value.pop("sale_datetime").timestamp() * 1000 == AT_MS
    expected = row(1)
    del expected["sale_datetime"]
    assert value == expected


def test_nulls_survive_the_wire(encode, decode):
    nulls = dict.fromkeys(row(1), None) | {"sale_id": 9}
    (record,) = sale_records([nulls], Position(), encode, 123)
    assert decode(record.value) == nulls


@given(st.integers(-(10**10) + 1, 10**10 - 1), st.integers(-99_999, 99_999))
def test_decimals_lose_nothing(price, discount):
    decoder = Decoder("flash_sale")
    decoder.learn(7, schema("flash_sale"))
    prices = {"original_price": Decimal(price).scaleb(-2), "discount": Decimal(discount).scaleb(-2)}
    (record,) = sale_records([row(1, **prices)], Position(), Encoder("flash_sale", 7), 1)
    value = decoder(record.value)
    for name, expected in prices.items():
        assert value[name] == expected
        assert value[name].as_tuple().exponent == -2


@pytest.fixture
def far_east(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Bangkok")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_a_datetime_is_utc_whatever_the_local_time_zone():
    assert record_of({"sale_datetime": AT, "other": "x", "none": None}) == {
        "sale_datetime": AT_MS,
        "other": "x",
        "none": None,
    }
