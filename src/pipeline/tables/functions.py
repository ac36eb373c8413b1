"""The aggregate functions of ksqlDB: counts; sums and choices are here too, under one name for callers.

Nulls are skipped by all of them except COUNT(*); so are NaN and the infinities, which JSON does not know.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.tables.aggregate import Field, OneByOne, Row
from pipeline.tables.choices import (
    EarliestByOffset,
    LatestByOffset,
    Max,
    Min,
    Scalar,
    TopK,
    TopKDistinct,
    is_value,
)
from pipeline.tables.sums import Average, SumDecimal, SumDouble, SumLong
from pipeline.tables.types import SCALARS

__all__ = [
    "Average",
    "Count",
    "CountDistinct",
    "CountValues",
    "EarliestByOffset",
    "LatestByOffset",
    "Max",
    "Min",
    "SumDecimal",
    "SumDouble",
    "SumLong",
    "TopK",
    "TopKDistinct",
]


@dataclass(frozen=True, slots=True)
class Count:
    """COUNT(*): every row with a group counts. State: int."""

    output: str

    @property
    def column(self) -> None:
        """No column: the row itself counts."""
        return

    def zero(self) -> int:
        """Nothing counted."""
        return 0

    def add(self, state: int, value: object, offset: int) -> int:
        """One more row."""
        return state + 1

    def add_many(self, state: int, values: Sequence[object], offsets: Sequence[int]) -> int:
        """As many rows as there are offsets."""
        return state + len(offsets)

    def merge(self, left: int, right: int) -> int:
        """Both counts."""
        return left + right

    def subtract(self, left: int, right: int) -> int:
        """The left count without the right one."""
        return left - right

    def columns(self, state: int) -> Row:
        """{output: count}."""
        return {self.output: state}

    def fields(self) -> list[Field]:
        """One long."""
        return [{"name": self.output, "type": "long"}]


@dataclass(frozen=True, slots=True)
class CountValues(OneByOne):
    """COUNT(column): rows whose column has a value. State: int."""

    column: str
    output: str

    def zero(self) -> int:
        """Nothing counted."""
        return 0

    def add(self, state: int, value: Scalar | None, offset: int) -> int:
        """One more row; null changes nothing."""
        return state + is_value(value)

    def merge(self, left: int, right: int) -> int:
        """Both counts."""
        return left + right

    def subtract(self, left: int, right: int) -> int:
        """The left count without the right one."""
        return left - right

    def columns(self, state: int) -> Row:
        """{output: count}."""
        return {self.output: state}

    def fields(self) -> list[Field]:
        """One long."""
        return [{"name": self.output, "type": "long"}]


@dataclass(frozen=True, slots=True)
class CountDistinct(OneByOne):
    """COUNT_DISTINCT(column), exact. State: the distinct values' plain forms, sorted."""

    TAKES: ClassVar = tuple(sorted(SCALARS))
    TAKES_PLAIN: ClassVar = True

    column: str
    output: str

    def zero(self) -> list[Any]:
        """No value."""
        return []

    def add(self, state: list[Any], value: Scalar | None, offset: int) -> list[Any]:
        """One more value; null and known ones change nothing."""
        if not is_value(value):
            return state
        place = bisect_left(state, value)
        if place < len(state) and state[place] == value:
            return state
        return [*state[:place], value, *state[place:]]

    def merge(self, left: list[Any], right: list[Any]) -> list[Any]:
        """The values of both."""
        return sorted({*left, *right})

    def columns(self, state: list[Any]) -> Row:
        """{output: how many}."""
        return {self.output: len(state)}

    def fields(self) -> list[Field]:
        """One long."""
        return [{"name": self.output, "type": "long"}]
