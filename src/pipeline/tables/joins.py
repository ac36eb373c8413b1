"""Stream-table joins: the stream's row triggers, the table's row is the one known when the row is processed."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.tables.aggregate import Row

Lookup = Mapping[str, Mapping[str, Any]]


def left_join(key: str | None, table: Lookup, columns: Sequence[str]) -> Row:
    """The table's `columns` for a key, or nulls when the key is null or the table has no row for it."""
    row = None if key is None else table.get(key)
    if row is None:
        return dict.fromkeys(columns)
    return {column: row.get(column) for column in columns}
