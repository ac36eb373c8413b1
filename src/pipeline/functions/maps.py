"""Functions of maps. Keys are texts and never null, as in Avro; entries stay in the order that they came in."""

from typing import Any

from pipeline.functions.base import Call, EvaluationError, Example, ScalarFunction, SignatureError, Types
from pipeline.functions.casts import coerce
from pipeline.functions.kinds import (
    STRING,
    array_of,
    is_null,
    item_of,
    kind,
    map_of,
    record_of,
    sql_name,
    sql_names,
    value_of,
)
from pipeline.functions.signatures import function
from pipeline.tables.types import ColumnType

ORDER = "Entries are in the map's order; in ksqlDB in that of their hashes."


def _key(key: str | None) -> str:
    if key is None:
        raise EvaluationError("has a key that is null, but must have a text")
    return key


def _as_map(keys: list[Any], values: list[Any]) -> dict[str, Any]:
    return {_key(key): values[at] if at < len(values) else None for at, key in enumerate(keys)}


def _as_map_type(types: Types) -> ColumnType:
    if len(types) == 2 and all(given is not None and kind(given) == "ARRAY" for given in types):
        keys, values = (given for given in types if given is not None)
        if kind(item_of(keys)) == "STRING":
            return map_of(item_of(values))
    raise SignatureError(f"takes an array of STRING and an array, but was given {sql_names(types)}")


def _made(types: Types) -> ColumnType:
    found = coerce(types[1::2])
    keys = all(is_null(given) or kind(given) == "STRING" for given in types[::2])
    if found is None or len(types) % 2 or not keys:
        raise SignatureError(
            "takes keys of STRING, each with its value, and values of one type, not all of them NULL, "
            f"but was given {sql_names(types)}"
        )
    return map_of(found[0])


def _make(types: Types) -> Call:
    found = coerce(types[1::2])
    converts = [] if found is None else found[1]

    def call(*values: Any) -> dict[str, Any]:
        pairs = zip(values[::2], converts, values[1::2], strict=True)
        return {_key(key): convert(value) for key, convert, value in pairs}

    return call


def _map(types: Types) -> ColumnType:
    """The map among the arguments."""
    found = [given for given in types if given is not None and kind(given) == "MAP"]
    if not found or len({sql_name(given) for given in found}) > 1:
        raise SignatureError(f"takes maps of one type, but was given {sql_names(types)}")
    return found[0]


def _union(left: dict[str, Any] | None, right: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if left is None and right is None else {**(left or {}), **(right or {})}


def _entries(of: dict[str, Any], in_order: bool) -> list[dict[str, Any]]:
    return [{"K": key, "V": value} for key, value in (sorted(of.items(), key=_first) if in_order else of.items())]


def _first(entry: tuple[str, Any]) -> str:
    return entry[0]


MAPS: tuple[ScalarFunction, ...] = (
    ScalarFunction(
        "MAP",
        _made,
        lambda *values: dict(zip(values[::2], values[1::2], strict=True)),
        True,
        _make,
        forms=("STRING, ANY, ...",),
        about="A map of keys and values; ksqlDB writes it MAP(key := value, ...).",
        edges="Numbers of several types are widened to one. A key that is null gives null; the last value of a key "
        "stays.",
        example=Example(("apple", 10, "banana", 20), {"apple": 10, "banana": 20}),
    ),
    ScalarFunction(
        "AS_MAP",
        _as_map_type,
        _as_map,
        forms=("ARRAY, ARRAY",),
        about="A map of the keys in the first array and the values in the second.",
        edges="A key without a value has null, a value without a key is left out. The last value of a key stays.",
        differs="A key that is null gives null.",
        example=Example((["apple", "banana"], [10]), {"apple": 10, "banana": None}),
    ),
    function(
        "MAP_KEYS",
        {"MAP": array_of(STRING)},
        list,
        "The keys.",
        Example(({"apple": 10, "banana": 20},), ["apple", "banana"]),
        differs=ORDER,
    ),
    function(
        "MAP_VALUES",
        {"MAP": lambda types: array_of(value_of(_map(types)))},
        lambda of: list(of.values()),
        "The values.",
        Example(({"apple": 10, "banana": 20},), [10, 20]),
        differs=ORDER,
    ),
    function(
        "MAP_UNION",
        {"MAP, MAP": _map},
        _union,
        "The entries of both maps; of a key in both, that of the second.",
        Example(({"apple": 10, "banana": 20}, {"apple": 50}), {"apple": 50, "banana": 20}),
        edges="When one is null, the result is the other.",
        takes_nulls=True,
    ),
    function(
        "ENTRIES",
        {"MAP, BOOLEAN": lambda types: array_of(record_of({"K": STRING, "V": value_of(_map(types))}))},
        _entries,
        "The entries as structs of K and V, in order of their keys when the second argument is true.",
        Example(({"b": 2, "a": 1}, True), [{"K": "a", "V": 1}, {"K": "b", "V": 2}]),
        differs=f"{ORDER} Values may be of any type.",
    ),
)
