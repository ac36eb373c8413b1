"""DELIMITED and KAFKA values."""

from decimal import Decimal
from typing import Any

import pytest
from declared import COMPOUND, SCALARS
from written import columns, same, topic_of

from pipeline.errors import BadRecord, SettingError
from pipeline.formats import check_formats, decoder, encoder
from pipeline.topics import ValueFormat

DELIMITED, KAFKA = ValueFormat.DELIMITED, ValueFormat.KAFKA
FIELDS = [
    {"name": "n", "type": "long"},
    {"name": "s", "type": ["null", "string"]},
    {"name": "p", "type": SCALARS["dec"]},
]


@pytest.mark.parametrize(
    ("line", "record"),
    [
        ("1,a,9.5", {"n": 1, "s": "a", "p": Decimal("9.50")}),
        ("1,a,9.50\n", {"n": 1, "s": "a", "p": Decimal("9.50")}),
        ("1,a,9.5\r\n", {"n": 1, "s": "a", "p": Decimal("9.50")}),
        (" +1 , a ,9", {"n": 1, "s": " a ", "p": Decimal("9.00")}),
        ("1,,9", {"n": 1, "s": None, "p": Decimal("9.00")}),
        ('1,"",9', {"n": 1, "s": "", "p": Decimal("9.00")}),
        ('"1","a,""b""\r\nc","9"', {"n": 1, "s": 'a,"b"\r\nc', "p": Decimal("9.00")}),
        ('1,a"b,9', {"n": 1, "s": 'a"b', "p": Decimal("9.00")}),
        ("1,User_é,1e2", {"n": 1, "s": "User_é", "p": Decimal("100.00")}),
    ],
)
def test_a_line_is_a_record(line: str, record: dict[str, Any]) -> None:
    topic = topic_of(FIELDS, DELIMITED)
    decode = decoder(topic)
    assert same(decode(line.encode()), record)
    together = decode.together([line.encode()] * 3)
    assert together is None or same(together, [record] * 3)
    assert same(decode(encoder(topic)(record)), record)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"1,a", "value has 2 columns, but must have the 3 of Row: b'1,a'"),
        (b"1,a,9,", "value has 4 columns"),
        (b"", "value has 1 columns"),
        (b"1,a,9\n2,b,8", "value is not one line of values between ','"),
        (b'1,"a,9', "value is not one line"),
        (b'1,"a"b,9', "value is not one line"),
        (b"1,\xff,9", "value is not UTF-8 at byte 2"),
        (b",a,9", "column n of type long is null, but must be there"),
        (b"x,a,9", "column n of type long is 'x', but must be a number"),
        (b"1_0,a,9", "column n of type long is '1_0', but must be a number"),
        ("\u0665,a,9".encode(), "column n of type long is '\u0665', but must be a number"),
        (b"1.0,a,9", "column n of type long is '1.0', but must be a whole number"),
        (b"9223372036854775808,a,9", "column n of type long is '9223372036854775808', but must be a whole number in"),
        (b"1,a,NaN", r"column p of type decimal\(6, 2\) is 'NaN', but must be a number"),
        (b"1,a,0.001", "is '0.001', but must be a decimal of 6 digits, 2 of them after the point"),
        (None, "null value"),
    ],
)
def test_what_is_no_line_of_the_columns_is_named(line: bytes | None, sentence: str) -> None:
    decode = decoder(topic_of(FIELDS, DELIMITED))
    with pytest.raises(BadRecord, match=sentence):
        decode(line)
    assert decode.together([b"1,a,9", line, b"1,a,9", b"1,a,9"]) is None


def test_booleans_are_true_and_false_in_any_case() -> None:
    decode = decoder(columns(DELIMITED, b="boolean"))
    assert [decode(raw)["b"] for raw in (b"true", b"FALSE", b" True ")] == [True, False, True]
    with pytest.raises(BadRecord, match="column b of type boolean is '1', but must be true or false"):
        decode(b"1")


@pytest.mark.parametrize(("delimiter", "sign"), [("|", "|"), ("TAB", "\t"), ("SPACE", " "), ("^", "^"), ("]", "]")])
def test_another_delimiter(delimiter: str, sign: str) -> None:
    topic = topic_of(FIELDS, DELIMITED, value_delimiter=delimiter)
    record = {"n": 1, "s": f"a{sign},b", "p": Decimal("9.50")}
    value = encoder(topic)(record)
    assert value == f'1{sign}"a{sign},b"{sign}9.50'.encode()
    assert decoder(topic)(value) == record


@pytest.mark.parametrize(
    ("topic", "sentence"),
    [
        (
            topic_of(FIELDS, DELIMITED, value_delimiter=";;"),
            "^w, topic rows: value_delimiter is ';;', but must be one sign",
        ),
        (topic_of(FIELDS, DELIMITED, value_delimiter='"'), "value_delimiter is '\"', but must be one sign"),
        (columns(DELIMITED, l=COMPOUND["list"]), "column l is of type array of string, but must be a scalar"),
        (
            columns(ValueFormat.JSON, u=COMPOUND["either"]),
            "column u is of type union of null, string, long, but must be",
        ),
        (columns(ValueFormat.PROTOBUF, n="null"), "column n is of type null, but must be of one type"),
        (topic_of(FIELDS, KAFKA), "the value_format KAFKA has 3 columns, but must have one"),
        (columns(KAFKA, b="boolean"), "column b is of type boolean, but must be int, long, double, string, bytes"),
        (
            topic_of(FIELDS, "yaml"),
            "value_format is 'yaml', but must be avro, json, json_sr, protobuf, delimited, kafka",
        ),  # type: ignore[arg-type]
    ],
)
def test_a_format_that_cannot_hold_the_columns_is_refused_at_once(topic: Any, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        check_formats("w", topic)


@pytest.mark.parametrize(
    ("kind", "value", "raw"),
    [
        ("int", -2, b"\xff\xff\xff\xfe"),
        ("long", 258, b"\0\0\0\0\0\0\x01\x02"),
        ("double", 1.5, b"\x3f\xf8\0\0\0\0\0\0"),
        ("string", "é", "é".encode()),
        ("bytes", b"\0", b"\0"),
    ],
)
def test_kafkas_own_serializers(kind: str, value: Any, raw: bytes) -> None:
    topic = columns(KAFKA, x=kind)
    assert encoder(topic)({"x": value}) == raw
    assert same(decoder(topic)(raw), {"x": value})
    assert decoder(topic).together([raw, raw]) == [{"x": value}] * 2


@pytest.mark.parametrize(
    ("kind", "raw", "sentence"),
    [
        ("int", b"\0", r"column x of type int is b'\\x00', but must be 4 bytes, not 1"),
        ("double", b"\x7f\xf8\0\0\0\0\0\0", "column x of type double is nan, but must be a finite number"),
        ("string", b"\xff", "column x is not UTF-8 at byte 0"),
        ("int", None, "null value"),
    ],
)
def test_other_bytes_are_bad(kind: str, raw: bytes | None, sentence: str) -> None:
    decode = decoder(columns(KAFKA, x=kind))
    with pytest.raises(BadRecord, match=sentence):
        decode(raw)
    assert decode.together([raw]) is None


def test_kafka_has_no_null() -> None:
    with pytest.raises(
        ValueError, match="column x of type int is null, but must be there: the format KAFKA has no null"
    ):
        encoder(columns(KAFKA, x=["null", "int"]))({"x": None})
