"""Questions to the database that wait for it while it is away, and whether its tables are still what is carried."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from pipeline.errors import SourceError
from pipeline.settings import Settings
from pipeline.sources.carried import Carried
from pipeline.sources.columns import COLUMNS, differences, kinds, notices
from pipeline.sources.database import address, engine, is_outage, reason
from pipeline.sources.runtime import retrying, wait
from pipeline.sources.values import Row

log = logging.getLogger("pipeline.sources.poller")

ALTERED_S = 1.0


class Asking:
    """The database as the poller reads it; the caller closes it. `learned` is called when columns have changed."""

    def __init__(self, settings: Settings, tables: Sequence[Carried], stop: asyncio.Event) -> None:
        self._settings = settings
        self._tables = tables
        self._stop = stop
        self._found: list[Row] = []
        self.learned: list[Callable[[], None]] = []
        self._engine: AsyncEngine | None = None

    async def close(self) -> None:
        """Give the connections back."""
        if self._engine is not None:
            await self._engine.dispose()

    async def require_columns(self) -> None:
        """Learn the columns where they have changed, and call what is in `learned`.

        Raises SourceError when a table has no longer the columns that are carried.
        """
        found = await self.rows(COLUMNS)
        if found == self._found or self._stop.is_set():
            return
        if differences(self._tables, found):  # a table that is being altered is away for a moment: look again
            await wait(self._stop, ALTERED_S)
            found = await self.rows(COLUMNS)
        if not self._stop.is_set() and (wrong := differences(self._tables, found)):
            raise SourceError(
                f"database {address(self._settings)}: {'; '.join(wrong)}. Rows cannot be carried without loss: change "
                "the table back, or the topic's Avro schema with it"
            )
        for sentence in notices(self._tables, found):
            log.warning("database: %s", sentence)
        for table in self._tables:
            table.learn(kinds(table, found))
        self._found = found
        for learn in self.learned:
            learn()

    async def require_conditions(self) -> None:
        """Raise SourceError when the database does not understand a table's `where`."""
        for table in self._tables:
            if table.condition is None:
                continue
            try:
                await self.rows(table.check())
            except SourceError as error:
                why = reason(error.__cause__ or error)
                raise SourceError(
                    f"database {address(self._settings)}, table {table.name}: where is {table.declared.where!r}, but "
                    f"must be a condition in SQL: {why}"
                ) from error

    async def rows(self, query: Any) -> list[Row]:
        """The rows of a query, once the database answers; none when stopped before."""
        return [row for rows in await self.each([query]) for row in rows]

    async def each(self, queries: Sequence[Any]) -> list[list[Row]]:
        """The rows of each of these queries in one transaction, once the database answers; none when stopped before."""
        found: list[list[Row]] = []
        if self._engine is None:
            self._engine = engine(self._settings)
        try:
            async for attempt in retrying(log, address(self._settings), self._stop, retry_on=is_outage, reason=reason):
                with attempt:
                    async with self._engine.connect() as connection:
                        found = [
                            [dict(row) for row in (await connection.execute(query)).mappings()] for query in queries
                        ]
        except (SQLAlchemyError, OSError) as error:
            if not (self._stop.is_set() and is_outage(error)):
                raise SourceError(f"database {address(self._settings)} cannot be read: {reason(error)}") from error
        return found
