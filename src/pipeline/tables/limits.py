"""What the type of an output column can hold: a result beyond it is not sent.

The state of a sum is exact, however large. So a group whose total does not fit into its column goes on being counted,
a dead letter says that its result was not sent, and it is sent again once it fits. ksqlDB's SUM of a BIGINT wraps
around in silence, and its SUM of a DECIMAL ends the query.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any

from pipeline.tables.aggregate import Field, Row

Check = Callable[[Any], str | None]

LARGEST_FLOAT = 3.4028235677973366e38
"""Halfway above the largest float: from here on, rounding to 32 bits gives infinity."""
RANGES = {"int": (-(1 << 31), (1 << 31) - 1), "long": (-(1 << 63), (1 << 63) - 1)}


def misfit(row: Row, fields: Sequence[Field]) -> str | None:
    """The sentence that says which column of a row cannot hold its value, None when all of them can.

    It names the column, the value and what the type holds: int and long their ranges, float the largest one, decimal
    its precision and scale. `fields` are the Avro fields of the row's schema.
    """
    for field in fields:
        value = row.get(field["name"])
        if value is not None and (reason := _misfit(value, field["type"])) is not None:
            return f"column {field['name']} is {_shown(value)}, but {reason}"
    return None


def _misfit(value: Any, kind: Any) -> str | None:
    if isinstance(kind, list):
        kind = next((branch for branch in kind if branch != "null"), "null")
    if isinstance(kind, Mapping):
        if kind["type"] == "array":
            items = (item for item in value if item is not None)
            return next((r for item in items if (r := _misfit(item, kind["items"])) is not None), None)
        if kind.get("logicalType") == "decimal":
            return _decimal(value, kind["precision"], kind.get("scale", 0))
        kind = kind["type"]
    if kind in RANGES and type(value) is int:
        lowest, highest = RANGES[kind]
        return None if lowest <= value <= highest else f"its type {kind} holds {lowest} to {highest}"
    if kind == "float" and isfinite(value) and abs(value) >= LARGEST_FLOAT:
        return "its type float holds up to 3.4028234663852886e+38 in size"
    if kind == "double" and type(value) is int and abs(value) >= 1 << 1024:
        return "its type double holds up to 1.7976931348623157e+308 in size"
    return None


def _decimal(value: Decimal, precision: int, scale: int) -> str | None:
    _, digits, exponent = value.as_tuple()
    holds = f"its type decimal({precision}, {scale}) holds {precision} digits, {scale} of them after the point"
    if not isinstance(exponent, int):  # NaN, infinities
        return holds
    if value and (-exponent > scale or len(digits) + exponent + scale > precision):
        return holds
    return None


def _shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 1_024:
        return f"a number of {value.bit_length()} bits"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"
