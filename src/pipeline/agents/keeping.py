"""What agents keep beside their tables: for each partition something that is made of its rows, and read afresh."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from pipeline.tables.state import State
from pipeline.tables.store import StateTable

T = TypeVar("T")


class Stateful(Protocol):
    """What keeps something for each partition beside its table."""

    table: StateTable

    def reset(self) -> None:
        """Partitions have come or gone: read everything afresh."""

    def forget(self, partition: int) -> None:
        """Read one partition afresh."""


class ByPartition(ABC, Generic[T]):
    """Keeps one T for each partition, made of the partition's state when it is first asked for."""

    def __init__(self, table: StateTable) -> None:
        self.table = table
        self._kept: dict[int, T] = {}

    @abstractmethod
    def make(self, partition: int, state: State) -> T:
        """What is kept of a partition with this state."""

    def of(self, partition: int) -> T:
        """What is kept of one partition."""
        found = self._kept.get(partition)
        if found is None:
            found = self._kept[partition] = self.make(partition, self.table.state_of(partition))
        return found

    def reset(self) -> None:
        """Partitions have come or gone: read everything afresh."""
        self._kept.clear()

    def forget(self, partition: int) -> None:
        """Read the partition afresh."""
        self._kept.pop(partition, None)


class InTable:
    """State that is in its table alone."""

    def __init__(self, table: StateTable) -> None:
        self.table = table

    def reset(self) -> None:
        """Nothing is kept besides the table."""

    def forget(self, partition: int) -> None:
        """Nothing is kept besides the table."""


class Keeping:
    """A processor over parts that keep state; `keep` sets them."""

    tables: Sequence[StateTable] = ()
    _stateful: Sequence[Stateful] = ()

    def keep(self, stateful: Sequence[Stateful]) -> None:
        """Set everything below it that keeps state."""
        self._stateful = tuple(stateful)
        self.tables = [part.table for part in stateful]

    def reset(self) -> None:
        """Partitions have come or gone: read everything afresh."""
        for part in self._stateful:
            part.reset()

    def forget(self, partition: int) -> None:
        """Read the partition afresh."""
        for part in self._stateful:
            part.forget(partition)
