"""The types of columns, as Avro has them: what can be grouped by, ordered and kept in a state.

State, partials and keys hold plain JSON values. A value of any other type has two forms here. Its plain form is equal
where values are equal and ordered as they are: what MIN, TOPK or COUNT_DISTINCT keep. Its text is what a group is
called in keys and states. The texts are ksqlDB's (JSON, DELIMITED): timestamps, times and dates are whole numbers of
Avro's unit, bytes are base64, and a decimal has all the digits of its column's scale.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_UP, Context, Decimal
from typing import Any, NamedTuple
from uuid import UUID

from pipeline.timebase import EPOCH

EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Decimals of any length, without rounding."""

DAY_0 = date(1970, 1, 1)
MILLI, MICRO = timedelta(milliseconds=1), timedelta(microseconds=1)

PRIMITIVES = ("string", "int", "long", "float", "double", "boolean", "bytes")
LOGICAL = {
    "int": ("date", "time-millis"),
    "long": ("time-micros", "timestamp-millis", "timestamp-micros", "local-timestamp-millis", "local-timestamp-micros"),
    "bytes": ("decimal",),
    "fixed": ("decimal",),
    "string": ("uuid",),
}
SCALARS = frozenset({*PRIMITIVES, *(name for names in LOGICAL.values() for name in names)})
"""Families of types that can be grouped by, chosen from and counted as different. Enum is string, fixed is bytes."""


class _Form(NamedTuple):
    """How a family's values become plain, given their scale, and come back."""

    plain: Callable[[Any, int], Any]
    value: Callable[[Any, int], Any]


def unscaled(value: Decimal, scale: int) -> int:
    """A decimal in units of 10**-scale; one that is finer is rounded half up."""
    return int(value.scaleb(scale, EXACT).to_integral_value(ROUND_HALF_UP))


COMPLEMENT = str.maketrans("0123456789abcdef", "fedcba9876543210")
MOST_DIGITS = 99_999


def ordered(number: int) -> str:
    """A whole number of any size as a text; texts are ordered as the numbers are. JSON's numbers end at 64 bits."""
    digits = format(abs(number), "x")
    if number >= 0:
        return f"p{len(digits):05}{digits}"
    return f"n{MOST_DIGITS - len(digits):05}{digits.translate(COMPLEMENT)}"


def number(text: str) -> int:
    """What `ordered` made a text of."""
    return int(text[6:], 16) if text[0] == "p" else -int(text[6:].translate(COMPLEMENT), 16)


def scaled(number: int, scale: int) -> Decimal:
    """The decimal of so many units of 10**-scale; it shows all the digits of its scale."""
    return Decimal(number).scaleb(-scale, EXACT)


def _units(moment: datetime | time | int, unit: timedelta) -> int:
    """A moment, or a time of a day, as whole units since its beginning; one that is such a number already stays."""
    if isinstance(moment, int):
        return moment
    if isinstance(moment, time):
        moment = datetime.combine(DAY_0, moment)
    return ((moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment) - EPOCH) // unit


def _moments(unit: timedelta, *, local: bool = False) -> _Form:
    return _Form(
        lambda moment, _: _units(moment, unit),
        lambda number, _: (EPOCH + number * unit).replace(tzinfo=None if local else UTC),
    )


def _times(unit: timedelta) -> _Form:
    return _Form(lambda moment, _: _units(moment, unit), lambda number, _: (EPOCH + number * unit).time())


FORMS: Mapping[str, _Form] = {
    "decimal": _Form(
        lambda value, scale: ordered(unscaled(value, scale)),
        lambda text, scale: scaled(number(text), scale),
    ),
    "date": _Form(
        lambda day, _: day if isinstance(day, int) else (day - DAY_0).days,
        lambda number, _: DAY_0 + timedelta(days=number),
    ),
    "time-millis": _times(MILLI),
    "time-micros": _times(MICRO),
    "timestamp-millis": _moments(MILLI),
    "timestamp-micros": _moments(MICRO),
    "local-timestamp-millis": _moments(MILLI, local=True),
    "local-timestamp-micros": _moments(MICRO, local=True),
    "uuid": _Form(lambda value, _: str(value), lambda text, _: UUID(text)),
    "bytes": _Form(lambda value, _: value.hex(), lambda text, _: bytes.fromhex(text)),
}
"""Families whose values are not plain."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """The type of a column without null.

    `family` is one of SCALARS, or array, map, record, union or null; `name` is what sentences call it; `avro` is the
    type of an output column that holds such values. `scale` is that of a decimal.
    """

    family: str
    name: str
    avro: Any
    scale: int = 0

    @property
    def is_scalar(self) -> bool:
        """Whether its values can be compared, and so be grouped by."""
        return self.family in SCALARS

    @property
    def is_plain(self) -> bool:
        """Whether its values are plain as they are."""
        return self.family not in FORMS

    def plain(self, values: Sequence[Any]) -> list[Any]:
        """The plain forms of a column; null stays null."""
        form = FORMS[self.family].plain
        return [None if value is None else form(value, self.scale) for value in values]

    def value(self, plain: Any) -> Any:
        """The value of a plain form, as it is written to an output."""
        return plain if self.is_plain else FORMS[self.family].value(plain, self.scale)

    def texts(self, values: Sequence[Any]) -> Sequence[str | None]:
        """The texts of a column of groups; null stays null. Equal values have one text, whoever wrote them."""
        if self.family == "string":
            return values
        found = {value: None if value is None else self.text(value) for value in set(values)}
        return [found[value] for value in values]

    def text(self, value: Any) -> str:
        """The text of one group."""
        match self.family:
            case "boolean":
                return "true" if value else "false"
            case "float" | "double":
                return repr(value + 0.0)  # -0.0 equals 0.0
            case "bytes":
                return b64encode(value).decode()
            case "decimal":
                return format(scaled(unscaled(value, self.scale), self.scale), "f")
        return str(value if self.is_plain else FORMS[self.family].plain(value, self.scale))

    def group(self, text: str) -> Any:
        """The value that has this text."""
        match self.family:
            case "string":
                return text
            case "boolean":
                return text == "true"
            case "float" | "double":
                return float(text)
            case "bytes":
                return b64decode(text)
            case "decimal":
                return Decimal(text)
            case "uuid":
                return UUID(text)
        return self.value(int(text))


def column_type(avro: Any) -> ColumnType:
    """The type of a field's Avro type, whose references to named types have been resolved; null is left out."""
    if isinstance(avro, list):
        branches = [branch for branch in avro if branch not in ("null", {"type": "null"})]
        if len(branches) == 1:
            return column_type(branches[0])
        return ColumnType("union" if branches else "null", f"union of {', '.join(map(_name, avro))}", avro)
    if isinstance(avro, str):
        return ColumnType(avro if avro in PRIMITIVES or avro == "null" else "record", avro, avro)
    kind = avro["type"]
    if isinstance(kind, list | dict) or kind == "null":
        return column_type(kind)
    if (found := _logical(kind, avro)) is not None:
        return found
    if kind == "enum":
        return ColumnType("string", f"enum {avro['name']}", "string")
    if kind == "fixed":
        return ColumnType("bytes", f"fixed {avro['name']}", "bytes")
    if kind in PRIMITIVES:
        logical = avro.get("logicalType")
        return ColumnType(kind, kind, kind if logical is None else {"type": kind, "logicalType": logical})
    return ColumnType(kind, _name(avro), avro)


def _logical(kind: str, avro: Mapping[str, Any]) -> ColumnType | None:
    """A logical type that fastavro reads as such; None for any other, which is read as what it is written as."""
    logical = avro.get("logicalType")
    if logical not in LOGICAL.get(kind, ()):
        return None
    if logical != "decimal":
        return ColumnType(logical, logical, {"type": kind, "logicalType": logical})
    precision, scale = avro["precision"], avro.get("scale", 0)
    written = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    return ColumnType("decimal", f"decimal({precision}, {scale})", written, scale)


def _name(avro: Any) -> str:
    if isinstance(avro, str):
        return avro
    if isinstance(avro, list):
        branches = [branch for branch in avro if branch != "null"]
        return _name(branches[0]) if len(branches) == 1 else f"union of {', '.join(map(_name, avro))}"
    if avro["type"] == "array":
        return f"array of {_name(avro['items'])}"
    if avro["type"] == "map":
        return f"map of {_name(avro['values'])}"
    return f"record {avro['name']}" if avro["type"] == "record" else column_type(avro).name
