"""Shared by the tests of formats: random Avro schemas with records of theirs, and topics of every format."""

import struct
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import fastavro
from declared import COLUMNS, SCALARS, VALUES
from hypothesis import strategies as st

from pipeline.codecs import Record
from pipeline.formats import ValueDecoder, ValueEncoder, decoder, encoder, registrations
from pipeline.topics import Kind, Topic, ValueFormat

RANGED: dict[str, st.SearchStrategy[Any]] = {
    **VALUES,
    "dec": st.decimals(-9999, 9999, places=2),
    "fdec": st.decimals(-(10**14), 10**14, places=3),
}
"""Values of each scalar column that its type holds."""
ID = 7
REGISTERED = (ValueFormat.AVRO, ValueFormat.JSON_SR, ValueFormat.PROTOBUF)


def topic_of(fields: list[dict[str, Any]], value_format: ValueFormat, **settings: Any) -> Topic:
    schema = {"type": "record", "name": "Row", "namespace": "tests.formats", "fields": fields}
    return Topic("rows", Kind.EVENT, key="s", schema=schema, value_format=value_format, **settings)


def columns(value_format: ValueFormat, **kinds: Any) -> Topic:
    """A topic of columns by their types."""
    return topic_of([{"name": name, "type": kind} for name, kind in kinds.items()], value_format)


def pair(topic: Topic) -> tuple[ValueEncoder, ValueDecoder]:
    """Encoder and decoder under one schema id, as the registry makes them."""
    encode, decode = encoder(topic, ID), decoder(topic)
    if topic.value_format in REGISTERED:
        given: Any = topic.schema if topic.value_format == ValueFormat.AVRO else registrations(topic)[0].text
        decode.learn(ID, given)
    return encode, decode


def by_fastavro(topic: Topic, record: Record) -> Record:
    """The record as Avro gives it back."""
    parsed, out = fastavro.parse_schema(topic.schema), BytesIO()
    fastavro.schemaless_writer(out, parsed, record)
    out.seek(0)
    read: Any = fastavro.schemaless_reader(out, parsed, None)
    return dict(read)


def same(left: Any, right: Any) -> bool:
    """Equal, of the same types, and -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack(">d", left) == struct.pack(">d", right) or (left != left and right != right)
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right) and str(left) == str(right)


def _named(kind: Any, name: str) -> Any:
    """A type whose name, if it has one, is given once in a schema."""
    return {**kind, "name": f"{kind['name']}_{name}"} if isinstance(kind, dict) and "name" in kind else kind


Typed = tuple[Any, st.SearchStrategy[Any]]


@st.composite
def _scalars(draw: st.DrawFn, name: str) -> Typed:
    column = draw(st.sampled_from(list(SCALARS)))
    return _named(COLUMNS[column], name), RANGED[column]


@st.composite
def _types(draw: st.DrawFn, name: str, value_format: ValueFormat, depth: int = 2) -> Typed:
    """A type that the format can hold, and values of it."""
    form = draw(st.sampled_from(["scalar", "scalar", "array", "map", "record"]))
    if form == "scalar" or depth == 0 or value_format == ValueFormat.DELIMITED:
        return draw(_scalars(name))
    if form == "record":
        fields, values = draw(_fields(f"{name}_", value_format, depth - 1))
        return {"type": "record", "name": f"r_{name}", "fields": fields}, st.fixed_dictionaries(values)
    item, values_of_item = draw(_types(f"{name}i", value_format, depth - 1))
    if value_format == ValueFormat.PROTOBUF:  # no collections right in each other, and no nulls in them
        while isinstance(item, dict) and item["type"] in ("array", "map"):
            item, values_of_item = draw(_scalars(f"{name}i"))
    elif draw(st.booleans()):
        item, values_of_item = ["null", item], st.one_of(st.none(), values_of_item)
    if form == "array":
        return {"type": "array", "items": item}, st.lists(values_of_item, max_size=3)
    return {"type": "map", "values": item}, st.dictionaries(st.text(max_size=3), values_of_item, max_size=3)


@st.composite
def _fields(
    draw: st.DrawFn, prefix: str, value_format: ValueFormat, depth: int
) -> tuple[list[dict[str, Any]], Mapping[str, st.SearchStrategy[Any]]]:
    fields, values = [], {}
    for place in range(draw(st.integers(1, 4))):
        name = f"{prefix}{draw(st.sampled_from('abCD'))}{place}"
        kind, strategy = draw(_types(name, value_format, depth))
        is_collection = isinstance(kind, dict) and kind["type"] in ("array", "map")
        if draw(st.booleans()) and not (is_collection and value_format == ValueFormat.PROTOBUF):
            kind, strategy = ["null", kind], st.one_of(st.none(), strategy)
        fields.append({"name": name, "type": kind})
        values[name] = strategy
    return fields, values


@st.composite
def written(draw: st.DrawFn, value_format: ValueFormat, most: int = 6) -> tuple[Topic, list[Record]]:
    """A topic of a random schema that its format can hold, and records of it."""
    fields, values = draw(_fields("", value_format, 2))
    if value_format == ValueFormat.KAFKA:
        name = draw(st.sampled_from(["s", "i", "l", "d", "raw"]))
        fields, values = [{"name": name, "type": COLUMNS[name]}], {name: RANGED[name]}
        values = {name: values[name].filter(lambda value: value not in (float("inf"), float("-inf")))}
    if value_format == ValueFormat.DELIMITED:
        delimiter = draw(st.sampled_from([",", "|", "TAB", "SPACE", "^", "]", "-", "a", "é"]))
        topic = topic_of(fields, value_format, value_delimiter=delimiter)
    else:
        topic = topic_of(fields, value_format)
    return topic, draw(st.lists(st.fixed_dictionaries(dict(values)), min_size=1, max_size=most))
