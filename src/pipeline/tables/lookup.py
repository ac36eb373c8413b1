"""Looking up rows of a reference table by the keys of a stream's rows: a join that keeps nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

Lookup = Mapping[str, Mapping[str, Any]]


def left_join(key: str | None, table: Lookup, columns: Sequence[str]) -> dict[str, Any]:
    """The table's `columns` for a key, or nulls when the key is null or the table has no row for it."""
    return inner_join(key, table, columns) or dict.fromkeys(columns)


def inner_join(key: str | None, table: Lookup, columns: Sequence[str]) -> dict[str, Any] | None:
    """The table's `columns` for a key, or None (drop the row) when the key is null or the table has no row for it."""
    row = None if key is None else table.get(key)
    return None if row is None else {column: row.get(column) for column in columns}


def looked_up(keys: Sequence[str | None], table: Lookup, column: str) -> list[Any]:
    """`left_join` of a whole column of keys: the table's `column` for each, null where there is none."""
    found = {key: left_join(key, table, (column,))[column] for key in set(keys)}
    return [found[key] for key in keys]
