"""The quick ways of the wire format give the same, byte for byte and row for row, as fastavro one by one."""

from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.avro_writer import KEPT_STRINGS, FlatWriter, NullableStrings, Strings, ints, long, longs
from pipeline.codecs import Decoder, Encoder, schema
from pipeline.handover import Handover

LONGS, INTS = st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-(1 << 31), (1 << 31) - 1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(),
    "long": st.one_of(st.integers(-200, 200), LONGS),
    "int": INTS,
    "double": st.floats(allow_nan=False),
    "boolean": st.booleans(),
}
FIELDS = [
    {"name": f"{'nullable_' if nullable else ''}{kind}", "type": ["null", kind] if nullable else kind}
    for kind in VALUES
    for nullable in (False, True)
]
FLAT = {"type": "record", "name": "Flat", "fields": FIELDS}
FLAT_RECORDS = st.fixed_dictionaries(
    {
        field["name"]: st.one_of(st.none(), VALUES[field["type"][1]])
        if isinstance(field["type"], list)
        else VALUES[field["type"]]
        for field in FIELDS
    }
)


def by_fastavro(record: dict[str, Any]) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(FLAT), record)
    return out.getvalue()


def as_columns(*records: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [record[name] for record in records] for name in records[0]}


@given(FLAT_RECORDS)
def test_flat_records_are_written_as_fastavro_writes_them(record: dict[str, Any]) -> None:
    write = FlatWriter.of(FLAT)
    assert write is not None
    assert write(record) == by_fastavro(record)


@given(st.lists(FLAT_RECORDS, min_size=1, max_size=5))
def test_a_column_at_a_time_gives_the_same(records: list[dict[str, Any]]) -> None:
    write = FlatWriter.of(FLAT)
    assert write is not None
    assert write.columns(b"!", as_columns(*records), len(records)) == [b"!" + by_fastavro(r) for r in records]


@given(
    st.sampled_from([(0, 1 << 13), (1 << 13, 1 << 62), (-(1 << 63), 1 << 63), (-(1 << 31), 1 << 31)]).flatmap(
        lambda ends: st.lists(st.integers(ends[0], ends[1] - 1), min_size=1, max_size=5)
    )
)
def test_a_column_of_longs_is_written_as_each_of_them(column: list[int]) -> None:
    assert list(longs(column)) == [long(number) for number in column]
    if all(-(1 << 31) <= number < 1 << 31 for number in column):
        assert list(ints(column)) == [long(number) for number in column]
    else:
        with pytest.raises(ValueError, match=r"\[.*\]"):
            ints(column)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("long", True),
        ("long", 1 << 63),
        ("long", "1"),
        ("int", 1 << 31),
        ("double", 1),
        ("boolean", 1),
        ("string", 1),
        ("nullable_string", b"x"),
        ("nullable_long", 1.0),
    ],
)
def test_what_does_not_fit_exactly_is_left_to_fastavro(field: str, value: Any) -> None:
    write = FlatWriter.of(FLAT)
    good = {"string": "", "long": 0, "int": 0, "double": 0.0, "boolean": False}
    record = {name: good.get(name) for name in (f["name"] for f in FIELDS)}
    assert write is not None
    assert write(record) is not None
    assert write(record | {field: value}) is None
    assert write.columns(b"", as_columns(record, record), 2) is not None
    assert write.columns(b"", as_columns(record, record | {field: value}), 2) is None
    del record[field]
    assert write(record) is None
    assert write.columns(b"", as_columns(record), 1) is None


def test_a_record_with_other_types_than_primitives_is_not_flat() -> None:
    for kind in ({"type": "array", "items": "string"}, ["null", "string", "long"], ["string", "null"], "bytes"):
        assert FlatWriter.of({"fields": [{"name": "x", "type": kind}]}) is None
    assert FlatWriter.of(schema("user")) is None
    assert FlatWriter.of(schema("extended_pageview")) is not None


def test_an_encoder_takes_defaults_and_refuses_what_is_wrong() -> None:
    encode = Encoder(
        {**FLAT, "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "long", "default": 7}]}, 1
    )
    assert encode({"a": 1}) == b"\0\0\0\0\x01\x02\x0e"
    with pytest.raises((TypeError, ValueError)):
        encode({"a": "x", "b": 1})


@pytest.mark.parametrize("cache", [Strings(), NullableStrings()])
def test_only_so_many_strings_are_kept(cache: dict[Any, bytes]) -> None:
    for number in range(KEPT_STRINGS + 10):
        assert cache[str(number)].endswith(str(number).encode())
    assert len(cache) == 10


VIEW = {"viewtime": 1, "userid": "User_1", "pageid": "Page_10"}
views = st.fixed_dictionaries({"viewtime": LONGS, "userid": st.text(max_size=5), "pageid": st.text(max_size=5)})


def decoder(given_schema: Any = "pageview", **writers: Any) -> Decoder:
    made = Decoder(given_schema)
    for number, writer in writers.items():
        made.learn(int(number.removeprefix("id")), writer)
    return made


@given(st.lists(views, min_size=1, max_size=20))
def test_a_batch_is_read_in_one_go_as_one_by_one(records: list[dict[str, Any]]) -> None:
    decode, encode = decoder(id7=schema("pageview")), Encoder("pageview", 7)
    values = [encode(record) for record in records]
    assert decode.together(values) == [decode(value) for value in values] == records


@given(st.lists(views, min_size=2, max_size=6), st.data())
def test_a_batch_with_damage_is_not_read_in_one_go_unless_each_could_be_read(
    records: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Bytes are changed, taken away or added: what is read in one go is what one by one would have given."""
    decode, encode = decoder(id7=schema("pageview")), Encoder("pageview", 7)
    values = [encode(record) for record in records]
    place = data.draw(st.integers(0, len(values) - 1))
    start = data.draw(st.integers(0, len(values[place])))
    end = data.draw(st.integers(start, len(values[place])))
    values[place] = values[place][:start] + data.draw(st.binary(max_size=8)) + values[place][end:]
    together = decode.together(values)
    if together is not None:
        assert together == [decode(value) for value in values]


def test_nulls_unknown_ids_and_several_ids_are_looked_at_one_by_one() -> None:
    decode = decoder(id7=schema("pageview"), id8=schema("pageview"))
    seven, eight = Encoder("pageview", 7)(VIEW), Encoder("pageview", 8)(VIEW)
    assert decode.together([seven, seven]) == [VIEW, VIEW]
    for values in ([], [None], [seven, None], [seven, eight], [Encoder("pageview", 9)(VIEW)], [b"x", b"y"]):
        assert decode.together(values) is None


def test_a_batch_of_an_older_or_newer_writer_is_read_into_the_readers_shape() -> None:
    newer = {**schema("pageview"), "fields": [*schema("pageview")["fields"], {"name": "more", "type": "string"}]}
    values = [Encoder(newer, 7)({**VIEW, "more": "x"}) for _ in range(3)]
    assert decoder(id7=newer).together(values) == [VIEW] * 3


def test_records_are_handed_over_once_and_as_they_were_read() -> None:
    encode, decode = Encoder("pageview", 7), decoder(id7=schema("pageview"))
    encode.handover = decode.handover = Handover(["viewtime", "pageid"])
    written = [{**VIEW, "viewtime": number} for number in range(4)]
    values = [*encode.columns(as_columns(*written[:3]), 3), encode(written[3])]
    first = decode.handed_over(values)
    assert first == {"viewtime": [0, 1, 2, 3], "pageid": [VIEW["pageid"]] * 4}
    assert decode.handed_over(values) is None
    assert decode.together(values) == written


def test_what_was_not_handed_over_is_read_with_all_the_rest() -> None:
    encode, decode = Encoder("pageview", 7), decoder(id7=schema("pageview"))
    foreign = encode({**VIEW, "viewtime": 5})
    encode.handover = decode.handover = Handover(["viewtime"])
    values = [encode(VIEW), foreign]
    assert decode.handed_over(values) is None
    assert decode.together(values) == [VIEW, {**VIEW, "viewtime": 5}]
    assert len(decode.handover) == 0
