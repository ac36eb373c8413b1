"""What the type of a column cannot hold is told in a sentence; sums go on exactly beyond it."""

import io
import struct
from decimal import Decimal
from typing import Any

import fastavro
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tables.functions import SumDecimal, SumLong
from pipeline.tables.limits import misfit

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}


def told(kind: Any, value: Any) -> str | None:
    return misfit({"a": 1, "c": value}, [{"name": "a", "type": "long"}, {"name": "c", "type": kind}])


@pytest.mark.parametrize(
    ("kind", "lowest", "highest"), [("int", -(1 << 31), (1 << 31) - 1), ("long", -(1 << 63), (1 << 63) - 1)]
)
def test_whole_numbers_to_the_last_one(kind: str, lowest: int, highest: int) -> None:
    for wanted in (kind, ["null", kind]):
        assert told(wanted, lowest) is told(wanted, highest) is told(wanted, 0) is told(wanted, None) is None
        for value in (lowest - 1, highest + 1):
            assert told(wanted, value) == f"column c is {value}, but its type {kind} holds {lowest} to {highest}"


def test_logical_types_of_whole_numbers() -> None:
    assert told({"type": "long", "logicalType": "timestamp-millis"}, 1 << 63) is not None
    assert told({"type": "long", "logicalType": "timestamp-millis"}, (1 << 63) - 1) is None


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("999.99", True),
        ("-999.99", True),
        ("1000", False),
        ("1000.00", False),
        ("0.001", False),
        ("1E+2", True),
        ("1E+3", False),
        ("0.00", True),
        ("0.000", True),
        ("NaN", False),
        ("Infinity", False),
    ],
)
def test_decimals_by_precision_and_scale(value: str, fits: bool) -> None:
    sentence = (
        None if fits else f"column c is {value}, but its type decimal(5, 2) holds 5 digits, 2 of them after the point"
    )
    assert told(DECIMAL, Decimal(value)) == told(["null", DECIMAL], Decimal(value)) == sentence


def test_floats_and_doubles() -> None:
    largest = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
    assert told("float", largest) is told("float", -largest) is told("float", float("inf")) is None
    assert told("float", float("nan")) is None
    assert told("float", 3.5e38) == "column c is 3.5e+38, but its type float holds up to 3.4028234663852886e+38 in size"
    assert told("double", 1.7e308) is told("double", 1) is told("double", float("nan")) is None
    assert "holds up to 1.7976931348623157e+308" in str(told("double", 1 << 1024))


def test_arrays_item_by_item_and_everything_else_as_it_is() -> None:
    assert told({"type": "array", "items": "long"}, [1, 2]) is None
    assert "its type long" in str(told({"type": "array", "items": "long"}, [1, 1 << 63]))
    assert told("string", "x") is told("boolean", True) is told({"type": "map", "values": "long"}, {"a": 1}) is None


def test_a_long_number_is_not_written_out() -> None:
    assert str(told("long", 10**5000)).startswith("column c is a number of 16610 bits, but its type long holds")
    assert str(told("long", 10**200)).startswith("column c is 1000000000")
    assert len(str(told("long", 10**200))) < 200


VALUES = st.one_of(
    st.integers(-(1 << 66), 1 << 66),
    st.sampled_from([sign * (1 << bits) + off for sign in (1, -1) for bits in (31, 63) for off in (-1, 0, 1)]),
)
KINDS = st.sampled_from(["int", "long", ["null", "long"]])


@given(KINDS, VALUES)
def test_what_fits_can_be_written_and_what_does_not_cannot(kind: Any, value: int) -> None:
    assert (told(kind, value) is None) == _can_be_written(kind, value)


@given(
    st.integers(1, 12),
    st.integers(0, 12),
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9),
)
def test_decimals_that_fit_can_be_written(precision: int, scale: int, value: Decimal) -> None:
    if scale > precision:
        return
    kind = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    if told(kind, value.normalize()) is None:
        assert _can_be_written(kind, value.normalize().quantize(Decimal(1).scaleb(-scale)))


def _can_be_written(kind: Any, value: Any) -> bool:
    parsed = fastavro.parse_schema({"type": "record", "name": "r", "fields": [{"name": "c", "type": kind}]})
    try:
        fastavro.schemaless_writer(io.BytesIO(), parsed, {"c": value}, strict=True)
        fastavro.validate({"c": value}, parsed)
    except (ValueError, OverflowError, TypeError, fastavro.validation.ValidationError):
        return False
    return True


@given(st.lists(st.one_of(st.none(), st.integers(-(1 << 63), (1 << 63) - 1)), max_size=8), st.data())
def test_a_sum_is_exact_beyond_a_long_and_its_state_is_json(values: list[int | None], data: st.DataObject) -> None:
    function: Any = data.draw(st.sampled_from([SumLong("c", "o"), SumDecimal("c", "o", 18)]))
    total = sum(v for v in values if v is not None)
    state = one_by_one = function.zero()
    for offset, value in enumerate(values):
        one_by_one = orjson.loads(orjson.dumps(function.add(one_by_one, value, offset)))
    cut = data.draw(st.integers(0, len(values)))
    left = function.add_many(state, values[:cut], range(cut))
    right = function.add_many(state, values[cut:], range(cut, len(values)))
    assert function.merge(left, right) == one_by_one == function.add_many(state, values, range(len(values)))
    assert function.subtract(one_by_one, right) == left
    assert list(function.columns(orjson.loads(orjson.dumps(one_by_one))).values())[-1] == total
    fits = -(1 << 63) <= total < 1 << 63
    assert (misfit(function.columns(one_by_one), function.fields()) is None) == fits


def test_a_sum_too_large_for_a_double_is_no_error() -> None:
    function = SumDecimal("c", "o", 2)
    state = function.add(function.zero(), Decimal(10) ** 400, 0)
    assert function.columns(function.subtract(function.zero(), state))["o"] == float("-inf")
    assert "column o_cents is a number of" in str(misfit(function.columns(state), function.fields()))
