"""Several aggregate functions in one row, as a SELECT may name them: one function made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Field, Function, Row, Subtracting


@dataclass(frozen=True, slots=True)
class Several:
    """All of these functions over the same rows. State: the list of their states, in their order.

    The inputs are theirs, one after the other, also where two have the same one: each takes it in its own form. So are
    the result's columns, whose names must differ. It can subtract when all of them can: see `parts_of`. Raises
    SettingError when there is no function, or two columns of the result have one name.
    """

    functions: tuple[Function, ...]
    inputs: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _spans: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "functions", tuple(self.functions))
        if not self.functions:
            raise SettingError("Several: functions is empty, but must be at least one function")
        names = [column["name"] for column in self.fields()]
        for name in names:
            if names.count(name) > 1:
                raise SettingError(f"Several: column {name} is there twice, but must be a name of its own for each")
        inputs: list[str] = []
        spans: list[tuple[int, int]] = []
        for function in self.functions:
            spans.append((len(inputs), len(inputs) + len(function.inputs)))
            inputs += function.inputs
        object.__setattr__(self, "inputs", tuple(inputs))
        object.__setattr__(self, "_spans", tuple(spans))

    def zero(self) -> list[Any]:
        """All of nothing."""
        return [function.zero() for function in self.functions]

    def add(self, state: list[Any], value: Any, offset: int) -> list[Any]:
        """Each with its part of the value."""
        row = value if len(self.inputs) > 1 else (value,)
        return [
            function.add(part, _part(row, start, end), offset)
            for function, part, (start, end) in zip(self.functions, state, self._spans, strict=True)
        ]

    def add_many(self, state: list[Any], values: Sequence[Any], offsets: Sequence[int]) -> list[Any]:
        """Each with its columns of the values."""
        if not offsets:
            return state
        columns = list(zip(*values, strict=True)) if len(self.inputs) > 1 else [values]
        return [
            function.add_many(part, _columns(columns, start, end), offsets)
            for function, part, (start, end) in zip(self.functions, state, self._spans, strict=True)
        ]

    def merge(self, left: list[Any], right: list[Any]) -> list[Any]:
        """Each merged."""
        return [f.merge(one, other) for f, one, other in zip(self.functions, left, right, strict=True)]

    def subtract(self, left: list[Any], right: list[Any]) -> list[Any]:
        """Each subtracted; only where all of them can."""
        functions = cast("tuple[Subtracting, ...]", self.functions)
        return [f.subtract(one, other) for f, one, other in zip(functions, left, right, strict=True)]

    def columns(self, state: list[Any]) -> Row:
        """The columns of all of them, in their order."""
        found: Row = {}
        for function, part in zip(self.functions, state, strict=True):
            found |= function.columns(part)
        return found

    def fields(self) -> list[Field]:
        """The fields of all of them, in their order."""
        return [column for function in self.functions for column in function.fields()]


def parts_of(function: Function) -> tuple[Function, ...]:
    """The functions of which one is made, in the order of their inputs: itself, where it is not Several."""
    if not isinstance(function, Several):
        return (function,)
    return tuple(part for inner in function.functions for part in parts_of(inner))


def _part(row: Sequence[Any], start: int, end: int) -> Any:
    if end - start == 1:
        return row[start]
    return row[start:end] if end > start else None


def _columns(columns: Sequence[Sequence[Any]], start: int, end: int) -> Sequence[Any]:
    if end - start == 1:
        return columns[start]
    return list(zip(*columns[start:end], strict=True)) if end > start else ()
