"""Rows of an output as its consumers have them, held against what was recomputed.

While sources are still being written, a result may stand anywhere between two cuts: what surely was processed before
the output was read (`low`), and what the sources held afterwards (`high`). Where both agree, the row must be equal;
where they differ, it must lie between them. With quiet sources both are the same, and everything must be equal.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.codecs import Record
from pipeline.verify.expected import Rows, row_key

NULLS = (None, "", "null")


def last_rows(topic: str, rows: Iterable[Record]) -> Rows:
    """The last row per key, as an upsert by (key, window start) leaves it; retired sessions are no results."""
    table: Rows = {}
    for row in rows:
        key = row_key(topic, row)
        table.pop(key, None)
        if not row.get("retired"):
            table[key] = row
    return table


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float | int):
        return bool(abs(left - right) < 0.005)
    return bool(left == right) or (left in NULLS and right in NULLS)


def _equal(wanted: Record | None, row: Mapping[str, Any] | None) -> bool:
    if wanted is None or row is None:
        return wanted is row
    return all(name in row and _same(value, row[name]) for name, value in wanted.items())


def _between(low: Record | None, high: Record | None, row: Mapping[str, Any] | None, seen: Iterable[Record]) -> bool:
    """Whether a row may stand between two cuts: every column of it; `seen` are rows that it may have been between."""
    if any(_equal(wanted, row) for wanted in (low, high, *seen)):
        return True
    if row is None or seen:
        return row is None and low is None
    names = (low or high or {}).keys()
    return all(name in row and _within(low and low[name], high and high[name], row[name]) for name in names)


def _within(low: Any, high: Any, value: Any) -> bool:
    """Whether a column lies between its values at both cuts, inclusive.

    Without a first one it is below the second; without a second one, since its session was joined to another, above.
    """
    if _same(low, value) or _same(high, value):
        return True
    try:
        return bool((low is None or low <= value) and (high is None or value <= high))
    except TypeError:
        return False


def differences(
    low: Rows,
    high: Rows,
    found: Mapping[tuple[Any, ...], Mapping[str, Any]],
    between: Mapping[tuple[Any, ...], Iterable[Record]] | None = None,
) -> list[str]:
    """A sentence for every key whose row is not what it has to be.

    `between` are the rows that a key may have had between the cuts, where they neither rise nor fall.
    """
    wrong = []
    for key in sorted(low.keys() | high.keys() | found.keys()):
        before, after, row = low.get(key), high.get(key), found.get(key)
        if before is None and after is None:
            wrong.append(f"{key}: not expected, found {_show(row)}")
        elif before == after and not _equal(before, row):
            wrong.append(f"{key}: expected {_show(before)}, found {_show(row, before)}")
        elif before != after and not _between(before, after, row, (between or {}).get(key, ())):
            wrong.append(f"{key}: expected between {_show(before)} and {_show(after)}, found {_show(row, after)}")
    return wrong


def _show(row: Mapping[str, Any] | None, like: Mapping[str, Any] | None = None) -> str:
    if row is None:
        return "nothing"
    return ", ".join(f"{k}={v}" for k, v in row.items() if like is None or k in like)
