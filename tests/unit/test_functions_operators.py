"""Operators: types of results, Java's whole numbers, SqlDecimal's decimals, and what is compared as what."""

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from pipeline.functions import EvaluationError, SignatureError, arithmetic, comparable, negation, parse_type, sql_name
from pipeline.tables.types import column_type

FAILS = EvaluationError
INT_MAX, LONG_MAX = (1 << 31) - 1, (1 << 63) - 1
DEC = "DECIMAL(4, 2)"

VALUES: list[tuple[str, str, Any, str, Any, Any]] = [
    ("INT", "+", 1, "INT", 2, 3),
    ("INT", "+", INT_MAX, "INT", 1, FAILS),
    ("INT", "+", INT_MAX, "BIGINT", 1, INT_MAX + 1),
    ("BIGINT", "*", LONG_MAX, "INT", 2, FAILS),
    ("BIGINT", "-", -LONG_MAX, "INT", 2, FAILS),
    ("INT", "/", 7, "INT", 2, 3),
    ("INT", "/", -7, "INT", 2, -3),
    ("INT", "/", 7, "INT", -2, -3),
    ("INT", "/", -(1 << 31), "INT", -1, FAILS),
    ("BIGINT", "/", LONG_MAX, "INT", 3, LONG_MAX // 3),
    ("INT", "/", 7, "INT", 0, FAILS),
    ("INT", "%", 7, "INT", -2, 1),
    ("INT", "%", -7, "INT", 2, -1),
    ("INT", "%", 7, "INT", 0, FAILS),
    ("INT", "*", 3, "DOUBLE", 0.5, 1.5),
    ("DOUBLE", "/", 1.0, "INT", 0, math.inf),
    ("DOUBLE", "/", -1.0, "DOUBLE", 0.0, -math.inf),
    ("DOUBLE", "/", 1.0, "DOUBLE", -0.0, -math.inf),
    ("DOUBLE", "/", 0.0, "INT", 0, math.nan),
    ("DOUBLE", "%", -7.5, "INT", 2, -1.5),
    ("DOUBLE", "%", 7.5, "INT", 0, math.nan),
    ("DOUBLE", "%", math.inf, "INT", 2, math.nan),
    ("DOUBLE", "*", 1e308, "INT", 10, math.inf),
    (DEC, "+", Decimal("10.01"), DEC, Decimal("5.10"), Decimal("15.11")),
    (DEC, "+", Decimal("10.01"), "INT", -5, Decimal("5.01")),
    (DEC, "+", Decimal("10.01"), "DOUBLE", 5.1, 15.11),
    (DEC, "-", Decimal("10.10"), DEC, Decimal("-5.00"), Decimal("15.10")),
    (DEC, "*", Decimal("10.10"), DEC, Decimal("-2.00"), Decimal("-20.2000")),
    (DEC, "/", Decimal("10.10"), DEC, Decimal("2.00"), Decimal("5.0500000")),
    (DEC, "/", Decimal("10.00"), DEC, Decimal("3.00"), Decimal("3.3333333")),
    (DEC, "/", Decimal("20.00"), DEC, Decimal("3.00"), Decimal("6.6666667")),
    (DEC, "/", Decimal("10.10"), DEC, Decimal("0.00"), FAILS),
    (DEC, "%", Decimal("10.10"), DEC, Decimal("-2.00"), Decimal("0.10")),
    (DEC, "%", Decimal("-10.10"), DEC, Decimal("2.00"), Decimal("-0.10")),
    (DEC, "%", Decimal("10.10"), DEC, Decimal("0.00"), FAILS),
    ("DECIMAL(2, 2)", "%", Decimal("0.99"), "DECIMAL(2, 2)", Decimal("0.10"), Decimal("0.09")),
    ("DECIMAL(60, 30)", "*", Decimal(10) ** 29, "DECIMAL(60, 30)", Decimal("1E-30"), Decimal("0.1")),
    ("STRING", "+", "a", "STRING", "b", "ab"),
]


@pytest.mark.parametrize(("left", "op", "a", "right", "b", "result"), VALUES)
def test_value(left: str, op: str, a: Any, right: str, b: Any, result: Any) -> None:
    _, operation = arithmetic(op, parse_type(left), parse_type(right))
    if result is FAILS:
        with pytest.raises(EvaluationError):
            operation(a, b)
    else:
        found = operation(a, b)
        assert type(found) is type(result)
        assert found == pytest.approx(result, rel=1e-15, nan_ok=True) if isinstance(result, float) else found == result
        assert str(found) == str(result) or isinstance(result, float) or left == "DECIMAL(60, 30)"


@pytest.mark.parametrize(
    ("left", "op", "right", "result"),
    [
        ("INT", "+", "INT", "INT"),
        ("INT", "/", "BIGINT", "BIGINT"),
        ("BIGINT", "%", "DOUBLE", "DOUBLE"),
        (DEC, "*", "DOUBLE", "DOUBLE"),
        (DEC, "+", "DECIMAL(9, 5)", "DECIMAL(10, 5)"),
        (DEC, "-", "INT", "DECIMAL(13, 2)"),
        (DEC, "+", "BIGINT", "DECIMAL(22, 2)"),
        (DEC, "*", "DECIMAL(9, 5)", "DECIMAL(14, 7)"),
        (DEC, "/", DEC, "DECIMAL(11, 7)"),
        ("DECIMAL(2, 0)", "/", "DECIMAL(2, 0)", "DECIMAL(8, 6)"),
        (DEC, "%", "DECIMAL(9, 5)", "DECIMAL(7, 5)"),
        ("DECIMAL(2, 2)", "%", "DECIMAL(2, 2)", "DECIMAL(2, 2)"),
    ],
)
def test_the_type_of_a_result(left: str, op: str, right: str, result: str) -> None:
    assert sql_name(arithmetic(op, parse_type(left), parse_type(right))[0]) == result


@pytest.mark.parametrize(
    ("left", "op", "right"),
    [
        ("STRING", "-", "STRING"),
        ("STRING", "+", "INT"),
        ("BOOLEAN", "+", "INT"),
        ("DATE", "-", "DATE"),
        (None, "+", "INT"),
    ],
)
def test_operands_that_do_not_fit(left: str | None, op: str, right: str) -> None:
    with pytest.raises(SignatureError, match=r"^takes two numbers( or two texts)?, but was given \("):
        arithmetic(op, None if left is None else parse_type(left), parse_type(right))


@pytest.mark.parametrize(
    ("of", "value", "result"),
    [
        ("INT", 5, -5),
        ("INT", -(1 << 31), FAILS),
        ("BIGINT", -(1 << 63), FAILS),
        (DEC, Decimal("1.50"), Decimal("-1.50")),
    ],
)
def test_negation(of: str, value: Any, result: Any) -> None:
    kind, negate = negation(parse_type(of))
    assert kind == parse_type(of)
    if result is FAILS:
        with pytest.raises(EvaluationError):
            negate(value)
    else:
        assert repr(negate(value)) == repr(result)


def test_negation_of_doubles_and_of_no_number() -> None:
    assert negation(column_type("float"))[1](1.5) == -1.5
    with pytest.raises(SignatureError, match=r"^takes a number, but was given \(STRING\)$"):
        negation(parse_type("STRING"))


NOON = datetime(2020, 5, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "a", "right", "b", "order"),
    [
        ("INT", 1, "BIGINT", 2, -1),
        ("BIGINT", (1 << 53) + 1, "DOUBLE", float(1 << 53), 0),
        (DEC, Decimal("0.10"), "DOUBLE", 0.1, 0),
        (DEC, Decimal("10.01"), "DECIMAL(5, 3)", Decimal("10.012"), -1),
        (DEC, Decimal("2.00"), "INT", 2, 0),
        ("STRING", "Foo", "STRING", "foo", -1),
        ("TIMESTAMP", NOON, "STRING", "2020-05-26T12", 0),
        ("STRING", "2020-05-26T11:59:59.999", "TIMESTAMP", NOON, -1),
        ("DATE", date(2020, 5, 26), "TIMESTAMP", NOON, -1),
        ("TIMESTAMP", NOON, "DATE", date(2020, 5, 27), -1),
        ("DATE", date(2020, 5, 26), "STRING", "2020-05", 1),
        ("STRING", "12:00", "TIME", time(12), 0),
        ("TIME", time(12), "TIME", time(13), -1),
        ("BYTES", b"\x01", "BYTES", b"\xff", -1),
    ],
)
def test_what_is_compared(left: str, a: Any, right: str, b: Any, order: int) -> None:
    first, second = comparable(parse_type(left), parse_type(right), ordered=True)
    one, other = first(a), second(b)
    assert (one > other) - (one < other) == order


@pytest.mark.parametrize("of", ["BOOLEAN", "ARRAY<INT>", "MAP<STRING, INT>", "STRUCT<A INT>"])
def test_what_is_only_equal_or_not(of: str) -> None:
    kind = parse_type(of)
    first, second = comparable(kind, kind)
    assert first([1]) == second([1])
    with pytest.raises(SignatureError, match=r"^takes no order of [A-Z]+, but was given"):
        comparable(kind, kind, ordered=True)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("INT", "STRING"),
        ("BOOLEAN", "INT"),
        ("TIME", "DATE"),
        ("TIME", "TIMESTAMP"),
        ("BYTES", "STRING"),
        ("ARRAY<INT>", "INT"),
    ],
)
def test_what_is_not_compared(left: str, right: str) -> None:
    for sides in ((left, right), (right, left)):
        with pytest.raises(SignatureError, match=r"^takes two that can be compared, but was given"):
            comparable(*map(parse_type, sides))


def test_null_is_not_compared() -> None:
    for sides in ((None, parse_type("INT")), (parse_type("INT"), column_type("null"))):
        with pytest.raises(SignatureError, match=r"^takes no NULL: IS NULL or IS NOT NULL is meant$"):
            comparable(*sides)


def test_text_that_is_no_time_and_a_double_that_is_no_decimal() -> None:
    _, second = comparable(parse_type("DATE"), parse_type("STRING"))
    with pytest.raises(EvaluationError, match="which is no DATE"):
        second("soon")
    _, double = comparable(parse_type(DEC), parse_type("DOUBLE"))
    with pytest.raises(EvaluationError, match="compares nan with a DECIMAL"):
        double(math.nan)
