"""A table aggregated by another column: a row that changes is taken from its old group and added to its new one.

First stage, as in `fold.py`: the partials of one source partition, which `merge.py` puts together. A row that moves is
subtracted from its old group first, then added to the new one: two partials. One that stays in its group is one
update, as in Kafka Streams since 3.5 (KIP-904). A group that loses its last row stays, with a count of 0. Rows whose
group is null are in no group. Among records of one key the later offset is the newer, whatever their times.
"""

from collections.abc import Callable
from typing import Any, cast

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Aggregate, Row, Subtracting
from pipeline.tables.grouping import value_of
from pipeline.tables.groups import group_of
from pipeline.tables.joins import KeyedRows
from pipeline.tables.partials import Folded, Partial
from pipeline.tables.several import parts_of
from pipeline.tables.state import State
from pipeline.tables.windows import Unwindowed


class GroupedTable:
    """One aggregate without a window over one partition of a table; its function must be able to subtract.

    State: (name, group, 0) -> [offset, time_ms, total]; ("row", name, key) -> [offset, group, what the row adds to its
    group, groups that it left in its latest batch], with a null group after a tombstone. They are written in this
    order: a row that is there says that its groups are, too, and its offset what was applied. The marker, ("marker",
    name) -> [applied offset], says that of records without a key.
    """

    def __init__(self, aggregate: Aggregate, partition: int, state: State) -> None:
        if not isinstance(aggregate.window, Unwindowed):
            raise SettingError(f"aggregate {aggregate.name}: a table is aggregated without a window, but it has one")
        for function in parts_of(aggregate.function):
            if not hasattr(function, "subtract"):
                kind = type(function).__name__
                raise SettingError(f"aggregate {aggregate.name}: function is {kind}, but must be one that can subtract")
        self.state = state
        self._aggregate = aggregate
        self._function = cast(Subtracting, aggregate.function)
        self._partition = partition
        self._applied: int = (state.get(("marker", aggregate.name)) or [-1])[0]

    def fold(self, rows: KeyedRows) -> Folded:
        """Take a batch in: one partial per touched group, in the order of first touch.

        Records that were applied before change nothing, but the partials of their groups go out again. Records
        without a key are dropped and counted, those without a group only counted.
        """
        out = Folded()
        batch = _Batch(self._aggregate.name, self._function, self.state)
        for offset, time_ms, key, record in zip(rows.offsets, rows.times_ms, rows.keys, rows.records, strict=True):
            fresh = offset > self._applied
            if key is None:
                out.null_keys += fresh
            elif batch.has_applied(key, offset):
                batch.send_again(key)
            else:
                group, added = self._contribution(record, offset)
                out.null_groups += record is not None and group is None
                batch.change(key, offset, time_ms, group, added)
        for group, (offset, time_ms, total) in batch.close().items():
            out.partials.append(
                Partial(self._aggregate.name, group, 0, self._partition, offset, time_ms, total, time_ms)
            )
        if rows.offsets and rows.offsets[-1] > self._applied:
            self._applied = rows.offsets[-1]
            self.state.put(("marker", self._aggregate.name), [self._applied])
        return out

    def _contribution(self, record: Row | None, offset: int) -> tuple[str | None, Any]:
        """A row's group and what it adds to it; both null when it is in none."""
        group = None if record is None else group_of(self._aggregate, record)
        if record is None or group is None:
            return None, None
        return group, self._function.add(self._function.zero(), value_of(self._aggregate, record), offset)


class _Batch:
    """What one batch touches, until it is written."""

    def __init__(self, name: str, function: Subtracting, state: State) -> None:
        self._name = name
        self._function = function
        self._state = state
        self._groups: dict[str, list[Any]] = {}
        self._rows: dict[str, list[Any]] = {}
        self._again: set[str] = set()

    def has_applied(self, key: str, offset: int) -> bool:
        """Whether a row holds this record or a later one already."""
        return offset <= int(self._row(key)[0])

    def send_again(self, key: str) -> None:
        """A record that was applied: its row's groups go out again, those that it left first."""
        self._again.add(key)
        _, group, _, left = self._row(key)
        for touched in left if group is None else [*left, group]:
            self._group(touched)

    def change(self, key: str, offset: int, time_ms: int, group: str | None, added: Any) -> None:
        """A fresh record: subtract what its row added before, then add what it adds now."""
        merge, subtract = self._function.merge, self._function.subtract
        _, old_group, old, known_left = self._row(key)
        left = known_left if key in self._rows or key in self._again else []
        if group is not None and group == old_group:
            self._update(group, offset, time_ms, lambda total: merge(subtract(total, old), added))
        else:
            if old_group is not None:
                self._update(old_group, offset, time_ms, lambda total: subtract(total, old))
                left = [*left, old_group]
            if group is not None:
                self._update(group, offset, time_ms, lambda total: merge(total, added))
        self._rows[key] = [offset, group, added, left]

    def close(self) -> dict[str, list[Any]]:
        """Write groups, then rows; returns the groups."""
        for group, entry in self._groups.items():
            self._state.put((self._name, group, 0), entry)
        for key, row in self._rows.items():
            self._state.put(("row", self._name, key), row)
        return self._groups

    def _row(self, key: str) -> list[Any]:
        return self._rows.get(key) or self._state.get(("row", self._name, key)) or [-1, None, None, []]

    def _group(self, group: str) -> list[Any]:
        if group not in self._groups:
            known = self._state.get((self._name, group, 0))
            self._groups[group] = [-1, -1, self._function.zero()] if known is None else list(known)
        return self._groups[group]

    def _update(self, group: str, offset: int, time_ms: int, change: Callable[[Any], Any]) -> None:
        entry = self._group(group)
        if offset > entry[0]:
            self._groups[group] = [offset, max(entry[1], time_ms), change(entry[2])]
