"""Plain forms are equal and ordered as values are, and come back; a group's text is one for equal values."""

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import orjson
import pytest
from declared import SCALARS, VALUES
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tables.types import column_type, number, ordered


@pytest.mark.parametrize("name", SCALARS)
@given(data=st.data())
def test_plain_forms_are_equal_and_ordered_as_the_values_and_come_back(name: str, data: st.DataObject) -> None:
    kind = column_type(["null", SCALARS[name]])
    left, right = data.draw(VALUES[name]), data.draw(VALUES[name])
    plain = [left, right, None] if kind.is_plain else kind.plain([left, right, None])
    if not (isinstance(left, float) and (math.isinf(left) or math.isinf(right))):
        assert orjson.loads(orjson.dumps(plain)) == plain
    assert plain[2] is None
    assert (plain[0] < plain[1], plain[0] == plain[1]) == (left < right, left == right)
    assert [kind.value(p) for p in plain[:2]] == [left, right]
    assert type(kind.value(plain[0])) is type(left)


@pytest.mark.parametrize("name", SCALARS)
@given(data=st.data())
def test_texts_are_equal_where_the_values_are_and_come_back(name: str, data: st.DataObject) -> None:
    kind = column_type(SCALARS[name])
    left, right = data.draw(VALUES[name]), data.draw(VALUES[name])
    texts = kind.texts([left, None, right, left])
    assert texts == [kind.text(left), None, kind.text(right), kind.text(left)]
    assert (texts[0] == texts[2]) == (left == right)
    assert kind.group(kind.text(left)) == left
    assert type(kind.group(kind.text(left))) is type(left)


@given(st.integers(), st.integers())
def test_whole_numbers_of_any_size_as_texts(left: int, right: int) -> None:
    assert (ordered(left) < ordered(right), ordered(left) == ordered(right)) == (left < right, left == right)
    assert number(ordered(left)) == left


def test_texts_of_groups_are_those_of_ksqldb() -> None:
    texts = {
        "dec": (Decimal("1.5"), "1.50"),
        "fdec": (Decimal("-0"), "0.000"),
        "day": (date(1970, 1, 3), "2"),
        "tms": (time(0, 0, 2), "2000"),
        "ms": (datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC), "2000"),
        "b": (True, "true"),
        "raw": (b"\xff\xfe", "//4="),
        "d": (1, "1.0"),
        "l": (5, "5"),
    }
    for name, (value, text) in texts.items():
        assert column_type(SCALARS[name]).text(value) == text


def test_a_decimal_that_is_finer_than_its_column_is_rounded_half_up() -> None:
    kind = column_type(SCALARS["dec"])
    assert [kind.text(Decimal(text)) for text in ("1.005", "1.0049", "-1.005")] == ["1.01", "1.00", "-1.01"]
    assert kind.plain([Decimal("1.005")]) == kind.plain([Decimal("1.01")])


@pytest.mark.parametrize(
    ("avro", "name"),
    [
        ("long", "long"),
        ({"type": "string", "avro.java.string": "String"}, "string"),
        ({"type": {"type": "long"}}, "long"),
        ({"type": "int", "logicalType": "timestamp-millis"}, "int"),
        (["null", "long", "string"], "union of null, long, string"),
        (["null"], "union of null"),
        ({"type": "array", "items": ["null", "long"]}, "array of long"),
        ({"type": "array", "items": {"type": "record", "name": "r", "fields": []}}, "array of record r"),
        ({"type": "fixed", "name": "f", "size": 3}, "fixed f"),
    ],
)
def test_names_for_sentences(avro: Any, name: str) -> None:
    assert column_type(avro).name == name


def test_moments_that_are_numbers_already_stay() -> None:
    assert [column_type(SCALARS[name]).plain([5]) for name in ("ms", "us", "day", "tms")] == [[5]] * 4
