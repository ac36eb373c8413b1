"""Faust agents around processors."""

from collections.abc import AsyncIterator
from typing import Any

from pipeline.agents.guard import Guard
from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import Processor
from pipeline.records import RecordBatch
from pipeline.transport.app import BatchApp
from pipeline.transport.consumer import batches


def attach(app: BatchApp, processor: Processor, name: str, letters: DeadLetters) -> Any:
    """The agent around a processor; it yields each batch once all that it brought forth is delivered."""
    guard = Guard(processor, name, letters)

    async def agent(stream: Any) -> AsyncIterator[RecordBatch]:
        async for batch in batches(stream, processor.prepare):
            await app.outbox.deliver(guard.process(batch), batch)
            yield batch

    agent.__doc__ = processor.__doc__
    app.processors[name] = processor
    return app.agent(app.batch_topic(processor.topic), name=name)(agent)
