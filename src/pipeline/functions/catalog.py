"""All scalar functions by name, and those of ksqlDB that are refused, with the reason."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from types import MappingProxyType

from pipeline.functions.arrays import ARRAYS
from pipeline.functions.base import ScalarFunction, SignatureError, Types
from pipeline.functions.encodings import CODES
from pipeline.functions.geometry import GEOMETRY
from pipeline.functions.json_texts import JSON
from pipeline.functions.maps import MAPS
from pipeline.functions.masks import MASKS
from pipeline.functions.nulls import NULLS
from pipeline.functions.numbers import NUMBERS
from pipeline.functions.regexps import REGEXPS
from pipeline.functions.text import TEXT
from pipeline.functions.times import TIMES
from pipeline.functions.urls import URLS
from pipeline.tables.types import ColumnType

GROUPS: Mapping[str, tuple[ScalarFunction, ...]] = {
    "Text": (*TEXT, *REGEXPS, *MASKS, *CODES),
    "Numbers": (*NUMBERS, *GEOMETRY),
    "Time": TIMES,
    "Null": NULLS,
    "Arrays and maps": (*ARRAYS, *MAPS),
    "JSON": JSON,
    "URLs": URLS,
}

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "RANDOM": "is refused: it gives another number at every call, so a replay would not give the same",
        "NOW": "is refused: it is the present moment, so a replay would not give the same; take the record's time",
        "CURRENT_TIMESTAMP": "is refused: it is the present moment, so a replay would not give the same; take the "
        "record's time",
        "CURRENT_DATE": "is refused: it is the present day, so a replay would not give the same; take the "
        "record's time",
        "CURRENT_TIME": "is refused: it is the present moment, so a replay would not give the same; take the "
        "record's time",
    }
)
"""Functions that are not there, each with what follows its name in a sentence."""

WITHOUT_ARGUMENT: Mapping[str, str] = {
    "UUID": "takes 16 BYTES: without them it is random, so a replay would not give the same",
    "UNIX_DATE": "takes a DATE: without it it is the present day, so a replay would not give the same",
    "UNIX_TIMESTAMP": "takes a TIMESTAMP: without it it is the present moment, so a replay would not give the same",
}


def _asked(function: ScalarFunction, reason: str) -> ScalarFunction:
    """The function, which says why it is not there without argument."""

    def returns(types: Types) -> ColumnType:
        if not types:
            raise SignatureError(reason)
        return function.returns(types)

    return replace(function, returns=returns)


def _all() -> dict[str, ScalarFunction]:
    found = {}
    for group, functions in GROUPS.items():
        for function in functions:
            reason = WITHOUT_ARGUMENT.get(function.name)
            found[function.name] = replace(function if reason is None else _asked(function, reason), group=group)
    return found


FUNCTIONS: Mapping[str, ScalarFunction] = MappingProxyType(_all())


def find(name: str) -> ScalarFunction:
    """The function of a name, in letters of either case; SignatureError with the nearest names when there is none."""
    wanted = name.upper()
    if (found := FUNCTIONS.get(wanted)) is not None:
        return found
    if (reason := REFUSED.get(wanted)) is not None:
        raise SignatureError(reason)
    near = get_close_matches(wanted, FUNCTIONS)
    told = f", but {' and '.join(near)} {'is' if len(near) == 1 else 'are'}" if near else ""
    raise SignatureError(f"is no function{told}")
