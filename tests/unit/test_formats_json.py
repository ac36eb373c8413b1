"""JSON and JSON_SR: ksqlDB's forms, read exactly; what does not fit says which column, type and value."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from declared import SCALARS
from written import ID, columns, pair, same

from pipeline.codecs import HEADER, MAGIC
from pipeline.errors import BadRecord
from pipeline.formats import decoder, encoder
from pipeline.formats.json_format import MARK, MOST_NESTED
from pipeline.handover import Handover
from pipeline.topics import ValueFormat

JSON, JSON_SR = ValueFormat.JSON, ValueFormat.JSON_SR
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOON_MS = 1_795_348_800_000


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", '"a\\u00e9"', "aé"),
        ("string", '"\\ud83d\\ude00"', "😀"),
        ("int", "5", 5),
        ("int", "5.0", 5),
        ("int", "5e2", 500),
        ("int", "0e999", 0),
        ("int", "-2147483648", -(1 << 31)),
        ("int", '"7"', 7),
        ("long", "9223372036854775807", (1 << 63) - 1),
        ("long", "9007199254740993.0", 9007199254740993),
        ("double", "1", 1.0),
        ("double", "0.1", 0.1),
        ("double", "-0.0", -0.0),
        ("double", "18446744073709551617", 18446744073709551616.0),
        ("double", '"1.5"', 1.5),
        ("float", "0.1", 0.10000000149011612),
        ("boolean", "true", True),
        ("bytes", '"AP8="', b"\x00\xff"),
        (SCALARS["x"], '"AAAAAA=="', b"\0\0\0\0"),
        (SCALARS["dec"], "9.5", Decimal("9.50")),
        (SCALARS["dec"], "0.1", Decimal("0.10")),
        (SCALARS["dec"], "1e3", Decimal("1000.00")),
        (SCALARS["dec"], "-0.000", Decimal("0.00")),
        (SCALARS["dec"], '"12.30"', Decimal("12.30")),
        (SCALARS["fdec"], "123456789012345.678", Decimal("123456789012345.678")),
        (SCALARS["day"], "20779", date(2026, 11, 22)),
        (SCALARS["tms"], "43200001", time(12, 0, 0, 1000)),
        (SCALARS["tus"], "43200000001", time(12, 0, 0, 1)),
        (SCALARS["ms"], str(NOON_MS), NOON),
        (SCALARS["us"], f"{NOON_MS}001", NOON.replace(microsecond=1)),
        (SCALARS["lms"], str(NOON_MS), NOON.replace(tzinfo=None)),
        (SCALARS["e"], '"GREEN"', "GREEN"),
        (SCALARS["u"], '"00000000-0000-0000-0000-000000000001"', UUID(int=1)),
        (["null", "int"], "null", None),
        ({"type": "array", "items": ["null", SCALARS["dec"]]}, "[1.5, null]", [Decimal("1.50"), None]),
        ({"type": "map", "values": "long"}, '{"a": 1, "B": 2}', {"a": 1, "B": 2}),
        (
            {"type": "record", "name": "r", "fields": [{"name": "Inner", "type": "int"}]},
            '{"INNER": 1, "more": []}',
            {"Inner": 1},
        ),
    ],
)
def test_values_of_each_type(kind: Any, text: str, value: Any) -> None:
    """The same alone, in a batch, and behind a header."""
    topic = columns(JSON, x=kind)
    decode, raw = decoder(topic), f'{{"x":{text}}}'.encode()
    assert same(decode(raw), {"x": value})
    together = decode.together([raw] * 4)
    assert together is None or same(together, [{"x": value}] * 4)
    assert same(decoder(columns(JSON_SR, x=kind))(HEADER.pack(MAGIC, ID) + raw), {"x": value})
    assert same(decode(encoder(topic)({"x": value})), {"x": value})


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        ("string", "5", "column x of type string is 5, but must be a text"),
        ("string", '"\\ud800"', "must be a text that is UTF-8"),
        ("string", "null", "column x of type string is null, but must be there: the column takes no null"),
        ("int", "2147483648", "column x of type int is 2147483648, but must be a whole number in -2147483648 .. 2147"),
        ("int", "5.5", "column x of type int is 5.5, but must be a whole number"),
        ("int", "true", "column x of type int is True, but must be a whole number"),
        ("int", '" 5"', "column x of type int is ' 5', but must be"),
        ("long", "1e999999999", r"is 1E\+999999999, but must be a whole number"),
        ("long", f"1{'0' * 4000}", "is a number of 13288 bits, but must be"),
        ("double", "1e400", r"column x of type double is 1E\+400, but must be a finite number"),
        ("double", "NaN", "value is no JSON: NaN is no number in JSON"),
        ("double", "Infinity", "value is no JSON: Infinity is no number in JSON"),
        ("double", '"NaN"', "is 'NaN', but must be a finite number"),
        ("float", "1e39", r"is 1E\+39, but must be a finite number that a float of 32 bits holds"),
        ("boolean", '"true"', "column x of type boolean is 'true', but must be true or false"),
        ("bytes", '"!"', "column x of type bytes is '!', but must be a text in base64"),
        (
            SCALARS["x"],
            '"AA=="',
            r"column x of type fixed tests.formats.four is b'\\x00', but must be 4 bytes long, not 1",
        ),
        (
            SCALARS["dec"],
            "9.999",
            r"column x of type decimal\(6, 2\) is 9.999, but must be a decimal of 6 digits, 2 of",
        ),
        (SCALARS["dec"], "10000", r"is 10000, but must be a decimal of 6 digits"),
        (SCALARS["dec"], "1e999999999", r"is 1E\+999999999, but must be a decimal of 6 digits"),
        (SCALARS["dec"], "1e-999999999", r"is 1E-999999999, but must be a decimal of 6 digits"),
        (SCALARS["day"], "9999999", "column x of type date is 9999999, but must be a moment of the years 1 to 9999"),
        (SCALARS["tms"], "86400000", "is 86400000, but must be a time of a day, in 0 .. 86399999"),
        (
            SCALARS["ms"],
            '"2026-11-22"',
            "column x of type timestamp-millis is '2026-11-22', but must be a whole number",
        ),
        (SCALARS["ms"], "9223372036854775807", "must be a moment of the years 1 to 9999"),
        (SCALARS["e"], '"PINK"', "is 'PINK', but must be one of RED, GREEN, BLUE"),
        (SCALARS["u"], '"1"', "column x of type uuid is '1', but must be a UUID"),
        ({"type": "array", "items": "int"}, '[1,"a"]', r"column x\[1\] of type int is 'a', but must be"),
        ({"type": "map", "values": "int"}, '{"k":null}', r"column x\['k'\] of type int is null, but must be there"),
        (
            {"type": "record", "name": "r", "fields": [{"name": "y", "type": "int"}]},
            "{}",
            "column x.y of type int is missing, but must be there: the column takes no null and has no default",
        ),
        ("int", '1,"x":2', "value is no JSON: an object has 'x' twice"),
        ("int", '1,"z":{"a":1,"a":2}', "value is no JSON: an object has 'a' twice"),
        ("int", f'1,"z":{"[" * MOST_NESTED}{"]" * MOST_NESTED}', f"nested deeper than {MOST_NESTED} levels"),
        ("int", f'1,"z":{"[" * 100_000}', "nested deeper"),
        ("int", "1" * 5000, "value is no JSON: Exceeds the limit"),
        ("int", "", "value is no JSON"),
    ],
)
def test_what_does_not_fit_is_named(kind: Any, text: str, sentence: str) -> None:
    decode, raw = decoder(columns(JSON, x=kind)), f'{{"x":{text}}}'.encode()
    with pytest.raises(BadRecord, match=sentence):
        decode(raw)
    assert decode.together([raw] * 3) is None


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (None, "null value"),
        (b"", "value is no JSON"),
        (b"\xff", "value is not UTF-8 at byte 0"),
        (b'{"x":"\xc3"}', "value is not UTF-8 at byte 6"),
        (b"[1]", "value is JSON, but no object with the columns of Row"),
        (b"null", "value is JSON, but no object"),
        (b'{"x":1}{"x":2}', "value is no JSON: Extra data"),
        (b"\xef\xbb\xbf{}", "value is no JSON"),
        (b'{"X":1,"x ":1,"\xc3\x85":3}', None),
        (b"{}", "column x of type int is missing"),
    ],
)
def test_what_is_no_object_of_json_is_told(raw: bytes | None, sentence: str | None) -> None:
    decode = decoder(columns(JSON, x="int"))
    if sentence is None:
        assert decode(raw) == {"x": 1}
        return
    with pytest.raises(BadRecord, match=sentence):
        decode(raw)
    assert decode.together([raw, raw]) is None


def test_names_are_found_without_regard_to_case_where_one_fits() -> None:
    decode = decoder(columns(JSON, userId="int", other=["null", "int"]))
    assert decode(b'{"USERID":1}') == {"userId": 1, "other": None}
    assert decode(b'{"userid":1,"userId":2}') == {"userId": 2, "other": None}
    twice = b'{"USERID":1,"userid":2,"other":3}'
    with pytest.raises(BadRecord, match=r"column userId of type int is \['USERID', 'userid'\], but must be there once"):
        decode(twice)
    assert decode.together([twice] * 2) is None
    mixed = [b'{"USERID":1}', b'{"userid":2,"OTHER":3}', b'{"x":{"y":1},"userId":4}']
    assert decode.together(mixed) == [decode(value) for value in mixed]


def test_a_missing_column_takes_its_default() -> None:
    fields = [
        {"name": "n", "type": ["null", "int"]},
        {"name": "d", "type": SCALARS["dec"], "default": "\u0003\u00e7"},
        {"name": "t", "type": SCALARS["tms"], "default": 1},
        {"name": "u", "type": SCALARS["u"], "default": str(UUID(int=3))},
        {"name": "l", "type": {"type": "array", "items": "int"}, "default": [1]},
    ]
    from written import topic_of

    decode = decoder(topic_of(fields, JSON))
    first, second = decode(b"{}"), decode(b"{}")
    assert first == {"n": None, "d": Decimal("9.99"), "t": time(0, 0, 0, 1000), "u": UUID(int=3), "l": [1]}
    assert first["l"] is not second["l"]
    assert decode.together([b"{}", b"{}"]) == [first, second]


def test_a_batch_is_read_in_one_go_unless_something_is_odd() -> None:
    decode = decoder(columns(JSON, x="int", s="string"))
    good = [b'{"x":%d,"s":"a"}' % number for number in range(5)]
    assert decode.together(good) == [{"x": number, "s": "a"} for number in range(5)]
    for odd in (b'{"x":1', b"1", b"", None, b'{"x":1,"s":"a"},{"x":2,"s":"b"}', b'{"x":1,"x":2,"s":"a"}'):
        assert decode.together([*good, odd]) is None
    across = [b'{"s":"a","x":1},{"s":"b","x":[1', b"2]}", *good]
    assert decode.together(across) is None
    assert decode.together([]) is None
    assert MARK.encode() not in b"".join(good)


def test_decimals_do_not_keep_a_batch_from_being_read_in_one_go() -> None:
    decode = decoder(columns(JSON, x=SCALARS["dec"], s="string"))
    assert decode.together([b'{"x":0.1,"s":"a"}'] * 3) == [{"x": Decimal("0.10"), "s": "a"}] * 3


def test_json_sr_needs_the_header_and_no_schema() -> None:
    decode = decoder(columns(JSON_SR, x="int"))
    value = HEADER.pack(MAGIC, 12345) + b'{"x":1}'
    assert decode.unknown([value]) == set()
    assert decode(value) == {"x": 1}
    assert decode.together([value] * 2) == [{"x": 1}] * 2
    for other in (b'{"x":1}', b"\0\0"):
        with pytest.raises(BadRecord, match="not in the registry's wire format"):
            decode(other)
        assert decode.together([value, other]) is None


def test_json_is_written_as_ksqldb_writes_it() -> None:
    kinds = {name: SCALARS[name] for name in ("s", "dec", "day", "ms", "raw", "d")}
    record = {"s": "é", "dec": Decimal("9.5"), "day": date(2026, 11, 22), "ms": NOON, "raw": b"\0", "d": 1.0}
    text = '{"s":"é","dec":9.50,"day":20779,"ms":1795348800000,"raw":"AA==","d":1.0}'
    assert encoder(columns(JSON, **kinds))(record) == text.encode()
    plain = {**record, "day": 20779, "ms": NOON_MS}
    assert encoder(columns(JSON, **kinds))(plain) == text.encode()
    sr = encoder(columns(JSON_SR, **kinds))
    with pytest.raises(RuntimeError, match="has not been registered yet"):
        sr(record)
    sr.registered(3)
    assert sr(record) == HEADER.pack(MAGIC, 3) + text.encode()


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("double", float("nan"), "column x of type double is nan, but must be a finite number"),
        ("double", "1", "is '1', but must be a number"),
        ("double", 1 << 1024, "must be a number that a double holds"),
        ("float", 1e39, "must be a number that a float of 32 bits holds"),
        ("int", 1 << 31, "column x of type int is 2147483648, but must be"),
        ("int", "1", "is '1', but must be a whole number"),
        ("string", "\ud800", "must be a text that is UTF-8"),
        ("string", None, "column x of type string is null"),
        (SCALARS["dec"], 1.5, r"column x of type decimal\(6, 2\) is 1.5, but must be a Decimal"),
        (SCALARS["dec"], Decimal("NaN"), "is NaN, but must be a decimal"),
        (SCALARS["ms"], date(2026, 1, 1), "must be a datetime or a whole number of its unit"),
        (SCALARS["x"], b"1", "must be 4 bytes long, not 1"),
        ("bytes", "1", "must be bytes"),
        ({"type": "array", "items": "int"}, "1", "must be a list"),
        ({"type": "array", "items": "int"}, [None], r"column x\[0\] of type int is null"),
        ({"type": "map", "values": "int"}, {1: 1}, "must be a mapping of texts"),
    ],
)
def test_what_cannot_be_written_is_a_value_error(kind: Any, value: Any, sentence: str) -> None:
    encode = encoder(columns(JSON, x=kind))
    with pytest.raises(ValueError, match=sentence):
        encode({"x": value})
    with pytest.raises(ValueError, match=sentence):
        encode.columns({"x": [value]}, 1)


def test_what_was_written_here_can_be_handed_over() -> None:
    encode, decode = pair(columns(JSON, x="int", s="string"))
    encode.handover = decode.handover = Handover(["x"])
    values = [*encode.columns({"x": [1, 2], "s": ["a", "b"]}, 2), encode({"x": 3, "s": "c"})]
    assert decode.handed_over(values) == {"x": [1, 2, 3]}
    assert decode.handed_over(values) is None
