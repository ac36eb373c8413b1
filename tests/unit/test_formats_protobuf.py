"""PROTOBUF: bytes as protoc's own encodings have them, the derived schema, and messages of other writers."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from declared import COMPOUND, SCALARS
from written import ID, columns, pair, same, topic_of

from pipeline.avro_schemas import UnreadableSchema
from pipeline.codecs import HEADER, MAGIC
from pipeline.errors import BadRecord, SettingError
from pipeline.formats import ValueDecoder, check_formats, decoder, registrations
from pipeline.formats.proto_text import parse
from pipeline.topics import Topic, ValueFormat

PROTOBUF = ValueFormat.PROTOBUF
HEAD = HEADER.pack(MAGIC, ID)


@pytest.mark.parametrize(
    ("kind", "value", "body"),
    [
        ("int", 150, "089601"),
        ("int", -2, "08feffffffffffffffff01"),
        ("long", 0, ""),
        (["null", "long"], 0, "0800"),
        (["null", "long"], None, ""),
        ("boolean", True, "0801"),
        ("string", "testing", "0a0774657374696e67"),
        ("bytes", b"\x00", "0a0100"),
        ("double", 1.0, "09000000000000f03f"),
        ("double", -0.0, "090000000000000080"),
        ("float", 1.0, "0d0000803f"),
        (SCALARS["e"], "GREEN", "0a05475245454e"),
        ({"type": "array", "items": "int"}, [3, 270, 86942], "0a06038e029ea705"),
        ({"type": "array", "items": "string"}, ["a", ""], "0a01610a00"),
        ({"type": "map", "values": "long"}, {"a": 1}, "0a050a01611001"),
        (COMPOUND["rec"], {"a": "x"}, "0a030a0178"),
        (SCALARS["dec"], Decimal("9.99"), "0a080a0203e710061802"),
        (SCALARS["day"], date(2026, 11, 22), "0a0708ea0f100b1816"),
        (SCALARS["tms"], time(12, 0, 1), "0a04080c1801"),
        (SCALARS["ms"], datetime(1970, 1, 1, 0, 0, 1, 5000, tzinfo=UTC), "0a07080110c096b102"),
        (SCALARS["us"], datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC), "0a0e08ffffffffffffffffff0110e807"),
    ],
)
def test_values_lie_on_the_wire_as_protobuf_says(kind: Any, value: Any, body: str) -> None:
    """The bodies are those of Protobuf's documentation, or worked out by its rules; 0 stands for the first message."""
    encode, decode = pair(columns(PROTOBUF, x=kind))
    raw = encode({"x": value})
    assert raw.hex() == (HEAD + b"\0").hex() + body
    assert same(decode(raw), {"x": value})


def test_the_schema_is_derived_from_avros() -> None:
    kinds: dict[str, Any] = {name: SCALARS[name] for name in ("s", "i", "l", "f", "d", "b", "raw", "x", "u", "e")}
    kinds |= {name: ["null", SCALARS[name]] for name in ("dec", "day", "tms", "ms")}
    kinds |= {"list": COMPOUND["list"], "dict": COMPOUND["dict"], "rec": COMPOUND["rec"]}
    needed = registrations(columns(PROTOBUF, **kinds))
    assert [(one.subject, one.kind) for one in needed] == [("rows-value", "PROTOBUF")]
    assert needed[0].text == (
        'syntax = "proto3";\n'
        "package tests.formats;\n"
        'import "confluent/type/decimal.proto";\n'
        'import "google/protobuf/timestamp.proto";\n'
        'import "google/type/date.proto";\n'
        'import "google/type/timeofday.proto";\n'
        "message Row {\n"
        "  string s = 1;\n  int32 i = 2;\n  int64 l = 3;\n  float f = 4;\n  double d = 5;\n  bool b = 6;\n"
        "  bytes raw = 7;\n  bytes x = 8;\n  string u = 9;\n  string e = 10;\n"
        "  optional confluent.type.Decimal dec = 11;\n  optional google.type.Date day = 12;\n"
        "  optional google.type.TimeOfDay tms = 13;\n  optional google.protobuf.Timestamp ms = 14;\n"
        "  repeated string list = 15;\n  map<string, int64> dict = 16;\n"
        "  message rec_record {\n    string a = 1;\n  }\n"
        "  rec_record rec = 17;\n"
        "}\n"
    )


OTHERS = """
// Another writer's file.
syntax = 'proto3';
package shop.v1;
import "google/protobuf/wrappers.proto";
import "google/protobuf/timestamp.proto";
import "shop/money.proto";
option java_package = "com.shop";

message Unused { reserved 1, 4 to 6; }
/* The second message. */
message Order {
  option deprecated = true;
  enum State { option allow_alias = true; NEW = 0; DONE = 5; }
  message Line { int32 count = 2; string Product = 7 [json_name = "p"]; }
  sint64 ID = 3;
  State state = 4;
  repeated Line lines = 5;
  oneof buyer { string person = 6; uint32 firm = 8; }
  google.protobuf.Int64Value points = 9;
  google.protobuf.Timestamp at = 10;
  repeated fixed32 numbers = 11 [packed = false];
  map<string, Line> by_name = 12;
  Money price = 13;
  extensions 100 to 200;
}
service Shop { rpc Get (Order) returns (Order) { option (x) = "y"; } }
"""
MONEY = 'syntax = "proto3"; package shop.v1; message Money { int64 cents = 1; }'
LINE = {
    "type": "record",
    "name": "line",
    "fields": [{"name": "count", "type": "int"}, {"name": "product", "type": "string"}],
}
CENTS = {"type": "record", "name": "m", "fields": [{"name": "cents", "type": "long"}]}
ORDER = topic_of(
    [
        {"name": "id", "type": "long"},
        {"name": "state", "type": "string"},
        {"name": "lines", "type": {"type": "array", "items": LINE}},
        {"name": "person", "type": ["null", "string"]},
        {"name": "points", "type": ["null", "long"]},
        {"name": "at", "type": ["null", SCALARS["ms"]]},
        {"name": "numbers", "type": {"type": "array", "items": "long"}},
        {"name": "by_name", "type": {"type": "map", "values": "line"}},
        {"name": "price", "type": ["null", CENTS]},
        {"name": "note", "type": ["null", "string"]},
    ],
    PROTOBUF,
)
ABSENT = {
    "id": 0, "state": "NEW", "lines": [], "person": None, "points": None, "at": None, "numbers": [], "by_name": {},
    "price": None, "note": None,
}  # fmt: skip


def others(text: str = OTHERS, topic: Topic = ORDER) -> ValueDecoder:
    decode = decoder(topic)
    decode.learn(ID, text, [MONEY])
    return decode


def test_messages_of_other_writers_are_read_by_their_schema() -> None:
    """Other numbers, types and order; the message is the second: one index, 1, as zigzag 2."""
    body = bytes.fromhex(
        "1803 2005"  # ID -2, state DONE
        "2a06 100a 3a025031 2a02 1001"  # lines
        "320178 4a00 5202 0801"  # person x, points 0, at 1 s
        "5d01000000 5a0402000000"  # numbers, one alone and one packed
        "6207 0a0161 1202 1007"  # by_name
        "6a03 08e407"  # price
        "f201 017a"  # a field that nobody knows
    )
    value = HEAD + b"\x02\x02" + body
    assert others()(value) == {
        "id": -2,
        "state": "DONE",
        "lines": [{"count": 10, "product": "P1"}, {"count": 1, "product": ""}],
        "person": "x",
        "points": 0,
        "at": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
        "numbers": [1, 2],
        "by_name": {"a": {"count": 7, "product": ""}},
        "price": {"cents": 996},
        "note": None,
    }
    assert others()(HEAD + b"\x02\x02") == ABSENT
    assert others().together([value] * 3) == [others()(value)] * 3


def test_a_message_that_is_there_twice_is_one() -> None:
    """Of a scalar the last counts, messages are merged."""
    found = others()(HEAD + b"\x02\x02" + bytes.fromhex("1803 1804 5202 0801 5204 10c0843d"))
    assert (found["id"], found["at"]) == (2, datetime(1970, 1, 1, 0, 0, 1, 1000, tzinfo=UTC))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("00", "schema id 7 cannot be read as Row: shop.v1.Unused has no field id, which has no default either"),
        ("020200", "it has a field of number 0"),
        ("0202320561", "field 6 ends after 1 of 5 bytes"),
        ("02025d0100", "field 11 ends after 2 of 4 bytes"),
        ("02021880", "it ends within a number"),
        ("020218" + "80" * 11, "a number of more than 10 bytes"),
        ("02021b", "field 3 is of wire type 3"),
        ("0202" + "320180", "a string that is not UTF-8"),
        ("02023001", "a field is of wire type 0, but must be of 2"),
        ("0206", "schema id 7 has no message at the indexes \\[3\\]"),
        ("0201", "schema id 7 has no message at the indexes \\[-1\\]"),
        ("ffff03", "it has -32768 message indexes"),
        ("", "it ends within a number"),
    ],
)
def test_damage_is_told(body: str, sentence: str) -> None:
    decode, value = others(), HEAD + bytes.fromhex(body)
    with pytest.raises(BadRecord, match=sentence):
        decode(value)
    assert decode.together([value] * 2) is None


@pytest.mark.parametrize(
    ("field", "kind", "sentence"),
    [
        ("string x = 1;", "long", "field x: string is not long"),
        ("double x = 1;", "float", "field x: double is not float"),
        ("repeated int32 x = 1;", "int", "field x: repeated int32 is not int"),
        ("map<int32, int32> x = 1;", COMPOUND["dict"], "field x: a map of int32 is not map of long"),
        ("Gone x = 1;", "int", "field x: its type 'Gone' is not defined"),
        ("google.protobuf.Timestamp x = 1;", SCALARS["day"], "google.protobuf.Timestamp is not date"),
        ("M x = 1;", "int", "field x: message M is not int"),
        ("E x = 1; enum E { A = 0; }", "int", "field x: enum M.E is not int"),
        ("optional group X = 1 { }", "int", "it has a group, which is not read"),
        ("int32 X = 1; int32 x_ = 2;", "string", "field X: int32 is not string"),
        ("int32 y = 1;", "int", "M has no field x, which has no default either"),
        ("int32 x = one;", "int", "it has 'one' where a number must be"),
        ("int32 x", "int", "it has '}' where '=' must be"),
    ],
)
def test_a_schema_that_cannot_be_read_is_refused_with_the_reason(field: str, kind: Any, sentence: str) -> None:
    decode = decoder(columns(PROTOBUF, x=kind))
    decode.learn(ID, f'syntax = "proto3"; message M {{ {field} }}')
    for _ in range(2):
        with pytest.raises(BadRecord, match=f"schema id 7 cannot be read as Row: .*{sentence}"):
            decode(HEAD + b"\0")
    assert decode.unknown([HEAD]) == set()


def test_ids_are_learned_and_what_is_not_is_unknown() -> None:
    decode = decoder(ORDER)
    assert decode.unknown([HEAD, None, b"x"]) == {ID}
    with pytest.raises(BadRecord, match="unknown schema id 7"):
        decode(HEAD + b"\0")
    decode.refuse(ID, "schema id 7 is of type AVRO, not PROTOBUF")
    with pytest.raises(BadRecord, match="is of type AVRO"):
        decode(HEAD + b"\0")
    for value, sentence in ((None, "null value"), (b"{}", "not in the registry's wire format")):
        with pytest.raises(BadRecord, match=sentence):
            decode(value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("message", "it has '' where '{' must be"),
        ("message M {", "a block has no end"),
        ("schema", "it has 'schema' where a message could be"),
        ("message M { " * 60, "it is nested too deeply"),
        (" " * 1_000_001, "it is longer than"),
    ],
)
def test_what_is_no_schema_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(UnreadableSchema, match=sentence):
        parse(text)


def test_a_message_may_contain_itself_as_far_as_it_is_read() -> None:
    rec = {"type": "record", "name": "r", "fields": [{"name": "v", "type": "int"}]}
    decode = decoder(columns(PROTOBUF, v="int", next=["null", rec]))
    decode.learn(ID, 'syntax = "proto3"; message Node { Node next = 1; int32 v = 2; }')
    assert decode(HEAD + b"\0" + bytes.fromhex("0a040a0210051001")) == {"v": 1, "next": {"v": 0}}


@pytest.mark.parametrize(
    ("kind", "body", "sentence"),
    [
        ("int", "088080808010", "column x of type int is 4294967296, but must be"),
        (SCALARS["day"], "0a00", r"column x of type date is \(0, 0, 0\), but must be a day of the years 1 to 9999"),
        (SCALARS["dec"], "0a050a037fffff", r"column x of type decimal\(6, 2\) is 8388607, but must be"),
        (SCALARS["tms"], "0a020818", "column x of type time-millis is 86400000, but must be a time of a day"),
        (SCALARS["e"], "0a0150", "column x of type enum tests.formats.colour is 'P', but must be one of RED"),
        (SCALARS["x"], "", "must be 4 bytes long, not 0"),
        (COMPOUND["rec"], "", "column x of type record tests.formats.inner is null, but must be there"),
    ],
)
def test_values_that_do_not_fit_are_named(kind: Any, body: str, sentence: str) -> None:
    topic = columns(PROTOBUF, x=kind)
    decode = decoder(topic)
    decode.learn(ID, registrations(topic)[0].text.replace("int32 x", "int64 x"))
    with pytest.raises(BadRecord, match=sentence):
        decode(HEAD + b"\0" + bytes.fromhex(body))


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ({"type": "array", "items": ["null", "int"]}, [None], r"column x\[0\] .* take no null"),
        ({"type": "map", "values": ["null", "int"]}, {"a": None}, r"column x\['a'\] .* take no null"),
        ("int", None, "column x of type int is null, but must be there"),
        ("string", "\ud800", "must be a text that is UTF-8"),
        (COMPOUND["rec"], 1, "must be a record"),
    ],
)
def test_what_protobuf_cannot_hold_is_a_value_error(kind: Any, value: Any, sentence: str) -> None:
    encode, _ = pair(columns(PROTOBUF, x=kind))
    with pytest.raises(ValueError, match=sentence):
        encode({"x": value})


def test_null_arrays_and_maps_come_back_empty() -> None:
    encode, decode = pair(columns(PROTOBUF, l=["null", COMPOUND["list"]], m=["null", COMPOUND["dict"]]))
    assert decode(encode({"l": None, "m": None})) == {"l": [], "m": {}}


def test_collections_right_in_each_other_are_refused() -> None:
    nested = {"type": "array", "items": {"type": "array", "items": "int"}}
    with pytest.raises(SettingError, match="column x is of type array of array of int, but must hold scalars"):
        check_formats("", columns(PROTOBUF, x=nested))
