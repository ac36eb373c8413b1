"""Functions of numbers that keep their type: absolute values, rounding, the greatest and the least."""

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

from pipeline.functions.base import Call, EvaluationError, Example, ScalarFunction, SignatureError, Types, fits
from pipeline.functions.casts import cast, decimal_in
from pipeline.functions.kinds import DOUBLE, INT, LONG, common, decimal, digits, kind, sql_names
from pipeline.functions.signatures import Result, function
from pipeline.tables.types import EXACT, ColumnType


def _first(types: Types) -> ColumnType:
    return next((given for given in types if given is not None and given.family != "null"), DOUBLE)


def _of_kind(*, whole: Callable[[int, int], Any], double: Callable[[float], Any], exact: Callable[..., Any]) -> Any:
    """A bind: one call for whole numbers (with their bits), one for doubles, one for decimals (with their digits)."""

    def bind(types: Types) -> Call:
        given = _first(types)
        match kind(given):
            case "INT":
                return lambda value: whole(value, 32)
            case "BIGINT":
                return lambda value: whole(value, 64)
            case "DECIMAL":
                precision, scale = digits(given)
                return lambda value: exact(value, precision, scale)
        return lambda value: double(float(value))

    return bind


def _call(value: Any) -> Any:
    raise TypeError("is called by what bind gives")


def _to_whole(value: float, towards: Callable[[float], int]) -> float:
    """A double without fraction; its sign stays, also that of zero, and so do NaN and the infinities."""
    return math.copysign(towards(value), value) if math.isfinite(value) else value


def _exact_whole(rounding: str) -> Callable[[Decimal, int, int], Decimal]:
    return lambda value, precision, scale: decimal_in(value.to_integral_value(rounding, EXACT), precision, scale)


def _half_up(value: Decimal, places: int) -> Decimal:
    """Halves go towards the greater number, so -1.5 becomes -1 (ksqlDB's Round)."""
    rounding = ROUND_HALF_UP if value > 0 else ROUND_HALF_DOWN
    return value.quantize(Decimal(1).scaleb(-places, EXACT), rounding, EXACT)


def _cut(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places, EXACT), ROUND_DOWN, EXACT)


MOST_PLACES = 1_000
"""Beyond so many places no double or decimal of an Avro schema has a digit that is not 0."""


def _to_places(to: Callable[[Decimal, int], Decimal]) -> Any:
    """A bind of ROUND and TRUNC: a whole number of a double, or a number with so many places."""

    def of_double(value: float, places: int) -> float:
        _finite(value)
        return float(to(Decimal(repr(value)), max(min(places, MOST_PLACES), -MOST_PLACES)))

    def bind(types: Types) -> Call:
        match kind(_first(types[:1])), len(types):
            case (("INT" | "BIGINT"), 1):
                return int
            case "DECIMAL", 1:
                precision, scale = digits(_whole_part(types))
                return lambda value: decimal_in(to(value, 0), precision, scale)
            case "DECIMAL", _:
                precision, scale = digits(_first(types[:1]))
                return lambda value, places: decimal_in(
                    to(value, max(min(places, scale), -MOST_PLACES)), precision, scale
                )
            case _, 1:
                return lambda value: fits(int(to(Decimal(_finite(float(value))), 0)), 64)
        return lambda value, places: of_double(float(value), places)

    return bind


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise EvaluationError(f"was given {value}, which has no digits")
    return value


def _whole_part(types: Types) -> ColumnType:
    """The decimal without its places."""
    precision, scale = digits(_first(types))
    return decimal(max(precision - scale, 1), 0)


def _sign(value: Any) -> int:
    return int(value > 0) - int(value < 0)


def _order(value: Any) -> Any:
    """Double.compareTo: NaN is above all, and 0.0 above -0.0."""
    return (value != value, value, math.copysign(1, value)) if isinstance(value, float) else value


def _choice(name: str, choose: Callable[..., Any], example: tuple[Any, ...], result: Any) -> ScalarFunction:
    def returns(types: Types) -> ColumnType:
        found = common(types)
        if types and found is not None and kind(found) in (*["INT", "BIGINT", "DECIMAL", "DOUBLE", "STRING"],):
            return found
        raise SignatureError(f"takes numbers (NUMBER...) or texts (STRING...), but was given {sql_names(types)}")

    def bind(types: Types) -> Call:
        target = returns(types)
        converts = [cast(given, target) for given in types]

        def call(*values: Any) -> Any:
            given = [convert(value) for convert, value in zip(converts, values, strict=True) if value is not None]
            return choose(given, key=_order) if given else None

        return call

    return ScalarFunction(
        name,
        returns,
        _call,
        True,
        bind,
        forms=("NUMBER...", "STRING..."),
        about=f"The {name.lower()} of the values. Numbers of several types are widened to one.",
        edges="Nulls are left out; null when nothing is left.",
        differs="Texts are ordered by code points; ksqlDB orders by UTF-16 units.",
        example=Example(example, result),
    )


KEPT: dict[str, Result] = dict.fromkeys(("INT", "BIGINT", "DECIMAL", "DOUBLE"), _first)
PLACES: dict[str, Result] = {
    "INT": LONG,
    "BIGINT": LONG,
    "DOUBLE": LONG,
    "DECIMAL": _whole_part,
    "DOUBLE, INT": DOUBLE,
    "DECIMAL, INT": _first,
}
OUT_OF_RANGE = "A result that its type cannot hold gives null; ksqlDB wraps around, or takes the nearest."

NUMBERS: tuple[ScalarFunction, ...] = (
    function(
        "ABS",
        KEPT,
        _call,
        "The number without its sign.",
        Example((-3,), 3),
        differs=OUT_OF_RANGE,
        bind=_of_kind(
            whole=lambda value, bits: fits(abs(value), bits), double=abs, exact=lambda value, _, scale: value.copy_abs()
        ),
    ),
    function(
        "CEIL",
        KEPT,
        _call,
        "The least whole number that is not below.",
        Example((1.1,), 2.0),
        edges="The type stays, so the result of a DOUBLE is a DOUBLE.",
        differs=OUT_OF_RANGE,
        bind=_of_kind(
            whole=lambda value, _: value,
            double=lambda value: _to_whole(value, math.ceil),
            exact=_exact_whole(ROUND_CEILING),
        ),
    ),
    function(
        "FLOOR",
        KEPT,
        _call,
        "The greatest whole number that is not above.",
        Example((-1.1,), -2.0),
        edges="The type stays, so the result of a DOUBLE is a DOUBLE.",
        differs=OUT_OF_RANGE,
        bind=_of_kind(
            whole=lambda value, _: value,
            double=lambda value: _to_whole(value, math.floor),
            exact=_exact_whole(ROUND_FLOOR),
        ),
    ),
    function(
        "ROUND",
        PLACES,
        _call,
        "The nearest whole number, or the nearest with so many places.",
        Example((-12345.678, -1), -12350.0),
        edges="Halves go up: 1.5 to 2, -1.5 to -1. Negative places round before the point. Without places, a DECIMAL "
        "loses those it has, and any other number becomes a BIGINT. With places the type stays.",
        differs=f"NaN and the infinities give null. {OUT_OF_RANGE}",
        bind=_to_places(_half_up),
    ),
    function(
        "TRUNC",
        PLACES,
        _call,
        "The number without its fraction, or without what is beyond so many places.",
        Example((12345.678, 1), 12345.6),
        edges="As ROUND, but digits are cut off.",
        differs=f"NaN and the infinities give null. {OUT_OF_RANGE}",
        bind=_to_places(_cut),
    ),
    function("SIGN", {"NUMBER": INT}, _sign, "-1, 0 or 1.", Example((-7,), -1), edges="0 for NaN."),
    _choice("GREATEST", max, (1, None, 2.5), 2.5),
    _choice("LEAST", min, ("b", "a", None), "a"),
)
