"""Whole rows as states keep them: an object of plain JSON values, which come back exactly; see json_forms.py."""

from collections.abc import Callable, Mapping, Sequence
from sys import intern
from typing import Any

from pipeline.tables.aggregate import Row
from pipeline.tables.json_forms import json_form
from pipeline.tables.types import ColumnType


class RowForm:
    """The form of rows of these columns. A column that a kept row does not have, since it is newer, is null."""

    def __init__(self, columns: Mapping[str, ColumnType]) -> None:
        self.names = tuple(columns)
        self._forms = [(name, json_form(kind.avro)) for name, kind in columns.items()]

    def plain(self, row: Mapping[str, Any]) -> Row:
        """What is kept of a row: these columns; others are left out."""
        return {name: form.to(row[name]) for name, form in self._forms}

    def row(self, plain: Row) -> Row:
        """The row that was kept."""
        return {name: form.back(plain.get(name)) for name, form in self._forms}


class ColumnsForm:
    """The form of rows of which only these columns are kept, each by its place: a list of plain JSON values.

    The column `never_null` tells whether there is a row. Texts are shared: such columns are joined with, and many rows
    have the same few values.
    """

    def __init__(self, columns: Mapping[str, ColumnType], never_null: str) -> None:
        self.names = tuple(columns)
        self._never_null = self.names.index(never_null)
        forms = [json_form(kind.avro) for kind in columns.values()]
        texts = [kind.family == "string" for kind in columns.values()]
        self._to: list[Callable[[Any], Any]] = [
            _shared if is_text else form.to for form, is_text in zip(forms, texts, strict=True)
        ]
        self._back = [None if is_text else form.back for form, is_text in zip(forms, texts, strict=True)]

    def plain(self, row: Mapping[str, Any] | None) -> list[Any]:
        """What is kept of a row, nulls where there is none."""
        if row is None:
            return [None] * len(self.names)
        return [to(row[name]) for to, name in zip(self._to, self.names, strict=True)]

    def there(self, kept: Sequence[Sequence[Any]], first: int) -> list[bool]:
        """Whether there is a row, for rows whose columns begin at the place `first`."""
        place = first + self._never_null
        return [row[place] is not None for row in kept]

    def rows(self, kept: Sequence[Sequence[Any]], first: int) -> list[Row | None]:
        """The rows as records, null where there is none."""
        columns = [self.column(name, kept, first) for name in self.names]
        records = [dict(zip(self.names, values, strict=True)) for values in zip(*columns, strict=True)]
        return [record if there else None for record, there in zip(records, self.there(kept, first), strict=True)]

    def column(self, name: str, kept: Sequence[Sequence[Any]], first: int) -> list[Any]:
        """One column of rows whose columns begin at the place `first`."""
        number = self.names.index(name)
        place, back = first + number, self._back[number]
        return [row[place] for row in kept] if back is None else [back(row[place]) for row in kept]


def _shared(text: str | None) -> str | None:
    return None if text is None else intern(text)
