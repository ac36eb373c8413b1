"""Avro schemas of others: every name in them written out, since each use may be read differently.

fastavro's `expand_schema` does so for schemas that one trusts: it has no bound, and knows no schemas besides.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PRIMITIVE = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
NAMED = {"record", "error", "enum", "fixed"}
MOST_TYPES = 10_000
"""A schema that names its types more often than this in all is refused: written out, it could fill the memory."""
LOGICAL = ("logicalType", "precision", "scale")


class UnreadableSchema(Exception):
    """A writer's schema cannot be read into the reader's; the message says why."""


class Expansion:
    """Writes named types out wherever they are used, since each use may be read differently."""

    def __init__(self, referenced: Iterable[Any]) -> None:
        self._known: dict[str, Any] = {}
        self._open: list[str] = []
        self._types = 0
        for schema in referenced:
            self._define(schema, "")

    def whole(self, schema: Any) -> Any:
        """The schema with every name in it written out; raises UnreadableSchema where one contains itself."""
        return self._expand(schema, "")

    def _define(self, schema: Any, namespace: str) -> None:
        if isinstance(schema, list):
            for branch in schema:
                self._define(branch, namespace)
        elif isinstance(schema, dict):
            if schema.get("type") in NAMED:
                full, inner = _full_name(schema, namespace)
                self._known[full] = (schema, namespace)
                namespace = inner
            for field in schema.get("fields", ()):
                self._define(field["type"], namespace)
            for part in ("items", "values", "type"):
                if isinstance(schema.get(part), list | dict):
                    self._define(schema[part], namespace)

    def _expand(self, schema: Any, namespace: str) -> Any:
        self._types += 1
        if self._types > MOST_TYPES:
            raise UnreadableSchema(f"written out it has more than {MOST_TYPES} types")
        if isinstance(schema, list):
            return [self._expand(branch, namespace) for branch in schema]
        if isinstance(schema, str):
            return {"type": schema} if schema in PRIMITIVE else self._named(schema, namespace)
        kind = schema["type"]
        if isinstance(kind, list | dict):
            return self._expand(kind, namespace)
        if kind in NAMED:
            return self._definition(schema, namespace)
        if kind in ("array", "map"):
            part = "items" if kind == "array" else "values"
            return {"type": kind, part: self._expand(schema[part], namespace)}
        if kind in PRIMITIVE:
            return {"type": kind, **logical(schema)}
        return self._named(kind, namespace)

    def _definition(self, schema: Mapping[str, Any], namespace: str) -> dict[str, Any]:
        full, inner = _full_name(schema, namespace)
        self._known.setdefault(full, (schema, namespace))
        if schema["type"] == "enum":
            default = {"default": schema["default"]} if "default" in schema else {}
            return {"type": "enum", "name": full, "symbols": list(schema["symbols"]), **default}
        if schema["type"] == "fixed":
            return {"type": "fixed", "name": full, "size": schema["size"], **logical(schema)}
        if full in self._open:
            raise UnreadableSchema(f"its type {full} contains itself")
        self._open.append(full)
        kept = ("name", "aliases", "default")
        fields = [
            {**{k: field[k] for k in kept if k in field}, "type": self._expand(field["type"], inner)}
            for field in schema["fields"]
        ]
        self._open.pop()
        return {"type": "record", "name": full, "fields": fields}

    def _named(self, name: str, namespace: str) -> Any:
        for full in (name, f"{namespace}.{name}"):
            if full in self._known:
                return self._definition(*self._known[full])
        raise UnreadableSchema(f"its type {name!r} is not defined")


def defined_once(fields: Sequence[Mapping[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """Fields of one record of this namespace: a named type that comes again, defined alike, is its name there."""
    known: dict[str, Any] = {}
    return [{**field, "type": _once(field["type"], namespace, known)} for field in fields]


def _once(schema: Any, namespace: str, known: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_once(branch, namespace, known) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    if schema["type"] in NAMED:
        full, namespace = _full_name(schema, namespace)
        if known.get(full) == schema:
            return full
        known.setdefault(full, schema)
    found = {part: _once(schema[part], namespace, known) for part in ("type", "items", "values") if part in schema}
    if "fields" in schema:
        found["fields"] = [{**field, "type": _once(field["type"], namespace, known)} for field in schema["fields"]]
    return {**schema, **found}


def _full_name(schema: Mapping[str, Any], namespace: str) -> tuple[str, str]:
    """A named type's full name, and the namespace of what is inside it."""
    name = schema["name"]
    if "." in name:
        return name, name.rpartition(".")[0]
    inner = schema.get("namespace", namespace)
    return (f"{inner}.{name}" if inner else name), inner


def logical(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a schema says of its logical type."""
    return {k: schema[k] for k in LOGICAL if k in schema}
