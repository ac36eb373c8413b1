"""The plain values that the two stages of an aggregation exchange."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipeline.tables.aggregate import Row

Origin = tuple[int, int]
Convert = Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(slots=True)
class Rows:
    """Decoded rows of one partition, as columns of equal length; `offsets` rise.

    What a row holds is in `columns` or, where there are none, in `records`. `origins` names the source
    record of each row as (partition, offset): a row whose origin is not above the last one seen from that partition is
    a duplicate, made by a replay one stage earlier, and is dropped.
    """

    offsets: Sequence[int]
    times_ms: Sequence[int]
    records: Sequence[Row]
    origins: Sequence[Origin]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    _found: dict[str, Sequence[Any]] = field(default_factory=dict, init=False)
    _converted: dict[tuple[str, Convert], Sequence[Any]] = field(default_factory=dict, init=False)

    def converted(self, name: str, convert: Convert) -> Sequence[Any]:
        """One column in another form, which aggregates share."""
        found = self._converted.get((name, convert))
        if found is None:
            found = self._converted[name, convert] = convert(self.column(name))
        return found

    def column(self, name: str) -> Sequence[Any]:
        """One column of the rows."""
        found = self._found.get(name)
        if found is None:
            found = self.columns[name] if self.columns else [record[name] for record in self.records]
            self._found[name] = found
        return found

    def between(self, start: int, end: int) -> "Rows":
        """The rows at the places [start, end)."""
        if (start, end) == (0, len(self.offsets)):
            return self
        return self._each(lambda column: column[start:end])

    def at(self, places: Sequence[int]) -> "Rows":
        """The rows at these places."""
        return self._each(lambda column: [column[place] for place in places] if column else column)

    def _each(self, choose: Callable[[Sequence[Any]], Sequence[Any]]) -> "Rows":
        offsets, times_ms, records, origins = map(choose, (self.offsets, self.times_ms, self.records, self.origins))
        columns = {name: choose(column) for name, column in self.columns.items()}
        return Rows(offsets, times_ms, records, origins, columns)


class Partial(NamedTuple):
    """One (group, window) over one source partition, up to and including the row at `offset`."""

    aggregate: str
    group: str
    start_ms: int
    origin: int
    offset: int
    time_ms: int
    state: Any
    stream_time_ms: int


class SessionPartial(NamedTuple):
    """The sessions of one group over one source partition which the rows up to `offset` have changed.

    `upserts` are (first_ms, last_ms, state); `retired` are (first_ms, last_ms) and are to be applied first.
    """

    aggregate: str
    group: str
    origin: int
    offset: int
    upserts: list[list[Any]]
    retired: list[list[int]]
    stream_time_ms: int


class Watermark(NamedTuple):
    """How far one source partition has come, by aggregate: it sends no more for what has closed by then.

    An `idle` partition has sent nothing for so long that the others need not wait for it; until it sends again.
    """

    origin: int
    stream_times_ms: dict[str, int]
    idle: bool = False


Sent = Partial | SessionPartial | Watermark


class Late(NamedTuple):
    """A row that came after its window had closed. `end_ms` is the window's exclusive end, or the session's last."""

    aggregate: str
    offset: int
    time_ms: int
    start_ms: int
    end_ms: int
    late_by_ms: int


@dataclass(slots=True)
class Progress:
    """What one aggregate has seen in one partition. `stream_time_ms` is -1 before the first row."""

    stream_time_ms: int = -1
    late: int = 0
    null_groups: int = 0


@dataclass(slots=True)
class Folded:
    """What a batch has changed: partials in the order in which they were first touched, and what was left out."""

    partials: list[Partial | SessionPartial] = field(default_factory=list)
    watermark: Watermark | None = None
    late: list[Late] = field(default_factory=list)
    duplicates: int = 0
    null_groups: int = 0
    null_keys: int = 0
