"""Rows of a batch by group and window, a column at a time: what makes folding a batch quick.

The order of the keys is that in which the rows touch them first.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.tables.aggregate import Aggregate, Row
from pipeline.tables.groups import groups_of
from pipeline.tables.partials import Rows
from pipeline.tables.types import ColumnType
from pipeline.tables.windows import TimeWindow, Unwindowed

FEW = 8
"""Fewer rows than these are folded one by one."""


def values_of(aggregate: Aggregate, rows: Rows) -> Sequence[Any]:
    """The values that the function folds in: tuples where it has several inputs, empty where the row itself counts."""
    inputs = aggregate.function.inputs
    if not inputs:
        return ()
    columns = [_input(rows, name, kind) for name, kind in zip(inputs, _types(aggregate), strict=True)]
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def value_of(aggregate: Aggregate, record: Row) -> Any:
    """The value of one row."""
    inputs = aggregate.function.inputs
    if not inputs:
        return None
    found = [
        record[name] if kind is None else kind.plain([record[name]])[0]
        for name, kind in zip(inputs, _types(aggregate), strict=True)
    ]
    return found[0] if len(found) == 1 else tuple(found)


def _types(aggregate: Aggregate) -> Sequence[ColumnType | None]:
    return aggregate.value_types or [None] * len(aggregate.function.inputs)


def _input(rows: Rows, name: str, kind: ColumnType | None) -> Sequence[Any]:
    return rows.column(name) if kind is None else rows.converted(name, kind.plain)


@dataclass(slots=True)
class Grouped:
    """The rows that have a group, as columns of equal length; `values` is empty where the row itself counts."""

    offsets: Sequence[int]
    times_ms: Sequence[int]
    groups: Sequence[str]
    values: Sequence[Any]
    nulls: int

    @classmethod
    def of(cls, aggregate: Aggregate, rows: Rows) -> "Grouped":
        """The rows as an aggregate sees them; `nulls` counts those without a group."""
        groups = groups_of(aggregate, rows)
        nulls = groups.count(None)
        if nulls:
            rows = rows.at([place for place, group in enumerate(groups) if group is not None])
            groups = groups_of(aggregate, rows)
        return cls(rows.offsets, rows.times_ms, groups, values_of(aggregate, rows), nulls)

    def places_by_group(self) -> dict[str, list[int]]:
        """{group: places of its rows, rising}."""
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place, group in enumerate(self.groups):
            places[group].append(place)
        return places


def places_by_window(window: TimeWindow, rows: Grouped) -> dict[tuple[str, int], list[int]] | None:
    """{(group, window's start): places of its rows, rising}; None where windows do not begin and end together."""
    if isinstance(window, Unwindowed):
        return {(group, 0): at for group, at in rows.places_by_group().items()}
    size, advance = window.size_ms, window.advance_ms
    if size % advance:
        return None
    found: dict[tuple[str, int], list[int]] = {}
    for (group, slice_ms), at in places_by_slice(advance, rows).items():
        for start in window.starts(slice_ms):
            known = found.get((group, start))
            found[group, start] = at if known is None else sorted(known + at)
    return found


def places_by_slice(advance_ms: int, rows: Grouped) -> dict[tuple[str, int], list[int]]:
    """The same by slices of one advance, of which every window is made: {(group, slice's start): places}."""
    first, last = min(rows.times_ms), max(rows.times_ms)
    slice_ms = first - first % advance_ms
    if last < slice_ms + advance_ms:
        return {(group, slice_ms): at for group, at in rows.places_by_group().items()}
    places: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    slices = [time_ms - time_ms % advance_ms for time_ms in rows.times_ms]
    for place, key in enumerate(zip(rows.groups, slices, strict=True)):
        places[key].append(place)
    return places
