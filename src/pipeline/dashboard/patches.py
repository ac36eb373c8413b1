"""The smallest change from one figure to the next: assignments by path, as Dash's Patch sends them."""

from collections.abc import Iterator
from typing import Any

from dash import Patch

Path = tuple[str | int, ...]
MAX_ASSIGNMENTS = 100


def changes(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, value) assignments that turn `old` into `new`; a list or mapping of another shape is replaced whole."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        for key, value in new.items():
            yield from changes(old[key], value, (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, value in enumerate(new):
            yield from changes(old[index], value, (*path, index))
    elif old != new or type(old) is not type(new):
        yield path, new


def patch(old: dict[str, Any], new: dict[str, Any]) -> Patch | dict[str, Any] | None:
    """What to send: None for nothing, a Patch, or the whole of `new` where a patch would be no smaller."""
    found = list(changes(old, new))
    if not found:
        return None
    if len(found) > MAX_ASSIGNMENTS or found[0][0] == ():
        return new
    result = Patch()
    for path, value in found:
        target = result
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value
    return result
