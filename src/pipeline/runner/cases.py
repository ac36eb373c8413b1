"""Golden cases: inputs fed one by one, outputs compared in order per topic. The format is ksql-test-runner's.

`{"inputs": [{"topic", "key", "value", "timestamp", "headers": [{"KEY", "VALUE"}]}]}` and
`{"outputs": [{"topic", "key", "value", "timestamp", "window": {"start", "end", "type"}}]}`; times are epoch
milliseconds. In outputs everything but the topic may be left out, and a value may name some of its columns only: what
is named is compared, doubles within 1e-6; topics that are not named are not compared. A null value is a tombstone.
Values are those of ksqlDB's JSON: timestamps, times and dates are whole numbers, bytes are base64, decimals are numbers
or texts, which are compared exactly.
"""

import binascii
import math
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import orjson

from pipeline.codecs import Record, schema
from pipeline.columns import column_types
from pipeline.errors import CaseError
from pipeline.runner.local import LocalApplication
from pipeline.tables.types import ColumnType, column_type

TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Input:
    """A record to feed; `key` None is a null key, `value` None a tombstone. `timestamp_ms` is the record's."""

    topic: str
    key: str | None
    value: Record | None
    timestamp_ms: int
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """Inputs in order, and the expected outputs as they stand in the file."""

    inputs: tuple[Input, ...]
    outputs: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where an output is not what was expected; `position` counts the topic's records from 0."""

    topic: str
    position: int
    expected: Any
    actual: Any

    def __str__(self) -> str:
        place = f"topic {self.topic}, record {self.position}:"
        return f"{place}\n  expected {_text(self.expected)}\n  actual   {_text(self.actual)}"


def load(inputs: Path, outputs: Path) -> Case:
    """Read a case from its two files; raises CaseError with a sentence when one is not what it has to be."""
    return Case(
        tuple(_input(entry, inputs) for entry in _list(inputs, "inputs")),
        tuple(_output(entry, outputs) for entry in _list(outputs, "outputs")),
    )


def _list(path: Path, name: str) -> list[dict[str, Any]]:
    try:
        found = orjson.loads(path.read_bytes())
    except OSError as error:
        raise CaseError(f"{path} cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise CaseError(f"{path} is no JSON: {error}") from None
    entries = found.get(name) if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(
        isinstance(e, dict) and isinstance(e.get("topic"), str) for e in entries
    ):
        raise CaseError(f'{path} must be {{"{name}": [{{"topic": ..., ...}}, ...]}}')
    return entries


def _input(entry: dict[str, Any], path: Path) -> Input:
    value, time_ms = entry.get("value"), entry.get("timestamp", 0)
    if not isinstance(value, dict | None):
        raise CaseError(
            f"{path}: the value of an input to {entry['topic']} is {value!r}, but must be an object or null"
        )
    if not isinstance(time_ms, int):
        raise CaseError(f"{path}: the timestamp of an input to {entry['topic']} is {time_ms!r}, but must be whole ms")
    return Input(entry["topic"], _key(entry.get("key")), value, time_ms, _headers(entry, path))


def _headers(entry: dict[str, Any], path: Path) -> tuple[tuple[str, bytes | None], ...]:
    """Names, and values that are given as base64."""
    try:
        found = [(header["KEY"], header["VALUE"]) for header in entry.get("headers", ())]
        return tuple((str(key), None if value is None else b64decode(value, validate=True)) for key, value in found)
    except (KeyError, TypeError, ValueError):
        raise CaseError(
            f"{path}: the headers of an input to {entry['topic']} are {entry['headers']!r}, but must be "
            '[{"KEY": a text, "VALUE": base64 or null}, ...]'
        ) from None


def _output(entry: dict[str, Any], path: Path) -> dict[str, Any]:
    unknown = entry.keys() - {"topic", "key", "value", "timestamp", "window"}
    if unknown:
        raise CaseError(f"{path}: an output of {entry['topic']} has {', '.join(sorted(unknown))}, which means nothing")
    return entry if "key" not in entry else {**entry, "key": _key(entry["key"])}


def _key(key: Any) -> str | None:
    return None if key is None else str(key)


async def run(case: Case, application: LocalApplication) -> Difference | None:
    """Feed the inputs and compare; None when everything is as expected. Raises CaseError for an unknown topic."""
    async with application.running():
        for item in case.inputs:
            declared = schema(application.schema_of(item.topic))
            value = None if item.value is None else application.encode(item.topic, to_record(declared, item))
            key = None if item.key is None else application.encode_key(item.topic, item.key)
            await application.feed(item.topic, key, value, item.timestamp_ms, item.headers)
        expected: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for output in case.outputs:
            expected[output["topic"]].append(output)
        for topic, outputs in expected.items():
            difference = compare(topic, outputs, await actual(application, topic))
            if difference is not None:
                return difference
    return None


def to_record(avro: Mapping[str, Any], item: Input) -> Record:
    """An input's JSON value as a record of an Avro schema: decimals from numbers, bytes from base64, the rest as is."""
    assert item.value is not None
    declared = column_types(avro)
    unknown = item.value.keys() - declared.keys()
    if unknown:
        raise CaseError(f"an input to {item.topic} has columns that its schema has not: {', '.join(sorted(unknown))}")
    return {name: _value(value, declared[name]) for name, value in item.value.items()}


def _value(value: Any, kind: ColumnType) -> Any:
    if value is None:
        return None
    try:
        if kind.family == "decimal":
            return Decimal(str(value))
        return b64decode(value, validate=True) if kind.family == "bytes" else value
    except InvalidOperation:
        raise CaseError(f"{value!r} is no decimal number") from None
    except (binascii.Error, TypeError, ValueError):
        raise CaseError(f"{value!r} is no base64, as which bytes are given") from None


def shown(value: Any, kind: ColumnType) -> Any:
    """A value as ksqlDB's JSON has it; a decimal stays one."""
    if value is None or kind.family == "decimal":
        return value
    if kind.family == "array":
        return [shown(item, column_type(kind.avro["items"])) for item in value]
    if kind.family == "map":
        return {key: shown(item, column_type(kind.avro["values"])) for key, item in value.items()}
    if kind.family == "record":
        return {field["name"]: shown(value[field["name"]], column_type(field["type"])) for field in kind.avro["fields"]}
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if kind.family == "bytes":
        return b64encode(value).decode()
    return value if kind.is_plain else kind.plain([value])[0]


async def actual(application: LocalApplication, topic: str) -> list[dict[str, Any]]:
    """What lies in a topic, in the form of a case's outputs. A retired row shows as ksqlDB's tombstone."""
    kinds = column_types(application.schema_of(topic))
    found = []
    keys = await application.key_texts(topic)
    for key, (record, value) in zip(keys, await application.rows(topic), strict=True):
        row: dict[str, Any] = {"topic": topic, "key": key, "timestamp": record.timestamp_ms}
        if value is not None and "window_start_ms" in kinds:
            kind = "session" if application.is_session(topic) else "time"
            row["window"] = {"start": value["window_start_ms"], "end": value["window_end_ms"], "type": kind}
        row["value"] = None
        if value is not None and not value.get("retired"):
            row["value"] = {name: shown(item, kinds[name]) for name, item in value.items()}
        found.append(row)
    return found


def compare(topic: str, expected: list[Mapping[str, Any]], found: list[dict[str, Any]]) -> Difference | None:
    """The first difference, or None."""
    for position, wanted in enumerate(expected):
        if position >= len(found):
            return Difference(topic, position, wanted, "nothing more")
        if not _matches({k: v for k, v in wanted.items() if k != "topic"}, found[position]):
            return Difference(topic, position, wanted, _like(wanted, found[position]))
    if len(found) > len(expected):
        return Difference(topic, len(expected), "nothing more", found[len(expected)])
    return None


def _matches(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and _matches(v, found[name]) for name, v in wanted.items()
        )
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(found, Decimal) and isinstance(wanted, int | float | str):
        return _is_decimal(wanted, found)
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        if isinstance(wanted, int) and isinstance(found, int):
            return wanted == found
        return math.isclose(wanted, found, rel_tol=0, abs_tol=TOLERANCE)
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_matches, wanted, found))
    return bool(wanted == found)


def _is_decimal(wanted: float | str, found: Decimal) -> bool:
    try:
        return Decimal(str(wanted)) == found
    except InvalidOperation:
        return False


def _like(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """What was found, cut down to what was asked for."""
    shown = {name: found.get(name) for name in wanted}
    value, row = wanted.get("value"), found.get("value")
    if isinstance(value, Mapping) and isinstance(row, Mapping):
        shown["value"] = {name: row.get(name, "(no such column)") for name in value}
    return shown


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
