"""The state of the merges of an application's aggregates, as their changelogs tell it, and the rows that it means.

Free of Kafka and HTTP. A group lies in one partition, so that partitions need not be told apart here.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from pipeline.declare.compiled import field_of
from pipeline.declare.relations import Statement
from pipeline.declare.statements import AggregateStatement
from pipeline.tables.aggregate import Row
from pipeline.tables.merge import MARKER
from pipeline.tables.merged_sessions import MergedSessions
from pipeline.tables.result_rows import output_row
from pipeline.tables.results import Result
from pipeline.tables.sliced_windows import totals
from pipeline.tables.window_merge import total_of
from pipeline.tables.windows import Hopping, Session, Unwindowed

ALWAYS = 2**63
"""Later than any window."""


@dataclass(frozen=True, slots=True)
class Between:
    """Windows by their starts, epoch ms: `[from_ms, to_ms)`."""

    from_ms: int = -1
    to_ms: int = ALWAYS

    def __contains__(self, start_ms: int) -> bool:
        return self.from_ms <= start_ms < self.to_ms


EVERY = Between()


class TableTotals:
    """What is kept of one aggregate: its groups, and of each what lies under its windows' or slices' starts."""

    def __init__(self, statement: AggregateStatement) -> None:
        self.statement = statement
        self._aggregate = statement.aggregate
        self._groups: dict[str, dict[int, Any]] = {}
        self._sorted: list[str] | None = None
        self.reached_ms = -1
        """How far all source partitions have come: of windows that have closed by then, slices may be gone."""

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._groups)

    def put(self, group: str, start_ms: int, value: Any) -> None:
        """A value of the changelog; None: it is gone. Sessions of a group are one value, under 0."""
        known = self._groups.get(group)
        if value is None:
            if known is not None and known.pop(start_ms, None) is not None and not known:
                del self._groups[group]
                self._sorted = None
        elif known is None:
            self._groups[group] = {start_ms: value}
            self._sorted = None
        else:
            known[start_ms] = value

    def groups(self, first: str = "", end: str | None = None) -> Sequence[str]:
        """The groups of these texts, in the order of the texts; `first` is inclusive, `end` exclusive."""
        if self._sorted is None:
            self._sorted = sorted(self._groups)
        found = self._sorted
        return found[bisect_left(found, first) : len(found) if end is None else bisect_left(found, end)]

    def rows(self, group: str, windows: Between = EVERY) -> Iterator[Row]:
        """The rows of a group by the starts of their windows; those for which HAVING is not true are left out."""
        having = self.statement.having
        for result in self._results(group, windows):
            row = output_row(self._aggregate, result)
            row.pop("retired", None)
            if having is None or having.column(partial(_one, row), 1)[0][0]:
                yield row

    def rows_at(self, group: str, start_ms: int) -> Iterator[Row]:
        """The rows that a changelog record with this start has changed; of slices, see `is_sliced`."""
        if isinstance(self._aggregate.window, Session):
            return self.rows(group)
        return self.rows(group, Between(start_ms, start_ms + 1))

    @property
    def is_sliced(self) -> bool:
        """Whether a change is one of a slice, which many windows hold."""
        return self._aggregate.sliced

    def _results(self, group: str, windows: Between) -> Iterator[Result]:
        aggregate, window, known = self._aggregate, self._aggregate.window, self._groups.get(group)
        if known is None:
            return
        if isinstance(window, Session):
            for result in MergedSessions(known[0], aggregate, window).every(group):
                if result.start_ms in windows:
                    yield result
        elif aggregate.sliced:
            assert isinstance(window, Hopping)
            held = {start for slice_ms in known for start in _held(window, slice_ms, windows)}
            starts = sorted(start for start in held if not window.closed(start, self.reached_ms))
            for start, total in totals(window, aggregate.function, starts, known.get):
                end = window.end(start)
                yield Result(aggregate.name, group, start, end, total.state, total.time_ms, total.version)
        else:
            for start in sorted(known) if len(known) > 1 else known:
                if start in windows or isinstance(window, Unwindowed):
                    yield total_of(aggregate, window, group, start, known[start])


def _one(row: Row, name: str) -> Sequence[Any]:
    return [field_of(row, name)]


def _held(window: Hopping, slice_ms: int, windows: Between) -> Iterator[int]:
    """The starts of the windows that hold a slice, of those that are wanted."""
    starts = window.starts(slice_ms)
    if windows.from_ms > starts[-1] or windows.to_ms <= starts[0]:
        return iter(())
    return (start for start in starts if start in windows)


class Totals:
    """All aggregates of an application that can be asked, by the names of their topics or of what they are kept as."""

    def __init__(self, statements: Sequence[AggregateStatement]) -> None:
        self.tables = {statement.output.name: TableTotals(statement) for statement in statements}
        self._by_aggregate = {table.statement.aggregate.name: table for table in self.tables.values()}

    def apply(self, raw_key: bytes, raw_value: bytes | None) -> tuple[TableTotals, str, int] | None:
        """Take a changelog record in: the table, the group and the start that it is of; None where it is of none."""
        name, *rest = orjson.loads(raw_key)
        if name == MARKER[0] and raw_value is not None:
            for aggregate, progress in orjson.loads(raw_value)[1].items():
                if (marked := self._by_aggregate.get(aggregate)) is not None:
                    marked.reached_ms = max(marked.reached_ms, progress[0])
        table = self._by_aggregate.get(name)
        if table is None or not rest:
            return None
        group, start_ms = rest[0], rest[1] if len(rest) > 1 else 0
        table.put(group, start_ms, None if raw_value is None else orjson.loads(raw_value))
        return table, group, start_ms

    def clear(self) -> None:
        """Forget everything: it is read again."""
        for name, table in list(self._by_aggregate.items()):
            fresh = TableTotals(table.statement)
            self._by_aggregate[name] = self.tables[table.statement.output.name] = fresh


def that_can_be_asked(statements: Sequence[Statement]) -> list[AggregateStatement]:
    """The statements whose results can be asked for: those of EMIT FINAL are told once and forgotten."""
    return [one for one in statements if isinstance(one, AggregateStatement) and not one.aggregate.final]
