"""TOPK(column, further columns, k): the rows with the largest values, as records."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Field, Row
from pipeline.tables.choices import checked_type, is_value
from pipeline.tables.json_forms import JsonForm, any_type, nullable, text
from pipeline.tables.types import SCALARS, ColumnType

Entry = list[Any]
"""[plain form of the value, offset, [JSON forms of the further columns]]."""


@dataclass(frozen=True, slots=True)
class TopKRows:
    """The `k` (1 or more) rows with the largest values, largest first; of equal ones the earlier offset first.

    `further` are (column, Avro type) pairs, types of any kind. The result is an array of records as ksqlDB has them:
    sort_col, col0, col1 and so on. Rows whose value is null, NaN or infinite are skipped; further columns may be null.
    State: [[value, offset, [further, ...]], ...].
    """

    TAKES: ClassVar = tuple(sorted(SCALARS))
    TAKES_PLAIN: ClassVar = True
    FREE_FROM: ClassVar = 1

    column: str
    output: str
    type: Any
    k: int
    further: tuple[tuple[str, Any], ...]
    declared: tuple[ColumnType, ...] = field(init=False, repr=False, compare=False)
    _forms: tuple[JsonForm, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SettingError(f"TopKRows: k is {self.k}, but must be at least 1")
        if not self.further:
            raise SettingError("TopKRows: further is empty, but must be (column, type) of at least one; else use TopK")
        found = [any_type(self, avro) for _, avro in self.further]
        object.__setattr__(self, "declared", (checked_type(self, self.type), *(kind for kind, _ in found)))
        object.__setattr__(self, "_forms", tuple(form for _, form in found))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The column whose largest values are looked for, and the further ones."""
        return self.column, *(name for name, _ in self.further)

    def zero(self) -> list[Entry]:
        """No row."""
        return []

    def add(self, state: list[Entry], value: Sequence[Any], offset: int) -> list[Entry]:
        """The largest out of one row more."""
        return self.add_many(state, [value], [offset])

    def add_many(self, state: list[Entry], values: Sequence[Sequence[Any]], offsets: Sequence[int]) -> list[Entry]:
        """The largest out of so many rows more."""
        fresh = [
            [value[0], offset, [form.to(part) for form, part in zip(self._forms, value[1:], strict=True)]]
            for value, offset in zip(values, offsets, strict=True)
            if is_value(value[0])
        ]
        return self.merge(state, fresh)

    def merge(self, left: list[Entry], right: list[Entry]) -> list[Entry]:
        """The largest of both."""
        entries = sorted([*left, *right], key=lambda entry: (entry[1], text(entry[2])))
        return sorted(entries, key=lambda entry: entry[0], reverse=True)[: self.k]

    def columns(self, state: list[Entry]) -> Row:
        """{output: array of records}, empty when there is no value."""
        return {
            self.output: [
                {"sort_col": self.declared[0].value(value)}
                | {f"col{n}": form.back(part) for n, (form, part) in enumerate(zip(self._forms, parts, strict=True))}
                for value, _, parts in state
            ]
        }

    def fields(self) -> list[Field]:
        """One array of records, whose type is called as the column with `_row` behind."""
        first, *others = [kind.avro for kind in self.declared]
        columns: list[Field] = [{"name": "sort_col", "type": first}]
        columns += [{"name": f"col{n}", "type": nullable(avro), "default": None} for n, avro in enumerate(others)]
        record = {"type": "record", "name": f"{self.output}_row", "fields": columns}
        return [{"name": self.output, "type": {"type": "array", "items": record}}]
