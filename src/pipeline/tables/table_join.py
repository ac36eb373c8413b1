"""Joins of two tables with equal keys: either side triggers, and the result is a table again.

A row that goes takes its joined row with it: a tombstone goes out, but only if there was a joined row. The output's
time is the larger of the triggering record's and its partner's. The rules are those of Kafka Streams (see
docs/operators.md); among records of one key the later offset is the newer, whatever their times.
"""

from dataclasses import dataclass
from typing import Any

from pipeline.tables.aggregate import Row
from pipeline.tables.joins import Joined, JoinedRow, JoinKind, KeyedRows, Side
from pipeline.tables.state import State


@dataclass(frozen=True, slots=True)
class TableJoin:
    """`left JOIN right ON left.key = right.key`. INNER: both must be there; LEFT: the left one; OUTER: one of them.

    `name` is the key of its state in the changelog: never change it for a running application.
    """

    name: str
    kind: JoinKind = JoinKind.INNER

    def joins(self, left: bool, right: bool) -> bool:
        """Whether there is a joined row, given which sides have a row."""
        if left and right:
            return True
        return (left and self.kind.keeps(Side.LEFT)) or (right and self.kind.keeps(Side.RIGHT))


class PartitionTableJoin:
    """One join over one partition of both tables, which must be co-partitioned.

    State: (name, key) -> [left, right, shown]. A side is null before its first record, then [offset, time_ms, row]; a
    tombstone leaves a null row in its place, since versions must not fall. `shown` is what consumers have: null for
    nothing yet, else [time_ms, whether it is a tombstone]. So the offsets of a key tell what was applied, and the
    marker, ("marker", name, side) -> [applied offset of that side], only that of records without a key.
    """

    def __init__(self, join: TableJoin, state: State) -> None:
        self.state = state
        self._join = join
        self._applied: list[int] = [(state.get(("marker", join.name, int(side))) or [-1])[0] for side in Side]

    def take(self, side: Side, rows: KeyedRows) -> Joined:
        """Take a batch of one side in: one result per key whose joined row it changed, in the order of those changes.

        Records that were applied before change nothing, but the results of their keys go out again. Records without
        a key are dropped and counted.
        """
        out = Joined()
        applied = self._applied[side]
        touched: dict[str, list[Any]] = {}
        sent: dict[str, None] = {}
        for offset, time_ms, key, record in zip(rows.offsets, rows.times_ms, rows.keys, rows.records, strict=True):
            if key is None:
                out.null_keys += offset > applied
                continue
            entry = touched.get(key) or list(self.state.get((self._join.name, key)) or [None, None, None])
            known = entry[side]
            if known is not None and offset <= known[0]:
                sent[key] = None
            else:
                if self._change(entry, side, [offset, time_ms, record]):
                    sent[key] = None
                touched[key] = entry
        for key, entry in touched.items():
            self.state.put((self._join.name, key), entry)
        if rows.offsets and rows.offsets[-1] > applied:
            self._applied[side] = rows.offsets[-1]
            self.state.put(("marker", self._join.name, int(side)), [rows.offsets[-1]])
        out.rows += [row for key in sent for row in self._shown(key)]
        return out

    def _change(self, entry: list[Any], side: Side, record: list[Any]) -> bool:
        """Put a side's record into an entry; whether that changes what consumers are to have."""
        before = self._join.joins(*(_row(entry, s) is not None for s in Side))
        entry[side] = record
        after = self._join.joins(*(_row(entry, s) is not None for s in Side))
        if not before and not after:
            return False
        partner = _row(entry, side.other)
        time_ms = record[1] if partner is None else max(record[1], entry[side.other][1])
        entry[2] = [time_ms, not after]
        return True

    def _shown(self, key: str) -> list[JoinedRow]:
        """What consumers are to have of a key: a row, a tombstone, or nothing."""
        entry = self.state.get((self._join.name, key))
        if entry is None or entry[2] is None:
            return []
        time_ms, retired = entry[2]
        rows = (None, None) if retired else (_row(entry, Side.LEFT), _row(entry, Side.RIGHT))
        offsets = [-1 if known is None else known[0] for known in entry[:2]]
        return [JoinedRow(key, *rows, time_ms, offsets[0], offsets[1], retired)]


def _row(entry: list[Any], side: Side) -> Row | None:
    known = entry[side]
    return None if known is None else known[2]
