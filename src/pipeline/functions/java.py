"""What Java writes and reads differently from Python: numbers as text, and the blanks that are cut off a text."""

import re
from decimal import Decimal

BLANKS = "".join(map(chr, range(33)))
"""What String.trim cuts off at both ends: the space and every control character before it."""

LEAST_PLAIN, MOST_PLAIN = -3, 7
NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|NaN|Infinity)")


def double_text(value: float) -> str:
    """Double.toString: 1.0, 1.0E10, 1.0E-5, NaN, Infinity; digits as few as tell the value from its neighbours."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    figures = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + int(exponent)  # where the point is, counted from the first figure
    minus = "-" if sign else ""
    if figures == "0":
        return f"{minus}0.0"
    if LEAST_PLAIN < point <= MOST_PLAIN:
        if point <= 0:
            return f"{minus}0.{'0' * -point}{figures}"
        whole = figures[:point].ljust(point, "0")
        return f"{minus}{whole}.{figures[point:] or '0'}"
    return f"{minus}{figures[0]}.{figures[1:] or '0'}E{point - 1}"


def read_double(text: str) -> float:
    """Double.parseDouble without its hexadecimal numbers and type letters; raises ValueError for what is no number."""
    if NUMBER.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no number")
    return float(text)
