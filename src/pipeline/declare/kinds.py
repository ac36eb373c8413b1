"""The types of expressions and of what they read."""

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from pipeline.errors import SettingError
from pipeline.tables.types import ColumnType, column_type

Scope = Mapping[str, ColumnType]
"""The types of a row's columns."""
Kind = ColumnType | None
"""The type of an expression; None is that of NULL."""

NUMBERS = ("int", "long", "float", "double", "decimal")
INT_RANGE = range(-(1 << 31), 1 << 31)


class ExpressionError(SettingError):
    """An expression that cannot be, in one sentence without its place."""


def literal_type(value: Any) -> Kind:
    """The type of a Python value; raises ExpressionError when it has none."""
    match value:
        case None:
            return None
        case bool():
            return column_type("boolean")
        case int():
            return column_type("int" if value in INT_RANGE else "long")
        case float():
            return column_type("double")
        case str():
            return column_type("string")
        case bytes():
            return column_type("bytes")
        case Decimal() if value.is_finite():
            _, digits, exponent = value.as_tuple()
            scale = max(-int(exponent), 0)
            precision = max(len(digits) + max(int(exponent), 0), scale, 1)
            return column_type({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
        case datetime():
            return column_type({"type": "long", "logicalType": "timestamp-millis"})
        case date():
            return column_type({"type": "int", "logicalType": "date"})
        case time():
            return column_type({"type": "int", "logicalType": "time-millis"})
    raise ExpressionError(f"{value!r} is a {type(value).__name__}, which is no value of a column")
