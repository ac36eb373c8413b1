"""The first and the last values of a column, by offset: EARLIEST_BY_OFFSET and LATEST_BY_OFFSET, of any type.

Offsets of different source partitions have no order, in ksqlDB either: here the smaller offset is the earlier one, and
of equal ones the smaller value (of arrays, maps, records and unions the smaller text), so that the same inputs always
give the same winner.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Field, OneByOne, Row
from pipeline.tables.choices import is_value
from pipeline.tables.json_forms import JsonForm, any_type, nullable, text
from pipeline.tables.types import ColumnType

Entry = list[Any]
"""[offset, value]: a scalar's plain form, see types.py, any other type's JSON form."""


@dataclass(frozen=True, slots=True)
class _ByOffset(OneByOne, ABC):
    """With `n` (1 or more), that many values in an array, the earliest first; without, one value, null of nothing.

    Nulls are skipped, unless `ignore_nulls` is false. Among scalars NaN and the infinities, which JSON does not know,
    count as null. State: null or [offset, value]; with `n` the list of such.
    """

    TAKES_PLAIN: ClassVar = True

    column: str
    output: str
    type: Any
    n: int | None = None
    ignore_nulls: bool = True
    declared: ColumnType = field(init=False, repr=False, compare=False)
    _form: JsonForm = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        declared, form = any_type(self, self.type)
        object.__setattr__(self, "declared", declared)
        object.__setattr__(self, "_form", form)
        if self.n is not None and self.n < 1:
            raise SettingError(f"{type(self).__name__}: n is {self.n}, but must be at least 1")

    @abstractmethod
    def _kept(self, entries: Sequence[Entry], count: int) -> list[Entry]:
        """So many of entries that are in the order of their offsets."""

    @abstractmethod
    def _from_its_end(self, values: Sequence[Any], offsets: Sequence[int]) -> Iterable[tuple[Any, int]]:
        """Values with their offsets, from the end whose values are kept."""

    def zero(self) -> Any:
        """No value."""
        return None if self.n is None else []

    def add(self, state: Any, value: Any, offset: int) -> Any:
        """One more value; null changes nothing, unless it is kept."""
        if self.ignore_nulls and not is_value(value):
            return state
        entry = self._entry(value, offset)
        return self.merge(state, entry if self.n is None else [entry])

    def add_many(self, state: Any, values: Sequence[Any], offsets: Sequence[int]) -> Any:
        """All of them: what lies between is not looked at."""
        count, fresh = self.n or 1, []
        for value, offset in self._from_its_end(values, offsets):
            if not self.ignore_nulls or is_value(value):
                fresh.append(self._entry(value, offset))
                if len(fresh) == count:
                    break
        if not fresh:
            return state
        return self.merge(state, fresh[0] if self.n is None else fresh)

    def merge(self, left: Any, right: Any) -> Any:
        """The values that both have in the end."""
        if self.n is not None:
            return self._kept(sorted([*left, *right], key=self._rank), self.n)
        if left is None or right is None:
            return right if left is None else left
        if left[0] == right[0]:
            return self._kept(sorted([left, right], key=self._rank), 1)[0]
        return self._kept([left, right] if left[0] < right[0] else [right, left], 1)[0]

    def columns(self, state: Any) -> Row:
        """{output: value or null}; with `n` {output: array}."""
        if self.n is not None:
            return {self.output: [self._value(entry[1]) for entry in state]}
        return {self.output: None if state is None else self._value(state[1])}

    def fields(self) -> list[Field]:
        """One column of the declared type, or null; with `n` an array of the type."""
        if self.n is None:
            return [{"name": self.output, "type": nullable(self.declared.avro), "default": None}]
        items = self.declared.avro if self.ignore_nulls else nullable(self.declared.avro)
        return [{"name": self.output, "type": {"type": "array", "items": items}}]

    def _entry(self, value: Any, offset: int) -> Entry:
        if not is_value(value):
            return [offset, None]
        return [offset, value if self.declared.is_scalar else self._form.to(value)]

    def _rank(self, entry: Entry) -> tuple[Any, ...]:
        offset, value = entry
        return offset, value is not None, value if self.declared.is_scalar else text(value)

    def _value(self, kept: Any) -> Any:
        if kept is None:
            return None
        return self.declared.value(kept) if self.declared.is_scalar else self._form.back(kept)


class EarliestByOffset(_ByOffset):
    """EARLIEST_BY_OFFSET(column [, n] [, ignoreNulls]): the first value, or the `n` first."""

    __slots__ = ()

    def _kept(self, entries: Sequence[Entry], count: int) -> list[Entry]:
        return list(entries[:count])

    def _from_its_end(self, values: Sequence[Any], offsets: Sequence[int]) -> Iterable[tuple[Any, int]]:
        return zip(values, offsets, strict=True)


class LatestByOffset(_ByOffset):
    """LATEST_BY_OFFSET(column [, n] [, ignoreNulls]): the last value, or the `n` last, the earliest of them first."""

    __slots__ = ()

    def _kept(self, entries: Sequence[Entry], count: int) -> list[Entry]:
        return list(entries[-count:])

    def _from_its_end(self, values: Sequence[Any], offsets: Sequence[int]) -> Iterable[tuple[Any, int]]:
        return zip(reversed(values), reversed(offsets), strict=True)
