"""Values collected: COLLECT_LIST, COLLECT_SET and HISTOGRAM of ksqlDB.

Over one source partition the order is that of the rows. Over several there is none: there the smaller offset comes
first, and of equal ones the smaller text. What is beyond the limit is left out, by that same order, so that it does not
matter in which order partitions are merged; ksqlDB leaves out what comes after it is full.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import Any, ClassVar

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Field, OneByOne, Row
from pipeline.tables.json_forms import JsonForm, any_type, nullable, text
from pipeline.tables.types import ColumnType

LIMIT = 1_000
"""How many are kept unless said otherwise: what Confluent Cloud sets, and what HISTOGRAM has everywhere."""
Entry = list[Any]
"""[offset, the value's JSON form]."""


def check_limit(function: object, limit: int) -> None:
    """Raise SettingError unless a limit is at least 1."""
    if limit < 1:
        raise SettingError(f"{type(function).__name__}: limit is {limit}, but must be at least 1")


@dataclass(frozen=True, slots=True)
class CollectList(OneByOne):
    """COLLECT_LIST(column): the first `limit` values in an array, of any type; nulls are among them, as in ksqlDB.

    State: [[offset, value], ...], values in their JSON form. It can subtract; what was beyond the limit does not come
    back then, as in ksqlDB.
    """

    column: str
    output: str
    type: Any
    limit: int = LIMIT
    declared: ColumnType = field(init=False, repr=False, compare=False)
    _form: JsonForm = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        declared, form = any_type(self, self.type)
        object.__setattr__(self, "declared", declared)
        object.__setattr__(self, "_form", form)
        check_limit(self, self.limit)

    def zero(self) -> list[Entry]:
        """No value."""
        return []

    def add(self, state: list[Entry], value: Any, offset: int) -> list[Entry]:
        """One more value."""
        return self.add_many(state, [value], [offset])

    def add_many(self, state: list[Entry], values: Sequence[Any], offsets: Sequence[int]) -> list[Entry]:
        """All of them; those that come after a full list are not looked at."""
        if not offsets or not state or offsets[0] > state[-1][0]:
            room, to = self.limit - len(state), self._form.to
            fresh = zip(offsets[:room], values[:room], strict=True)
            return [*state, *([offset, to(value)] for offset, value in fresh)] if room and offsets else state
        return self.merge(state, self.add_many([], values, offsets))

    def merge(self, left: list[Entry], right: list[Entry]) -> list[Entry]:
        """The first of both."""
        return _in_order([*left, *right])[: self.limit]

    def subtract(self, left: list[Entry], right: list[Entry]) -> list[Entry]:
        """The left values without the right ones."""
        found = list(left)
        for entry in right:
            if entry in found:
                found.remove(entry)
        return found

    def columns(self, state: list[Entry]) -> Row:
        """{output: array}, empty when there is no row."""
        return {self.output: [self._form.back(value) for _, value in state]}

    def fields(self) -> list[Field]:
        """One array of the declared type, or null."""
        return [{"name": self.output, "type": {"type": "array", "items": nullable(self.declared.avro)}}]


@dataclass(frozen=True, slots=True)
class CollectSet(OneByOne):
    """COLLECT_SET(column): the first `limit` different values in an array, of any type; null may be one, as in ksqlDB.

    State: [[offset at which it first came, value], ...], values in their JSON form.
    """

    column: str
    output: str
    type: Any
    limit: int = LIMIT
    declared: ColumnType = field(init=False, repr=False, compare=False)
    _form: JsonForm = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        declared, form = any_type(self, self.type)
        object.__setattr__(self, "declared", declared)
        object.__setattr__(self, "_form", form)
        check_limit(self, self.limit)

    def zero(self) -> list[Entry]:
        """No value."""
        return []

    def add(self, state: list[Entry], value: Any, offset: int) -> list[Entry]:
        """One more value; a known one changes nothing, unless it came later."""
        return self.merge(state, [[offset, self._form.to(value)]])

    def add_many(self, state: list[Entry], values: Sequence[Any], offsets: Sequence[int]) -> list[Entry]:
        """All of them."""
        return self.merge(state, [[o, self._form.to(value)] for o, value in zip(offsets, values, strict=True)])

    def merge(self, left: list[Entry], right: list[Entry]) -> list[Entry]:
        """The first of both, each once."""
        first: dict[str, Entry] = {}
        for entry in [*left, *right]:
            known = first.setdefault(text(entry[1]), entry)
            if entry[0] < known[0]:
                first[text(entry[1])] = entry
        return _in_order([*first.values()])[: self.limit]

    def columns(self, state: list[Entry]) -> Row:
        """{output: array}, empty when there is no row."""
        return {self.output: [self._form.back(value) for _, value in state]}

    def fields(self) -> list[Field]:
        """One array of the declared type, or null."""
        return [{"name": self.output, "type": {"type": "array", "items": nullable(self.declared.avro)}}]


def _in_order(entries: list[Entry]) -> list[Entry]:
    entries.sort(key=itemgetter(0))
    if any(one[0] == other[0] for one, other in pairwise(entries)):
        entries.sort(key=lambda entry: (entry[0], text(entry[1])))
    return entries


@dataclass(frozen=True, slots=True)
class Histogram(OneByOne):
    """HISTOGRAM(column): how often each text comes, in a map; nulls are skipped. State: {text: count}, texts sorted.

    Of more than `limit` texts those are kept that are first by alphabet, with exact counts: which ones came first is
    not the same in every order of merging. It can subtract; what was beyond the limit does not come back then.
    """

    TAKES: ClassVar = ("string",)

    column: str
    output: str
    limit: int = LIMIT

    def __post_init__(self) -> None:
        check_limit(self, self.limit)

    def zero(self) -> dict[str, int]:
        """No text."""
        return {}

    def add(self, state: dict[str, int], value: str | None, offset: int) -> dict[str, int]:
        """One more text; null changes nothing."""
        return self.add_many(state, [value], [offset])

    def add_many(self, state: dict[str, int], values: Sequence[str | None], offsets: Sequence[int]) -> dict[str, int]:
        """All of them; null changes nothing."""
        fresh: dict[str, int] = {}
        for value in values:
            if value is not None:
                fresh[value] = fresh.get(value, 0) + 1
        return self.merge(state, fresh) if fresh else state

    def merge(self, left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
        """The counts of both."""
        texts = sorted({**left, **right})[: self.limit]
        return {text: left.get(text, 0) + right.get(text, 0) for text in texts}

    def subtract(self, left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
        """The left counts without the right ones; a text that is left 0 times is gone."""
        return {text: rest for text, count in left.items() if (rest := count - right.get(text, 0)) > 0}

    def columns(self, state: dict[str, int]) -> Row:
        """{output: map}, empty when there is no text."""
        return {self.output: dict(state)}

    def fields(self) -> list[Field]:
        """One map of longs."""
        return [{"name": self.output, "type": {"type": "map", "values": "long"}}]
