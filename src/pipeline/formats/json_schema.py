"""The JSON Schema of a shape, as Confluent's converter writes it for ksqlDB's JSON_SR.

What JSON Schema has no type for is told as Kafka Connect does: by a title, `connect.type` and `connect.parameters`.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.formats.shape import Column, Kind, Part

DRAFT = "http://json-schema.org/draft-07/schema#"
CONNECT = "org.apache.kafka.connect.data"
TYPES: Mapping[str, tuple[str, str]] = {
    "string": ("string", ""),
    "uuid": ("string", ""),
    "enum": ("string", ""),
    "boolean": ("boolean", ""),
    "int": ("integer", "int32"),
    "long": ("integer", "int64"),
    "float": ("number", "float32"),
    "double": ("number", "float64"),
    "bytes": ("string", "bytes"),
    "fixed": ("string", "bytes"),
    "date": ("integer", "int32"),
    "time-millis": ("integer", "int32"),
}
"""JSON's type and Connect's, where Connect has several for it; other times and timestamps are int64."""
TITLES = {"date": "Date", "time-millis": "Time", "timestamp-millis": "Timestamp"}


def json_schema(columns: tuple[Column, ...], name: str) -> dict[str, Any]:
    """The JSON Schema of records, Draft 7. Records may have more fields: a reader leaves them out."""
    return {"$schema": DRAFT, "title": name, **_record(columns)}


def _record(columns: tuple[Column, ...]) -> dict[str, Any]:
    properties = {
        column.name: {"connect.index": place, **_part(Part(column.kind, column.nullable))}
        for place, column in enumerate(columns)
    }
    return {"type": "object", "properties": properties}


def _part(part: Part) -> dict[str, Any]:
    found = _kind(part.kind)
    return {"oneOf": [{"type": "null"}, found]} if part.nullable else found


def _kind(kind: Kind) -> dict[str, Any]:
    if kind.family == "record":
        return {"title": kind.avro["name"].rpartition(".")[2], **_record(kind.columns)}
    if kind.item is not None and kind.family == "array":
        return {"type": "array", "items": _part(kind.item)}
    if kind.item is not None:
        return {"type": "object", "connect.type": "map", "additionalProperties": _part(kind.item)}
    if kind.family == "decimal":
        precision, scale = kind.avro["precision"], kind.avro.get("scale", 0)
        parameters = {"scale": str(scale), "connect.decimal.precision": str(precision)}
        return {
            "type": "number",
            "title": f"{CONNECT}.Decimal",
            "connect.type": "bytes",
            "connect.version": 1,
            "connect.parameters": parameters,
        }
    json_type, connect = TYPES.get(kind.family, ("integer", "int64"))
    found: dict[str, Any] = {"type": json_type}
    if connect:
        found["connect.type"] = connect
    if kind.family in TITLES:
        found |= {"title": f"{CONNECT}.{TITLES[kind.family]}", "connect.version": 1}
    if kind.family == "enum":
        found["enum"] = list(kind.avro["symbols"])
    return found
