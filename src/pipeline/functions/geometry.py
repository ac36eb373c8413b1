"""Functions whose result is a DOUBLE: roots, powers, logarithms, angles, distances on the earth.

As in Java there is no error: what has no value is NaN, and what is too great is infinite.
"""

import math
from collections.abc import Callable
from typing import Any

from pipeline.functions.base import EvaluationError, Example, ScalarFunction
from pipeline.functions.kinds import DOUBLE
from pipeline.functions.signatures import function

EARTH_KM, EARTH_MILES = 6371.0, 3959.0
MILES = ("mi", "mile", "miles")
KILOMETRES = ("km", "kilometer", "kilometers", "kilometre", "kilometres")


def _quiet(of: Callable[[float], float], too_great: Callable[[float], float] = lambda _: math.inf) -> Any:
    def call(value: Any) -> float:
        try:
            return of(float(value))
        except ValueError:
            return math.nan
        except OverflowError:
            return too_great(value)

    return call


def _ln(value: Any) -> float:
    number = float(value)
    return -math.inf if number == 0 else math.log(number) if number > 0 else math.nan


def _log(base: Any, value: Any = None) -> float:
    """ksqlDB's LOG(value) is the natural one, whatever its page says; its tests hold it to that."""
    if value is None:
        return _ln(base)
    number = float(base)
    return math.nan if number <= 0 or number == 1 else _ln(value) / _ln(number)


def _power(base: Any, exponent: Any) -> float:
    """Math.pow."""
    left, right = float(base), float(exponent)
    if right != right or (abs(left) == 1 and math.isinf(right)):
        return math.nan
    odd = right % 2 == 1
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and odd else math.inf
    except ValueError:
        if left != 0:
            return math.nan
        return -math.inf if math.copysign(1, left) < 0 and odd else math.inf


def _cot(value: float) -> float:
    sine = math.sin(value)
    return math.copysign(math.inf, sine) if sine == 0 else math.cos(value) / sine


def _geo_distance(lat1: Any, lon1: Any, lat2: Any, lon2: Any, unit: str | None = None) -> float | None:
    if None in (lat1, lon1, lat2, lon2):
        return None
    first, second = (float(lat1), float(lon1)), (float(lat2), float(lon2))
    for latitude, longitude in (first, second):
        if not -90 <= latitude <= 90:
            raise EvaluationError(f"has the latitude {latitude}, which must be -90 to 90")
        if not -180 <= longitude <= 180:
            raise EvaluationError(f"has the longitude {longitude}, which must be -180 to 180")
    radius = _radius(unit)
    beta1, beta2 = math.radians(first[0]), math.radians(second[0])
    part = _haversine(math.radians(second[0] - first[0])) + _haversine(math.radians(second[1] - first[1])) * math.cos(
        beta1
    ) * math.cos(beta2)
    return 2 * math.asin(math.sqrt(min(part, 1.0))) * radius


def _radius(unit: str | None) -> float:
    name = (unit or "").strip().lower()
    if name in MILES:
        return EARTH_MILES
    if not name or name in KILOMETRES:
        return EARTH_KM
    raise EvaluationError(f"has the unit {unit!r}, which must be one of {', '.join((*MILES, *KILOMETRES))}")


def _haversine(angle: float) -> float:
    return math.sin(angle / 2) ** 2


def _of_one(name: str, of: Callable[[float], float], about: str, value: float, edges: str = "", **more: Any) -> Any:
    call = _quiet(of, **more)
    return function(name, {"NUMBER": DOUBLE}, call, about, Example((value,), call(value)), edges=edges)


OUTSIDE = "NaN outside of -1 to 1."
GEOMETRY: tuple[ScalarFunction, ...] = (
    _of_one("SQRT", math.sqrt, "The square root.", 9.0, "NaN for a negative number."),
    _of_one("CBRT", math.cbrt, "The cube root.", -27.0),
    _of_one("EXP", math.exp, "e to the power of the number.", 0.0, "Infinity when it is too great."),
    _of_one("LN", _ln, "The natural logarithm.", 1.0, "-Infinity for 0, NaN for a negative number."),
    function(
        "LOG",
        {"NUMBER": DOUBLE, "NUMBER, NUMBER": DOUBLE},
        _log,
        "The natural logarithm of a number, or that of the second number to the base of the first.",
        Example((10.0, 1.0), 0.0),
        edges="-Infinity for 0, NaN for a negative number, and for a base of 1, 0 or less. With one argument ksqlDB's "
        "page says base 10, but ksqlDB takes e, and so is it here.",
    ),
    function(
        "POWER",
        {"NUMBER, NUMBER": DOUBLE},
        _power,
        "The first number to the power of the second.",
        Example((15, 2), 225.0),
        edges="Infinity when it is too great, NaN for a root of a negative number.",
    ),
    function("PI", {"": DOUBLE}, lambda: math.pi, "The number pi.", Example((), math.pi)),
    _of_one("SIN", math.sin, "The sine of an angle in radians.", 0.0),
    _of_one("COS", math.cos, "The cosine of an angle in radians.", 0.0),
    _of_one("TAN", math.tan, "The tangent of an angle in radians.", 0.0),
    _of_one("COT", _cot, "The cotangent of an angle in radians.", 1.5707963267948966, "Infinity at 0, with its sign."),
    _of_one("ASIN", math.asin, "The angle of a sine, in radians.", 1.0, OUTSIDE),
    _of_one("ACOS", math.acos, "The angle of a cosine, in radians.", 1.0, OUTSIDE),
    _of_one("ATAN", math.atan, "The angle of a tangent, in radians.", 1.0),
    function(
        "ATAN2",
        {"NUMBER, NUMBER": DOUBLE},
        lambda y, x: math.atan2(float(y), float(x)),
        "The angle of the point (x, y), in radians; y is the first argument.",
        Example((1.0, 0.0), math.pi / 2),
    ),
    _of_one(
        "SINH",
        math.sinh,
        "The hyperbolic sine.",
        0.0,
        "Infinity, with its sign, when it is too great.",
        too_great=lambda value: math.copysign(math.inf, value),
    ),
    _of_one("COSH", math.cosh, "The hyperbolic cosine.", 0.0, "Infinity when it is too great."),
    _of_one("TANH", math.tanh, "The hyperbolic tangent.", 0.0),
    _of_one("DEGREES", math.degrees, "Radians as degrees.", math.pi),
    _of_one("RADIANS", math.radians, "Degrees as radians.", 180.0),
    function(
        "GEO_DISTANCE",
        {"NUMBER, NUMBER, NUMBER, NUMBER": DOUBLE, "NUMBER, NUMBER, NUMBER, NUMBER, STRING": DOUBLE},
        _geo_distance,
        "The distance of two points of the earth, each a latitude and a longitude in degrees: in KM, or MILES.",
        Example((37.4439, -122.1663, 51.5257, -0.1122), 8634.659796579546),
        edges="A unit that is null or blank is KM. Another unit, and a point that is none, give null. The earth is a "
        "sphere of 6371 km, or 3959 miles.",
        takes_nulls=True,
    ),
)
