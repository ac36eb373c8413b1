"""Sums and averages, exact whatever the order: SUM and AVG of ksqlDB, for longs, doubles and decimals.

Nulls are skipped. The sum of nothing is 0, the average of nothing is null. All of them can subtract. Sums of whole
numbers and decimals are exact whatever their size; `limits.misfit` tells when one is beyond its column's type.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import fsum, inf
from typing import ClassVar

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Field, OneByOne, Row
from pipeline.tables.limits import RANGES
from pipeline.tables.types import scaled, unscaled

LARGEST = 1e290
MAX_SCALE = 18
LOWEST, HIGHEST = RANGES["long"]
Whole = int | str
"""The state of an exact sum: the number, or its hexadecimal text where it is beyond 64 bits, as JSON's numbers end."""


def whole(state: Whole) -> int:
    """The number of a state."""
    return state if isinstance(state, int) else int(state, 16)


def kept(total: int) -> Whole:
    """The state of a number."""
    return total if LOWEST <= total <= HIGHEST else hex(total)


def in_units(total: int, scale: int) -> float:
    """10**-scale as often as `total` says, as a double; infinite where doubles end."""
    try:
        return float(total / 10**scale)
    except OverflowError:
        return inf if total > 0 else -inf


def is_summed(value: float | None) -> bool:
    """Whether a number is summed: neither null nor NaN, and at most 1e290 in size, so that no sum overflows."""
    return value is not None and abs(value) <= LARGEST


def exact_sum(terms: Sequence[float]) -> list[float]:
    """The sum of doubles without any rounding, as a short list of doubles which depends on the sum alone.

    Each is the double nearest to what those before it leave; [] is 0. So the order of adding does not matter.
    """
    left, parts = list(terms), []
    while part := fsum(left):
        parts.append(part)
        left.append(-part)
    return parts


class _Exact(OneByOne):
    """What exact sums have in common. State: see Whole."""

    __slots__ = ()

    def zero(self) -> Whole:
        """Nothing added."""
        return 0

    def merge(self, left: Whole, right: Whole) -> Whole:
        """Both sums."""
        return kept(whole(left) + whole(right))

    def subtract(self, left: Whole, right: Whole) -> Whole:
        """The left sum without the right one."""
        return kept(whole(left) - whole(right))


@dataclass(frozen=True, slots=True)
class SumLong(_Exact):
    """SUM of whole numbers, exact; shown as a long. State: see Whole."""

    TAKES: ClassVar = ("int", "long")

    column: str
    output: str

    def add(self, state: Whole, value: int | None, offset: int) -> Whole:
        """One more number; null changes nothing."""
        return state if value is None else kept(whole(state) + value)

    def add_many(self, state: Whole, values: Sequence[int | None], offsets: Sequence[int]) -> Whole:
        """All of them; null changes nothing."""
        return kept(whole(state) + sum(value for value in values if value is not None))

    def columns(self, state: Whole) -> Row:
        """{output: the sum, which a long may not be able to hold}."""
        return {self.output: whole(state)}

    def fields(self) -> list[Field]:
        """One long."""
        return [{"name": self.output, "type": "long"}]


@dataclass(frozen=True, slots=True)
class SumDecimal(_Exact):
    """SUM of decimals with at most `scale` (0 to 18) digits after the point, exact. State: see Whole, in 10**-scale.

    A `Decimal` is taken by its value, rounded half up where it is finer; an `int` is already in 10**-scale, such as
    cents. Shown as `output`, a double in whole units, and as the exact long `output` + '_cents' when the scale is 2,
    else `output` + '_unscaled'.
    """

    TAKES: ClassVar = ("decimal", "int", "long")

    column: str
    output: str
    scale: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.scale <= MAX_SCALE:
            raise SettingError(f"SumDecimal: scale is {self.scale}, but must be in 0 .. {MAX_SCALE}")

    @property
    def exact_output(self) -> str:
        """The name of the exact column."""
        return f"{self.output}_{'cents' if self.scale == 2 else 'unscaled'}"

    def add(self, state: Whole, value: Decimal | int | None, offset: int) -> Whole:
        """One more amount; null changes nothing."""
        return state if value is None else kept(whole(state) + self._unscaled(value))

    def add_many(self, state: Whole, values: Sequence[Decimal | int | None], offsets: Sequence[int]) -> Whole:
        """All of them; null changes nothing."""
        return kept(whole(state) + sum(self._all_unscaled(values)))

    def columns(self, state: Whole) -> Row:
        """{output: double, exact_output: the sum, which a long may not be able to hold}."""
        total = whole(state)
        return {self.output: in_units(total, self.scale), self.exact_output: total}

    def fields(self) -> list[Field]:
        """A double and the exact long."""
        return [{"name": self.output, "type": "double"}, {"name": self.exact_output, "type": "long"}]

    def _unscaled(self, value: Decimal | int) -> int:
        return value if isinstance(value, int) else unscaled(value, self.scale)

    def _all_unscaled(self, values: Sequence[Decimal | int | None]) -> Iterable[int]:
        scale = self.scale
        return [v if isinstance(v, int) else unscaled(v, scale) for v in values if v is not None]


@dataclass(frozen=True, slots=True)
class SumOfDecimals(_Exact):
    """SUM of decimals of one scale, exact; shown as a decimal of 38 digits. State: see Whole, in 10**-scale."""

    TAKES: ClassVar = ("decimal",)
    PRECISION: ClassVar = 38

    column: str
    output: str
    scale: int

    @property
    def inputs(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def add(self, state: Whole, value: Decimal | None, offset: int) -> Whole:
        """One more amount; null changes nothing."""
        return state if value is None else kept(whole(state) + unscaled(value, self.scale))

    def columns(self, state: Whole) -> Row:
        """{output: the sum, which 38 digits may not be able to hold}."""
        return {self.output: scaled(whole(state), self.scale)}

    def fields(self) -> list[Field]:
        """One decimal."""
        decimal = {"type": "bytes", "logicalType": "decimal", "precision": self.PRECISION, "scale": self.scale}
        return [{"name": self.output, "type": decimal}]


@dataclass(frozen=True, slots=True)
class SumDouble(OneByOne):
    """SUM of doubles, the double nearest to the true sum. State: see `exact_sum`.

    NaN and anything beyond 1e290 in size are skipped like null: neither JSON nor a sum could hold them.
    """

    TAKES: ClassVar = ("float", "double", "int", "long")

    column: str
    output: str

    def zero(self) -> list[float]:
        """Nothing added."""
        return []

    def add(self, state: list[float], value: float | None, offset: int) -> list[float]:
        """One more number; null changes nothing."""
        return exact_sum([*state, value]) if value is not None and is_summed(value) else state

    def merge(self, left: list[float], right: list[float]) -> list[float]:
        """Both sums."""
        return exact_sum([*left, *right])

    def subtract(self, left: list[float], right: list[float]) -> list[float]:
        """The left sum without the right one."""
        return exact_sum([*left, *(-part for part in right)])

    def columns(self, state: list[float]) -> Row:
        """{output: double}."""
        return {self.output: fsum(state)}

    def fields(self) -> list[Field]:
        """One double."""
        return [{"name": self.output, "type": "double"}]


@dataclass(frozen=True, slots=True)
class Average(OneByOne):
    """AVG of numbers, taken as doubles; null when there is none. State: [how many, *`exact_sum`].

    NaN and anything beyond 1e290 in size are skipped like null.
    """

    TAKES: ClassVar = ("int", "long", "float", "double", "decimal")

    column: str
    output: str

    def zero(self) -> list[float]:
        """No number."""
        return [0]

    def add(self, state: list[float], value: float | None, offset: int) -> list[float]:
        """One more number; null changes nothing."""
        return self.merge(state, [1, value]) if value is not None and is_summed(value) else state

    def merge(self, left: list[float], right: list[float]) -> list[float]:
        """The numbers of both."""
        return [left[0] + right[0], *exact_sum([*left[1:], *right[1:]])]

    def subtract(self, left: list[float], right: list[float]) -> list[float]:
        """The left numbers without the right ones."""
        return self.merge(left, [-part for part in right])

    def columns(self, state: list[float]) -> Row:
        """{output: double or null}."""
        return {self.output: fsum(state[1:]) / state[0] if state[0] else None}

    def fields(self) -> list[Field]:
        """One double, null when there is no number."""
        return [{"name": self.output, "type": ["null", "double"], "default": None}]
