"""What an aggregation is: its function, what it groups by, its window and its output.

A function's state is a plain JSON value (int, float, str, list, dict), so that it goes to a changelog as it is.
`merge` is associative and commutative: partials of several source partitions give one total in any order. The
functions themselves are in `functions.py`; `several.py` makes one of several.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pipeline.errors import SettingError
from pipeline.tables.types import ColumnType
from pipeline.tables.windows import Hopping, Unwindowed, Window

Row = dict[str, Any]
Field = dict[str, Any]

HAVING = "having"
"""What keys of results begin with that passed HAVING: (HAVING, aggregate, group, window's start) -> [1]."""
RESERVED = ("", "marker", "row", HAVING)
"""What keys of states begin with beside the names of aggregates."""


class Function(Protocol):
    """An aggregate function. `inputs` name the source columns that are folded in; none where the row itself counts.

    A value is what the row has in the one input, or the tuple of what it has in several; None without an input.

    Attributes of its class, all optional, say what it takes: `TAKES` names the families of types (see types.py;
    without it any column is taken), and where `TAKES_PLAIN` is true, it is given their plain forms. From the input
    at the place `FREE_FROM` on any column is taken as it is.
    """

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of the source row that are folded in."""

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


class _OfColumn(Protocol):
    @property
    def column(self) -> str: ...


class OneByOne:
    """What functions of one `column` have that know no quicker way for many values."""

    __slots__ = ()

    @property
    def inputs(self: _OfColumn) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

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

    `name` is the key of its state in the changelog: never change it for a running application. `group_by` is a column,
    several of them, or (), which puts all rows into one group. With `final`, a result goes out once, when its window
    has closed (EMIT FINAL); otherwise with every change (EMIT CHANGES). With `final`, a window whose grace was not
    given has none. A `silent` one sends no results: they are asked for. With `sliced`, hopping windows are kept in
    slices of one advance (sliced_windows.py), with the same results; a state is of one kind or the other.

    `group_types` and `value_types` follow from the types of the rows' columns (declare/results.py): the types of the
    group's columns (empty when all are strings), and of each input that has to be made plain before it is folded in
    (None, or all empty: it is taken as it is).
    """

    name: str
    group_by: str | tuple[str, ...]
    function: Function
    output: str
    window: Window
    final: bool = False
    sliced: bool = False
    silent: bool = False
    group_types: tuple[ColumnType, ...] = ()
    value_types: tuple[ColumnType | None, ...] = ()

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns that make the group."""
        return (self.group_by,) if isinstance(self.group_by, str) else self.group_by

    @property
    def emits_changes(self) -> bool:
        """Whether a result goes out with every change."""
        return not (self.final or self.silent)

    def __post_init__(self) -> None:
        if not isinstance(self.group_by, str):
            columns = tuple(self.group_by)
            object.__setattr__(self, "group_by", columns[0] if len(columns) == 1 else columns)
        if self.name in RESERVED:
            raise SettingError(f"an aggregate's name is {self.name!r}, but must be another: states use this one")
        if self.sliced and not (isinstance(self.window, Hopping) and self.window.slices):
            raise SettingError(
                f"aggregate {self.name}: sliced needs hopping windows whose size is a multiple of their advance"
            )
        if not self.final:
            return
        if isinstance(self.window, Unwindowed):
            raise SettingError(f"aggregate {self.name}: final results need a window that closes, and it has none")
        if self.window.has_default_grace:
            object.__setattr__(self, "window", replace(self.window, grace_ms=0))
