"""Declared tables of a database under chaos: written by transactions that end out of order, held against topics."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from pipeline.chaos.checks import SHOWN, Check
from pipeline.chaos.transactions import HELD_OPEN_S, TransactionsWriter
from pipeline.declare.application import Application
from pipeline.declare.database import Bulk, DatabaseTable
from pipeline.declare.generators import Generator, Rows
from pipeline.formats import ValueEncoder
from pipeline.reading import read_batches
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.sources.carried import Carried
from pipeline.sources.columns import COLUMNS, kinds
from pipeline.sources.database import engine
from pipeline.sources.rows import Carrier
from pipeline.sources.runtime import Pacer
from pipeline.sources.topic_positions import reader_of
from pipeline.sources.upserts import Row, Upserts, upserts
from pipeline.timebase import now_ms
from pipeline.topics import DEAD_LETTERS

Found = list[tuple[str, bytes]]
"""(text of a row's id, its record's value)"""


class TablesWriter(TransactionsWriter):
    """Writes what the generators of carried topics make.

    `per_s` is the rate of all generators that the application declares, of which these have their share.
    """

    def __init__(self, settings: Settings, application: Application, *, per_s: float, seed: int) -> None:
        super().__init__(settings, seed=seed)
        self._application = application
        made = [one for one in application.data if isinstance(one, Generator)]
        self._factor = per_s / (sum(one.per_s for one in made) or 1.0)
        self._made = [(one, table) for one in made if (table := application.carried_into(one.topic)) is not None]
        self._seed = seed
        self.committed = 0
        self.rolled_back = 0

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

    async def _write(self, tasks: asyncio.TaskGroup) -> None:
        for made, table in self._made:
            statements = await upserts(self._settings, self._database, table, made.given)
            make, pacer = made.maker(self._seed), Pacer(made.per_s * self._factor, time.monotonic())
            tasks.create_task(self._spread(tasks, pacer, partial(_rows, make), partial(self._fate, statements)))

    async def _fate(
        self, statements: Upserts, connection: AsyncConnection, rows: list[Row], held_open: bool, rolled_back: bool
    ) -> None:
        await connection.execute(statements.statement(rows))
        if held_open:
            await asyncio.sleep(HELD_OPEN_S)
        if rolled_back:
            await connection.rollback()
            self.rolled_back += len(rows)
        else:
            await connection.commit()
            self.committed += len(rows)


def _rows(make: Callable[[int], Row], count: int) -> list[Row]:
    return [make(now_ms()) for _ in range(count)]


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
