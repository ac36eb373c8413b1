"""Sums and averages, exact whatever the order: SUM and AVG of ksqlDB, for longs, doubles and decimals.

Nulls are skipped. The sum of nothing is 0, the average of nothing is null. All of them can subtract.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from math import fsum

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Field, OneByOne, Row

LARGEST = 1e290
MAX_SCALE = 18
_EXACT = Context(prec=100)


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


@dataclass(frozen=True, slots=True)
class SumLong(OneByOne):
    """SUM of whole numbers; the total must be within a long. State: int."""

    column: str
    output: str

    def zero(self) -> int:
        """Nothing added."""
        return 0

    def add(self, state: int, value: int | None, offset: int) -> int:
        """One more number; null changes nothing."""
        return state if value is None else state + value

    def merge(self, left: int, right: int) -> int:
        """Both sums."""
        return left + right

    def subtract(self, left: int, right: int) -> int:
        """The left sum without the right one."""
        return left - right

    def columns(self, state: int) -> Row:
        """{output: long}."""
        return {self.output: state}

    def fields(self) -> list[Field]:
        """One long."""
        return [{"name": self.output, "type": "long"}]


@dataclass(frozen=True, slots=True)
class SumDecimal(OneByOne):
    """SUM of decimals with at most `scale` (0 to 18) digits after the point, exact. State: int, in 10**-scale.

    A `Decimal` is taken by its value, rounded half up where it is finer; an `int` is already in 10**-scale, such as
    cents. Shown as `output`, a double in whole units, and as the exact long `output` + '_cents' when the scale is 2,
    else `output` + '_unscaled'.
    """

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

    def zero(self) -> int:
        """Nothing added."""
        return 0

    def add(self, state: int, value: Decimal | int | None, offset: int) -> int:
        """One more amount; null changes nothing."""
        return state if value is None else state + self._unscaled(value)

    def merge(self, left: int, right: int) -> int:
        """Both sums."""
        return left + right

    def subtract(self, left: int, right: int) -> int:
        """The left sum without the right one."""
        return left - right

    def columns(self, state: int) -> Row:
        """{output: double, exact_output: long}."""
        return {self.output: state / 10**self.scale, self.exact_output: state}

    def fields(self) -> list[Field]:
        """A double and the exact long."""
        return [{"name": self.output, "type": "double"}, {"name": self.exact_output, "type": "long"}]

    def _unscaled(self, value: Decimal | int) -> int:
        if isinstance(value, int):
            return value
        return int(value.scaleb(self.scale, _EXACT).to_integral_value(ROUND_HALF_UP))


@dataclass(frozen=True, slots=True)
class SumDouble(OneByOne):
    """SUM of doubles, the double nearest to the true sum. State: see `exact_sum`.

    NaN and anything beyond 1e290 in size are skipped like null: neither JSON nor a sum could hold them.
    """

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
