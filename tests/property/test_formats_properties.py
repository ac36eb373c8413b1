"""Records survive every format that can hold them, and any bytes are a record or a bad record."""

import json
from math import isfinite
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from written import ID, by_fastavro, pair, same, written

from pipeline.codecs import HEADER, MAGIC, Record
from pipeline.errors import BadRecord
from pipeline.formats import ValueDecoder, decoder, key_decoder, key_encoder
from pipeline.topics import KeyFormat, Kind, Topic, ValueFormat

FORMATS = list(ValueFormat)
TEXTS = (ValueFormat.JSON, ValueFormat.JSON_SR, ValueFormat.DELIMITED)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    return all(map(is_finite, value)) if isinstance(value, list) else not isinstance(value, float) or isfinite(value)


@pytest.mark.parametrize("value_format", FORMATS)
@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_a_record_comes_back_as_fastavro_would_give_it(value_format: ValueFormat, data: st.DataObject) -> None:
    """One by one, as columns, and read in one go."""
    topic, records = data.draw(written(value_format))
    encode, decode = pair(topic)
    if value_format in TEXTS and not is_finite(records):
        with pytest.raises(ValueError, match="must be a finite number"):
            encode.columns({name: [record[name] for record in records] for name in records[0]}, len(records))
        return
    values = [encode(record) for record in records]
    expected = [by_fastavro(topic, record) for record in records]
    found = [decode(value) for value in values]
    assert all(map(same, found, expected)), (found, expected)
    together = decode.together(values)
    assert together is None or all(map(same, together, expected)), (together, expected)
    columns = {name: [record[name] for record in records] for name in records[0]}
    assert encode.columns(columns, len(records)) == values


def one_by_one(decode: ValueDecoder, values: list[bytes]) -> list[Record | None]:
    found: list[Record | None] = []
    for value in values:
        try:
            found.append(decode(value))
        except BadRecord as error:
            assert str(error)
            found.append(None)
    return found


@pytest.mark.parametrize("value_format", FORMATS)
@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_damage_gives_a_record_or_a_bad_record(value_format: ValueFormat, data: st.DataObject) -> None:
    """Bytes are changed, taken away or added: what is read in one go is what one by one gives."""
    topic, records = data.draw(written(value_format, 3))
    assume(value_format not in TEXTS or is_finite(records))
    encode, decode = pair(topic)
    values = [encode(record) for record in records]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(values) - 1))
        start = data.draw(st.integers(0, len(values[place])))
        end = min(len(values[place]), start + data.draw(st.integers(0, 6)))
        noise = st.one_of(
            st.binary(max_size=6),
            st.sampled_from([b'"', b"{", b"}", b",", b":", b"[", b"]", b"null", b"1e999", b"NaN", b"-0", b"\\u0041"]),
        )
        values[place] = values[place][:start] + data.draw(noise) + values[place][end:]
    found = one_by_one(decode, values)
    together = decode.together(values)
    assert together is None or (None not in found and all(map(same, together, found))), (together, found)


@pytest.mark.parametrize("value_format", FORMATS)
@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_any_bytes_give_a_record_or_a_bad_record(value_format: ValueFormat, data: st.DataObject) -> None:
    topic, _ = data.draw(written(value_format, 1))
    _, decode = pair(topic)
    header = data.draw(st.sampled_from([b"", HEADER.pack(MAGIC, ID), HEADER.pack(MAGIC, ID) + b"\0"]))
    one_by_one(decode, [header + data.draw(st.binary(max_size=60))])


ANY_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["1", "1.5", "-0", "1e5", "2020-01-01", "AAAA", "RED", 1 << 63, -(1 << 63), 5.0, 1e22]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a0", "A0", "b0", "b1", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(written(ValueFormat.JSON, 1), st.data())
def test_any_json_is_read_the_same_in_one_go_and_one_by_one(drawn: tuple[Topic, list[Record]], data: Any) -> None:
    decode = decoder(drawn[0])
    names = [field["name"] for field in drawn[0].schema["fields"]]  # type: ignore[index,call-overload]
    given_names = st.sampled_from([*names, *map(str.upper, names), "more"])
    objects = st.dictionaries(given_names, ANY_JSON, max_size=4)
    blanks = data.draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]))
    drawn_objects = data.draw(st.lists(objects, min_size=1, max_size=3))
    values = [json.dumps(given, ensure_ascii=data.draw(st.booleans()), separators=blanks).encode(errors="surrogatepass")
              for given in drawn_objects]  # fmt: skip
    found = one_by_one(decode, values)
    together = decode.together(values)
    assert together is None or (None not in found and all(map(same, together, found))), (together, found)


KEY_TYPES: dict[KeyFormat, list[tuple[Any, st.SearchStrategy[Any]]]] = {
    KeyFormat.TEXT: [("string", st.text())],
    KeyFormat.KAFKA: [
        ("string", st.text()),
        ("int", st.integers(-(1 << 31), (1 << 31) - 1)),
        ("long", st.integers(-(1 << 63), (1 << 63) - 1)),
        ("double", st.floats(allow_nan=False, allow_infinity=False)),
    ],
}
KEY_TYPES[KeyFormat.JSON] = KEY_TYPES[KeyFormat.AVRO] = [*KEY_TYPES[KeyFormat.KAFKA], ("boolean", st.booleans())]


@pytest.mark.parametrize("key_format", list(KeyFormat))
@settings(max_examples=40)
@given(data=st.data())
def test_a_key_comes_back_by_its_value_and_by_its_text(key_format: KeyFormat, data: st.DataObject) -> None:
    key_type, values = data.draw(st.sampled_from(KEY_TYPES[key_format]))
    topic = Topic("t", Kind.EVENT, key="k", key_format=key_format, key_type=key_type)
    from pipeline.formats import encoders_of, registered

    encoders = encoders_of([topic])
    registered([topic], encoders, {"t-key": ID} if key_format == KeyFormat.AVRO else {})
    encode, decode = key_encoder(topic, encoders), key_decoder(topic)
    decode.learn(ID, key_type)
    value = data.draw(values)
    key = decode(encode(value))
    assert key.value == value
    assert decode(encode.of_text(key.text)).text == key.text
    with pytest.raises(BadRecord, match="null key"):
        decode(None)
    try:
        decode(data.draw(st.binary(max_size=12)))
    except BadRecord as error:
        assert str(error).startswith(("key", "null key"))
