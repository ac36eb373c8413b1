"""CAST and the names of types: every pair that ksqlDB allows, what has no value, and what is refused."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from pipeline.functions import (
    EvaluationError,
    SignatureError,
    arithmetic,
    cast,
    decimal,
    fields_of,
    parse_type,
    record_of,
    sql_name,
)
from pipeline.functions.kinds import STRING
from pipeline.tables.types import column_type

FAILS = EvaluationError
LONG_MAX = (1 << 63) - 1
MAY = datetime(2020, 5, 26, 23, 59, 58, 123_000, tzinfo=UTC)

CASES: list[tuple[str, str, Any, Any]] = [
    ("BOOLEAN", "STRING", True, "true"),
    ("BOOLEAN", "STRING", False, "false"),
    ("INT", "BIGINT", -1, -1),
    ("INT", "DOUBLE", 3, 3.0),
    ("INT", "STRING", -1, "-1"),
    ("INT", "DECIMAL(2, 1)", 1, Decimal("1.0")),
    ("INT", "DECIMAL(2, 1)", 10, FAILS),
    ("BIGINT", "INT", 5, 5),
    ("BIGINT", "INT", 1 << 31, FAILS),
    ("BIGINT", "INT", -(1 << 31), -(1 << 31)),
    ("BIGINT", "DOUBLE", 1 << 53, float(1 << 53)),
    ("BIGINT", "STRING", LONG_MAX, "9223372036854775807"),
    ("BIGINT", "DECIMAL(19, 0)", LONG_MAX, Decimal(LONG_MAX)),
    ("DECIMAL(4, 2)", "INT", Decimal("10.99"), 10),
    ("DECIMAL(4, 2)", "INT", Decimal("-10.99"), -10),
    ("DECIMAL(20, 0)", "BIGINT", Decimal(1 << 63), FAILS),
    ("DECIMAL(4, 2)", "BIGINT", Decimal("0.01"), 0),
    ("DECIMAL(4, 2)", "DOUBLE", Decimal("10.01"), 10.01),
    ("DECIMAL(4, 2)", "STRING", Decimal("10.00"), "10.00"),
    ("DECIMAL(40, 30)", "STRING", Decimal("0E-30"), "0." + "0" * 30),
    ("DECIMAL(4, 2)", "DECIMAL(5, 3)", Decimal("10.12"), Decimal("10.120")),
    ("DECIMAL(4, 2)", "DECIMAL(3, 1)", Decimal("10.15"), Decimal("10.2")),
    ("DECIMAL(4, 2)", "DECIMAL(3, 1)", Decimal("-10.15"), Decimal("-10.2")),
    ("DECIMAL(4, 2)", "DECIMAL(2, 1)", Decimal("10.12"), FAILS),
    ("DECIMAL(3, 2)", "DECIMAL(2, 1)", Decimal("9.99"), FAILS),
    ("DOUBLE", "INT", 1.9, 1),
    ("DOUBLE", "INT", -1.9, -1),
    ("DOUBLE", "INT", 3e9, FAILS),
    ("DOUBLE", "INT", math.nan, FAILS),
    ("DOUBLE", "BIGINT", math.inf, FAILS),
    ("DOUBLE", "BIGINT", 3e9, 3_000_000_000),
    ("DOUBLE", "STRING", 10.3, "10.3"),
    ("DOUBLE", "STRING", 1e7, "1.0E7"),
    ("DOUBLE", "STRING", 9999999.0, "9999999.0"),
    ("DOUBLE", "STRING", 0.001, "0.001"),
    ("DOUBLE", "STRING", 0.00012, "1.2E-4"),
    ("DOUBLE", "STRING", -0.0, "-0.0"),
    ("DOUBLE", "STRING", 1.7976931348623157e308, "1.7976931348623157E308"),
    ("DOUBLE", "STRING", 123456.789, "123456.789"),
    ("DOUBLE", "STRING", math.nan, "NaN"),
    ("DOUBLE", "STRING", -math.inf, "-Infinity"),
    ("DOUBLE", "DECIMAL(2, 1)", 0.99, Decimal("1.0")),
    ("DOUBLE", "DECIMAL(2, 1)", 0.01, Decimal("0.0")),
    ("DOUBLE", "DECIMAL(2, 1)", 1.1, Decimal("1.1")),
    ("DOUBLE", "DECIMAL(2, 1)", 10.0, FAILS),
    ("DOUBLE", "DECIMAL(2, 1)", math.nan, FAILS),
    *[("STRING", "BOOLEAN", text, True) for text in ("true", "TRUE", " t ", "yes", "y", "tru")],
    *[("STRING", "BOOLEAN", text, False) for text in ("false", "no", "", "1", "truee", "maybe")],
    ("STRING", "INT", " 42 ", 42),
    ("STRING", "INT", "+42", 42),
    ("STRING", "INT", "2147483648", FAILS),
    ("STRING", "INT", "4.0", FAILS),
    ("STRING", "INT", "1_000", FAILS),
    ("STRING", "INT", "٤", FAILS),
    ("STRING", "INT", "", FAILS),
    ("STRING", "INT", "9" * 5_000, FAILS),
    ("STRING", "BIGINT", "-9223372036854775808", -(1 << 63)),
    ("STRING", "BIGINT", "9223372036854775808", FAILS),
    ("STRING", "DOUBLE", " 1.5e3 ", 1500.0),
    ("STRING", "DOUBLE", "-Infinity", -math.inf),
    ("STRING", "DOUBLE", ".5", 0.5),
    ("STRING", "DOUBLE", "1_0", FAILS),
    ("STRING", "DOUBLE", "infinity", FAILS),
    ("STRING", "DOUBLE", "1.0f", FAILS),
    ("STRING", "DECIMAL(2, 1)", "0.99", Decimal("1.0")),
    ("STRING", "DECIMAL(2, 1)", "0.1", Decimal("0.1")),
    ("STRING", "DECIMAL(4, 1)", " 1e2 ", Decimal("100.0")),
    ("STRING", "DECIMAL(2, 1)", "10", FAILS),
    ("STRING", "DECIMAL(2, 1)", "NaN", FAILS),
    ("STRING", "DECIMAL(2, 1)", "1_0", FAILS),
    ("STRING", "DECIMAL(2, 1)", "1e999999999", FAILS),
    ("STRING", "DECIMAL(2, 1)", "x", FAILS),
    ("STRING", "DATE", "2020-05-26", date(2020, 5, 26)),
    ("STRING", "DATE", "2020-05", date(2020, 5, 1)),
    ("STRING", "DATE", "2020", date(2020, 1, 1)),
    ("STRING", "DATE", "2021-02-29", FAILS),
    ("STRING", "DATE", "26.5.2020", FAILS),
    ("STRING", "TIME", "01:34:20.123", time(1, 34, 20, 123_000)),
    ("STRING", "TIME", "01:34", time(1, 34)),
    ("STRING", "TIME", "24:00", FAILS),
    ("STRING", "TIME", "01", FAILS),
    ("STRING", "TIMESTAMP", "2020-05-26T23:59:58.123", MAY),
    ("STRING", "TIMESTAMP", "2020-05-26T23:59:58.123Z", MAY),
    ("STRING", "TIMESTAMP", "2020-05-27T01:59:58.123+0200", MAY),
    ("STRING", "TIMESTAMP", "2020-05-26T23", datetime(2020, 5, 26, 23, tzinfo=UTC)),
    ("STRING", "TIMESTAMP", "2020-05", datetime(2020, 5, 1, tzinfo=UTC)),
    ("STRING", "TIMESTAMP", "2020-05T23", FAILS),
    ("STRING", "TIMESTAMP", "2020-05-26T23:59:58.123 ago", FAILS),
    ("STRING", "TIMESTAMP", "2020-05-26Tx", FAILS),
    ("STRING", "BYTES", "IQ==", b"!"),
    ("STRING", "BYTES", "?", FAILS),
    ("TIMESTAMP", "STRING", MAY, "2020-05-26T23:59:58.123"),
    ("TIMESTAMP", "TIME", MAY, time(23, 59, 58, 123_000)),
    ("TIMESTAMP", "DATE", MAY, date(2020, 5, 26)),
    ("DATE", "TIMESTAMP", date(2020, 5, 26), datetime(2020, 5, 26, tzinfo=UTC)),
    ("DATE", "STRING", date(2020, 5, 26), "2020-05-26"),
    ("TIME", "STRING", time(16, 43, 40), "16:43:40"),
    ("TIME", "STRING", time(16, 43), "16:43"),
    ("ARRAY<BIGINT>", "ARRAY<INT>", [1, None, 3], [1, None, 3]),
    ("ARRAY<BIGINT>", "ARRAY<INT>", [1 << 31], FAILS),
    ("ARRAY<ARRAY<BIGINT>>", "ARRAY<ARRAY<STRING>>", [[1], None], [["1"], None]),
    ("ARRAY<INT>", "STRING", [1, None, 3], "[1, null, 3]"),
    ("ARRAY<STRUCT<A DOUBLE>>", "STRING", [{"A": 1e10}], "[{A=1.0E10}]"),
    ("MAP<STRING, MAP<STRING, STRING>>", "MAP<STRING, MAP<STRING, INT>>", {"k": {"l": "10"}}, {"k": {"l": 10}}),
    ("MAP<STRING, INT>", "STRING", {"this": 1, "that": None}, "{this=1, that=null}"),
    ("STRUCT<F0 INT, `f1` INT>", "STRING", {"F0": 1, "f1": 3}, "Struct{F0=1,f1=3}"),
    ("STRUCT<F0 INT, F1 INT>", "STRING", {"F0": None, "F1": 3}, "Struct{F1=3}"),
    ("STRUCT<F0 BIGINT, F1 STRING>", "STRUCT<F0 STRING, F3 STRING>", {"F0": 1, "F1": "x"}, {"F0": "1", "F3": None}),
]


@pytest.mark.parametrize(("given", "target", "value", "result"), CASES)
def test_case(given: str, target: str, value: Any, result: Any) -> None:
    convert = cast(parse_type(given), parse_type(target))
    if result is FAILS:
        with pytest.raises(EvaluationError):
            convert(value)
    else:
        assert repr(convert(value)) == repr(result)


SIMPLE = ["BOOLEAN", "INT", "BIGINT", "DOUBLE", "DECIMAL(4, 2)", "STRING", "BYTES", "DATE", "TIME", "TIMESTAMP"]
NESTED = ["ARRAY<INT>", "MAP<STRING, INT>", "STRUCT<A INT>"]
NUMBERS = {"INT", "BIGINT", "DOUBLE", "DECIMAL(4, 2)"}
ALLOWED = {
    *((left, right) for left in NUMBERS for right in NUMBERS),
    *((left, "STRING") for left in {*SIMPLE, *NESTED} - {"BYTES"}),
    *(("STRING", right) for right in SIMPLE),
    ("TIMESTAMP", "DATE"),
    ("TIMESTAMP", "TIME"),
    ("DATE", "TIMESTAMP"),
    *((same, same) for same in (*SIMPLE, *NESTED)),
}


def test_the_cases_have_every_pair() -> None:
    told = {(parse_type(given).family, parse_type(target).family) for given, target, _, _ in CASES}
    wanted = {(parse_type(given).family, parse_type(target).family) for given, target in ALLOWED if given != target}
    assert wanted <= told


@pytest.mark.parametrize("target", [*SIMPLE, *NESTED])
@pytest.mark.parametrize("given", [*SIMPLE, *NESTED])
def test_every_other_pair_is_refused(given: str, target: str) -> None:
    left, right = parse_type(given), parse_type(target)
    if (given, target) in ALLOWED:
        assert callable(cast(left, right))
    else:
        with pytest.raises(SignatureError, match=r"^takes no .+ to .+$"):
            cast(left, right)


def test_null_and_the_same_type_stay() -> None:
    assert cast(None, STRING)(None) is None
    assert cast(column_type("null"), STRING)(None) is None
    value = [Decimal("1.5")]
    assert cast(parse_type("ARRAY<DECIMAL(2, 1)>"), parse_type("ARRAY<DECIMAL(2, 1)>"))(value) is value


def test_types_of_avro_that_ksqldb_has_not() -> None:
    micros = column_type({"type": "long", "logicalType": "timestamp-micros"})
    local = column_type({"type": "long", "logicalType": "local-timestamp-millis"})
    uuid = column_type({"type": "string", "logicalType": "uuid"})
    assert cast(micros, STRING)(MAY.replace(microsecond=123_999)) == "2020-05-26T23:59:58.123"
    assert cast(local, STRING)(MAY.replace(tzinfo=None)) == "2020-05-26T23:59:58.123"
    assert cast(uuid, STRING)(UUID(int=0)) == "00000000-0000-0000-0000-000000000000"
    assert cast(column_type("float"), STRING)(1.5) == "1.5"
    with pytest.raises(SignatureError):
        cast(STRING, uuid)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("boolean", "BOOLEAN"),
        (" INTEGER ", "INT"),
        ("VARCHAR", "STRING"),
        ("DECIMAL(9,2)", "DECIMAL(9, 2)"),
        ("decimal(9)", "DECIMAL(9, 0)"),
        ("ARRAY<STRUCT<a INT, b DECIMAL(9,2)>>", "ARRAY<STRUCT<A INT, B DECIMAL(9, 2)>>"),
        ("MAP<VARCHAR, MAP<STRING,TIME>>", "MAP<STRING, MAP<STRING, TIME>>"),
        ("STRUCT<`lower` BYTES, date DATE>", "STRUCT<lower BYTES, DATE DATE>"),
    ],
)
def test_names_of_types(text: str, told: str) -> None:
    assert sql_name(parse_type(text)) == told
    assert parse_type(told.replace("<lower", "<`lower`")) == parse_type(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing is no type"),
        ("TEXT", "TEXT is no type"),
        ("INT INT", "INT must not follow"),
        ("ARRAY", "< must be where the end is"),
        ("ARRAY<INT", "> must be where the end is"),
        ("MAP<INT, INT>", "keys must be STRING"),
        ("STRUCT<A INT, a INT>", "the field A is twice"),
        ("STRUCT<>", "a field must be where > is"),
        ("DECIMAL(a)", "a number must be where a is"),
        ("DECIMAL(2, 3)", "must have 1 digit or more"),
        ("DECIMAL(0)", "must have 1 digit or more"),
        ("STRUCT<`a b` INT>", "Avro's names"),
        ("INT;", "';' is not known"),
        ("ARRAY<" * 99, "too deep"),
    ],
)
def test_names_that_are_none(text: str, why: str) -> None:
    with pytest.raises(SignatureError, match=why.replace("(", "\\(")):
        parse_type(text)


def test_structs_of_equal_fields_have_one_name() -> None:
    one, same, other = (parse_type(f"STRUCT<{fields}>") for fields in ("A INT, B INT", "a INT, b INTEGER", "A INT"))
    assert one == same
    assert one.avro["name"] != other.avro["name"]
    assert list(fields_of(one)) == ["A", "B"]
    assert record_of({"A": STRING}, "Named").avro["name"] == "Named"


CHECKED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: arithmetic("+", decimal(1, 0), None),
        r"^takes two numbers or two texts, but was given \(DECIMAL\(1, 0\), NULL\)$",
    ),
    (lambda: arithmetic("^", decimal(1, 0), None), r"^is no operator, which must be one of \+ - \* / %$"),
]


@pytest.mark.parametrize(("call", "sentence"), CHECKED)
def test_operators_that_do_not_fit(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(SignatureError, match=sentence):
        call()
