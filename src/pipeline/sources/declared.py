"""Runs the generators that an application declares."""

import asyncio
import heapq
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from pipeline.declare.application import Application
from pipeline.declare.database import DatabaseTable, Incrementing
from pipeline.declare.fluent import Stream
from pipeline.declare.generators import Generator, Rows
from pipeline.errors import SourceError
from pipeline.formats import ValueEncoder
from pipeline.reading import end_offsets
from pipeline.settings import Settings
from pipeline.sources import datagen, upserts
from pipeline.sources.history import BATCH, past
from pipeline.sources.imperfect import Imperfection
from pipeline.sources.runtime import say_sentences, stop_on_signals, until_stopped
from pipeline.sources.sender import Sender
from pipeline.tables.types import ColumnType
from pipeline.timebase import HOUR_MS, now_ms
from pipeline.topics import FRAMED

log = logging.getLogger(__name__)


async def generate(
    settings: Settings,
    application: Application,
    *,
    factor: float,
    seed: int,
    count: int | None,
    history: float = 0.0,
    bad: float = 0.0,
) -> list[str]:
    """Run all generators until SIGINT, SIGTERM or `count` rows of each; returns a line for each.

    `factor` multiplies their rates; 0 is as fast as possible. Rows of tables are written first, then `history` hours
    of the past of those topics that are empty, in the order of time. A share `bad` of the streams' values is spoiled.
    """
    if not application.data:
        raise SourceError(f"{application} declares no data to generate: Application(..., data=[Generator(...)])")
    say_sentences()
    with stop_on_signals() as stop:
        written = [made for made in application.data if isinstance(made, Rows)]
        began_ms = now_ms() - int(history * HOUR_MS)
        lines = [await _write_rows(settings, application, rows, stop, seed, began_ms) for rows in written]
        running = [made for made in application.data if isinstance(made, Generator)]
        if history:
            how: dict[str, Any] = {"hours": history, "factor": factor, "seed": seed}
            for made in running:
                if (table := application.carried_into(made.topic)) is not None:
                    lines.append(await _past_of_table(settings, made, table, stop, **how))
            sent = [made for made in running if application.carried_into(made.topic) is None]
            lines.append(await _write_past(settings, sent, stop, **how))

        async def one(made: Generator) -> str:
            table, rate = application.carried_into(made.topic), made.per_s * factor
            try:
                if table is not None:
                    rows = islice(upserts.rows_of(made, table, seed), count)
                    put = await upserts.write(settings, table, rows, stop, rate=rate, given=made.given)
                    return f"table {table.name}: {put} rows written"
                done = await datagen.run(
                    settings,
                    source_of(made),
                    stop,
                    rate=rate,
                    seed=seed,
                    limit=count,
                    imperfect=Imperfection(seed, bad=bad),
                )
                return f"{made.topic.name}: {done} records acknowledged"
            except BaseException:
                stop.set()
                raise

        return [*lines, *await asyncio.gather(*map(one, running))]


def source_of(made: Generator) -> datagen.Generator:
    """What runs of a generator that is declared; only values of streams, in formats that can be seen to be broken, are
    spoiled.
    """
    spoilable = isinstance(made.of, Stream) and made.topic.value_format in FRAMED
    return datagen.Generator(
        made.topic.name, made.topic, made.maker, key=key_of(made), times=made.times, spoilable=spoilable
    )


async def _past_of_table(
    settings: Settings,
    made: Generator,
    table: DatabaseTable,
    stop: asyncio.Event,
    *,
    hours: float,
    factor: float,
    seed: int,
) -> str:
    """Write the past of a table of the database, where nothing of it is in its topic; returns the line for the user.

    Only rows that are added have a past: of those that change a table holds the present, with present timestamps.
    """
    if not isinstance(table.mode, Incrementing):
        return f"table {table.name}: holds the present, and has no past to be written"
    if any((await end_offsets(settings, [made.topic.name])).values()):
        return f"table {table.name}: has a past already"
    times = past(now_ms(), hours, made.per_s * factor, f"{made.topic.name}/{seed}")
    done = await upserts.write(settings, table, map(made.maker(seed), times), stop, rate=0, given=made.given)
    return f"table {table.name}: {done} rows of the past {hours:g} hours written"


async def _write_past(
    settings: Settings, generators: Sequence[Generator], stop: asyncio.Event, *, hours: float, factor: float, seed: int
) -> str:
    """Send what the generators would have sent since then, all in the order of time, where there is nothing yet.

    Returns the line for the user.
    """
    sent, end_ms = 0, now_ms()

    async def work() -> None:
        nonlocal sent
        pasts = list[Iterator[tuple[int, str, bytes, bytes]]]()
        for made in generators:
            encode = await datagen.encoder_of(settings, made.topic, stop)
            if encode is None:
                return
            await datagen.require_topic(settings, made.topic)
            if not any((await end_offsets(settings, [made.topic.name])).values()):
                times = past(end_ms, hours, made.per_s * factor, f"{made.topic.name}/{seed}")
                pasts.append(_past_of(source_of(made), encode, times, seed))
        async with Sender(settings, stop) as sender:
            for at_ms, topic, key, value in heapq.merge(*pasts, key=lambda record: record[0]):
                if stop.is_set():
                    break
                await sender.send(topic, key, value, at_ms)
                sent += 1
                if not sent % BATCH:
                    await sender.settle()
            await sender.drain()

    await until_stopped(work(), stop)
    return f"{sent} records of the past {hours:g} hours written"


def _past_of(
    source: datagen.Generator, encode: ValueEncoder, times: Iterable[int], seed: int
) -> Iterator[tuple[int, str, bytes, bytes]]:
    make, column = source.maker(seed), source.topic.key
    for at_ms in times:
        row = make(at_ms)
        yield at_ms, source.topic.name, source.key.text(row[column]).encode(), encode(row)


def key_of(made: Generator | Rows) -> ColumnType:
    """The type of the column that is the record's key."""
    return made.columns[made.topic.key]


async def _write_rows(
    settings: Settings, application: Application, rows: Rows, stop: asyncio.Event, seed: int, at_ms: int
) -> str:
    """Write the rows of a table as of a time (epoch ms); returns the line for the user.

    Where the database fills the topic they go there, and are of now.
    """
    topic = rows.topic
    table = application.carried_into(topic)
    if table is not None:
        made = iter(rows.records(seed, now_ms()))
        done = await upserts.write(settings, table, made, stop, rate=0, given=rows.columns)
        return f"table {table.name}: {done} rows written"
    kind, records = key_of(rows), rows.records(seed, at_ms)
    written = 0

    async def work() -> None:
        nonlocal written
        encode: ValueEncoder | None = await datagen.encoder_of(settings, topic, stop)
        if encode is None:
            return
        await datagen.require_topic(settings, topic)
        async with Sender(settings, stop) as sender:
            for record in records:
                await sender.send(topic.name, kind.text(record[topic.key]).encode(), encode(record), at_ms)
            await sender.drain()
        written = len(records)

    await until_stopped(work(), stop)
    return f"{topic.name}: {written} rows written"
