"""Formats of values and keys: Avro, JSON, JSON_SR, Protobuf, DELIMITED and KAFKA, as docs/formats.md describes them."""

from pipeline.formats.factory import (
    Registration,
    check_formats,
    decoder,
    encoder,
    encoders_of,
    key_decoder,
    key_encoder,
    registered,
    registrations,
)
from pipeline.formats.protocols import Key, KeyDecoder, KeyEncoder, Learning, ValueDecoder, ValueEncoder

__all__ = [
    "Key",
    "KeyDecoder",
    "KeyEncoder",
    "Learning",
    "Registration",
    "ValueDecoder",
    "ValueEncoder",
    "check_formats",
    "decoder",
    "encoder",
    "encoders_of",
    "key_decoder",
    "key_encoder",
    "registered",
    "registrations",
]
