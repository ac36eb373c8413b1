"""The aggregate functions of ksqlDB: counts; all others are here too, under one name for callers.

Nulls are skipped by all of them except COUNT(*), COLLECT_LIST, COLLECT_SET and, where it is asked for, the first and
last by offset; so are NaN and the infinities, which JSON does not know, except where any type is kept as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.tables.aggregate import Field, OneByOne, Row
from pipeline.tables.by_offset import EarliestByOffset, LatestByOffset
from pipeline.tables.choices import Max, Min, Scalar, TopK, TopKDistinct, is_value
from pipeline.tables.collected import LIMIT, CollectList, CollectSet, Histogram
from pipeline.tables.distinct import EXACT_UP_TO, CountDistinct
from pipeline.tables.moments import Correlation, SampleVariance, StandardDeviation
from pipeline.tables.several import Several
from pipeline.tables.sums import Average, SumDecimal, SumDouble, SumLong, SumOfDecimals
from pipeline.tables.top_rows import TopKRows

__all__ = [
    "EXACT_UP_TO",
    "LIMIT",
    "Average",
    "CollectList",
    "CollectSet",
    "Correlation",
    "Count",
    "CountDistinct",
    "CountValues",
    "EarliestByOffset",
    "Histogram",
    "LatestByOffset",
    "Max",
    "Min",
    "SampleVariance",
    "Several",
    "StandardDeviation",
    "SumDecimal",
    "SumDouble",
    "SumLong",
    "SumOfDecimals",
    "TopK",
    "TopKDistinct",
    "TopKRows",
]


@dataclass(frozen=True, slots=True)
class Count:
    """COUNT(*): every row with a group counts. State: int."""

    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """No column: the row itself counts."""
        return ()

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
