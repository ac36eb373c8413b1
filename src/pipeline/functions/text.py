"""Functions of texts and bytes: parts, padding, joining, splitting. Texts are counted in code points."""

import re
from typing import Any

from pipeline.functions.base import EvaluationError, Example, ScalarFunction
from pipeline.functions.java import BLANKS
from pipeline.functions.kinds import BYTES, INT, STRING, array_of, map_of
from pipeline.functions.signatures import function

LONGEST = 10_000_000
"""The longest text that padding makes, so that one wrong length does not take all memory."""

WORD = re.compile(r"[^ \t\n\x0b\f\r]+[ \t\n\x0b\f\r]*")
UNIT_16 = "ksqlDB counts UTF-16 units, so a character beyond U+FFFF counts as two there, as one here"


def _substring(value: Any, position: int, length: int | None = None) -> Any:
    size = len(value)
    start = max(size + position, 0) if position < 0 else max(min(position - 1, size), 0)
    return value[start:] if length is None else value[start : max(min(start + length, size), start)]


def _padding(value: Any, length: int, padding: Any) -> Any:
    if length > LONGEST:
        raise EvaluationError(f"would be {length} long, but must be {LONGEST} at most")
    missing = max(length - len(value), 0)
    return (padding * (missing // len(padding) + 1))[:missing]


def _lpad(value: Any, length: int, padding: Any) -> Any:
    return None if length < 0 or not padding else (_padding(value, length, padding) + value)[:length]


def _rpad(value: Any, length: int, padding: Any) -> Any:
    return None if length < 0 or not padding else (value + _padding(value, length, padding))[:length]


def _concat(*values: Any) -> Any:
    given = [value for value in values if value is not None]
    return type(given[0])().join(given) if given else None


def _concat_or_empty(types: Any) -> Any:
    empty: Any = b"" if any(given is not None and given.family == "bytes" for given in types) else ""
    return lambda *values: empty.join(value for value in values if value is not None)


def _concat_ws(separator: Any, *values: Any) -> Any:
    return None if separator is None else separator.join(value for value in values if value is not None)


def _instr(text: str | None, part: str | None, position: int | None = 1, occurrence: int | None = 1) -> int | None:
    if text is None or part is None:
        return 0
    if position is None or occurrence is None:
        return None
    if abs(position) > len(text):
        return 0
    if position < 0:
        found = _ordinal(text[::-1], part[::-1], -position, occurrence)
        return 0 if found < 0 else len(text) + position - found - len(part) + 2
    found = _ordinal(text, part, position, occurrence)
    return 0 if found < 0 else found + position


def _ordinal(text: str, part: str, position: int, occurrence: int) -> int:
    """Where the n-th occurrence begins after the position; -1 when there is none. Occurrences may overlap."""
    rest = text[position - 1 :]
    if occurrence <= 0:
        return -1
    if not part:
        return 0
    found = -1
    for _ in range(occurrence):
        found = rest.find(part, found + 1)
        if found < 0:
            return -1
    return found


def _split(value: Any, delimiter: Any) -> list[Any]:
    if delimiter:
        return list(value.split(delimiter))
    if isinstance(value, bytes):
        return [value[at : at + 1] for at in range(len(value))] or [value]
    return list(value) or [""]


def _split_to_map(text: str, between: str, inside: str) -> dict[str, str] | None:
    if not between or not inside or between == inside:
        return None
    entries = (entry.split(inside) for entry in text.split(between) if inside in entry)
    return {entry[0]: entry[1] for entry in entries}


def _initcap(text: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in WORD.findall(text.lower()))


def _elt(position: int | None, *values: str | None) -> str | None:
    return values[position - 1] if position is not None and 1 <= position <= len(values) else None


def _field(text: str | None, *values: str | None) -> int:
    return values.index(text) + 1 if text is not None and text in values else 0


TEXT: tuple[ScalarFunction, ...] = (
    function(
        "UCASE",
        {"STRING": STRING},
        str.upper,
        "The text in capitals.",
        Example(("flash",), "FLASH"),
        edges="A character may become two: ß becomes SS.",
    ),
    function("LCASE", {"STRING": STRING}, str.lower, "The text in small letters.", Example(("FLASH",), "flash")),
    function(
        "TRIM",
        {"STRING": STRING},
        lambda text: text.strip(BLANKS),
        "The text without blanks at its ends.",
        Example(("  a b ",), "a b"),
        edges="Spaces and control characters (up to U+0020) are cut off, other blanks of Unicode are not.",
    ),
    function(
        "LEN",
        {"STRING": INT, "BYTES": INT},
        len,
        "The number of characters, or of bytes.",
        Example(("stream",), 6),
        differs=f"{UNIT_16}.",
    ),
    function(
        "SUBSTRING",
        {"STRING, INT": STRING, "STRING, INT, INT": STRING, "BYTES, INT": BYTES, "BYTES, INT, INT": BYTES},
        _substring,
        "The part from a position on, of a length or to the end. The first position is 1.",
        Example(("stream", 1, 4), "stre"),
        edges="A negative position counts from the end; 0 is 1. What is beyond the ends is left out; a negative length "
        "gives an empty text.",
        differs=f"{UNIT_16}.",
    ),
    function(
        "LPAD",
        {"STRING, INT, STRING": STRING, "BYTES, INT, BYTES": BYTES},
        _lpad,
        "Filled up at its left to a length; a longer text is cut off at its right.",
        Example(("Foo", 7, "Bar"), "BarBFoo"),
        edges="An empty padding and a negative length give null.",
        differs=f"A length over {LONGEST:,} gives null.",
    ),
    function(
        "RPAD",
        {"STRING, INT, STRING": STRING, "BYTES, INT, BYTES": BYTES},
        _rpad,
        "Filled up at its right to a length; a longer text is cut off there.",
        Example(("Foo", 7, "Bar"), "FooBarB"),
        edges="An empty padding and a negative length give null.",
        differs=f"A length over {LONGEST:,} gives null.",
    ),
    function(
        "CONCAT",
        {"STRING, STRING...": STRING, "BYTES, BYTES...": BYTES},
        _concat,
        "One text, or bytes, of all of them.",
        Example(("apple", None, "pie"), "applepie"),
        edges="Nulls are left out; nothing but nulls gives an empty text.",
        takes_nulls=True,
        bind=_concat_or_empty,
    ),
    function(
        "CONCAT_WS",
        {"STRING, STRING...": STRING, "BYTES, BYTES...": BYTES},
        _concat_ws,
        "All that follow the first, with the first between them.",
        Example((", ", "apple", "banana", None, "date"), "apple, banana, date"),
        edges="Nulls are left out; a separator that is null gives null.",
        takes_nulls=True,
    ),
    function(
        "INSTR",
        {"STRING, STRING": INT, "STRING, STRING, INT": INT, "STRING, STRING, INT, INT": INT},
        _instr,
        "Where the second text begins in the first: from a position on, and at its n-th occurrence.",
        Example(("CORPORATE FLOOR", "OR", 3, 2), 14),
        edges="0 where it is not there, also when a text is null. A negative position searches from the end to the "
        "start. Occurrences may overlap.",
        takes_nulls=True,
    ),
    function(
        "REPLACE",
        {"STRING, STRING, STRING": STRING},
        str.replace,
        "Every occurrence of the second text in the first replaced by the third.",
        Example(("a.b.c", ".", "-"), "a-b-c"),
        edges="An empty second text stands before and after every character.",
    ),
    function(
        "SPLIT",
        {"STRING, STRING": array_of(STRING), "BYTES, BYTES": array_of(BYTES)},
        _split,
        "The parts between the delimiters.",
        Example(("a,b,,c", ","), ["a", "b", "", "c"]),
        edges="An empty delimiter splits into characters, or bytes. A text without the delimiter is the only part.",
    ),
    function(
        "SPLIT_TO_MAP",
        {"STRING, STRING, STRING": map_of(STRING)},
        _split_to_map,
        "A map of the entries between the second text, whose keys and values are between the third.",
        Example(("apple:=green/cherry:=red", "/", ":="), {"apple": "green", "cherry": "red"}),
        edges="The last value of a key stays. An entry without the third text is left out; of one with two, what "
        "follows the second is. Delimiters that are empty or equal give null.",
    ),
    function(
        "INITCAP",
        {"STRING": STRING},
        _initcap,
        "Every word with a capital, and small letters after it.",
        Example(("heLLo woRLD",), "Hello World"),
        edges="Words are what blanks of ASCII are between. Blanks at the beginning are lost, as in ksqlDB.",
    ),
    function(
        "ELT",
        {"INT, STRING...": STRING},
        _elt,
        "The n-th of the texts that follow; the first is 1.",
        Example((2, "a", "b"), "b"),
        edges="Null when there is no n-th.",
        takes_nulls=True,
    ),
    function(
        "FIELD",
        {"STRING, STRING...": INT},
        _field,
        "At which place among the others the first text is; the first is 1.",
        Example(("b", "a", "b"), 2),
        edges="0 where it is not there. Null equals nothing, so it gives 0.",
        takes_nulls=True,
    ),
)
