"""What a viewer of a declared page has chosen: values of the columns that its filters name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dashboard.declared.board import Row
from pipeline.dashboard.formats import Formats
from pipeline.declare.pages import Filter

MOST_VALUES = 100
MOST_LETTERS = 1_000


@dataclass(frozen=True, slots=True)
class Chosen:
    """(column, its chosen values) for every filter, no values for all; and the viewer's formats."""

    filters: tuple[tuple[str, tuple[str, ...]], ...]
    formats: Formats

    @classmethod
    def of(cls, given: Any, filters: Sequence[Filter], formats: Formats) -> "Chosen":
        """From what the browser sends, which may be anything: what is no choice counts as none."""
        wanted = given.get("filters") if isinstance(given, Mapping) else None
        found = wanted if isinstance(wanted, Mapping) else {}
        return cls(tuple((one.column, _texts(found.get(one.column))) for one in filters), formats)

    @property
    def token(self) -> str:
        """Equal for equal choices; goes to the browser and comes back."""
        return json.dumps([self.filters, self.formats.zone, self.formats.style])

    @property
    def any(self) -> bool:
        """Whether anything is left out."""
        return any(values for _, values in self.filters)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are filtered by."""
        return tuple(column for column, _ in self.filters)

    def left(self, rows: Sequence[Row], filters: Sequence[Filter]) -> tuple[Sequence[Row], list[str]]:
        """The rows that are left, and the titles of the filters that are set and of no column of theirs."""
        titles = {one.column: one.title.lower() for one in filters}
        missed = []
        for column, values in self.filters:
            if not values:
                continue
            if rows and column not in rows[0]:
                missed.append(titles[column])
            else:
                rows = [row for row in rows if str(row[column]) in values]
        return rows, missed


def _texts(given: Any) -> tuple[str, ...]:
    found = {one[:MOST_LETTERS] for one in given if isinstance(one, str) and one} if isinstance(given, list) else set()
    return tuple(sorted(found)[:MOST_VALUES])
