"""What an application's endpoints ask: rows of what is kept, as the copy has them at one moment."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.api.totals import EVERY, Between, TableTotals, Totals
from pipeline.errors import SettingError
from pipeline.tables.aggregate import Row
from pipeline.tables.groups import group_of
from pipeline.tables.windows import Hopping


class Ask:
    """The rows of an application's tables at one moment: nothing changes while an endpoint answers."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def table(self, name: str) -> TableTotals:
        """A table by the name of its topic, or of what it is kept as; raises SettingError where there is none."""
        found = self._totals.tables.get(name)
        if found is None:
            raise SettingError(f"there is no table {name} to be asked, but: {', '.join(self._totals.tables) or 'none'}")
        return found

    def row(self, name: str, start_ms: int | None = None, **group: Any) -> Row | None:
        """The row of a group, of the window that starts at `start_ms`; None where there is none.

        Raises ValueError where no window can start then: hopping and tumbling ones start at multiples of their advance.
        """
        window = self.table(name).statement.aggregate.window
        if start_ms is not None and isinstance(window, Hopping) and start_ms % window.advance_ms:
            raise ValueError(f"windows of {name} start at multiples of {window.advance_ms} ms, but not at {start_ms}")
        windows = EVERY if start_ms is None else Between(start_ms, start_ms + 1)
        return next(self.rows(name, windows, **group), None)

    def rows(self, name: str, windows: Between = EVERY, **group: Any) -> Iterator[Row]:
        """The rows of a group by the starts of their windows; of all groups where none is given."""
        table = self.table(name)
        columns = table.statement.aggregate.group_columns
        if columns and not group:
            for one in table.groups():
                yield from table.rows(one, windows)
        else:
            yield from table.rows(group_text(table, group), windows)


def group_text(table: TableTotals, group: Mapping[str, Any]) -> str:
    """What a group is called in states; its columns are `group`'s keys. Raises ValueError where they are others."""
    aggregate = table.statement.aggregate
    columns = aggregate.group_columns
    if set(group) != set(columns):
        raise ValueError(f"{table.statement.output.name} is grouped by {', '.join(columns) or 'nothing'}")
    return str(group_of(aggregate, dict(group)))
