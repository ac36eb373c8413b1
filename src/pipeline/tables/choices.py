"""Values chosen out of all: the smallest, the largest, the k largest.

The column's Avro type is declared, since the result has it, too. What is folded in are plain forms (see types.py) of
the column's values.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, ClassVar

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Field, OneByOne, Row
from pipeline.tables.types import SCALARS, ColumnType, column_type

Scalar = str | int | float | bool


def is_value(value: Scalar | None) -> bool:
    """Whether a value takes part: neither null nor a NaN or infinity."""
    return value is not None and (not isinstance(value, float) or isfinite(value))


def checked_type(function: object, avro: Any) -> ColumnType:
    """The type that a function declares; raises SettingError unless its values can be compared."""
    try:
        found = column_type(avro)
    except (KeyError, TypeError, AttributeError):
        found = None
    if found is None or not found.is_scalar or isinstance(avro, list):
        raise SettingError(
            f"{type(function).__name__}: type is {avro!r}, but must be an Avro type that is one of "
            f"{', '.join(sorted(SCALARS))}"
        )
    return found


@dataclass(frozen=True, slots=True)
class _Choice(OneByOne, ABC):
    """One value out of all, null when there is none. State: null or [value]."""

    TAKES: ClassVar = tuple(sorted(SCALARS))
    TAKES_PLAIN: ClassVar = True

    column: str
    output: str
    type: Any
    declared: ColumnType = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "declared", checked_type(self, self.type))

    @abstractmethod
    def _choose(self, left: list[Scalar], right: list[Scalar]) -> list[Scalar]:
        """One of two states."""

    def zero(self) -> None:
        """No value."""
        return

    def add(self, state: list[Scalar] | None, value: Scalar | None, offset: int) -> list[Scalar] | None:
        """The choice out of one value more; null changes nothing."""
        return self.merge(state, [value]) if value is not None and is_value(value) else state

    def merge(self, left: list[Scalar] | None, right: list[Scalar] | None) -> list[Scalar] | None:
        """The choice out of both."""
        if left is None or right is None:
            return right if left is None else left
        return self._choose(left, right)

    def columns(self, state: list[Scalar] | None) -> Row:
        """{output: value or null}."""
        return {self.output: None if state is None else self.declared.value(state[0])}

    def fields(self) -> list[Field]:
        """One column of the declared type, or null."""
        return [{"name": self.output, "type": ["null", self.declared.avro], "default": None}]


class Min(_Choice):
    """MIN(column), null when there is no value. State: null or [value]."""

    __slots__ = ()

    def _choose(self, left: list[Scalar], right: list[Scalar]) -> list[Scalar]:
        return min(left, right)


class Max(_Choice):
    """MAX(column), null when there is no value. State: null or [value]."""

    __slots__ = ()

    def _choose(self, left: list[Scalar], right: list[Scalar]) -> list[Scalar]:
        return max(left, right)


@dataclass(frozen=True, slots=True)
class TopK(OneByOne):
    """TOPK(column, k): the `k` (1 or more) largest values, repeated ones too. State: those values, largest first."""

    TAKES: ClassVar = tuple(sorted(SCALARS))
    TAKES_PLAIN: ClassVar = True

    column: str
    output: str
    type: Any
    k: int
    declared: ColumnType = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "declared", checked_type(self, self.type))
        if self.k < 1:
            raise SettingError(f"{type(self).__name__}: k is {self.k}, but must be at least 1")

    def zero(self) -> list[Any]:
        """No value."""
        return []

    def add(self, state: list[Any], value: Scalar | None, offset: int) -> list[Any]:
        """The largest out of one value more; null changes nothing."""
        return self.merge(state, [value]) if is_value(value) else state

    def merge(self, left: list[Any], right: list[Any]) -> list[Any]:
        """The largest of both."""
        return sorted([*left, *right], reverse=True)[: self.k]

    def columns(self, state: list[Any]) -> Row:
        """{output: array}, empty when there is no value."""
        return {self.output: [self.declared.value(plain) for plain in state]}

    def fields(self) -> list[Field]:
        """One array of the declared type."""
        return [{"name": self.output, "type": {"type": "array", "items": self.declared.avro}}]


class TopKDistinct(TopK):
    """TOPKDISTINCT(column, k): the `k` largest different values. State: those values, largest first."""

    __slots__ = ()

    def merge(self, left: list[Any], right: list[Any]) -> list[Any]:
        """The largest of both, each once."""
        return sorted({*left, *right}, reverse=True)[: self.k]
