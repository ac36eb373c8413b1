"""The state of an operator: rows of one partition, and what a batch has changed in them."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

Key = tuple[Any, ...]


class State:
    """Rows of one partition by key, with the changes since the last `take_changes`.

    Keys are tuples and values lists of plain JSON values: both go to the changelog as they are. A value that was
    put is never changed in place afterwards: put a new one.
    """

    __slots__ = ("_before", "_changed", "rows")

    def __init__(self, rows: dict[Key, Any] | None = None) -> None:
        self.rows: dict[Key, Any] = {} if rows is None else rows
        self._changed: dict[Key, Any] = {}
        self._before: dict[Key, Any] = {}

    def get(self, key: Key) -> Any:
        """The value of a key, None when there is none."""
        return self.rows.get(key)

    def put(self, key: Key, value: Any) -> None:
        """Set a key's value."""
        if key not in self._before:
            self._before[key] = self.rows.get(key)
        self.rows[key] = value
        self._changed.pop(key, None)  # a key's place is that of its last write: markers come after what they mark
        self._changed[key] = value

    def delete(self, key: Key) -> None:
        """Remove a key; a tombstone goes to the changelog."""
        value = self.rows.pop(key, None)
        if value is not None:
            self._before.setdefault(key, value)
            self._changed.pop(key, None)
            self._changed[key] = None

    def items(self) -> Iterator[tuple[Key, Any]]:
        """All rows."""
        return iter(self.rows.items())

    def begin(self) -> None:
        """What is changed from here on can be undone."""
        self._before = {}

    def undo(self) -> None:
        """Give every row the value that it had at the last `begin`; no change is left to be taken."""
        for key, value in self._before.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self._before, self._changed = {}, {}

    def take_changes(self) -> dict[Key, Any]:
        """What has been put (value) or deleted (None) since the last call, each key once, last written last."""
        changed, self._changed = self._changed, {}
        return changed


def apply_changes(rows: dict[Key, Any], records: Iterable[tuple[bytes, bytes | None]]) -> None:
    """Apply the records of a state table's changelog to rows, in order."""
    for raw_key, raw_value in records:
        key = tuple(orjson.loads(raw_key))
        if raw_value is None:
            rows.pop(key, None)
        else:
            rows[key] = orjson.loads(raw_value)
