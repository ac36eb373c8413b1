"""`GET /tables/NAME`: the rows of one table, by group, by range of groups, by windows."""

import inspect
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from pipeline.api.answers import answered
from pipeline.api.asking import group_text
from pipeline.api.totals import ALWAYS, Between, TableTotals, Totals
from pipeline.tables.types import ColumnType
from pipeline.tables.windows import Unwindowed

MOST_ROWS = 10_000
DEFAULT_ROWS = 1_000
LAST_MS = 253_402_300_799_999  # the year 9999

Fresh = Callable[[int | None], Awaitable[int]]


class WrongRequest(ValueError):
    """A request that cannot be answered, with a sentence that says why."""


def described(name: str, table: TableTotals) -> dict[str, Any]:
    """What `GET /tables` says of a table."""
    aggregate = table.statement.aggregate
    return {
        "name": name,
        "group": list(aggregate.group_columns),
        "windows": type(aggregate.window).__name__.lower() if table.statement.is_windowed else None,
        "topic": name if table.statement.is_written else None,
        "groups": len(table),
    }


def route(name: str, totals: Totals, fresh: Fresh) -> Callable[..., Awaitable[Response]]:
    """What answers `GET /tables/NAME`; its parameters are those that fit the table."""
    aggregate = totals.tables[name].statement.aggregate
    columns, types = aggregate.group_columns, aggregate.group_types
    kinds = types or (None,) * len(columns)

    async def answer(**given: Any) -> Response:
        stale_ms, limit = given.pop("stale_ms"), given.pop("limit")
        windows = Between(given.pop("window_from", -1), given.pop("window_to", ALWAYS))
        if windows.from_ms >= windows.to_ms:
            raise WrongRequest(f"window_from is {windows.from_ms}, but must be before window_to, {windows.to_ms}")
        first, end = given.pop("group_from", None), given.pop("group_to", None)
        chosen = {column: given[column] for column in columns if given.get(column) is not None}
        if chosen and len(chosen) < len(columns):
            raise WrongRequest(f"the group is given by {', '.join(chosen)} only, but is {', '.join(columns)}")
        if chosen and (first is not None or end is not None):
            raise WrongRequest(
                "group_from and group_to ask for several groups, but one is given: ask for one or several"
            )
        values = {
            column: value_of(column, kind, chosen[column])
            for column, kind in zip(columns, kinds, strict=True)
            if column in chosen
        }
        committed_ms = await fresh(stale_ms)
        table = totals.tables[name]
        groups = [group_text(table, values)] if values or not columns else table.groups(first or "", end)
        rows = (row for group in groups for row in table.rows(group, windows))
        found = list(islice(rows, limit + 1))
        return answered({"committed_ms": committed_ms, "rows": found[:limit], "more": len(found) > limit})

    parameters = [_parameter(column, str | None, f"the group's {column}", None) for column in columns]
    if len(columns) == 1:
        parameters += [
            _parameter("group_from", str | None, "groups from this one on, in the order of their texts", None),
            _parameter("group_to", str | None, "groups before this one", None),
        ]
    if not isinstance(aggregate.window, Unwindowed):
        parameters += [
            _parameter("window_from", int, "windows that start at this time or later, epoch ms", 0, ge=0, le=LAST_MS),
            _parameter("window_to", int, "windows that start before this time, epoch ms", LAST_MS, ge=0, le=LAST_MS),
        ]
    parameters += [
        _parameter("limit", int, "rows at most; `more` says whether there are more", DEFAULT_ROWS, ge=1, le=MOST_ROWS),
        _parameter("stale_ms", int | None, "what was committed in the last so many ms may be missing", None, ge=0),
    ]
    unique = {one.name: one for one in parameters}  # a column that is called like one of ours cannot be asked by
    answer.__signature__ = inspect.Signature(list(unique.values()))  # type: ignore[attr-defined]
    answer.__doc__ = f"The rows of {name}."
    return answer


def _parameter(name: str, kind: Any, says: str, default: Any, **bounds: int) -> inspect.Parameter:
    annotation = Annotated[kind, Query(description=says, **bounds)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def value_of(column: str, kind: ColumnType | None, text: str) -> Any:
    """The value that a text of a request stands for; raises WrongRequest where it is none of the column's type."""
    if kind is None or kind.family == "string":
        return text
    if kind.family == "boolean" and text not in ("true", "false"):
        raise WrongRequest(f"{column} is {text!r}, but must be true or false")
    try:
        return kind.group(text)
    except (ValueError, ArithmeticError, OverflowError):
        raise WrongRequest(f"{column} is {text!r}, but must be a {kind.name}") from None
