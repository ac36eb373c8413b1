"""Functions that choose between values and null."""

from typing import Any

from pipeline.functions.base import Call, Example, ScalarFunction, SignatureError, Types
from pipeline.functions.casts import coerce
from pipeline.functions.kinds import sql_names
from pipeline.tables.types import ColumnType


def _same_type(least: int, most: int | None) -> Any:
    def returns(types: Types) -> ColumnType:
        found = coerce(types)
        if found is None or not least <= len(types) <= (most or len(types)):
            count = f"{least} or more" if most is None else str(least)
            raise SignatureError(f"takes {count} of one type, not all of them NULL, but was given {sql_names(types)}")
        return found[0]

    return returns


def _bound(call: Call) -> Any:
    """A bind that brings all arguments to their common type first."""

    def bind(types: Types) -> Call:
        found = coerce(types)
        assert found is not None, "bind is called after returns"
        _, converts = found
        return lambda *values: call(*(convert(value) for convert, value in zip(converts, values, strict=True)))

    return bind


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _null_if(value: Any, other: Any) -> Any:
    return None if value is not None and value == other else value


WIDENED = "Numbers of several types are widened to one. Arrays, maps and structs are not looked into."

NULLS: tuple[ScalarFunction, ...] = (
    ScalarFunction(
        "COALESCE",
        _same_type(1, None),
        _coalesce,
        True,
        _bound(_coalesce),
        forms=("ANY...",),
        about="The first that is not null.",
        edges=f"Null when all are. {WIDENED}",
        example=Example((None, "b", "c"), "b"),
    ),
    ScalarFunction(
        "IFNULL",
        _same_type(2, 2),
        _coalesce,
        True,
        _bound(_coalesce),
        forms=("ANY, ANY",),
        about="The first, or the second when the first is null.",
        edges=WIDENED,
        example=Example((None, 0), 0),
    ),
    ScalarFunction(
        "NULLIF",
        _same_type(2, 2),
        _null_if,
        True,
        _bound(_null_if),
        forms=("ANY, ANY",),
        about="The first, or null when both are equal.",
        edges=WIDENED,
        example=Example(("n/a", "n/a"), None),
    ),
)
