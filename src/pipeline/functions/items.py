"""What the functions of arrays do with items. Items may be null; nested ones are equal by what they hold."""

from collections.abc import Callable, Iterable
from typing import Any

from pipeline.functions.base import Call, EvaluationError, fits
from pipeline.functions.casts import text_of

MOST_ITEMS = 1_000_000
"""The longest series, so that one wrong end does not take all memory."""


def _key(value: Any) -> Any:
    """What stands for a value in a set."""
    if isinstance(value, list):
        return (list, *map(_key, value))
    if isinstance(value, dict):
        return (dict, frozenset((key, _key(of)) for key, of in value.items()))
    return value


def distinct(values: Iterable[Any]) -> list[Any]:
    """Every item once, where it is first."""
    found: dict[Any, Any] = {}
    for value in values:
        found.setdefault(_key(value), value)
    return list(found.values())


def _keys(values: list[Any]) -> set[Any]:
    return {_key(value) for value in values}


def without(left: list[Any], right: list[Any]) -> list[Any]:
    """The items of the left list, each once, that are not in the right one."""
    others = _keys(right)
    return [value for value in distinct(left) if _key(value) not in others]


def intersection(left: list[Any], right: list[Any]) -> list[Any]:
    """The items of the left list, each once, that are in the right one, too."""
    both = _keys(right)
    return [value for value in distinct(left) if _key(value) in both]


def joined(left: list[Any] | None, right: list[Any] | None) -> list[Any] | None:
    """One list after the other; the other one when one is null."""
    return None if left is None and right is None else [*(left or ()), *(right or ())]


def contains(values: list[Any] | None, value: Any) -> bool:
    """Whether the value, which may be null, is an item."""
    return values is not None and value in values


def removed(values: list[Any] | None, victim: Any) -> list[Any] | None:
    """The list without the items that equal one, which may be null."""
    return None if values is None else [value for value in values if value != victim]


def as_text(values: list[Any] | None, delimiter: str | None = ",") -> str | None:
    """The items as Java writes them, with the delimiter between them."""
    return None if values is None else (delimiter or "").join(map(text_of, values))


def chosen(choose: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    """What gives the least item, or the greatest, by min or max; null when there is none but nulls."""
    return lambda values: choose((value for value in values if value is not None), key=_order, default=None)


def _order(value: Any) -> Any:
    """NaN is above every number, as in Java."""
    return (value != value, value) if isinstance(value, float) else value


def in_order(values: list[Any], direction: str = "ASC") -> list[Any] | None:
    """The items in order, nulls last; null for a direction that is none."""
    name = direction.upper()
    if name not in ("ASC", "ASCENDING", "DESC", "DESCENDING"):
        return None
    given = sorted((value for value in values if value is not None), key=_order, reverse=name.startswith("DESC"))
    return given + [None] * (len(values) - len(given))


def part(values: list[Any] | None, begin: int | None, end: int | None) -> list[Any] | None:
    """The items from one position, counted from 1, to another; null when they are not in the list."""
    if values is None:
        return None
    start, stop = 0 if begin is None else begin - 1, len(values) if end is None else end
    if start < 0 or stop > len(values):
        return None
    if start > stop:
        raise EvaluationError(f"is to go from {begin} to {end}, which is backwards")
    return values[start:stop]


def series(bits: int) -> Call:
    """What gives the whole numbers from one to another by a step, of a type with so many bits."""

    def call(begin: int, end: int, step: int | None = None) -> list[int]:
        by = step if step is not None else 1 if end > begin else -1
        if by == 0:
            raise EvaluationError("has the step 0, which must be another number")
        if (end - begin) * by < 0:
            raise EvaluationError(f"has the step {by}, which leads away from {end}")
        count = abs(end - begin) // abs(by) + 1
        if count > MOST_ITEMS:
            raise EvaluationError(f"would have {count} items, but must have {MOST_ITEMS} at most")
        return [fits(begin + by * at, bits) for at in range(count)]

    return call
