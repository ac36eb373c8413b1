"""Values of any Avro type as plain JSON values, which come back exactly: arrays, maps, records and unions, too.

What is ordered, grouped by or counted has the plain forms of `types.py`; this is for values that are only kept. A
record is the list of its fields' values, a map an object whose keys are sorted, a value of a union of several types is
[place of its branch, value], and doubles that JSON has not are texts. So equal values have equal texts, see `text`.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from pipeline.errors import SettingError
from pipeline.tables.types import FORMS, ColumnType, column_type

Convert = Callable[[Any], Any]


class JsonForm(NamedTuple):
    """How values of a type become JSON, and come back; null stays null."""

    to: Convert
    back: Convert


def text(json: Any) -> str:
    """The text of a JSON form: equal where values are."""
    return orjson.dumps(json).decode()


def any_type(function: object, avro: Any) -> tuple[ColumnType, JsonForm]:
    """The type that a function declares, and its form; raises SettingError where it is no Avro type, or only null."""
    try:
        found, form = column_type(avro), json_form(avro)
    except (KeyError, TypeError, AttributeError, ValueError):
        found = None
    if found is None or found.family == "null" or (isinstance(avro, list) and found.family != "union"):
        raise SettingError(
            f"{type(function).__name__}: type is {avro!r}, but must be an Avro type, without null unless it is a "
            "union of several"
        )
    return found, form


def nullable(avro: Any) -> list[Any]:
    """The union of null and a type, null first."""
    return ["null", *(branch for branch in (avro if isinstance(avro, list) else [avro]) if branch != "null")]


def json_form(avro: Any) -> JsonForm:
    """The form of a type; raises KeyError, TypeError or ValueError where it is none, or contains itself."""
    return _form(avro, {})


def _form(avro: Any, named: dict[str, JsonForm]) -> JsonForm:
    if isinstance(avro, list):
        return _union(avro, named)
    kind = avro if isinstance(avro, str) else avro["type"]
    if isinstance(kind, list | dict):
        return _form(kind, named)
    if kind in named:
        return named[kind]
    match kind:
        case "null":
            return JsonForm(lambda value: None, lambda json: None)
        case "array":
            return _array(_form(avro["items"], named))
        case "map":
            return _map(_form(avro["values"], named))
        case "record" | "error":
            form = _record([(field["name"], _form(field["type"], named)) for field in avro["fields"]])
        case _:
            form = _scalar(column_type(avro))
    if isinstance(avro, Mapping) and "name" in avro:
        named[avro["name"]] = form
    return form


def _scalar(kind: ColumnType) -> JsonForm:
    if not kind.is_scalar:
        raise ValueError(kind.name)
    if kind.family in ("float", "double"):
        return JsonForm(_number, lambda json: None if json is None else float(json))
    if kind.is_plain:
        return JsonForm(lambda value: value, lambda json: json)
    form, scale = FORMS[kind.family], kind.scale
    return JsonForm(
        lambda value: None if value is None else form.plain(value, scale),
        lambda json: None if json is None else form.value(json, scale),
    )


def _number(value: float | None) -> float | str | None:
    if value is None:
        return None
    return float(value) if isfinite(value) else str(float(value))


def _array(item: JsonForm) -> JsonForm:
    return JsonForm(
        lambda value: None if value is None else list(map(item.to, value)),
        lambda json: None if json is None else list(map(item.back, json)),
    )


def _map(item: JsonForm) -> JsonForm:
    return JsonForm(
        lambda value: None if value is None else {key: item.to(value[key]) for key in sorted(value)},
        lambda json: None if json is None else {key: item.back(part) for key, part in json.items()},
    )


def _record(fields: list[tuple[str, JsonForm]]) -> JsonForm:
    return JsonForm(
        lambda value: None if value is None else [form.to(value[name]) for name, form in fields],
        lambda json: (
            None if json is None else {name: form.back(part) for (name, form), part in zip(fields, json, strict=True)}
        ),
    )


def _union(branches: list[Any], named: dict[str, JsonForm]) -> JsonForm:
    others = [branch for branch in branches if branch != "null"]
    forms = [_form(branch, named) for branch in others]
    if len(forms) == 1:
        return forms[0]

    def to(value: Any) -> Any:
        if value is None:
            return None
        place = next(place for place, branch in enumerate(others) if _is_of(branch, value))
        return [place, forms[place].to(value)]

    return JsonForm(to, lambda json: None if json is None else forms[json[0]].back(json[1]))


PYTHON: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "string": (str,),
    "bytes": (bytes,),
    "uuid": (UUID,),
    "decimal": (Decimal,),
    "date": (date,),
    "time-millis": (time,),
    "time-micros": (time,),
    "array": (list,),
    "map": (dict,),
    "record": (dict,),
}
"""What the families' values are when they have been read; moments are datetimes."""


def _is_of(avro: Any, value: Any) -> bool:
    """Whether a value is one of this branch of a union, as far as its Python type and its shape tell."""
    kind = column_type(avro)
    fits: bool = isinstance(value, PYTHON.get(kind.family, (datetime,)))
    if not fits:
        return False
    if isinstance(value, bool):
        return kind.family == "boolean"
    if isinstance(value, datetime):
        return "timestamp" in kind.family and (value.tzinfo is None) == kind.family.startswith("local")
    if kind.family == "int":
        return bool(-(1 << 31) <= value < 1 << 31)
    if not isinstance(avro, Mapping):
        return True
    match avro["type"]:
        case "enum":
            return bool(value in avro["symbols"])
        case "fixed":
            return kind.family == "decimal" or len(value) == int(avro["size"])
        case "record":
            return bool(value.keys() == {field["name"] for field in avro["fields"]})
    return True


def same_type(left: Any, right: Any) -> bool:
    """Whether values of both types are the same: whatever their namespaces, docs, aliases and defaults say."""
    return bool(_shape(left) == _shape(right))


def _shape(avro: Any) -> Any:
    if isinstance(avro, list):
        return [_shape(branch) for branch in avro]
    if isinstance(avro, str):
        return avro.rpartition(".")[2]
    kind = avro["type"]
    if isinstance(kind, list | dict):
        return _shape(kind)
    if kind in ("record", "error"):
        return [avro["name"].rpartition(".")[2], [(field["name"], _shape(field["type"])) for field in avro["fields"]]]
    parts = {name: avro[name] for name in ("logicalType", "precision", "scale", "size", "symbols") if name in avro}
    parts |= {name: _shape(avro[name]) for name in ("items", "values", "name") if name in avro}
    return {"type": kind, **parts} if parts else kind
