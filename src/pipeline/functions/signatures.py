"""Which types a function takes, written as ksqlDB's documentation writes it: "STRING, INT", "DOUBLE...", "ARRAY".

A form is a list of kinds. `ANY` takes every type, `NUMBER` every number, `UNIT` a text, `KIND...` one or more of it. A
kind of number takes the narrower ones, too (INT, BIGINT, DECIMAL, DOUBLE, in this order); NULL fits everywhere.
"""

from collections.abc import Callable, Mapping

from pipeline.functions.base import Bind, Call, Example, Returns, ScalarFunction, SignatureError, Types
from pipeline.functions.kinds import NUMBERS, is_null, kind, sql_names
from pipeline.tables.types import ColumnType

Result = ColumnType | Callable[[Types], ColumnType]


def takes(forms: Mapping[str, Result]) -> Returns:
    """The result type by the first form that fits without widening, else by the first that fits with it."""
    parsed = [(_kinds(form), result) for form, result in forms.items()]

    def returns(types: Types) -> ColumnType:
        for widening in (False, True):
            for kinds, result in parsed:
                if _fit(kinds, types, widening):
                    return result if isinstance(result, ColumnType) else result(types)
        raise SignatureError(f"takes {told(forms)}, but was given {sql_names(types)}")

    return returns


def told(forms: Mapping[str, Result]) -> str:
    """The forms in words."""
    listed = [f"({form})" for form in forms]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}"


def _kinds(form: str) -> list[str]:
    return [part.strip() for part in form.split(",") if part.strip()]


def _fit(kinds: list[str], types: Types, widening: bool) -> bool:
    if kinds and kinds[-1].endswith("..."):
        least = len(kinds)
        if len(types) < least:
            return False
        kinds = [*kinds[:-1], *[kinds[-1].removesuffix("...")] * (len(types) - least + 1)]
    return len(kinds) == len(types) and all(
        is_null(given) or _takes(wanted, kind(given), widening) for wanted, given in zip(kinds, types, strict=True)
    )


def _takes(wanted: str, given: str, widening: bool) -> bool:
    if wanted in (given, "ANY"):
        return True
    if wanted == "UNIT":
        return given == "STRING"
    if wanted == "NUMBER":
        return given in NUMBERS
    return widening and wanted in NUMBERS and given in NUMBERS and NUMBERS.index(given) < NUMBERS.index(wanted)


def function(
    name: str,
    forms: Mapping[str, Result],
    call: Call,
    about: str,
    example: Example,
    *,
    edges: str = "",
    differs: str = "",
    takes_nulls: bool = False,
    bind: Bind | None = None,
) -> ScalarFunction:
    """A function that takes these forms, with what its page says."""
    return ScalarFunction(
        name,
        takes(forms),
        call,
        takes_nulls,
        bind,
        forms=tuple(forms),
        about=about,
        edges=edges,
        differs=differs,
        example=example,
    )
