"""COUNT_DISTINCT: exact while there are few values, a HyperLogLog beyond.

The sketch has 2**14 registers, as ksqlDB's, and so the same standard error of 0.81 %; hashes have 64 bits. The estimate
is that of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017): without bias over the whole
range, so that nothing jumps where counting stops to be exact. Merging takes the larger of each register: exact,
associative and commutative.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from math import inf, log, sqrt
from typing import Any, ClassVar

import orjson

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Field, OneByOne, Row
from pipeline.tables.choices import Scalar, is_value
from pipeline.tables.types import SCALARS

BITS = 14
REGISTERS = 1 << BITS
DEEPEST = 64 - BITS + 1
EMPTY = ord("#")
"""The character of register 0; those up to the deepest, "V", need no escape in JSON."""
HIGH = int.from_bytes(b"\x80" * REGISTERS, "big")
EXACT_UP_TO = 1_000


def sketch_of(values: Iterable[Any], state: str | None = None) -> str:
    """The registers of a sketch, one character each, after these values; without `state` of these values alone."""
    registers = bytearray([EMPTY]) * REGISTERS if state is None else bytearray(state, "ascii")
    for value in values:
        plain = value + 0.0 if isinstance(value, float) else value  # -0.0 is 0.0
        bits = int.from_bytes(blake2b(orjson.dumps(plain), digest_size=8).digest(), "big")
        place, rest = bits >> (64 - BITS), bits & ((1 << (64 - BITS)) - 1)
        depth = EMPTY + DEEPEST - rest.bit_length()
        if depth > registers[place]:
            registers[place] = depth
    return registers.decode("ascii")


def merged(left: str, right: str) -> str:
    """The larger of each register, all of them at once: characters are below 128, so that no byte borrows."""
    one, other = int.from_bytes(left.encode(), "big"), int.from_bytes(right.encode(), "big")
    not_smaller = ((one | HIGH) - other) & HIGH
    chosen = not_smaller - (not_smaller >> 7)
    return ((one & chosen) | (other & ~chosen)).to_bytes(REGISTERS, "big").decode("ascii")


def estimate(state: str) -> int:
    """How many different values a sketch has seen, about: the standard error is 0.81 %."""
    counts = [state.count(chr(EMPTY + depth)) for depth in range(DEEPEST + 1)]
    z = REGISTERS * _tau(1 - counts[DEEPEST] / REGISTERS)
    for count in reversed(counts[1:DEEPEST]):
        z = 0.5 * (z + count)
    z += REGISTERS * _sigma(counts[0] / REGISTERS)
    return round(REGISTERS * REGISTERS / (2 * log(2) * z))


def _sigma(x: float) -> float:
    if x == 1:
        return inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x, before = x * x, z
        z, y = z + x * y, y + y
    return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x, before, y = sqrt(x), z, y / 2
        z -= (1 - x) ** 2 * y
    return z / 3


@dataclass(frozen=True, slots=True)
class CountDistinct(OneByOne):
    """COUNT_DISTINCT(column): exact up to `exact_up_to` values, beyond with a standard error of 0.81 %.

    State: the distinct values' plain forms, sorted; beyond `exact_up_to` a text of 16,384 characters, see `sketch_of`.
    """

    TAKES: ClassVar = tuple(sorted(SCALARS))
    TAKES_PLAIN: ClassVar = True

    column: str
    output: str
    exact_up_to: int = EXACT_UP_TO

    def __post_init__(self) -> None:
        if self.exact_up_to < 0:
            raise SettingError(f"CountDistinct: exact_up_to is {self.exact_up_to}, but must be at least 0")

    def zero(self) -> list[Any] | str:
        """No value."""
        return []

    def add(self, state: list[Any] | str, value: Scalar | None, offset: int) -> list[Any] | str:
        """One more value; null and known ones change nothing."""
        if isinstance(state, str) or len(state) >= self.exact_up_to or not is_value(value):
            return self.add_many(state, [value], [offset])
        place = bisect_left(state, value)
        if place < len(state) and state[place] == value:
            return state
        return [*state[:place], value, *state[place:]]

    def add_many(
        self, state: list[Any] | str, values: Sequence[Scalar | None], offsets: Sequence[int]
    ) -> list[Any] | str:
        """All of them; null and known ones change nothing."""
        fresh = {value for value in values if is_value(value)}
        if isinstance(state, str):
            return sketch_of(fresh, state) if fresh else state
        return self._kept(fresh.union(state))

    def merge(self, left: list[Any] | str, right: list[Any] | str) -> list[Any] | str:
        """The values of both."""
        if isinstance(left, str):
            return merged(left, right) if isinstance(right, str) else sketch_of(right, left)
        return sketch_of(left, right) if isinstance(right, str) else self._kept({*chain(left, right)})

    def columns(self, state: list[Any] | str) -> Row:
        """{output: how many}."""
        return {self.output: estimate(state) if isinstance(state, str) else len(state)}

    def fields(self) -> list[Field]:
        """One long."""
        return [{"name": self.output, "type": "long"}]

    def _kept(self, values: set[Any]) -> list[Any] | str:
        return sorted(values) if len(values) <= self.exact_up_to else sketch_of(values)
