"""Records of other writers become the reader's records, by Avro's rules and what ksqlDB's users rely on."""

from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.avro_schemas import MOST_TYPES
from pipeline.codecs import HEADER, Decoder
from pipeline.errors import BadRecord

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
DATE = {"type": "int", "logicalType": "date"}
UUID_TEXT = {"type": "string", "logicalType": "uuid"}
ENUM = {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def money(scale: int, kind: str = "bytes") -> dict[str, Any]:
    more = {"name": "money", "size": 8} if kind == "fixed" else {}
    return {"type": kind, "logicalType": "decimal", "precision": 18, "scale": scale, **more}


def record(*fields: dict[str, Any], name: str = "r") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def of(kind: Any, **more: Any) -> dict[str, Any]:
    return record({"name": "x", "type": kind, **more})


def read(writer: dict[str, Any], reader: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """A record as it comes out; one by one and many together give the same."""
    decode = Decoder(reader)
    decode.learn(7, writer)
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(writer), value)
    raw = HEADER.pack(0, 7) + out.getvalue()
    alone = decode(raw)
    assert decode.together([raw] * 3) == [alone] * 3
    assert all(type(v) is type(w) for v, w in zip(decode.together([raw])[0].values(), alone.values(), strict=True))  # type: ignore[index]
    return alone


@pytest.mark.parametrize(
    ("writer", "reader", "written", "seen"),
    [
        (UUID_TEXT, "string", UUID(int=1), str(UUID(int=1))),
        ("string", UUID_TEXT, str(UUID(int=1)), UUID(int=1)),
        (MILLIS, "long", NOON, 1_795_348_800_000),
        ("long", MILLIS, 1_795_348_800_000, NOON),
        ("int", MILLIS, 5, datetime(1970, 1, 1, 0, 0, 0, 5000, tzinfo=UTC)),
        (MICROS, MILLIS, NOON.replace(microsecond=1999), NOON.replace(microsecond=1000)),
        (MILLIS, MICROS, NOON, NOON),
        (DATE, MILLIS, date(2026, 11, 22), NOON.replace(hour=0)),
        (MILLIS, DATE, NOON, date(2026, 11, 22)),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, MILLIS, NOON.replace(tzinfo=None), NOON),
        (money(4), money(2), Decimal("9.9950"), Decimal("9.9950")),
        (money(2, "fixed"), money(2), Decimal("9.99"), Decimal("9.99")),
        ("bytes", money(2), b"\x03\xe7", Decimal("9.99")),
        (money(2), "bytes", Decimal("9.99"), b"\x03\xe7"),
        (ENUM, "string", "B", "B"),
        (["null", ENUM], ["null", "string"], "B", "B"),
        (["null", ENUM], ["null", "string"], None, None),
        (["null", DATE], ["null", MILLIS], date(2026, 11, 22), NOON.replace(hour=0)),
        (["null", DATE], ["null", MILLIS], None, None),
        ([ENUM, "string"], "string", "A", "A"),
        ("string", ["null", "string"], "x", "x"),
        (["null", "string"], "string", "x", "x"),
        ("int", "long", 3, 3),
        ("int", "double", 3, 3.0),
        ("float", "double", 0.5, 0.5),
        ("bytes", "string", b"x", "x"),
        ({"type": "array", "items": DATE}, {"type": "array", "items": MILLIS}, [date(1970, 1, 2)], None),
        ({"type": "map", "values": UUID_TEXT}, {"type": "map", "values": "string"}, {"k": UUID(int=2)}, None),
        (
            record({"name": "Y", "type": UUID_TEXT}, name="a"),
            record({"name": "y", "type": "string"}, name="b"),
            None,
            None,
        ),
    ],
)
def test_the_readers_schema_decides_the_type(writer: Any, reader: Any, written: Any, seen: Any) -> None:
    """A writer's logical type ended the worker: the application was given a UUID where it had asked for a text."""
    if isinstance(writer, dict) and writer["type"] == "record":
        written, seen = {"Y": UUID(int=3)}, {"y": str(UUID(int=3))}
    if isinstance(writer, dict) and writer["type"] == "array":
        seen = [datetime(1970, 1, 2, tzinfo=UTC)]
    if isinstance(writer, dict) and writer["type"] == "map":
        seen = {"k": str(UUID(int=2))}
    found = read(of(writer), of(reader), {"x": written})["x"]
    assert (found, type(found)) == (seen, type(seen))


def test_fields_are_found_by_alias_and_without_regard_to_case() -> None:
    reader = record({"name": "userid", "type": "string", "aliases": ["user"]}, {"name": "pageid", "type": "string"})
    writer = record(
        {"name": "PAGEID", "type": "string"}, {"name": "user", "type": "string"}, name="KsqlDataSourceSchema"
    )
    assert read(writer, reader, {"PAGEID": "p", "user": "u"}) == {"userid": "u", "pageid": "p"}


def test_a_name_that_fits_exactly_goes_before_one_in_another_case() -> None:
    writer = record({"name": "X", "type": "string"}, {"name": "x", "type": "string"})
    assert read(writer, of("string"), {"X": "upper", "x": "lower"}) == {"x": "lower"}


def test_what_the_writer_lacks_takes_its_default_as_a_value_of_its_own() -> None:
    fields = [
        {"name": "n", "type": ["null", "string"], "default": None},
        {"name": "m", "type": money(2), "default": "\u0003\u00e7"},
        {"name": "t", "type": MILLIS, "default": 0},
        {"name": "l", "type": {"type": "array", "items": "string"}, "default": ["a"]},
    ]
    first, second = (read(of("int"), record({"name": "x", "type": "int"}, *fields), {"x": 1}) for _ in range(2))
    assert first == {"x": 1, "n": None, "m": Decimal("9.99"), "t": datetime(1970, 1, 1, tzinfo=UTC), "l": ["a"]}
    assert first["l"] is not second["l"]


@pytest.mark.parametrize(
    ("writer", "reader", "reason"),
    [
        (of("string"), of("long"), "field x: string is not long"),
        (of("long"), of("int"), "field x: long is not int"),
        (of({"type": "long", "logicalType": "time-micros"}), of(MILLIS), "time-micros"),
        (of({"type": "long", "logicalType": "timestamp-nanos"}), of(MILLIS), "timestamp-nanos"),
        (of(money(2)), of("double"), r"field x: bytes \(decimal\) is not double"),
        (of([DATE, MILLIS]), of(MICROS), "cannot be told apart"),
        (record({"name": "y", "type": "int"}), of("int"), "it has no field x, which has no default either"),
    ],
)
def test_what_cannot_be_read_is_refused_once_with_the_reason(writer: Any, reader: Any, reason: str) -> None:
    decode = Decoder(reader)
    decode.learn(7, writer)
    with pytest.raises(BadRecord, match=reason):
        decode(HEADER.pack(0, 7))


def test_schemas_that_contain_themselves_or_grow_without_end_are_refused() -> None:
    node = record({"name": "x", "type": "string"}, {"name": "next", "type": ["null", "r"]})
    layers: Any = "string"
    for depth in range(14):
        layers = record(
            {"name": "a", "type": layers},
            {"name": "b", "type": f"n{depth - 1}" if depth else "string"},
            name=f"n{depth}",
        )
    deep: Any = "string"
    for _ in range(3000):
        deep = {"type": "array", "items": deep}
    for writer, reason in ((node, "contains itself"), (layers, f"more than {MOST_TYPES} types"), (of(deep), "deeply")):
        decode = Decoder(of("string"))
        decode.learn(7, writer)
        with pytest.raises(BadRecord, match=reason):
            decode(HEADER.pack(0, 7))


PRIMITIVES = [
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "bytes",
    "string",
    UUID_TEXT,
    DATE,
    MILLIS,
    MICROS,
    money(3),
    ENUM,
]
KINDS = st.sampled_from(PRIMITIVES).flatmap(
    lambda kind: st.sampled_from(
        [kind, ["null", kind], {"type": "array", "items": kind}, {"type": "map", "values": kind}]
    )
)
PYTHON = {
    "boolean": bool, "int": int, "long": int, "float": float, "double": float, "bytes": bytes, "string": str,
    "uuid": UUID, "date": date, "timestamp-millis": datetime, "timestamp-micros": datetime,
    "decimal": Decimal, "enum": str,
}  # fmt: skip


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of the type that a schema asks for."""
    if isinstance(kind, list):
        return any(fits(value, branch) for branch in kind)
    if isinstance(kind, str):
        return value is None if kind == "null" else type(value) is PYTHON[kind]
    if kind["type"] == "array":
        return isinstance(value, list) and all(fits(item, kind["items"]) for item in value)
    if kind["type"] == "map":
        return isinstance(value, dict) and all(fits(item, kind["values"]) for item in value.values())
    return type(value) is PYTHON[kind.get("logicalType", kind["type"])]


@given(KINDS, KINDS, st.binary(max_size=40))
def test_any_bytes_under_any_schema_give_the_readers_type_or_a_bad_record(writer: Any, reader: Any, raw: bytes) -> None:
    decode = Decoder(of(reader))
    decode.learn(7, of(writer))
    value = HEADER.pack(0, 7) + raw
    try:
        found = decode(value)
    except BadRecord as error:
        assert "7" in str(error) or "left over" in str(error)
        assert decode.together([value] * 3) is None
        return
    assert fits(found["x"], reader), (found, reader)


SCHEMAS = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=6), st.sampled_from(["record", "string", "fixed"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["type", "name", "fields", "items", "size", "symbols", "namespace"]), inner),
    ),
    max_leaves=12,
)


@given(SCHEMAS, st.binary(max_size=20))
def test_any_json_where_a_schema_should_be_gives_bad_records(writer: Any, raw: bytes) -> None:
    decode = Decoder(of("string"))
    decode.learn(7, writer)
    with pytest.raises(BadRecord):
        decode(HEADER.pack(0, 7) + raw)
