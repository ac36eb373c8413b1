"""Declared tables of a database under chaos: written by transactions that end out of order, held against topics."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from pipeline.chaos.checks import SHOWN, Check
from pipeline.chaos.sales import HELD_OPEN, HELD_OPEN_S, MOST_OPEN, PAUSE_S, ROLLED_BACK, TICK_S
from pipeline.declare.application import Application
from pipeline.declare.database import Bulk, DatabaseTable
from pipeline.declare.generators import Generator, Rows
from pipeline.errors import ChaosError
from pipeline.formats import ValueEncoder
from pipeline.reading import read_batches
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.sources.carried import Carried
from pipeline.sources.columns import COLUMNS, kinds
from pipeline.sources.database import address, engine, is_outage, reason
from pipeline.sources.rows import Carrier
from pipeline.sources.runtime import Pacer, wait
from pipeline.sources.topic_positions import reader_of
from pipeline.sources.upserts import Row, Upserts, upserts
from pipeline.timebase import now_ms
from pipeline.topics import DEAD_LETTERS

Found = list[tuple[str, bytes]]
"""(text of a row's id, its record's value)"""


class TablesWriter:
    """Writes what the generators of carried topics make, at a rate until stopped; pauses while the database is away.

    `per_s` is the rate of all generators that the application declares, of which these have their share.
    """

    def __init__(self, settings: Settings, application: Application, *, per_s: float, seed: int) -> None:
        self._settings = settings
        self._application = application
        made = [one for one in application.data if isinstance(one, Generator)]
        self._factor = per_s / (sum(one.per_s for one in made) or 1.0)
        self._made = [(one, table) for one in made if (table := application.carried_into(one.topic)) is not None]
        self._random = Random(f"transactions/{seed}")
        self._seed = seed
        self._open = asyncio.Semaphore(MOST_OPEN)
        self._stop = asyncio.Event()
        self._away = False
        self.committed = 0
        self.rolled_back = 0

    def stop(self) -> None:
        """Begin no more transactions; those that are open come to their end."""
        self._stop.set()

    async def begin(self) -> None:
        """Write the rows that come first."""
        database = engine(self._settings)
        try:
            for rows in (one for one in self._application.data if isinstance(one, Rows)):
                table, records = self._application.carried_into(rows.topic), rows.records(self._seed, now_ms())
                if table is not None and records:
                    statements = await upserts(self._settings, database, table, rows.columns)
                    async with database.begin() as connection:
                        await connection.execute(statements.statement(records))
        except (SQLAlchemyError, OSError) as error:
            raise self._refused(error) from error
        finally:
            await database.dispose()

    async def run(self) -> None:
        """Write until `stop`; raises ChaosError when the database refuses."""
        self._database = engine(self._settings)
        try:
            async with asyncio.TaskGroup() as tasks:
                for made, table in self._made:
                    statements = await upserts(self._settings, self._database, table, made.given)
                    tasks.create_task(self._write(tasks, made, statements))
        except* ChaosError as errors:
            raise errors.exceptions[0] from None
        finally:
            await self._database.dispose()

    async def _write(self, tasks: asyncio.TaskGroup, made: Generator, statements: Upserts) -> None:
        make, pacer = made.maker(self._seed), Pacer(made.per_s * self._factor, time.monotonic())
        while not self._stop.is_set():
            rows = [make(now_ms()) for _ in range(pacer.take(time.monotonic()))]
            middle = len(rows) // 2
            for part in filter(None, (rows[:middle], rows[middle:])):
                await self._open.acquire()
                held_open = self._random.random() < HELD_OPEN
                is_rolled_back = self._random.random() < ROLLED_BACK
                tasks.create_task(self._transaction(statements, part, held_open, is_rolled_back))
            await wait(self._stop, PAUSE_S if self._away else TICK_S)

    async def _transaction(self, statements: Upserts, rows: Sequence[Row], held_open: bool, rolled_back: bool) -> None:
        try:
            async with self._database.connect() as connection:
                await connection.execute(statements.statement(rows))
                if held_open:
                    await asyncio.sleep(HELD_OPEN_S)
                if rolled_back:
                    await connection.rollback()
                    self.rolled_back += len(rows)
                else:
                    await connection.commit()
                    self.committed += len(rows)
            self._away = False
        except (SQLAlchemyError, OSError) as error:
            if not is_outage(error):
                raise self._refused(error) from error
            self._away = True
        finally:
            self._open.release()

    def _refused(self, error: Exception) -> ChaosError:
        return ChaosError(f"rows cannot be written to {address(self._settings)}: {reason(error)}")


async def check_tables(settings: Settings, application: Application) -> Check:
    """Every table against its topic; raises SQLAlchemyError or OSError while the database is away."""
    registry, wrong, counts = Registry(settings), list[str](), dict[str, Any]()
    letter = await registry.encoder(DEAD_LETTERS)
    for table in application.database:
        rows = await _rows_of(settings, table, await registry.encoder(table.topic), letter)
        records = await _records_of(settings, table)
        wrong += compare(table, rows, records)
        counts[table.name] = {"rows": len(rows), "records": len(records)}
    return Check(not wrong, {**counts, "wrong": len(wrong), "examples": wrong[:SHOWN]})


async def are_through(settings: Settings, application: Application) -> bool:
    """Whether the poller has sent all that is in the tables."""
    try:
        return (await check_tables(settings, application)).ok
    except (SQLAlchemyError, OSError):
        return False


def compare(table: DatabaseTable, rows: Iterable[tuple[str, bytes]], records: Iterable[tuple[str, bytes]]) -> list[str]:
    """What is wrong with a topic's records, in their order for each id, given the table's rows: in sentences.

    The latest record of an id is its row, and no version is there twice, but of tables that are read whole.
    """
    wanted, latest, counts = dict(rows), dict[str, bytes](), Counter[tuple[str, bytes]]()
    for row_id, value in records:
        latest[row_id] = value
        counts[row_id, value] += 1
    name = table.name
    wrong = [f"{name} {i}: in the table, and not in the topic" for i in wanted.keys() - latest.keys()]
    wrong += [f"{name} {i}: in the topic, and not in the table" for i in latest.keys() - wanted.keys()]
    wrong += [f"{name} {i}: the topic has another row" for i, value in wanted.items() if latest.get(i, value) != value]
    if not isinstance(table.mode, Bulk):
        wrong += [f"{name} {i}: a version is {n} times in the topic" for (i, _), n in counts.items() if n > 1]
    return wrong


async def _rows_of(settings: Settings, table: DatabaseTable, encode: ValueEncoder, letter: ValueEncoder) -> Found:
    carried, database = Carried.of(table), engine(settings)
    try:
        async with database.connect() as connection:
            carried.learn(kinds(carried, [dict(row) for row in (await connection.execute(COLUMNS)).mappings()]))
            rows = [dict(row) for row in (await connection.execute(carried.every())).mappings()]
    finally:
        await database.dispose()
    made = Carrier(carried, encode, letter, lambda _: b"").records(rows, 0)
    ids = [table.columns[table.identity].text(row[table.identity]) for row in rows]
    return [(row_id, one.value) for row_id, one in zip(ids, made, strict=True) if one.topic == table.topic.name]


async def _records_of(settings: Settings, table: DatabaseTable) -> Found:
    read, found = reader_of(settings, table), Found()
    kind = table.columns[table.identity]
    async for batch in read_batches(settings, table.topic.name):
        for record, row in zip(batch, await read(batch), strict=True):
            if row is not None:
                found.append((kind.text(row[table.identity]), record.value))
    return found
