"""Rows as states keep them: plain JSON values that come back exactly as they were.

A text, a whole number or a truth value is kept as it is; what JSON does not know takes the form that types.py gives it,
inside arrays, maps and records too; doubles that are no numbers are kept as texts.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.tables.aggregate import Row
from pipeline.tables.types import FORMS, ColumnType, column_type

Change = Callable[[Any], Any]
Both = tuple[Change, Change]
"""To the plain form and back, of values that are not null."""


class RowForm:
    """The form of rows of these columns."""

    def __init__(self, columns: Mapping[str, ColumnType]) -> None:
        self._names = tuple(columns)
        forms = {name: value_form(kind) for name, kind in columns.items()}
        self._forms = {name: form for name, form in forms.items() if form is not None}

    def plain(self, row: Mapping[str, Any]) -> Row:
        """The plain form of a row's columns; others are left out."""
        made = {name: row[name] for name in self._names}
        return _changed(made, self._forms, 0)

    def row(self, plain: Row) -> Row:
        """The row of a plain form; a column that it does not have is null."""
        made = {name: plain.get(name) for name in self._names}
        return _changed(made, self._forms, 1)


def _changed(row: Row, forms: Mapping[str, Both], way: int) -> Row:
    for name, form in forms.items():
        if row[name] is not None:
            row[name] = form[way](row[name])
    return row


def value_form(kind: ColumnType) -> Both | None:
    """How values of a type become plain and come back; None where they are plain as they are."""
    match kind.family:
        case "float" | "double":
            return _double, float
        case "array":
            return _of_items(value_form(column_type(kind.avro["items"])))
        case "map":
            return _of_values(value_form(column_type(kind.avro["values"])))
        case "record":
            return _of_record(kind)
    if kind.family not in FORMS:
        return None
    form, scale = FORMS[kind.family], kind.scale
    return lambda value: form.plain(value, scale), lambda plain: form.value(plain, scale)


def _double(value: float) -> Any:
    return value if math.isfinite(value) else str(value)


def _of_items(form: Both | None) -> Both | None:
    if form is None:
        return None

    def change(way: Change) -> Change:
        return lambda items: [None if item is None else way(item) for item in items]

    return change(form[0]), change(form[1])


def _of_values(form: Both | None) -> Both | None:
    if form is None:
        return None

    def change(way: Change) -> Change:
        return lambda values: {name: None if value is None else way(value) for name, value in values.items()}

    return change(form[0]), change(form[1])


def _of_record(kind: ColumnType) -> Both | None:
    forms = {field["name"]: value_form(column_type(field["type"])) for field in kind.avro["fields"]}
    if not any(forms.values()):
        return None
    known = {name: form for name, form in forms.items() if form is not None}
    return lambda row: _changed(dict(row), known, 0), lambda row: _changed(dict(row), known, 1)
