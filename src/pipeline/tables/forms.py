"""Whole rows as states keep them: an object of plain JSON values, which come back exactly; see json_forms.py."""

from collections.abc import Mapping
from typing import Any

from pipeline.tables.aggregate import Row
from pipeline.tables.json_forms import json_form
from pipeline.tables.types import ColumnType


class RowForm:
    """The form of rows of these columns. A column that a kept row does not have, since it is newer, is null."""

    def __init__(self, columns: Mapping[str, ColumnType]) -> None:
        self._forms = [(name, json_form(kind.avro)) for name, kind in columns.items()]

    def plain(self, row: Mapping[str, Any]) -> Row:
        """What is kept of a row: these columns; others are left out."""
        return {name: form.to(row[name]) for name, form in self._forms}

    def row(self, plain: Row) -> Row:
        """The row that was kept."""
        return {name: form.back(plain.get(name)) for name, form in self._forms}
