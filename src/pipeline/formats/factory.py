"""Decoders and encoders of topics, by what the topics say of their formats."""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline import codecs
from pipeline.errors import SettingError
from pipeline.formats.delimited import DelimitedDecoder, DelimitedEncoder, check_scalar, delimiter
from pipeline.formats.json_format import JsonDecoder, JsonEncoder, RegisteredJsonDecoder, RegisteredJsonEncoder
from pipeline.formats.json_schema import json_schema
from pipeline.formats.kafka_format import KafkaDecoder, KafkaEncoder, check_kafka
from pipeline.formats.keys import AvroKeys, Keys, PlainKeys, TextKeys, key_record
from pipeline.formats.proto_schema import check_protobuf, proto_text
from pipeline.formats.protobuf import ProtobufDecoder, ProtobufEncoder
from pipeline.formats.protocols import KeyDecoder, KeyEncoder, ValueDecoder, ValueEncoder
from pipeline.formats.shape import Column, Kind, scalar, shape
from pipeline.topics import KeyFormat, Schema, Topic, ValueFormat

AVRO, JSON, PROTOBUF = "AVRO", "JSON", "PROTOBUF"


class Registration(NamedTuple):
    """What a topic needs in the registry: the schema's kind, as the registry calls it, and its text."""

    subject: str
    kind: str
    text: str


def decoder(topic: Topic) -> ValueDecoder:
    """The decoder of a topic's values; raises SettingError when the format cannot hold the columns."""
    if topic.value_format == ValueFormat.AVRO:
        return codecs.Decoder(_schema(topic))
    columns, name = _columns(topic), _name(topic)
    match topic.value_format:
        case ValueFormat.JSON:
            return JsonDecoder(columns, name)
        case ValueFormat.JSON_SR:
            return RegisteredJsonDecoder(columns, name)
        case ValueFormat.PROTOBUF:
            return ProtobufDecoder(columns, name)
        case ValueFormat.DELIMITED:
            return DelimitedDecoder(columns, delimiter(f"topic {topic.name}", topic.value_delimiter), name)
        case _:
            return KafkaDecoder(columns[0])


def encoder(topic: Topic, registered_id: int | None = None) -> ValueEncoder:
    """The encoder of a topic's values; raises SettingError when the format cannot hold the columns.

    The schema id may be set later (`registered`), but before the encoder is first used.
    """
    made: ValueEncoder
    match topic.value_format:
        case ValueFormat.AVRO:
            made = codecs.Encoder(_schema(topic))
        case ValueFormat.JSON:
            made = JsonEncoder(_columns(topic))
        case ValueFormat.JSON_SR:
            made = RegisteredJsonEncoder(_columns(topic))
        case ValueFormat.PROTOBUF:
            made = ProtobufEncoder(_columns(topic))
        case ValueFormat.DELIMITED:
            made = DelimitedEncoder(_columns(topic), delimiter(f"topic {topic.name}", topic.value_delimiter))
        case _:
            made = KafkaEncoder(_columns(topic)[0])
    if registered_id is not None:
        made.registered(registered_id)
    return made


def key_decoder(topic: Topic) -> KeyDecoder:
    """The decoder of a topic's keys; raises SettingError when the format cannot hold the key's type."""
    kind = _key_kind(topic)
    match topic.key_format:
        case KeyFormat.TEXT:
            return TextKeys()
        case KeyFormat.KAFKA:
            return PlainKeys.kafka(kind)
        case KeyFormat.JSON:
            return PlainKeys.json(kind)
        case _:
            return AvroKeys(kind, topic.key)


def key_encoder(topic: Topic, encoders: Mapping[str, ValueEncoder] | None = None) -> KeyEncoder:
    """The encoder of a topic's keys; raises SettingError when the format cannot hold the key's type.

    Avro's keys are written by the encoder that `encoders` has under the topic's `key_subject`, see `encoders_of`.
    """
    kind = _key_kind(topic)
    match topic.key_format:
        case KeyFormat.JSON:
            return Keys.json(kind)
        case KeyFormat.AVRO:
            return Keys.avro(kind, topic.key, (encoders or encoders_of([topic]))[topic.key_subject])
        case _:
            return Keys.kafka(kind)


def encoders_of(topics: Iterable[Topic]) -> dict[str, ValueEncoder]:
    """The encoders of topics that have a schema, by the topics' names; of Avro keys, by their subjects."""
    made: dict[str, ValueEncoder] = {}
    for topic in topics:
        if topic.schema is not None:
            made[topic.name] = encoder(topic)
        if topic.key_format == KeyFormat.AVRO:
            made[topic.key_subject] = codecs.Encoder(key_record(topic.key, _key_kind(topic).avro))
    return made


def registered(topics: Iterable[Topic], encoders: Mapping[str, ValueEncoder], ids: Mapping[str, int]) -> None:
    """Give encoders, as `encoders_of` makes them, the ids that the registry has for the topics' subjects."""
    for topic in topics:
        if topic.schema is not None and topic.subject in ids:
            encoders[topic.name].registered(ids[topic.subject])
        if topic.key_subject in ids:
            encoders[topic.key_subject].registered(ids[topic.key_subject])


def registrations(topic: Topic) -> list[Registration]:
    """What a topic needs in the registry: none, one or two schemas."""
    found = []
    if topic.schema is not None and topic.value_format in (ValueFormat.AVRO, ValueFormat.JSON_SR, ValueFormat.PROTOBUF):
        found.append(_value_registration(topic))
    if topic.key_format == KeyFormat.AVRO:
        found.append(Registration(topic.key_subject, AVRO, json.dumps(_key_kind(topic).avro)))
    return found


def _value_registration(topic: Topic) -> Registration:
    given = codecs.schema(_schema(topic))
    if topic.value_format == ValueFormat.AVRO:
        return Registration(topic.subject, AVRO, json.dumps(given))
    columns = _columns(topic)
    if topic.value_format == ValueFormat.JSON_SR:
        return Registration(topic.subject, JSON, json.dumps(json_schema(columns, given["name"])))
    name, namespace = given["name"], given.get("namespace", "")
    full = name if "." in name or not namespace else f"{namespace}.{name}"
    return Registration(topic.subject, PROTOBUF, proto_text(columns, full))


def check_formats(where: str, topic: Topic) -> None:
    """Raise SettingError when a topic's formats cannot hold its columns or its key; `where` begins the sentence."""
    _columns_of(where, topic)
    _key_kind_of(where, topic)


def _columns(topic: Topic) -> tuple[Column, ...]:
    return _columns_of("", topic)


def _columns_of(where: str, topic: Topic) -> tuple[Column, ...]:
    where = f"{where}, topic {topic.name}".removeprefix(", ")
    if topic.value_format not in [*ValueFormat]:
        raise SettingError(f"{where}: value_format is {topic.value_format!r}, but must be {', '.join(ValueFormat)}")
    if topic.value_format == ValueFormat.AVRO or topic.schema is None:
        return ()
    columns = shape(where, _schema(topic))
    if topic.value_format == ValueFormat.DELIMITED:
        delimiter(where, topic.value_delimiter)
        check_scalar(where, columns)
    if topic.value_format == ValueFormat.PROTOBUF:
        check_protobuf(where, columns)
    if topic.value_format == ValueFormat.KAFKA:
        if len(columns) != 1:
            raise SettingError(f"{where}: the value_format KAFKA has {len(columns)} columns, but must have one")
        check_kafka(f"{where}, column {columns[0].name}", columns[0].kind)
    return columns


def _key_kind(topic: Topic) -> Kind:
    return _key_kind_of("", topic)


def _key_kind_of(where: str, topic: Topic) -> Kind:
    where = f"{where}, topic {topic.name}".removeprefix(", ")
    if topic.key_format not in [*KeyFormat]:
        raise SettingError(f"{where}: key_format is {topic.key_format!r}, but must be {', '.join(KeyFormat)}")
    kind = scalar(f"{where}, key_type", topic.key_type)
    if topic.key_format == KeyFormat.KAFKA:
        check_kafka(f"{where}: the key", kind)
    if topic.key_format == KeyFormat.TEXT and kind.family != "string":
        raise SettingError(
            f"{where}: key_type is {topic.key_type!r}, but must be string where key_format is text: "
            "key_format must say how others are written"
        )
    return kind


def _schema(topic: Topic) -> Schema:
    if topic.schema is None:
        raise SettingError(f"topic {topic.name} has no schema, but must have one: its values are to be read or written")
    return topic.schema


def _name(topic: Topic) -> str:
    return str(codecs.schema(_schema(topic))["name"])
