"""Example data of topics that a table of the database fills: rows are written there, by primary key."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from sqlalchemy import Insert, column
from sqlalchemy import table as table_of
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from pipeline.declare.database import DatabaseTable, Incrementing, TimestampIncrementing
from pipeline.declare.generators import Generator
from pipeline.errors import SourceError
from pipeline.settings import Settings
from pipeline.sources.carried import Carried
from pipeline.sources.columns import COLUMNS, kinds
from pipeline.sources.database import address, engine, is_outage, reason
from pipeline.sources.runtime import Pacer, retrying, until_stopped, wait
from pipeline.sources.values import MOMENTS
from pipeline.tables.types import ColumnType
from pipeline.timebase import EPOCH, now_ms

log = logging.getLogger(__name__)

Row = Mapping[str, Any]
UNITS = {"millis": timedelta(milliseconds=1), "micros": timedelta(microseconds=1)}


class Upserts:
    """Statements that write rows of a table. `given` are the columns that were asked for by name.

    The id of an incrementing table is the database's to give, unless it was asked for.
    """

    def __init__(self, table: DatabaseTable, given: Iterable[str], kinds_of: Mapping[str, str]) -> None:
        left = isinstance(table.mode, Incrementing) and table.identity not in set(given)
        self._names = [name for name in table.columns if not (left and name == table.identity)]
        self._write = {name: writer(table.columns[name], kinds_of.get(name, "")) for name in self._names}
        self._sql = table_of(table.name, *map(column, self._names))
        self._key = table.identity

    def statement(self, rows: Sequence[Row]) -> Insert:
        """Inserts these rows; where a key is there, its row becomes the new one. Of equal keys the last counts."""
        written = [self.values(row) for row in rows]
        made = insert(self._sql).values(written)
        others = {name: made.inserted[name] for name in self._names if name != self._key}
        return made.on_duplicate_key_update(others) if others and self._key in self._names else made

    def values(self, row: Row) -> dict[str, Any]:
        """A row as the driver takes it."""
        return {name: None if row[name] is None else self._write[name](row[name]) for name in self._names}


def writer(kind: ColumnType, sql: str) -> Callable[[Any], Any]:
    """The function from a value of an Avro type to what the driver takes; `sql` is the column's kind, if known."""
    if "timestamp" in kind.family or (kind.family == "long" and sql in MOMENTS):
        unit = UNITS["micros" if kind.family.endswith("micros") else "millis"]
        return lambda value: _moment(value, unit)
    match kind.family:
        case "decimal":
            return lambda value: Decimal(value) if isinstance(value, int) else value
        case "date":
            return lambda value: EPOCH.date() + timedelta(days=value) if isinstance(value, int) else value
        case "time-millis" | "time-micros":
            unit = UNITS[kind.family.removeprefix("time-")]
            return lambda value: (EPOCH + value * unit).time() if isinstance(value, int) else value
        case "uuid":
            return str
    return lambda value: value


def _moment(value: Any, unit: timedelta) -> datetime:
    """A DATETIME: naive, UTC."""
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC)).replace(tzinfo=None)
    moment: datetime = EPOCH + value * unit
    return moment.replace(tzinfo=None)


async def upserts(settings: Settings, database: AsyncEngine, table: DatabaseTable, given: Iterable[str]) -> Upserts:
    """The statements for a table as it is in the database; raises SQLAlchemyError."""
    async with database.connect() as connection:
        found = [dict(row) for row in (await connection.execute(COLUMNS)).mappings()]
    known = kinds(Carried.of(table), found)
    if not known:
        raise SourceError(f"database {address(settings)} has no table {table.name}: run `pipeline provision` first")
    return Upserts(table, given, known)


async def write(
    settings: Settings,
    table: DatabaseTable,
    rows: Iterator[Row],
    stop: asyncio.Event,
    *,
    rate: float,
    given: Iterable[str] = (),
) -> int:
    """Write rows at `rate` a second (0: as fast as possible) until `stop`, or until they end.

    Rows that are due in one tick share a transaction. Rides out outages of the database: rows of which it is not known
    whether they are in are written again. Returns how many rows the database confirmed; raises SourceError when it
    refuses.
    """
    written = 0

    async def work() -> None:
        nonlocal written
        database = engine(settings)
        try:
            async for attempt in _trying(settings, stop):
                with attempt:
                    statements = await upserts(settings, database, table, given)
            pacer = Pacer(rate, time.monotonic())
            while not stop.is_set():
                due = pacer.take(time.monotonic())
                batch = list(islice(rows, due))
                if batch:
                    async for attempt in _trying(settings, stop):
                        with attempt:
                            async with database.begin() as connection:
                                await connection.execute(statements.statement(batch))
                    written += len(batch)
                if len(batch) < due:
                    break
                await wait(stop, pacer.sleep_s(time.monotonic()))
                await asyncio.sleep(0)
        except (SQLAlchemyError, OSError) as error:
            if not (stop.is_set() and is_outage(error)):
                raise SourceError(
                    f"rows of table {table.name} cannot be written to {address(settings)}: {reason(error)}"
                ) from error
        finally:
            await database.dispose()
            log.info("%s: %d written in all", table.label, written)

    await until_stopped(work(), stop)
    return written


def _trying(settings: Settings, stop: asyncio.Event) -> Any:
    return retrying(log, address(settings), stop, retry_on=is_outage, reason=reason)


def rows_of(made: Generator, table: DatabaseTable, seed: int) -> Iterator[Row]:
    """Endless rows of a generator, as of the present; late ones but where a late timestamp would not be looked for."""
    make, times = made.maker(seed), made.times(seed)
    if isinstance(table.mode, TimestampIncrementing):
        return map(make, iter(now_ms, None))
    return map(make, map(times, iter(now_ms, None)))
