"""What a scalar function is: its types, its call, its null rule, and what its page says of it.

The messages of both errors follow the name of the function, so that f"{name} {error}" is a sentence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.tables.types import ColumnType

Types = Sequence[ColumnType | None]
"""The types of the arguments; None is that of the literal NULL."""

Call = Callable[..., Any]
Returns = Callable[[Types], ColumnType]
Bind = Callable[[Types], Call]


class SignatureError(Exception):
    """The types do not fit: what the function takes, in words, and what it was given."""


class EvaluationError(ValueError):
    """There is no value: why. ksqlDB logs such a thing and goes on with null."""


@dataclass(frozen=True, slots=True)
class Example:
    """One call for the page and the tests. `types` are ksqlDB's names of types, where the values do not tell them."""

    arguments: tuple[Any, ...]
    result: Any
    types: tuple[str | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """A function of ksqlDB on the values of one row; it is pure: the same arguments give the same value, always.

    `call` takes Python values as fastavro reads them (a decimal is a Decimal, a timestamp an aware datetime, a map or
    struct a dict). Where `bind` is given, the call depends on the types of the arguments and `call` is only its
    default. Without `takes_nulls` a null among the arguments gives null, and there is no call.
    """

    name: str
    returns: Returns
    call: Call
    takes_nulls: bool = False
    bind: Bind | None = None
    group: str = field(default="", kw_only=True)
    forms: tuple[str, ...] = field(default=(), kw_only=True)
    about: str = field(default="", kw_only=True)
    edges: str = field(default="", kw_only=True)
    differs: str = field(default="", kw_only=True)
    example: Example = field(default=Example((), None), kw_only=True)

    def evaluator(self, types: Types) -> Call:
        """The call for arguments of these types, null rule included; raises SignatureError when they do not fit."""
        self.returns(types)
        call = self.call if self.bind is None else self.bind(types)
        if self.takes_nulls:
            return call

        def of_values(*values: Any) -> Any:
            return None if None in values else call(*values)

        return of_values


def fits(value: int, bits: int) -> int:
    """A whole number that a signed type of so many bits holds; EvaluationError for any other."""
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise EvaluationError(f"would be {value}, which is out of the range of {'INT' if bits == 32 else 'BIGINT'}")
    return value
