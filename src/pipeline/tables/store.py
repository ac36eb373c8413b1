"""The one adapter between the operators' state and Faust's tables."""

from collections import ChainMap
from collections.abc import Iterable
from typing import Any, cast

import faust
import orjson
from faust.stores.memory import Store as MemoryStore

from pipeline.records import Outgoing
from pipeline.tables.state import Key, State, apply_changes
from pipeline.timebase import now_ms


class PartitionStore(MemoryStore[Any, Any]):
    """A store in memory which keeps each partition's rows apart, so that a partition can come and go."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.partitions: dict[int, dict[Key, Any]] = {}
        self.states: dict[int, State] = {}
        self.data: ChainMap[Key, Any] = ChainMap()

    def rows(self, partition: int) -> dict[Key, Any]:
        """The rows of one partition."""
        if partition not in self.partitions:
            self.adopt(partition, {})
        return self.partitions[partition]

    def adopt(self, partition: int, rows: dict[Key, Any]) -> None:
        """Take a partition's rows as they are."""
        self.partitions[partition] = rows
        self.states[partition] = State(rows)
        self.data = ChainMap({}, *self.partitions.values())

    def drop(self, partition: int) -> None:
        """Forget a partition's rows."""
        self.partitions.pop(partition, None)
        self.states.pop(partition, None)
        self.data = ChainMap({}, *self.partitions.values())


class StateTable(faust.Table[Any, Any]):
    """A Faust table whose rows belong to partitions of `source`, the topic that its agent consumes.

    The changelog holds JSON: the key as a list, the value as a list, null for a row that was removed.
    """

    source: str

    @property
    def _rows(self) -> PartitionStore:
        return cast(PartitionStore, self.data)

    def _new_store(self) -> PartitionStore:
        return PartitionStore(
            "memory://",
            self.app,
            self,
            table_name=self.name,
            key_type=None,
            key_serializer="json",
            value_serializer="json",
            value_type=None,
        )

    def rows(self, partition: int) -> dict[Key, Any]:
        """The rows of one partition, kept up to date in place."""
        return self._rows.rows(partition)

    def state_of(self, partition: int) -> State:
        """The state of one partition, over the table's rows; the same one until the partition comes or goes."""
        self.rows(partition)
        return self._rows.states[partition]

    def restore(self, partition: int, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Apply changelog records, in order."""
        apply_changes(self.rows(partition), records)

    def adopt(self, partition: int, rows: dict[Key, Any]) -> None:
        """Take rows that were made of changelog records elsewhere as the partition's."""
        self._rows.adopt(partition, rows)

    def held(self) -> set[int]:
        """The partitions that have rows here."""
        return set(self._rows.partitions)

    def forget(self, partition: int) -> None:
        """Drop a partition's rows: it is another worker's now."""
        self._rows.drop(partition)

    def changes(self, state: State, partition: int) -> list[Outgoing]:
        """Changelog records of what a batch has changed, in the order of the last writes."""
        topic, time_ms = self.changelog_topic.get_topic_name(), now_ms()
        return [
            Outgoing(
                topic,
                orjson.dumps(key),
                None if value is None else orjson.dumps(value),
                time_ms,
                partition,
            )
            for key, value in state.take_changes().items()
        ]


class ReferenceTable(faust.GlobalTable):
    """A Faust global table that follows a source topic itself: no changelog of its own, whole in every worker."""

    async def on_start(self) -> None:
        """The topic is declared by provisioning: nothing to create."""

    def rows(self) -> dict[str, dict[str, Any]]:
        """All rows by key; kept up to date in place."""
        return cast("dict[str, dict[str, Any]]", self.data.data)
