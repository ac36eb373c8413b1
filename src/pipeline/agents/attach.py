"""Faust agents around processors."""

from collections.abc import AsyncIterator, Collection
from typing import Any, Protocol

from pipeline.agents.guard import Guard
from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import Processor
from pipeline.records import Outgoing, RecordBatch
from pipeline.topics import Topic
from pipeline.transport.app import BatchApp
from pipeline.transport.consumer import batches


def attach(app: BatchApp, processor: Processor, name: str, letters: DeadLetters) -> Any:
    """The agent around a processor; it yields each batch once all that it brought forth is delivered.

    Whenever partitions of state have come or gone, the processor reads it afresh.
    """
    guard = Guard(processor, name, letters)

    async def agent(stream: Any) -> AsyncIterator[RecordBatch]:
        async for batch in batches(stream, processor.prepare):
            await app.outbox.deliver(guard.process(batch), batch)
            yield batch

    agent.__doc__ = processor.__doc__
    app.processors[name] = processor
    app.state_listeners.append(processor.reset)
    return app.agent(app.batch_topic(processor.topic), name=name)(agent)


class Idling(Protocol):
    """A fold, which tells of partitions that others need not wait for."""

    def idle(self, partitions: Collection[int], limit_s: float) -> list[Outgoing]:
        """Watermarks of those of these partitions which have had no batch for `limit_s`."""


def close_idle_partitions(app: BatchApp, topic: Topic, fold: Idling, limit_s: float) -> None:
    """Tell the merges, from time to time, which partitions of this worker they need not wait for."""

    async def close_idle() -> None:
        mine = {tp.partition for tp in app.consumer.assignment() if tp.topic == topic.name}
        if watermarks := fold.idle(mine, limit_s):
            await app.outbox.deliver(watermarks)
            await app.outbox.flush()

    app.timer(interval=limit_s / 2)(close_idle)
