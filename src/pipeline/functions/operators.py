"""The operators of expressions: result types and values of + - * / %, and what two sides are compared as.

Rules are ksqlDB's: Operator and SqlDecimal for types, ArithmeticInterpreter and ComparisonUtil for values. The messages
of errors follow the name of the operator. No callable is called with null.
"""

import math
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from pipeline.functions.base import EvaluationError, SignatureError, fits
from pipeline.functions.casts import decimal_in
from pipeline.functions.kinds import DOUBLE, INT, LONG, NUMBERS, STRING, decimal, digits, is_null, kind, sql_names
from pipeline.functions.moments import at_midnight, moment, read_date, read_time, read_timestamp
from pipeline.tables.types import EXACT, ColumnType

Convert = Callable[[Any], Any]
Operation = Callable[[Any, Any], Any]

OPERATORS = ("+", "-", "*", "/", "%")
LEAST_SCALE_OF_QUOTIENT = 6


def arithmetic(op: str, left: ColumnType | None, right: ColumnType | None) -> tuple[ColumnType, Operation]:
    """The type of `left op right`, and the operation on its values.

    A whole number that INT or BIGINT cannot hold, and a division by zero that is not one of doubles, are an
    EvaluationError. (ksqlDB wraps around; a division by zero is null there, too.)
    """
    if op not in OPERATORS:
        raise SignatureError(f"is no operator, which must be one of {' '.join(OPERATORS)}")
    kinds = kind(left), kind(right)
    if left is None or right is None or not (set(kinds) <= set(NUMBERS) or (op == "+" and kinds == ("STRING",) * 2)):
        texts = " or two texts" if op == "+" else ""
        raise SignatureError(f"takes two numbers{texts}, but was given {sql_names((left, right))}")
    if kinds == ("STRING", "STRING"):
        return STRING, lambda a, b: a + b
    if "DOUBLE" in kinds:
        operation = OF_DOUBLES[op]
        return DOUBLE, lambda a, b: operation(float(a), float(b))
    if "DECIMAL" in kinds:
        return _of_decimals(op, left, right)
    bits = 64 if "BIGINT" in kinds else 32
    whole = OF_WHOLE[op]
    return (LONG if bits == 64 else INT), lambda a, b: fits(whole(a, b), bits)


def _quotient(a: int, b: int) -> int:
    """Java's: towards zero."""
    if b == 0:
        raise EvaluationError(f"divides {a} by zero")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _remainder(a: int, b: int) -> int:
    """Java's: the sign is that of the left side."""
    if b == 0:
        raise EvaluationError(f"divides {a} by zero")
    return abs(a) % abs(b) * (-1 if a < 0 else 1)


def _double_quotient(a: float, b: float) -> float:
    if b != 0:
        return a / b
    return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1, b)


def _double_remainder(a: float, b: float) -> float:
    try:
        return math.fmod(a, b)
    except ValueError:
        return math.nan


OF_WHOLE: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _quotient,
    "%": _remainder,
}
OF_DOUBLES: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _double_quotient,
    "%": _double_remainder,
}


def _of_decimals(op: str, left: ColumnType, right: ColumnType) -> tuple[ColumnType, Operation]:
    (p1, s1), (p2, s2) = digits(left), digits(right)
    match op:
        case "+" | "-":
            result = max(s1, s2) + max(p1 - s1, p2 - s2) + 1, max(s1, s2)
        case "*":
            result = p1 + p2 + 1, s1 + s2
        case "/":
            scale = max(LEAST_SCALE_OF_QUOTIENT, s1 + p2 + 1)
            result = p1 - s1 + s2 + scale, scale
        case _:
            result = min(p1 - s1, p2 - s2) + max(s1, s2), max(s1, s2)
    # A remainder of two decimals that are only fractions has no digit before its point, and needs one in all.
    precision, scale = max(*result, 1), result[1]
    exact = _exact(op, precision)
    return decimal(precision, scale), lambda a, b: decimal_in(exact(Decimal(a), Decimal(b)), precision, scale)


def _exact(op: str, precision: int) -> Callable[[Decimal, Decimal], Decimal]:
    if op in "+-*":
        return {"+": EXACT.add, "-": EXACT.subtract, "*": EXACT.multiply}[op]
    # Digits beyond those of the result, so that it is rounded once.
    context = Context(prec=2 * precision + 10, rounding=ROUND_HALF_UP)
    of = context.divide if op == "/" else context.remainder

    def divided(a: Decimal, b: Decimal) -> Decimal:
        if b == 0:
            raise EvaluationError(f"divides {a} by zero")
        return of(a, b)

    return divided


def comparable(left: ColumnType | None, right: ColumnType | None, *, ordered: bool = False) -> tuple[Convert, Convert]:
    """What turns each side's values into ones that Python compares as ksqlDB does.

    Numbers are compared as the wider type; a decimal and a double as decimals, by the double's shortest digits. Text
    that meets a date, time or timestamp is read as one. With `ordered` it is for < and its kin, which booleans, arrays,
    maps and structs do not have.
    """
    if left is None or right is None or is_null(left) or is_null(right):
        raise SignatureError("takes no NULL: IS NULL or IS NOT NULL is meant")
    kinds = kind(left), kind(right)
    both = set(kinds)
    if both <= set(NUMBERS):
        return _numbers(left, right)
    if both <= {"DATE", "TIMESTAMP"} or ("STRING" in both and both <= {"DATE", "TIMESTAMP", "TIME", "STRING"}):
        return _times(kinds)
    same = len(both) == 1
    if same and (kinds[0] in ("TIME", "BYTES", "UUID") or (kinds[0] in UNORDERED and not ordered)):
        return unchanged, unchanged
    reason = f"takes no order of {kinds[0]}" if same else "takes two that can be compared"
    raise SignatureError(f"{reason}, but was given {sql_names((left, right))}")


UNORDERED = ("BOOLEAN", "ARRAY", "MAP", "STRUCT")


def unchanged(value: Any) -> Any:
    return value


def _decimal_of(value: Any) -> Decimal:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise EvaluationError(f"compares {value} with a DECIMAL")
        return Decimal(repr(value))
    return Decimal(value)


def _numbers(left: ColumnType, right: ColumnType) -> tuple[Convert, Convert]:
    kinds = {kind(left), kind(right)}
    if "DECIMAL" in kinds:
        return _decimal_of, _decimal_of
    if "DOUBLE" in kinds:
        return float, float
    return unchanged, unchanged


def _times(kinds: tuple[str, str]) -> tuple[Convert, Convert]:
    both = set(kinds)
    if both == {"STRING"}:
        return unchanged, unchanged
    wanted = "TIMESTAMP" if "TIMESTAMP" in both else "DATE" if "DATE" in both else "TIME"
    read: dict[tuple[str, str], Convert] = {
        ("STRING", "TIMESTAMP"): read_timestamp,
        ("STRING", "DATE"): read_date,
        ("STRING", "TIME"): read_time,
        ("TIMESTAMP", "TIMESTAMP"): moment,
        ("DATE", "TIMESTAMP"): _midnight,
    }
    first, second = (read.get((of, wanted), unchanged) for of in kinds)
    return first, second


def _midnight(day: date) -> Any:
    return at_midnight(day)


def negation(of: ColumnType | None) -> tuple[ColumnType, Convert]:
    """The type of `-value`, and the operation."""
    if of is None or kind(of) not in NUMBERS:
        raise SignatureError(f"takes a number, but was given {sql_names((of,))}")
    match kind(of):
        case "INT":
            return of, lambda value: fits(-value, 32)
        case "BIGINT":
            return of, lambda value: fits(-value, 64)
        case "DECIMAL":
            return of, lambda value: value.copy_negate()
    return DOUBLE, lambda value: -float(value)
