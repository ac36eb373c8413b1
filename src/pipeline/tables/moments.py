"""Statistics: STDDEV_SAMP, STDDEV_SAMPLE and CORRELATION of ksqlDB, exact whatever the order of the rows.

Numbers are taken as doubles. Their sums, and those of their products, are kept without rounding (see `exact_sum`), and
only the result is rounded. So merging in any order gives the same, and what is subtracted leaves no trace. NaN and
anything beyond 1e145 in size are skipped like null: products of larger ones could not be summed. All can subtract.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import nan, sqrt
from typing import Any, ClassVar

from pipeline.tables.aggregate import Field, OneByOne, Row
from pipeline.tables.sums import exact_sum

LARGEST = 1e145
SPLIT = float((1 << 27) + 1)
NUMBERS = ("int", "long", "float", "double", "decimal")
State = list[Any]
"""[how many, *sums], each sum as in `exact_sum`."""


def is_taken(value: Any) -> bool:
    """Whether a number is taken: neither null nor NaN, and at most 1e145 in size."""
    return value is not None and abs(value) <= LARGEST


def product(x: float, y: float) -> tuple[float, float]:
    """Two doubles that are x * y together: the rounded product and what rounding left out (Dekker, 1971).

    Products below 1e-290 may lose their last bits; the same numbers always give the same two.
    """
    whole = x * y
    left, right = x * SPLIT, y * SPLIT
    x_high, y_high = left - (left - x), right - (right - y)
    x_low, y_low = x - x_high, y - y_high
    return whole, x_low * y_low - (whole - x_high * y_high - x_low * y_high - x_high * y_low)


def _exact(parts: Iterable[float]) -> Fraction:
    return sum(map(Fraction, parts), Fraction(0))


def _sum(*states: State) -> State:
    count, *sums = zip(*states, strict=True)
    return [sum(count), *(exact_sum([part for parts in column for part in parts]) for column in sums)]


def _negative(state: State) -> State:
    return [-state[0], *([-part for part in parts] for parts in state[1:])]


class _Moments:
    """Sums of numbers and of their products, which can be added and taken back."""

    __slots__ = ()

    def merge(self, left: State, right: State) -> State:
        """The numbers of both."""
        return _sum(left, right)

    def subtract(self, left: State, right: State) -> State:
        """The left numbers without the right ones."""
        return _sum(left, _negative(right))


@dataclass(frozen=True, slots=True)
class _Spread(_Moments, OneByOne, ABC):
    """State: [how many, sum, sum of squares]."""

    TAKES: ClassVar = NUMBERS

    column: str
    output: str

    @abstractmethod
    def _shown(self, variance: Fraction) -> float:
        """The result of a sample variance."""

    def zero(self) -> State:
        """No number."""
        return [0, [], []]

    def add(self, state: State, value: float | Decimal | None, offset: int) -> State:
        """One more number; null changes nothing."""
        return self.add_many(state, [value], [offset])

    def add_many(self, state: State, values: Sequence[float | Decimal | None], offsets: Sequence[int]) -> State:
        """All of them; null changes nothing."""
        taken = [float(value) for value in values if value is not None and is_taken(value)]
        squares = [part for x in taken for part in product(x, x)]
        return _sum(state, [len(taken), taken, squares]) if taken else state

    def columns(self, state: State) -> Row:
        """{output: double}; 0.0 of less than two numbers, as in ksqlDB."""
        count, total, squares = state[0], _exact(state[1]), _exact(state[2])
        if count < 2:
            return {self.output: 0.0}
        return {self.output: self._shown(max((squares - total * total / count) / (count - 1), Fraction(0)))}

    def fields(self) -> list[Field]:
        """One double."""
        return [{"name": self.output, "type": "double"}]


class SampleVariance(_Spread):
    """STDDEV_SAMP(column), which in ksqlDB is the sample variance: it draws no root (StandardDeviationSampUdaf)."""

    __slots__ = ()

    def _shown(self, variance: Fraction) -> float:
        return float(variance)


class StandardDeviation(_Spread):
    """STDDEV_SAMPLE(column): the sample standard deviation, the root of the sample variance."""

    __slots__ = ()

    def _shown(self, variance: Fraction) -> float:
        return sqrt(variance)


@dataclass(frozen=True, slots=True)
class Correlation(_Moments):
    """CORRELATION(x, y): Pearson's coefficient, of the rows in which both have a number; NaN where there is none.

    There is none of less than two rows, nor where all x or all y are the same. State: [how many, sum of x, of y, of
    x * x, of y * y, of x * y].
    """

    TAKES: ClassVar = NUMBERS

    x: str
    y: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Both columns."""
        return self.x, self.y

    def zero(self) -> State:
        """No pair."""
        return [0, [], [], [], [], []]

    def add(self, state: State, value: tuple[Any, Any], offset: int) -> State:
        """One more pair; null in one of the two changes nothing."""
        return self.add_many(state, [value], [offset])

    def add_many(self, state: State, values: Sequence[tuple[Any, Any]], offsets: Sequence[int]) -> State:
        """All of them; null in one of the two changes nothing."""
        taken = [(float(x), float(y)) for x, y in values if is_taken(x) and is_taken(y)]
        if not taken:
            return state
        xs, ys = map(list, zip(*taken, strict=True))
        products = ([part for one, other in pairs for part in product(one, other)] for pairs in _pairs(xs, ys))
        return _sum(state, [len(taken), xs, ys, *products])

    def columns(self, state: State) -> Row:
        """{output: double}."""
        count, x, y, xx, yy, xy = state[0], *map(_exact, state[1:])
        across, spread = count * xy - x * y, (count * xx - x * x) * (count * yy - y * y)
        if count < 2 or spread <= 0:
            return {self.output: nan}
        size = min(sqrt(across * across / spread), 1.0)
        return {self.output: size if across >= 0 else -size}

    def fields(self) -> list[Field]:
        """One double."""
        return [{"name": self.output, "type": "double"}]


def _pairs(xs: Sequence[float], ys: Sequence[float]) -> Iterable[Iterable[tuple[float, float]]]:
    return zip(xs, xs, strict=True), zip(ys, ys, strict=True), zip(xs, ys, strict=True)
