"""What an aggregation is: its function, what it groups by, its window and its output.

A function's state is a plain JSON value (int, float, str, list), so that it goes to a changelog as it is. `merge` is
associative and commutative: partials of several source partitions give one total in any order. The functions
themselves are in `functions.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pipeline.errors import SettingError
from pipeline.tables.types import ColumnType
from pipeline.tables.windows import Unwindowed, Window

Row = dict[str, Any]
Field = dict[str, Any]

RESERVED = ("", "marker", "row")
"""What keys of states begin with beside the names of aggregates."""


class Function(Protocol):
    """An aggregate function. `column` names the source column, or None where the row itself counts.

    Two attributes of its class, both optional, say what it takes: `TAKES` names the families of types (see types.py;
    without it any column is taken), and where `TAKES_PLAIN` is true, it is given their plain forms.
    """

    @property
    def column(self) -> str | None:
        """The column of the source row that is folded in."""

    def zero(self) -> Any:
        """The state before any row."""

    def add(self, state: Any, value: Any, offset: int) -> Any:
        """The state after one more value, from the row at `offset` of its partition; `state` itself stays as it is."""

    def add_many(self, state: Any, values: Sequence[Any], offsets: Sequence[int]) -> Any:
        """The state after these values, from the rows at these rising offsets: as if each were added in turn."""

    def merge(self, left: Any, right: Any) -> Any:
        """The state of both together."""

    def columns(self, state: Any) -> Row:
        """The result's columns."""

    def fields(self) -> list[Field]:
        """The Avro fields of the result's columns, in their order: {"name": ..., "type": ...}."""


class OneByOne:
    """What functions have that know no quicker way for many values."""

    __slots__ = ()

    def add_many(self: Function, state: Any, values: Sequence[Any], offsets: Sequence[int]) -> Any:
        """Each in turn."""
        for value, offset in zip(values, offsets, strict=True):
            state = self.add(state, value, offset)
        return state


class Subtracting(Function, Protocol):
    """A function whose `merge` can be undone: what a table, whose rows change, can be aggregated by."""

    def subtract(self, left: Any, right: Any) -> Any:
        """The state that merged with `right` gives `left`."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`SELECT group_by, FUNCTION FROM source WINDOW ... GROUP BY group_by` INTO the topic `output`.

    `name` is the key of its state in the changelog: never change it for a running application. With `final`, a
    result goes out once, when its window has closed (EMIT FINAL); otherwise with every change (EMIT CHANGES). With
    `final`, a window whose grace was not given has none.

    `group_type` and `value_type` are set by the topology, from the source's schema: the type of groups that are not
    strings, and that of values which have to be made plain before they are folded in. None: they are taken as they are.
    """

    name: str
    group_by: str
    function: Function
    output: str
    window: Window
    final: bool = False
    group_type: ColumnType | None = None
    value_type: ColumnType | None = None

    def __post_init__(self) -> None:
        if self.name in RESERVED:
            raise SettingError(f"an aggregate's name is {self.name!r}, but must be another: states use this one")
        if not self.final:
            return
        if isinstance(self.window, Unwindowed):
            raise SettingError(f"aggregate {self.name}: final results need a window that closes, and it has none")
        if self.window.has_default_grace:
            object.__setattr__(self, "window", replace(self.window, grace_ms=0))
