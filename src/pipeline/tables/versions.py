"""A table's rows with the times from which they were valid: a stream's row meets the version of its own time.

The newest version whose time is not after the row's, of equal times the one with the larger offset; none before the
first (see docs/operators.md). A tombstone is a version, too. Versions are kept as long as a row may ask for them: the
newest always, an older one until the one after it lies `kept_ms` behind stream time.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import Any

from pipeline.tables.closing import FirstClosing
from pipeline.tables.state import State

BEGINNING = -1
"""The time of a row that was always valid: rows of which no time is known, as releases before wrote them."""


class Versions:
    """The versions of one partition's rows; each row has `columns` columns.

    State: (key,) -> [offset, *columns, time_ms], the newest; (key, offset) -> [time_ms, *columns], those before it.
    Stream time is that of the streams which are joined (`joined`), since they may be far behind the table; a stream
    that stands still is waited for as long as versions are kept.
    """

    def __init__(self, state: State, columns: int, kept_ms: int) -> None:
        self.stream_time_ms = BEGINNING
        self._state = state
        self._kept_ms = kept_ms
        self._table_time_ms = BEGINNING
        self._none = (BEGINNING, *[None] * columns, BEGINNING)
        self._older: dict[str, list[tuple[int, int]]] = {}
        self._last: dict[str, int] = {}
        self._closing = FirstClosing()
        for key, value in state.items():
            if len(key) == 2:
                self._older.setdefault(key[0], []).append((value[0], key[1]))
            elif len(value) == 1 + columns:
                state.rows[key] = value = [*value, BEGINNING]
            self._table_time_ms = max(self._table_time_ms, value[0] if len(key) == 2 else value[-1])
        for name, older in self._older.items():
            older.sort()
            self._last[name] = max(state.get((name,))[0], *(offset for _, offset in older), BEGINNING)
            self._note(name)

    def put(self, key: str, offset: int, time_ms: int, columns: Sequence[Any]) -> bool:
        """Take a version in; one that is known changes nothing. True unless a later one, by offset, is known."""
        newest = self._state.get((key,))
        self._table_time_ms = max(self._table_time_ms, time_ms)
        if newest is None:
            self._state.put((key,), [offset, *columns, time_ms])
            return True
        last = self._last.get(key, newest[0])
        if offset != newest[0] and self._state.get((key, offset)) is None:
            self._add(key, newest, offset, time_ms, columns)
            self._last[key] = max(last, offset)
        return bool(offset >= last)

    def _add(self, key: str, newest: list[Any], offset: int, time_ms: int, columns: Sequence[Any]) -> None:
        if (newest[-1], newest[0]) < (time_ms, offset):
            self._keep(key, newest[0], newest[-1], newest[1:-1])
            self._state.put((key,), [offset, *columns, time_ms])
        else:
            self._keep(key, offset, time_ms, columns)
        self._note(key)

    def _keep(self, key: str, offset: int, time_ms: int, columns: Sequence[Any]) -> None:
        """Hold a version that is not the newest."""
        self._state.put((key, offset), [time_ms, *columns])
        insort(self._older.setdefault(key, []), (time_ms, offset))

    def as_of(self, keys: Sequence[str], times_ms: Sequence[int]) -> list[Sequence[Any]]:
        """For each key the version of that time, its columns at the places 1, 2, ...; nulls where there is none.

        `keys` and `times_ms` are of equal length, at least 1.
        """
        rows, none = self._state.rows, self._none
        newest = {key: rows.get((key,), none) for key in set(keys)}
        earliest_ms = min(times_ms)
        if all(row[-1] <= earliest_ms for row in newest.values()):
            return [newest[key] for key in keys]
        return [
            row if row[-1] <= time_ms else self._before(key, time_ms)
            for key, time_ms, row in zip(keys, times_ms, map(newest.__getitem__, keys), strict=True)
        ]

    def _before(self, key: str, time_ms: int) -> Sequence[Any]:
        older = self._older.get(key, [])
        place = bisect_right(older, time_ms, key=lambda version: version[0])
        return self._state.rows[(key, older[place - 1][1])] if place else self._none

    def joined(self, time_ms: int) -> None:
        """Rows of a stream up to this time have been joined."""
        self.stream_time_ms = max(self.stream_time_ms, time_ms)

    def drop_old(self) -> None:
        """Drop the versions that no row may ask for any more."""
        horizon_ms = max(self.stream_time_ms, self._table_time_ms - self._kept_ms) - self._kept_ms
        for key in self._closing.take(lambda next_ms: next_ms <= horizon_ms):
            older = self._older[key]
            while older and self._second(key, older) <= horizon_ms:
                self._state.delete((key, older.pop(0)[1]))
            if older:
                self._note(key)
            else:
                del self._older[key]
                self._last.pop(key)

    def _note(self, key: str) -> None:
        """Note when the oldest version may go: the time of the one after it."""
        self._closing.add(self._second(key, self._older[key]), key)

    def _second(self, key: str, older: Sequence[tuple[int, int]]) -> int:
        return older[1][0] if len(older) > 1 else int(self._state.get((key,))[-1])
