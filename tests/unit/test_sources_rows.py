"""What becomes of a row: the record that the JDBC source connector would write, or one dead letter that names it."""

import json
import time
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shops import CARRIED

from pipeline.codecs import Decoder, Encoder, schema
from pipeline.sources.rows import Carrier
from pipeline.sources.values import converters, record_of
from pipeline.topics import DEAD_LETTERS, FLASH_SALES, PRODUCT

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
def carrier():
    return Carrier(CARRIED["flash_sales"], Encoder("flash_sale", 7), Encoder("dead_letter", 8))


def decoded(record):
    """The value of a record or a letter."""
    name, number = ("dead_letter", 8) if record.topic == DEAD_LETTERS.name else ("flash_sale", 7)
    decoder = Decoder(name)
    decoder.learn(number, schema(name))
    return decoder(record.value)


def test_a_record_has_its_id_as_key_and_the_time_of_the_poll(carrier):
    outgoing = carrier.records([row(i) for i in (3, -6, 7)], 1)
    assert [record.key for record in outgoing] == [b"3", b"-6", b"7"]
    assert {record.topic for record in outgoing} == {"MysqlSource-flash_sales"}
    assert {record.timestamp_ms for record in outgoing} == {1}, "not the time of the sale: retention goes by it"


def test_a_sale_survives_the_wire(carrier):
    value = decoded(carrier.record(row(1), 1))
    assert value.pop("sale_datetime").timestamp() * 1000 == AT_MS
    expected = row(1)
    del expected["sale_datetime"]
    assert value == expected


def test_nulls_survive_the_wire(carrier):
    nulls = dict.fromkeys(row(1), None) | {"sale_id": 9}
    assert decoded(carrier.record(nulls, 123)) == nulls


@given(st.integers(-(10**10) + 1, 10**10 - 1), st.integers(-99_999, 99_999))
def test_decimals_lose_nothing(price, discount):
    carrier = Carrier(CARRIED["flash_sales"], Encoder("flash_sale", 7), Encoder("dead_letter", 8))
    prices = {"original_price": Decimal(price).scaleb(-2), "discount": Decimal(discount).scaleb(-2)}
    value = decoded(carrier.record(row(1, **prices), 1))
    for name, expected in prices.items():
        assert value[name] == expected
        assert value[name].as_tuple().exponent == -2


@pytest.mark.parametrize("moment", ["0000-00-00 00:00:00", "2026-00-10 00:00:00", "2026-02-30 00:00:00", "0000-05-01"])
def test_a_date_that_is_none_becomes_null(carrier, moment):
    record = carrier.record(row(1, sale_datetime=moment), 1)
    assert record.topic == FLASH_SALES.name
    assert decoded(record)["sale_datetime"] is None


@pytest.mark.parametrize("moment", [datetime(1969, 12, 31, 23, 59, 59), datetime(1, 1, 1), datetime(9999, 12, 31)])  # noqa: DTZ001
def test_a_date_that_the_workers_refuse_is_carried(carrier, moment):
    record = carrier.record(row(1, sale_datetime=moment), 1)
    assert record.topic == FLASH_SALES.name, "the worker's letter says where it lies"


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("quantity", 2**31, "2147483648"),
        ("customer_id", 2**64 - 1, "18446744073709551615"),
        ("sale_price", Decimal("123456789.12"), "123456789.12"),
        ("sale_price", Decimal("1.005"), "1.005"),
        ("product_id", "P\udced\udca0", "'P\\udced\\udca0'"),
        ("product_id", b"P10", "b'P10'"),
    ],
)
def test_a_value_that_does_not_fit_is_named_in_one_letter(carrier, column, value, shown):
    before, record, after = carrier.records([row(1), row(2, **{column: value}), row(3)], 99)
    assert (before.key, after.key) == (b"1", b"3")
    assert record.topic == DEAD_LETTERS.name
    assert record.key == b"MysqlSource-flash_sales/-1/-1/2"
    letter = decoded(record)
    assert letter["reason"] == (
        f"table flash_sales, sale_id 2: column {column} is {shown}, which its Avro type cannot hold"
    )
    assert (letter["topic"], letter["partition"], letter["offset"]) == ("MysqlSource-flash_sales", -1, -1)
    assert (letter["timestamp_ms"], letter["key"]) == (99, b"2")
    assert json.loads(letter["value"])["sale_id"] == 2


def test_an_id_that_does_not_fit_is_named(carrier):
    letter = decoded(carrier.record(row(2**63), 1))
    assert letter["reason"].startswith(f"table flash_sales, sale_id {2**63}: column sale_id is {2**63},")
    assert letter["key"] == str(2**63).encode()


def test_a_row_without_id_is_a_letter_and_an_empty_id_is_a_key():
    carrier = Carrier(CARRIED["product"], Encoder("product", 7), Encoder("dead_letter", 8))
    empty, none = carrier.records([{"product_id": i, "product_group": "g", "product_name": "n"} for i in ("", None)], 1)
    assert (empty.topic, empty.key) == (PRODUCT.name, b"")
    assert none.topic == DEAD_LETTERS.name
    letter = decoded(none)
    assert letter["reason"] == "table product: a row has NULL in its key column product_id"
    assert letter["key"] is None


def test_a_row_that_is_too_large_for_a_message_is_a_letter_that_is_not(carrier):
    record = carrier.record(row(1, product_id="x" * 2_000_000), 1)
    assert record.topic == DEAD_LETTERS.name
    assert "bytes are more than 1000000" in decoded(record)["reason"]
    assert len(record.value) < 100_000


ODD = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(st.characters(), max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "L"]), max_size=20),
    st.datetimes(),
    st.floats(),
    st.booleans(),
    st.timedeltas(),
)


@given(st.lists(st.dictionaries(st.sampled_from(sorted(row(1))), ODD, max_size=4), min_size=1, max_size=6))
def test_whatever_is_in_a_row_it_becomes_one_record_or_one_letter(changes):
    carrier = Carrier(CARRIED["flash_sales"], Encoder("flash_sale", 7), Encoder("dead_letter", 8))
    rows = [row(number) | change for number, change in enumerate(changes)]
    outgoing = carrier.records([row(100), *rows, row(101)], 5)
    assert [outgoing[0].key, outgoing[-1].key] == [b"100", b"101"]
    assert len(outgoing) == len(rows) + 2
    for given_row, record in zip(rows, outgoing[1:-1], strict=True):
        value = decoded(record)
        if record.topic == DEAD_LETTERS.name:
            assert value["reason"].startswith("table flash_sales")
            continue
        assert record.key == str(given_row["sale_id"]).encode()
        for name in ("customer_id", "province_id", "quantity", "product_id", "sale_price"):
            assert value[name] == given_row[name], "nothing is cut, rounded or wrapped around"


@pytest.fixture
def far_east(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Bangkok")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_a_datetime_is_utc_whatever_the_local_time_zone():
    assert record_of(
        {"sale_datetime": AT, "other": "x", "none": None}, converters(CARRIED["flash_sales"].columns, {})
    ) == {
        "sale_datetime": AT_MS,
        "other": "x",
        "none": None,
    }
