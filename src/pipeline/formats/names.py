"""Columns by the names that others give them."""

from collections.abc import Iterable

from pipeline.formats.misfit import Misfit
from pipeline.formats.shape import Column


def given_names(columns: tuple[Column, ...], given: Iterable[str]) -> list[str | None]:
    """What each column is called in an object with these names; None where it is not there.

    The name itself goes first. Else it is the only one that is the same without regard to case, as ksqlDB's upper-case
    columns are found; raises Misfit when there are several.
    """
    names, own = set(given), {column.name for column in columns}
    if own <= names:
        return [column.name for column in columns]
    alike: dict[str, list[str]] = {}
    for name in given:
        if name not in own:
            alike.setdefault(name.casefold(), []).append(name)
    found = []
    for column in columns:
        candidates = [column.name] if column.name in names else alike.get(column.name.casefold(), [None])
        if len(candidates) > 1:
            raise Misfit(candidates, column.kind, "there once, or in its own case").inside(column.name)
        found.append(candidates[0])
    return found
