"""Runs the generators that an application declares."""

import asyncio
import logging

from pipeline.declare.application import Application
from pipeline.declare.generators import Generator, Rows
from pipeline.errors import SourceError
from pipeline.formats import ValueEncoder
from pipeline.settings import Settings
from pipeline.sources import datagen
from pipeline.sources.runtime import say_sentences, stop_on_signals, until_stopped
from pipeline.sources.sender import Sender
from pipeline.tables.types import ColumnType
from pipeline.timebase import now_ms

log = logging.getLogger(__name__)


async def generate(
    settings: Settings, application: Application, *, factor: float, seed: int, count: int | None
) -> list[str]:
    """Run all generators until SIGINT, SIGTERM or `count` rows of each; returns a line for each.

    `factor` multiplies their rates; 0 is as fast as possible. Rows of tables are written first.
    """
    if not application.data:
        raise SourceError(f"{application} declares no data to generate: Application(..., data=[Generator(...)])")
    say_sentences()
    with stop_on_signals() as stop:
        lines = [await _write_rows(settings, rows, stop) for rows in application.data if isinstance(rows, Rows)]
        running = [made for made in application.data if isinstance(made, Generator)]

        async def one(made: Generator) -> str:
            source = datagen.Generator(made.topic.name, made.topic, made.maker, key=key_of(made))
            try:
                rate = made.per_s * factor
                done = await datagen.run(settings, source, stop, rate=rate, seed=seed, limit=count)
                return f"{made.topic.name}: {done} records acknowledged"
            except BaseException:
                stop.set()
                raise

        return [*lines, *await asyncio.gather(*map(one, running))]


def key_of(made: Generator | Rows) -> ColumnType:
    """The type of the column that is the record's key."""
    return made.columns[made.topic.key]


async def _write_rows(settings: Settings, rows: Rows, stop: asyncio.Event) -> str:
    """Write the rows of a table; returns the line for the user."""
    topic, records = rows.topic, rows.records()
    kind = key_of(rows)

    async def work() -> None:
        encode: ValueEncoder | None = await datagen.encoder_of(settings, topic, stop)
        if encode is None:
            return
        await datagen.require_topic(settings, topic)
        async with Sender(settings, stop) as sender:
            for record in records:
                await sender.send(topic.name, kind.text(record[topic.key]).encode(), encode(record), now_ms())
            await sender.drain()

    await until_stopped(work(), stop)
    return f"{topic.name}: {len(records)} rows written"
