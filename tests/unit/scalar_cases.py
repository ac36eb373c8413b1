"""How a case of a scalar function is written and run: its arguments, its result, and the types that values do not tell.

A result that is EvaluationError is a value that there is none of. The types are ksqlDB's names.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipeline.functions import EvaluationError, find, kind_of_value, parse_type
from pipeline.tables.types import ColumnType

Case = tuple[Any, ...]
"""(arguments, result) or (arguments, result, names of types)."""
Cases = Mapping[str, Sequence[Case]]

FAILS = EvaluationError


def listed(cases: Cases) -> list[Any]:
    """Every case as parameters of `run`."""
    return [
        pytest.param(name, *case[:2], case[2] if len(case) > 2 else None, id=f"{name}-{at}")
        for name, of_one in cases.items()
        for at, case in enumerate(of_one)
    ]


def types_of(arguments: Sequence[Any], names: Sequence[str | None] | None) -> list[ColumnType | None]:
    """The types by their names, or by the values."""
    if names is None:
        return [kind_of_value(value) for value in arguments]
    return [None if name is None else parse_type(name) for name in names]


def run(name: str, arguments: tuple[Any, ...], result: Any, names: Sequence[str | None] | None) -> None:
    """Asserts that the call gives this result, of this very type, or has none."""
    call = find(name).evaluator(types_of(arguments, names))
    if result is FAILS:
        with pytest.raises(EvaluationError) as caught:
            call(*arguments)
        assert str(caught.value)[0].islower()
        return
    found = call(*arguments)
    if isinstance(result, float):
        assert isinstance(found, float)
        assert found == pytest.approx(result, rel=1e-12, nan_ok=True)
        assert str(found)[0] == str(result)[0]
    else:
        assert found == result
        assert repr(found) == repr(result)
