"""Functions of JSON in text. Numbers keep all their digits; what follows a whole value is not looked at (Jackson)."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NoReturn

from pipeline.functions.base import EvaluationError, Example, ScalarFunction
from pipeline.functions.java import double_text
from pipeline.functions.kinds import BOOLEAN, INT, STRING, array_of, map_of
from pipeline.functions.moments import written_time, written_timestamp
from pipeline.functions.signatures import function

BLANKS = " \t\n\r"
MOST_ZEROS = 10_000
MISSING = object()
"""What an empty text holds."""
SEGMENT = re.compile(r'\.([^.\[\]]+)|\[(?:"((?:[^"\\]|\\.)*)"|([^\[\]"]+))\]', re.DOTALL)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)


def _load(text: str) -> Any:
    """The value at the beginning of a text; MISSING when there is nothing."""
    bare = text.lstrip(BLANKS)
    if not bare:
        return MISSING
    try:
        value, end = DECODER.raw_decode(bare)
        if "\\u" in bare:
            written(value).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError, InvalidOperation):
        raise EvaluationError(f"was given {_short(text)}, which is no JSON") from None
    if bare[0] not in '{["' and bare[end : end + 1].strip(BLANKS):
        raise EvaluationError(f"was given {_short(text)}, which is no JSON")
    return value


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")


def written(value: Any) -> str:
    """A value as JSON without blanks: keys in their order, decimals with all their digits."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return _digits(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{','.join(map(written, value))}]"
        case dict():
            return "{" + ",".join(f"{written(key)}:{written(of)}" for key, of in value.items()) + "}"
    raise TypeError(f"{type(value).__name__} is no JSON")


def _digits(value: Decimal) -> str:
    """All digits, but of a number whose zeros would fill the memory: 1E+999999."""
    exponent = value.as_tuple().exponent
    plain = isinstance(exponent, int) and abs(exponent) < MOST_ZEROS
    return f"{value:f}" if plain else str(value)


@lru_cache(maxsize=256)
def _path(path: str) -> tuple[str, ...]:
    """The steps of $.a[0]["b.c"]."""
    steps, place = [], 1
    while path.startswith("$") and place < len(path):
        found = SEGMENT.match(path, place)
        if found is None:
            break
        quoted = found[2]
        steps.append(found[1] or found[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        place = found.end()
    if not path.startswith("$") or place < len(path):
        raise EvaluationError(f"has the path {path!r}, which must be as $.a[0].b")
    return tuple(steps)


def _extract(text: str, path: str) -> str | None:
    steps = _path(path)
    node = _load(text)
    for step in steps:
        if isinstance(node, dict):
            node = node.get(step, MISSING)
        elif isinstance(node, list):
            node = node[int(step)] if re.fullmatch("[0-9]{1,9}", step) and int(step) < len(node) else MISSING
        else:
            return None
        if node is MISSING:
            return None
    if node is MISSING:
        return ""
    return node if isinstance(node, str) else written(node)


def _is_json(text: str | None) -> bool:
    try:
        return text is not None and _load(text) is not MISSING
    except EvaluationError:
        return False


def _contains(text: str | None, value: Any) -> bool | None:
    if text is None:
        return None
    try:
        items = _load(text)
    except EvaluationError:
        return False
    return isinstance(items, list) and any(_equal(item, value) for item in items)


def _equal(item: Any, value: Any) -> bool:
    """Whether they are of one type and equal: 1 is not 1.0."""
    if isinstance(value, float):
        return isinstance(item, Decimal) and float(item) == value
    plain = (bool, int, str, type(None))
    return isinstance(value, plain) and type(item) is type(value) and bool(item == value)


def _length(text: str) -> int | None:
    value = _load(text)
    return len(value) if isinstance(value, list) else None


def _concat(*texts: str | None) -> str | None:
    values: list[Any] = []
    for text in texts:
        value = MISSING if text is None else _load(text)
        if value is MISSING:
            return None
        values.append(value)
    if all(isinstance(value, dict) for value in values):
        return written({key: of for value in values for key, of in value.items()})
    if len(values) == 1:
        return written(values[0])
    return written([item for value in values for item in (value if isinstance(value, list) else [value])])


def _items(text: str) -> list[str] | None:
    value = _load(text)
    if not isinstance(value, list):
        raise EvaluationError(f"was given {_short(text)}, which is no array")
    return [written(item) for item in value] if all(isinstance(item, dict) for item in value) else None


def _of_object(of: Callable[[dict[str, Any]], Any]) -> Callable[[str], Any]:
    def call(text: str) -> Any:
        value = _load(text)
        return of(value) if isinstance(value, dict) else None

    return call


def _to_json(value: Any) -> str:
    return written(_prepared(value))


def _prepared(value: Any) -> Any:
    """A value of any type as one of JSON; structs and maps in order of their keys."""
    match value:
        case float():
            text = double_text(value)
            return text if "N" in text or "I" in text else _Plain(text)
        case datetime():
            return written_timestamp(value)
        case date():
            return value.isoformat()
        case time():
            return written_time(value)
        case bytes():
            return b64encode(value).decode("ascii")
        case list():
            return [_prepared(item) for item in value]
        case dict():
            return {key: _prepared(value[key]) for key in sorted(value)}
        case None | bool() | int() | str() | Decimal():
            return value
    return str(value)


class _Plain(Decimal):
    """A number that is written as its text is: 1.0E10."""

    def __new__(cls, text: str) -> "_Plain":
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str

    def __format__(self, specifier: str, context: Any = None, /) -> str:
        return self.text


BAD = "Text that is no JSON gives null."

JSON: tuple[ScalarFunction, ...] = (
    function(
        "EXTRACTJSONFIELD",
        {"STRING, STRING": STRING},
        _extract,
        'The value at a path, as text: $.a.b, $.a[0], $["a.b"].',
        Example(('{"log": {"instance": 4, "names": ["x"]}}', "$.log.names[0]"), "x"),
        edges=f"Null where there is nothing; a JSON null is the text null. What is no text is given as JSON. {BAD}",
    ),
    function(
        "IS_JSON_STRING",
        {"STRING": BOOLEAN},
        _is_json,
        "Whether the text is JSON.",
        Example(('{"a": 1}',), True),
        edges="False for null and for an empty text. What follows a whole value is not looked at.",
        takes_nulls=True,
    ),
    function(
        "JSON_ARRAY_CONTAINS",
        {"STRING, ANY": BOOLEAN},
        _contains,
        "Whether the JSON array has the value.",
        Example(("[1, 2, 3]", 3), True),
        edges="False when it is no JSON array. 1 and 1.0 differ. Only texts, numbers, booleans and null are found; a "
        "DECIMAL never is.",
        takes_nulls=True,
    ),
    function(
        "JSON_ARRAY_LENGTH",
        {"STRING": INT},
        _length,
        "The number of items of the JSON array.",
        Example(("[1, [1, [2]], 3]",), 3),
        edges=f"Null when it is no array. {BAD}",
    ),
    function(
        "JSON_CONCAT",
        {"STRING...": STRING},
        _concat,
        "JSON objects as one, the last value of a key first in rank; or anything else as one array.",
        Example(('{"a": 1}', '{"b": 2}'), '{"a":1,"b":2}'),
        edges=f"With one that is no object, arrays are joined, and all else is an item. Null when one is null. {BAD}",
        takes_nulls=True,
    ),
    function(
        "JSON_ITEMS",
        {"STRING": array_of(STRING)},
        _items,
        "The objects of the JSON array, each as JSON.",
        Example(('[{"a": 1}, {"b": 2}]',), ['{"a":1}', '{"b":2}']),
        edges=f"Null when an item is no object. {BAD}",
    ),
    function(
        "JSON_KEYS",
        {"STRING": array_of(STRING)},
        _of_object(list),
        "The keys of the JSON object.",
        Example(('{"a": "abc", "b": {"c": "a"}}',), ["a", "b"]),
        edges=f"Null when it is no object. {BAD}",
    ),
    function(
        "JSON_RECORDS",
        {"STRING": map_of(STRING)},
        _of_object(lambda value: {key: written(of) for key, of in value.items()}),
        "The values of the JSON object by their keys, each as JSON.",
        Example(('{"a": "abc", "d": 1}',), {"a": '"abc"', "d": "1"}),
        edges=f"Null when it is no object. {BAD}",
    ),
    function(
        "TO_JSON_STRING",
        {"ANY": STRING},
        _to_json,
        "A value of any type as JSON.",
        Example(({"d": [1.5, None], "c": []},), '{"c":[],"d":[1.5,null]}', ("MAP<STRING, ARRAY<DOUBLE>>",)),
        edges="Null is the text null. Keys and fields are in order. Timestamps, dates and times are texts as CAST "
        "gives them, bytes are base64, NaN and the infinities are texts.",
        takes_nulls=True,
    ),
)
