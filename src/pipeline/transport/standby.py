"""Standby state: the changelogs of partitions that other workers have, followed so that taking one over is quick.

Nothing is decided here: whoever takes a partition over reads on from where the standby has come, by the same rules as
one who reads from the beginning.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from aiokafka import TopicPartition
from mode import Service

from pipeline.kafka import close_consumer
from pipeline.records import RecordBatch
from pipeline.tables.state import Key, apply_changes
from pipeline.transport.fetching import next_batches
from pipeline.transport.host import Host

MOST_RECORDS = 5_000
FETCH_S = 0.5
Rows = dict[Key, Any]


class Standby(Service):
    """Follows the changelogs that it is told to, in memory, until their rows are taken."""

    def __init__(self, app: Host, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._app = app
        self._rows: dict[TopicPartition, Rows] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._changed = False

    def follow(self, wanted: Iterable[TopicPartition]) -> None:
        """Follow these changelogs from now on, and no others; those that are new from the beginning."""
        wanted = set(wanted)
        self._changed = self._changed or wanted != self._rows.keys()
        self._rows = {tp: self._rows.get(tp, {}) for tp in wanted}
        self._positions = {tp: self._positions.get(tp, 0) for tp in wanted}

    def take(self, changelog: TopicPartition) -> tuple[Rows, int]:
        """The rows of a changelog up to an offset, exclusive, from where to read on; it is no longer followed."""
        self._changed = True
        return self._rows.pop(changelog, {}), self._positions.pop(changelog, 0)

    @Service.task
    async def _follow(self) -> None:
        consumer = self._app.changelog_reader()
        await consumer.start()
        try:
            while not self.should_stop:
                if self._changed:
                    self._changed = False
                    consumer.assign(list(self._positions))
                    for tp, position in self._positions.items():
                        consumer.seek(tp, position)
                if self._positions:
                    self._apply(await next_batches(consumer, list(self._positions), FETCH_S, MOST_RECORDS))
                    await self.sleep(0)
                else:
                    await self.sleep(FETCH_S)
        finally:
            await close_consumer(consumer)

    def _apply(self, fetched: Mapping[TopicPartition, RecordBatch]) -> None:
        if self._changed:
            return  # it was fetched for what was followed before, and comes again where it is still wanted
        for tp, batch in fetched.items():
            apply_changes(self._rows[tp], zip(cast("Sequence[bytes]", batch.keys), batch.values, strict=True))
            self._positions[tp] = batch.next_offset
