"""The Faust application class that puts the record-batch transport in place."""

from collections.abc import Awaitable, Callable
from typing import Any

from faust.types.transports import TransportT
from mode import ServiceT

from pipeline.errors import SettingError
from pipeline.tables.store import StateTable
from pipeline.topics import Kind, Topic
from pipeline.transport import memory
from pipeline.transport.consumer import BatchSchema, BatchTransport
from pipeline.transport.host import Host
from pipeline.transport.references import References
from pipeline.transport.standby import Standby
from pipeline.transport.watchdog import Watchdog

CHANGELOG = {"segment.bytes": str(4 * 1024 * 1024), "segment.ms": "600000", "min.cleanable.dirty.ratio": "0.1"}
"""Brokers compact all but the newest segment: small ones, so that restoring takes the same after a day of work."""


class BatchApp(Host):
    """A Faust application whose events carry record batches.

    Set by whoever composes the application, beside what Host names: `references` and, where others' state is to be
    followed, `standby`, services that start with the worker; `prepare`, which runs before anything else starts;
    `stall_timeout_s`, after which a worker that stands still ends.
    """

    references: References | None = None
    standby: Standby | None = None
    stall_timeout_s = 60.0
    prepare: Callable[[], Awaitable[None]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
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
            raise SettingError(f"topic {topic.name} has two agents, but must have one: it is committed for both")
        self._batch_topics.add(topic.name)
        if topic.headers:
            self.header_topics.add(topic.name)
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
