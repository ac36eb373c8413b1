"""What a demo shows of an application without a page: the newest rows of its outputs, as they come."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from rich.table import Table as View
from rich.text import Text

from pipeline.errors import BadRecord, PipelineError, StackError
from pipeline.formats import decoder
from pipeline.kafka import READ_COMMITTED, reader
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.shown import visible
from pipeline.topics import DEAD_LETTERS, Topic

KEPT_ROWS, COLUMN_WIDTH = 8, 28
LOOK_S = 0.5


class NewestRows:
    """The newest rows of a topic by key, as they are read."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.count = 0
        self.next: dict[int, int] = {}
        self._decode = decoder(topic)
        self._rows: OrderedDict[bytes, Mapping[str, Any]] = OrderedDict()

    async def take(self, registry: Registry, records: list[Any]) -> None:
        """Note records of one partition."""
        with suppress(PipelineError):
            await registry.prepare(self._decode, [record.value for record in records])
        for record in records:
            self.count += 1
            self.next[record.partition] = record.offset + 1
            try:
                row = self._decode(record.value)
            except BadRecord as error:
                row = {"": f"cannot be read: {error}"}
            key = (record.key or b"") + str(row.get("window_start_ms", "")).encode()
            self._rows[key] = row
            self._rows.move_to_end(key)
            if len(self._rows) > KEPT_ROWS:
                self._rows.popitem(last=False)

    def view(self) -> View:
        """The rows as a table, newest last."""
        columns = list(dict.fromkeys(name for row in self._rows.values() for name in row))
        columns = [name for name in columns if name not in ("window_start_ms", "window_end_ms", "version")]
        view = View(*columns, title=f"{self.topic.name}: {self.count:,} rows", title_justify="left")
        for row in self._rows.values():
            view.add_row(*(_cell(row.get(name)) for name in columns))
        return view


def _cell(value: Any) -> Text:
    text = visible("" if value is None else str(value))
    return Text(text if len(text) <= COLUMN_WIDTH else text[: COLUMN_WIDTH - 1] + "…")


class Outputs:
    """The outputs of applications, and dead letters, read for as long as a demo runs; none: nothing is read."""

    def __init__(self, settings: Settings, topics: Sequence[Topic]) -> None:
        self._settings = settings
        self.rows = {topic.name: NewestRows(topic) for topic in topics}
        self._letters = NewestRows(DEAD_LETTERS)
        self._all = {**self.rows, DEAD_LETTERS.name: self._letters} if topics else {}

    @property
    def empty(self) -> list[str]:
        """Outputs without any row so far."""
        return [name for name, rows in self.rows.items() if not rows.count]

    def views(self) -> list[View]:
        """A table for each output, and one for dead letters where there are any."""
        letters = [self._letters.view()] if self._letters.count else []
        return [*(rows.view() for rows in self.rows.values()), *letters]

    async def follow(self) -> None:
        """Read until cancelled; outages are waited out."""
        registry = Registry(self._settings)
        while self._all:
            with suppress(StackError, KafkaError, OSError, TimeoutError):
                async with reader(self._settings, READ_COMMITTED) as consumer:
                    parts = range(self._settings.partitions)
                    places = [TopicPartition(name, number) for name in self._all for number in parts]
                    consumer.assign(places)
                    for tp in places:
                        consumer.seek(tp, self._all[tp.topic].next.get(tp.partition, 0))
                    while True:
                        for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                            await self._all[tp.topic].take(registry, records)
            await asyncio.sleep(LOOK_S)
