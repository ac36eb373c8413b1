"""Bytes of any origin as values that can be shown: by the registry's schemas, as JSON, text, numbers or bytes."""

import base64
import json
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, time
from io import BytesIO
from typing import Any

import fastavro

from pipeline.avro_schemas import UnreadableSchema
from pipeline.codecs import HEADER, MOST_ID, schema_id
from pipeline.errors import RegistryError
from pipeline.formats.proto_text import parse
from pipeline.peek.protobuf import protobuf_reader
from pipeline.registry import AVRO, JSON, Registered, Registry

Read = Callable[[bytes], Any]
"""A whole value, with its header, as what it holds; raises an error of any kind where it is not that."""
NUMBERS = {4: ("int", struct.Struct(">i")), 8: ("bigint", struct.Struct(">q"))}


@dataclass(frozen=True, slots=True)
class Shown:
    """A key or a value: what it was taken for, what it holds in terms of JSON, and why it is not more than that.

    `form` is "null", "text", "json", "int", "bigint", "bytes" or, by a registered schema, "avro 12", "json 12" or
    "protobuf 12" with its id. Bytes are base64, as in the project's JSON.
    """

    form: str
    value: Any
    note: str = ""

    @property
    def text(self) -> str:
        """In one line: texts as they are, everything else as JSON."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)


class AnyDecoder:
    """Decodes values and keys; asks the registry once for each schema id."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._readers: dict[int, tuple[str, Read] | str] = {}

    async def prepare(self, values: Iterable[bytes | None]) -> None:
        """Learn the schemas that these values may be written with; a registry that is away is no error here."""
        unknown = {number for value in values if (number := schema_id(value)) is not None} - self._readers.keys()
        for number in sorted(unknown):
            self._readers[number] = await self._asked(number) if number <= MOST_ID else "there are no such ids"

    async def _asked(self, number: int) -> tuple[str, Read] | str:
        try:
            found = await self._registry.by_id(number)
            if found is None:
                return f"the registry has no schema id {number}"
            return f"{found.kind.lower()} {number}", reader(found)
        except RegistryError as error:
            return str(error)
        except Exception as error:  # schemas of others may be anything, and libraries raise anything on them
            return f"schema id {number} cannot be used: {type(error).__name__}: {error}"

    def __call__(self, value: bytes | None) -> Shown:
        """What a value is; never raises."""
        number = schema_id(value)
        if value is None or number is None:
            return plain(value)
        found = self._readers.get(number, f"schema id {number} was not asked for")
        if isinstance(found, str):
            return _undecoded(value, found)
        form, read = found
        try:
            return Shown(form, jsonable(read(value)))
        except Exception as error:
            return _undecoded(value, f"it is not of schema id {number}: {type(error).__name__}: {error}")


def _undecoded(value: bytes, reason: str) -> Shown:
    """What bytes are without the schema that they seem to name; where that is nothing but bytes, the reason."""
    shown = plain(value)
    return replace(shown, note=reason) if shown.form == "bytes" else shown


def plain(value: bytes | None) -> Shown:
    """What bytes without a schema are: JSON objects and arrays, text, whole numbers of Kafka's format, or bytes."""
    if value is None:
        return Shown("null", None)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and (text == "" or all(sign.isprintable() or sign in "\t\r\n" for sign in text)):
        if text[:1] in ("{", "["):
            try:
                return Shown("json", json.loads(text))
            except (ValueError, RecursionError):
                pass
        return Shown("text", text)
    if len(value) in NUMBERS:
        name, form = NUMBERS[len(value)]
        return Shown(name, form.unpack(value)[0])
    return Shown("bytes", base64.b64encode(value).decode())


def reader(found: Registered) -> Read:
    """How values of a registered schema are read; raises UnreadableSchema or what libraries raise on bad schemas."""
    if found.kind == AVRO:
        return avro_reader(json.loads(found.text), [json.loads(text) for text in found.referenced])
    if found.kind == JSON:
        return lambda value: json.loads(value[HEADER.size :])
    return protobuf_reader(parse(found.text, found.referenced))


def avro_reader(schema: Any, referenced: list[Any]) -> Read:
    """By a writer's schema of Avro and those that it refers to."""
    named: dict[str, Any] = {}
    waiting = list(referenced)
    for _ in range(len(referenced)):  # they may refer to each other, and come in any order
        waiting = [other for other in waiting if not _parsed(other, named)]
    parsed = fastavro.parse_schema(schema, named_schemas=named, _force=True)
    if _has_free_items(schema):
        raise UnreadableSchema("it has an array of values that take no bytes, which may be without end")

    def read(value: bytes) -> Any:
        stream = BytesIO(value)
        stream.seek(HEADER.size)
        record = fastavro.schemaless_reader(stream, parsed)
        if stream.tell() != len(value):
            raise ValueError(f"{len(value) - stream.tell()} bytes are left over")
        return record

    return read


def _parsed(schema: Any, named: dict[str, Any]) -> bool:
    try:
        fastavro.parse_schema(schema, named_schemas=named, _force=True)
    except Exception:
        return False
    return True


def _has_free_items(schema: Any) -> bool:
    """Whether a schema has an array whose items take no bytes: a few bytes could claim endless ones."""
    if isinstance(schema, list):
        return any(map(_has_free_items, schema))
    if not isinstance(schema, dict):
        return False
    inner = [field["type"] for field in schema.get("fields", ())]
    inner += [schema[part] for part in ("items", "values", "type") if isinstance(schema.get(part), list | dict)]
    return ("items" in schema and _is_free(schema["items"])) or any(map(_has_free_items, inner))


def _is_free(schema: Any) -> bool:
    if isinstance(schema, dict):
        if schema.get("type") in ("record", "error"):
            return all(_is_free(field["type"]) for field in schema["fields"])
        return schema.get("size") == 0 or _is_free(schema.get("type"))
    return bool(schema == "null")


def jsonable(value: Any) -> Any:
    """A value in terms of JSON: bytes are base64, times ISO 8601, all else, and numbers that are none, its text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(name): jsonable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(part) for part in value]
    return str(value)
