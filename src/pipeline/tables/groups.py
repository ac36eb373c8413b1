"""What a group is called in keys and states, and what its name says of the group's columns.

One column: its text, see types.py. Several: the JSON array of their texts, such as ["north","5"], which no two groups
share. None: `ALL_ROWS`, the JSON array of nothing. A row that has null in one of the columns is in no group, as in
ksqlDB (its test `multiple expressions` of GROUP BY). State keys begin with the aggregate's name, which no marker has:
so a group may be called anything.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from pipeline.tables.aggregate import Aggregate, Row
from pipeline.tables.partials import Rows

ALL_ROWS = "[]"
"""The one group of an aggregate without columns to group by."""


def groups_of(aggregate: Aggregate, rows: Rows) -> Sequence[Any]:
    """The rows' groups as states and keys have them: texts, null where a row has none."""
    column, types = aggregate.group_by, aggregate.group_types
    if isinstance(column, str):
        return rows.converted(column, types[0].texts) if types else rows.column(column)
    if not column:
        return [ALL_ROWS] * len(rows.offsets)
    columns = [rows.column(name) for name in column]
    if types:
        columns = [rows.converted(name, kind.texts) for name, kind in zip(column, types, strict=True)]
    keys = list(zip(*columns, strict=True))
    found = {key: together(key) for key in set(keys)}
    return [found[key] for key in keys]


def group_of(aggregate: Aggregate, record: Row) -> str | None:
    """The group of one row, null when it has none."""
    columns, types = aggregate.group_columns, aggregate.group_types
    values = [record[name] for name in columns]
    if None in values:
        return None
    texts = [kind.text(value) for kind, value in zip(types, values, strict=True)] if types else values
    return texts[0] if len(texts) == 1 else together(texts)


def group_row(aggregate: Aggregate, group: str) -> Row:
    """The group's columns as the output has them: {column: value}."""
    if isinstance(aggregate.group_by, str) and not aggregate.group_types:
        return {aggregate.group_by: group}
    columns, types = aggregate.group_columns, aggregate.group_types
    texts = [group] if len(columns) == 1 else orjson.loads(group)
    values = [kind.group(text) for kind, text in zip(types, texts, strict=True)] if types else texts
    return dict(zip(columns, values, strict=True))


def together(texts: Sequence[str | None]) -> str | None:
    """The name of a group of several columns; None where one of them is null."""
    return None if None in texts else orjson.dumps(texts).decode()
