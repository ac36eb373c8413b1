"""The Faust application class that puts the record-batch transport in place."""

from collections.abc import Awaitable, Callable
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from faust.types.transports import TransportT
from mode import ServiceT

from pipeline.errors import SettingError
from pipeline.tables.store import StateTable
from pipeline.topics import Kind, Topic
from pipeline.transport import memory
from pipeline.transport.consumer import BatchSchema, BatchTransport
from pipeline.transport.metrics import Counted
from pipeline.transport.outbox import Outbox
from pipeline.transport.references import References
from pipeline.transport.standby import Standby
from pipeline.transport.watchdog import Watchdog

CHANGELOG = {"segment.bytes": str(4 * 1024 * 1024), "segment.ms": "600000", "min.cleanable.dirty.ratio": "0.1"}
"""Brokers compact all but the newest segment: small ones, so that restoring takes the same after a day of work."""


class BatchApp(faust.App):
    """A Faust application whose events carry record batches.

    Set by whoever composes the application: `outbox`, `references` and, where others' state
    is to be followed, `standby`, services that start with the worker;
    `changelog_reader`, which makes a consumer that belongs to no group; `prepare`, which runs before anything else
    starts; `stall_timeout_s`, after which a worker that stands still ends. `processors` are those behind the agents,
    by agent. `tables_of_streams` names the tables' topics of each stream's topic that is joined with some: tables go
    first, see `transport/turns.py`. Callbacks in `state_listeners` run whenever partitions of state have come or gone.
    """

    outbox: Outbox
    references: References | None = None
    standby: Standby | None = None
    stall_timeout_s = 60.0
    changelog_reader: Callable[..., AIOKafkaConsumer]
    prepare: Callable[[], Awaitable[None]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.state_listeners: list[Callable[[], None]] = []
        self.serving_generation: int | None = None
        self.batches_waiting = 0
        self.batches_in_work = 0
        self.batches_done = 0
        self.processors: dict[str, Counted] = {}
        self.own_topics: set[str] = set()
        self.tables_of_streams: dict[str, tuple[str, ...]] = {}
        self._batch_topics: set[str] = set()
        super().__init__(*args, **kwargs)

    async def on_start(self) -> None:
        """Prepare, then start what the agents need before the first event."""
        await super().on_start()
        if not self.client_only:
            await self.prepare()
            if isinstance(self.outbox, ServiceT):
                await self.add_runtime_dependency(self.outbox)
            for service in (self.references, self.standby):
                if service is not None:
                    await self.add_runtime_dependency(service)
            await self.add_runtime_dependency(Watchdog(self, self.stall_timeout_s))
            memory.settle()

    def _create_directories(self) -> None:
        """State lives in memory and in changelogs: a worker needs no folder."""

    def _new_transport(self) -> TransportT:
        return BatchTransport(self.conf.broker_consumer, self)

    def on_state_changed(self) -> None:
        """Partitions of state have come or gone: caches over them are void."""
        for listener in self.state_listeners:
            listener()

    def batch_topic(self, topic: Topic) -> Any:
        """The topic as a channel of batches. What the workers write themselves is taken up before new events.

        Raises SettingError when there is an agent for it: offsets that one commits would be behind the other's back.
        """
        if topic.name in self._batch_topics:
            raise SettingError(f"topic {topic.name} has two agents: put all its aggregates in one Aggregation")
        self._batch_topics.add(topic.name)
        if topic.kind is not Kind.EVENT:
            self.own_topics.add(topic.name)
        return self.topic(topic.name, schema=BatchSchema())

    def state_table(self, name: str, source: Topic, partitions: int) -> StateTable:
        """A table whose rows belong to the partitions of `source`."""
        help_text = f"state of what consumes {source.name}"
        table = StateTable(self, name=name, partitions=partitions, help=help_text, extra_topic_configs=CHANGELOG)
        table.source = source.name
        self.tables.add(table)
        return table
