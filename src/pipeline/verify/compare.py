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
COUNTS = ("count_view", "total_pageview", "total_sales_cents")


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


def _between(low: Record | None, high: Record | None, row: Mapping[str, Any] | None) -> bool:
    if _equal(low, row) or _equal(high, row):
        return True
    if row is None:
        return False
    bounds = [wanted[name] for wanted in (low, high) if wanted for name in COUNTS if name in wanted]
    shown = [row[name] for name in COUNTS if name in row]
    if not shown:  # a user: any version between the cuts will do, and both cuts know the user or will
        return True
    return bool((min(bounds) if low else 0) <= shown[0] <= max(bounds))


def differences(low: Rows, high: Rows, found: Mapping[tuple[Any, ...], Mapping[str, Any]]) -> list[str]:
    """A sentence for every key whose row is not what it has to be."""
    wrong = []
    for key in sorted(low.keys() | high.keys() | found.keys()):
        before, after, row = low.get(key), high.get(key), found.get(key)
        if before is None and after is None:
            wrong.append(f"{key}: not expected, found {_show(row)}")
        elif before == after and not _equal(before, row):
            wrong.append(f"{key}: expected {_show(before)}, found {_show(row, before)}")
        elif before != after and not _between(before, after, row):
            wrong.append(f"{key}: expected between {_show(before)} and {_show(after)}, found {_show(row, after)}")
    return wrong


def _show(row: Mapping[str, Any] | None, like: Mapping[str, Any] | None = None) -> str:
    if row is None:
        return "nothing"
    return ", ".join(f"{k}={v}" for k, v in row.items() if like is None or k in like)
