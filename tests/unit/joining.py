"""Shared by the joins' tests: rows from short lists, and an operator that can crash anywhere and go on."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from pipeline.tables.aggregate import Row
from pipeline.tables.joins import KeyedRows
from pipeline.tables.state import State

Record = tuple[int, str | None, Row | None]


def keyed(records: Sequence[Record], first_offset: int = 0) -> KeyedRows:
    """Rows of (time_ms, key, record), with offsets from `first_offset`."""
    return KeyedRows(
        list(range(first_offset, first_offset + len(records))),
        [time_ms for time_ms, _, _ in records],
        [key for _, key, _ in records],
        [record for _, _, record in records],
    )


class Changelog:
    """The state of an operator as the brokers hold it: JSON, in the order in which it was written."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, bytes]] = []

    def write(self, state: State, lost: int = 0) -> None:
        """Append the changes of a batch, without the last `lost` of them."""
        changes = [(orjson.dumps(key), orjson.dumps(value)) for key, value in state.take_changes().items()]
        self.written += changes[: max(len(changes) - lost, 0)]

    def restored(self) -> State:
        """The state after a restart."""
        rows: dict = {}
        for raw_key, raw_value in self.written:
            key, value = tuple(orjson.loads(raw_key)), orjson.loads(raw_value)
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        return State(rows)


class Crashing:
    """An operator over a changelog; `make` gives the operator over a state, which it has as `state`."""

    def __init__(self, make: Callable[[State], Any]) -> None:
        self._make = make
        self.changelog = Changelog()
        self.operator = make(State())

    def crash(self) -> None:
        """What was in memory is gone."""
        self.operator = self._make(self.changelog.restored())

    def run(self, batch: Callable[[Any], Any], lost: int | None = None) -> Any:
        """Run a batch and write what it changed. With `lost`: crash then, with that many changes not yet written."""
        out = batch(self.operator)
        self.changelog.write(self.operator.state, lost or 0)
        if lost is not None:
            self.crash()
        return out
