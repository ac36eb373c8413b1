"""Keys in every format: the bytes, the text inside the application, and what is bad."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from declared import SCALARS

from pipeline.codecs import HEADER, MAGIC, Encoder
from pipeline.errors import BadRecord, SettingError
from pipeline.formats import Key, check_formats, encoders_of, key_decoder, key_encoder, registered, registrations
from pipeline.topics import KeyFormat, Kind, Topic

ID = 7
HEAD = HEADER.pack(MAGIC, ID)


def topic(key_format: KeyFormat, key_type: Any = "string") -> Topic:
    return Topic("t", Kind.EVENT, key="k", key_format=key_format, key_type=key_type)


@pytest.mark.parametrize(
    ("key_format", "key_type", "raw", "text", "value"),
    [
        (KeyFormat.TEXT, "string", b"User_1", "User_1", "User_1"),
        (KeyFormat.TEXT, "string", b"", "", ""),
        (KeyFormat.KAFKA, "string", "é".encode(), "é", "é"),
        (KeyFormat.KAFKA, "int", b"\xff\xff\xff\xff", "-1", -1),
        (KeyFormat.KAFKA, "long", b"\0\0\0\0\0\0\0\x05", "5", 5),
        (KeyFormat.KAFKA, "double", b"\x3f\xf8\0\0\0\0\0\0", "1.5", 1.5),
        (KeyFormat.KAFKA, "bytes", b"\0", "AA==", b"\0"),
        (KeyFormat.JSON, "string", b'"a b"', "a b", "a b"),
        (KeyFormat.JSON, "long", b"5", "5", 5),
        (KeyFormat.JSON, "boolean", b"true", "true", True),
        (KeyFormat.JSON, SCALARS["dec"], b"9.50", "9.50", Decimal("9.50")),
        (KeyFormat.JSON, SCALARS["day"], b"20779", "20779", date(2026, 11, 22)),
        (KeyFormat.AVRO, "string", HEAD + b"\x02a", "a", "a"),
        (KeyFormat.AVRO, "long", HEAD + b"\x0a", "5", 5),
    ],
)
def test_keys(key_format: KeyFormat, key_type: Any, raw: bytes, text: str, value: Any) -> None:
    given = topic(key_format, key_type)
    encoders = encoders_of([given])
    registered([given], encoders, {"t-key": ID} if key_format == KeyFormat.AVRO else {})
    decode, encode = key_decoder(given), key_encoder(given, encoders)
    decode.learn(ID, key_type)
    assert decode(raw) == Key(text, value)
    assert encode(value) == encode.of_text(text) == raw


@pytest.mark.parametrize(
    ("key_format", "key_type", "raw", "sentence"),
    [
        (KeyFormat.TEXT, "string", None, "null key"),
        (KeyFormat.TEXT, "string", b"\xff", "key is not UTF-8"),
        (KeyFormat.KAFKA, "int", b"5", "key of type int is b'5', but must be 4 bytes, not 1"),
        (KeyFormat.KAFKA, "double", b"\x7f\xf0\0\0\0\0\0\0", "key of type double is inf, but must be a finite number"),
        (KeyFormat.KAFKA, "string", b"\xff", "key is not UTF-8 at byte 0"),
        (KeyFormat.JSON, "long", b'"x"', "^key of type long is 'x', but must be a whole number"),
        (KeyFormat.JSON, "string", b"{}", "^key of type string is {}, but must be a text"),
        (KeyFormat.JSON, "string", b"null", "^key of type string is null|null key"),
        (KeyFormat.JSON, "string", b"x", "key is no JSON"),
        (KeyFormat.AVRO, "long", b"5", "key: value is not in the registry's wire format"),
        (KeyFormat.AVRO, "long", HEADER.pack(MAGIC, 9) + b"\x02", "key: unknown schema id 9"),
        (KeyFormat.AVRO, "long", HEAD + b"\x02\x02", "key: 1 bytes left over"),
    ],
)
def test_bad_keys(key_format: KeyFormat, key_type: Any, raw: bytes | None, sentence: str) -> None:
    decode = key_decoder(topic(key_format, key_type))
    decode.learn(ID, key_type)
    with pytest.raises(BadRecord, match=sentence):
        decode(raw)


def test_an_avro_key_may_be_a_record_with_the_keys_field() -> None:
    """As ksqlDB writes keys of several columns."""
    writer = {"type": "record", "name": "K", "fields": [{"name": "x", "type": "int"}, {"name": "K", "type": "int"}]}
    decode = key_decoder(topic(KeyFormat.AVRO, "long"))
    value = Encoder(writer, ID)({"x": 1, "K": 5})
    assert decode.unknown([value, None]) == {ID}
    decode.learn(ID, writer)
    assert decode(value) == Key("5", 5)


def test_only_avro_keys_are_registered() -> None:
    assert [registrations(topic(form)) for form in (KeyFormat.TEXT, KeyFormat.KAFKA, KeyFormat.JSON)] == [[], [], []]
    assert registrations(topic(KeyFormat.AVRO, "long")) == [("t-key", "AVRO", '{"type": "long"}')]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (topic(KeyFormat.TEXT, "long"), "topic t: key_type is 'long', but must be string where key_format is text"),
        (topic(KeyFormat.KAFKA, "boolean"), "topic t: the key is of type boolean, but must be int, long, double"),
        (topic(KeyFormat.JSON, {"type": "array", "items": "int"}), "but must be a scalar type without null"),
        (topic(KeyFormat.JSON, ["null", "int"]), "but must be a scalar type without null"),
        (topic(KeyFormat.JSON, "integer"), "its type 'integer' is not defined, but must be an Avro type"),
        (topic(KeyFormat.JSON, {}), r"topic t, key_type is \{\}, but must be an Avro type"),
        (topic("protobuf"), "key_format is 'protobuf', but must be text, kafka, json, avro"),  # type: ignore[arg-type]
    ],
)
def test_a_key_that_its_format_cannot_hold_is_refused_at_once(given: Topic, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        check_formats("", given)


@pytest.mark.parametrize(("value", "sentence"), [("5", "key of type int is '5', but must be"), (1 << 31, "2147483648")])
def test_what_does_not_fit_a_key_is_a_value_error(value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        key_encoder(topic(KeyFormat.KAFKA, "int"))(value)
    with pytest.raises(ValueError, match="key of type int is 'x', but must be a number"):
        key_encoder(topic(KeyFormat.KAFKA, "int")).of_text("x")
