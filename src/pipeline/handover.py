"""Rows that a process has written itself need not be read back: their fields go to the decoder as they are."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

Columns = Mapping[str, Sequence[Any]]


class Run(NamedTuple):
    """Records that were written one after the other, and the columns of their fields."""

    values: list[bytes]
    columns: list[Sequence[Any]]


class Handover:
    """Fields of records by the records' written form, from who writes them to who reads them in the same process.

    Reading the bytes would give the same: this only spares it. Records of a partition are read in the order in which
    they were written, so those written together are kept together, and found by the first of them; each is handed over
    once. When more than `most` records wait, the oldest are dropped.
    """

    def __init__(self, names: Sequence[str], most: int = 100_000) -> None:
        self.names = tuple(names)
        self._most = most
        self._runs: dict[bytes | None, Run] = {}
        self._waiting = 0

    def put(self, values: Sequence[bytes], columns: Columns) -> None:
        """Keep records, given as columns, until they are taken."""
        self._add(Run(list(values), [columns[name] for name in self.names]))
        while self._waiting > self._most:
            self._pop(next(iter(self._runs)))

    def take(self, values: Sequence[bytes | None]) -> Columns | None:
        """The fields of all these records, which are no longer kept then; None when one record is not known."""
        values, taken = list(values), []
        place = 0
        while place < len(values):
            run = self._runs.get(values[place])
            count = 0 if run is None else min(len(run.values), len(values) - place)
            if run is None or run.values[:count] != values[place : place + count]:
                self._forget(values)
                return None
            self._pop(values[place])
            taken.append([column[:count] for column in run.columns])
            self._add(_behind(run, count))
            place += count
        return dict(zip(self.names, map(_joined, zip(*taken, strict=True)), strict=True)) if taken else None

    def __len__(self) -> int:
        """How many records wait to be taken."""
        return self._waiting

    def clear(self) -> None:
        """Drop what waits."""
        self._runs, self._waiting = {}, 0

    def _add(self, run: Run) -> None:
        if run.values:
            self._pop(run.values[0])
            self._runs[run.values[0]] = run
            self._waiting += len(run.values)

    def _pop(self, first: bytes | None) -> Run | None:
        run = self._runs.pop(first, None)
        self._waiting -= 0 if run is None else len(run.values)
        return run

    def _forget(self, values: Sequence[bytes | None]) -> None:
        """These records are read: those of a run that come after them are found by the first of those."""
        last = values[-1]
        for value in values:
            if (run := self._pop(value)) is not None and last in run.values:
                self._add(_behind(run, run.values.index(last) + 1))


def _behind(run: Run, count: int) -> Run:
    return Run(run.values[count:], [column[count:] for column in run.columns])


def _joined(parts: Sequence[Sequence[Any]]) -> Sequence[Any]:
    return parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))
