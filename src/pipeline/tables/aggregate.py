"""Aggregate functions over a group: how a value is folded in, how two partials become one, what is shown.

A state is a plain JSON value (int, float, str, list), so that it goes to a changelog as it is. `merge` is associative
and commutative: partials of several source partitions give one total in any order.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.errors import SettingError
from pipeline.tables.windows import Unwindowed, Window

Row = dict[str, Any]


class Function(Protocol):
    """An aggregate function. `column` names the source column, or None where the row itself counts."""

    @property
    def column(self) -> str | None:
        """The column of the source row that is folded in."""

    def zero(self) -> Any:
        """The state before any row."""

    def add(self, state: Any, value: Any) -> Any:
        """The state after one more value."""

    def merge(self, left: Any, right: Any) -> Any:
        """The state of both together."""

    def columns(self, state: Any) -> Row:
        """The result's columns."""


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

    def add(self, state: int, value: object) -> int:
        """One more row."""
        return state + 1

    def merge(self, left: int, right: int) -> int:
        """Both counts."""
        return left + right

    def columns(self, state: int) -> Row:
        """{output: count}."""
        return {self.output: state}


@dataclass(frozen=True, slots=True)
class SumCents:
    """SUM of an amount kept in integer cents, so that it is exact; nulls are skipped. State: int cents.

    Shown as `output`, a double in whole units, and as `output` + '_cents', the exact long.
    """

    column: str
    output: str

    def zero(self) -> int:
        """Nothing added."""
        return 0

    def add(self, state: int, value: int | None) -> int:
        """One more amount in cents; null changes nothing."""
        return state if value is None else state + value

    def merge(self, left: int, right: int) -> int:
        """Both sums."""
        return left + right

    def columns(self, state: int) -> Row:
        """{output: double, output_cents: long}."""
        return {self.output: state / 100, f"{self.output}_cents": state}


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`SELECT group_by, FUNCTION FROM source WINDOW ... GROUP BY group_by` INTO the topic `output`.

    `name` is the key of its state in the changelog: never change it for a running application. With `final`, a
    result goes out once, when its window has closed (EMIT FINAL); otherwise with every change (EMIT CHANGES).
    """

    name: str
    group_by: str
    function: Function
    output: str
    window: Window
    final: bool = False

    def __post_init__(self) -> None:
        if self.final and isinstance(self.window, Unwindowed):
            raise SettingError(f"aggregate {self.name}: final results need a window that closes, and it has none")
