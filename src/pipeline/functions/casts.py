"""CAST: from each type to each that ksqlDB allows, and the texts of values (CastEvaluator, SqlTimeTypes).

Where ksqlDB wraps around or takes the nearest number without a word, there is an EvaluationError here.
"""

import re
from base64 import b64encode
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

from pipeline.functions import encodings
from pipeline.functions.base import EvaluationError, SignatureError, Types, fits
from pipeline.functions.java import BLANKS, double_text, read_double
from pipeline.functions.kinds import common, digits, fields_of, item_of, kind, sql_name, value_of
from pipeline.functions.moments import (
    at_midnight,
    day_of,
    moment,
    read_date,
    read_time,
    read_timestamp,
    time_of,
    written_time,
    written_timestamp,
)
from pipeline.tables.types import EXACT, ColumnType

Convert = Callable[[Any], Any]

WHOLE = re.compile(r"[+-]?[0-9]{1,400}")
BITS = {"INT": 32, "BIGINT": 64}


def cast(value_type: ColumnType | None, target: ColumnType) -> Convert:
    """What turns a value of the first type, never null, into one of the second; SignatureError when nothing does."""
    if value_type is None or value_type.family == "null" or sql_name(value_type) == sql_name(target):
        return _same
    pair = kind(value_type), kind(target)
    if pair in NESTED:
        return NESTED[pair](value_type, target)
    if pair[1] == "DECIMAL" and pair[0] in TO_DECIMAL:
        precision, scale = digits(target)
        read = TO_DECIMAL[pair[0]]
        return lambda value: decimal_in(read(value, precision), precision, scale)
    if pair[1] == "STRING" and pair[0] != "BYTES" and pair[0] in TEXTS:
        return TEXTS[pair[0]]
    if (found := SIMPLE.get(pair)) is not None:
        return found
    raise SignatureError(f"takes no {sql_name(value_type)} to {sql_name(target)}")


def coerce(types: Types) -> tuple[ColumnType, list[Convert]] | None:
    """The common type of expressions, and what turns each one's values, null or not, into it; None without one."""
    if (target := common(types)) is None:
        return None
    return target, [_or_null(cast(given, target)) for given in types]


def decimal_in(value: Decimal, precision: int, scale: int) -> Decimal:
    """The decimal with so many digits after its point, rounded half up; EvaluationError when it has too many before."""
    if not value.is_finite():
        raise EvaluationError(f"would be {value}, which is no DECIMAL")
    if abs(value) < Decimal(1).scaleb(precision - scale, EXACT):
        rounded = value.quantize(Decimal(1).scaleb(-scale, EXACT), ROUND_HALF_UP, EXACT)
        if abs(rounded) < Decimal(1).scaleb(precision - scale, EXACT):
            return rounded
    raise EvaluationError(f"would be {value}, which is out of the range of DECIMAL({precision}, {scale})")


def _same(value: Any) -> Any:
    return value


def _whole(name: str) -> Convert:
    def convert(value: float | Decimal | int) -> int:
        if value != value or value in (float("inf"), float("-inf")):
            raise EvaluationError(f"was given {value}, which is no {name}")
        return fits(int(value), BITS[name])

    return convert


def _whole_of_text(name: str) -> Convert:
    def convert(text: str) -> int:
        if WHOLE.fullmatch(bare := text.strip(BLANKS)) is None:
            raise EvaluationError(f"was given {text!r}, which is no {name}")
        return fits(int(bare), BITS[name])

    return convert


def _boolean_of_text(text: str) -> bool:
    """true, yes, or how one of them begins, in small letters or capitals; false for every other text."""
    bare = text.strip(BLANKS).lower()
    return bool(bare) and ("true".startswith(bare) or "yes".startswith(bare))


def _double_of_text(text: str) -> float:
    try:
        return read_double(text.strip(BLANKS))
    except ValueError:
        raise EvaluationError(f"was given {text!r}, which is no DOUBLE") from None


def _decimal_of_text(text: str, precision: int) -> Decimal:
    try:
        bare = text.strip(BLANKS)
        value = Decimal(bare)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or "_" in text or not -9_999 < value.adjusted() < 9_999:
        raise EvaluationError(f"was given {text!r}, which is no DECIMAL")
    return value


def _decimal_of_double(value: float, precision: int) -> Decimal:
    """The number as it is in memory, in as many digits as the type has: BigDecimal's rule, which rounds twice."""
    return Context(prec=precision, rounding=ROUND_HALF_UP).create_decimal_from_float(value)


def _bytes_of_text(text: str) -> bytes:
    return encodings.read(text.strip(BLANKS), "base64")


def text_of(value: Any) -> str:
    """A value in the text of an array, map or struct, as Java writes it there."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return double_text(value)
        case Decimal():
            return f"{value:f}"
        case datetime():
            return written_timestamp(value)
        case date():
            return value.isoformat()
        case time():
            return written_time(value)
        case bytes():
            return b64encode(value).decode("ascii")
        case list():
            return f"[{', '.join(map(text_of, value))}]"
        case dict():
            return "{" + ", ".join(f"{key}={text_of(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def _text_of_struct(value: dict[str, Any]) -> str:
    """Connect's Struct.toString, which leaves out fields that are null."""
    return "Struct{" + ",".join(f"{key}={text_of(of)}" for key, of in value.items() if of is not None) + "}"


def _or_null(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _array(given: ColumnType, target: ColumnType) -> Convert:
    convert = _or_null(cast(item_of(given), item_of(target)))
    return lambda values: [convert(value) for value in values]


def _map(given: ColumnType, target: ColumnType) -> Convert:
    convert = _or_null(cast(value_of(given), value_of(target)))
    return lambda values: {key: convert(value) for key, value in values.items()}


def _struct(given: ColumnType, target: ColumnType) -> Convert:
    has = fields_of(given)
    converts = {
        name: _or_null(cast(has[name], wanted)) if name in has else None for name, wanted in fields_of(target).items()
    }
    return lambda value: {
        name: None if convert is None else convert(value.get(name)) for name, convert in converts.items()
    }


NESTED: dict[tuple[str, str], Callable[[ColumnType, ColumnType], Convert]] = {
    ("ARRAY", "ARRAY"): _array,
    ("MAP", "MAP"): _map,
    ("STRUCT", "STRUCT"): _struct,
}
TO_DECIMAL: dict[str, Callable[[Any, int], Decimal]] = {
    "INT": lambda value, _: Decimal(value),
    "BIGINT": lambda value, _: Decimal(value),
    "DECIMAL": lambda value, _: value,
    "DOUBLE": _decimal_of_double,
    "STRING": _decimal_of_text,
}
TEXTS: dict[str, Convert] = {
    "BOOLEAN": text_of,
    "INT": str,
    "BIGINT": str,
    "DECIMAL": text_of,
    "DOUBLE": lambda value: double_text(float(value)),
    "ARRAY": text_of,
    "MAP": text_of,
    "STRUCT": _text_of_struct,
    "TIMESTAMP": written_timestamp,
    "TIME": written_time,
    "DATE": date.isoformat,
    "UUID": str,
}
SIMPLE: dict[tuple[str, str], Convert] = {
    ("INT", "BIGINT"): _same,
    ("INT", "DOUBLE"): float,
    ("BIGINT", "INT"): _whole("INT"),
    ("BIGINT", "DOUBLE"): float,
    ("DECIMAL", "INT"): _whole("INT"),
    ("DECIMAL", "BIGINT"): _whole("BIGINT"),
    ("DECIMAL", "DOUBLE"): float,
    ("DOUBLE", "INT"): _whole("INT"),
    ("DOUBLE", "BIGINT"): _whole("BIGINT"),
    ("STRING", "BOOLEAN"): _boolean_of_text,
    ("STRING", "INT"): _whole_of_text("INT"),
    ("STRING", "BIGINT"): _whole_of_text("BIGINT"),
    ("STRING", "DOUBLE"): _double_of_text,
    ("STRING", "TIMESTAMP"): read_timestamp,
    ("STRING", "TIME"): read_time,
    ("STRING", "DATE"): read_date,
    ("STRING", "BYTES"): _bytes_of_text,
    ("TIMESTAMP", "TIME"): lambda value: time_of(moment(value)),
    ("TIMESTAMP", "DATE"): lambda value: day_of(moment(value)),
    ("DATE", "TIMESTAMP"): at_midnight,
}
