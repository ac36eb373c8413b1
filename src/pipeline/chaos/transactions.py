"""Rows written into the database by transactions that commit out of the order of their ids; some are rolled back."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pipeline.errors import ChaosError
from pipeline.settings import Settings
from pipeline.sources.database import address, engine, is_outage, reason
from pipeline.sources.runtime import Pacer, wait

R = TypeVar("R")
Fate = Callable[[AsyncConnection, list[R], bool, bool], Awaitable[None]]
"""(connection, rows, whether it is held open, whether it is rolled back): what becomes of one transaction."""

HELD_OPEN_S = 1.0
HELD_OPEN = 0.15
"""Share of transactions that stay open while later ids commit; a share of these, too, is rolled back."""
ROLLED_BACK = 0.1
MOST_OPEN = 8
TICK_S = 0.1
PAUSE_S = 0.5


class TransactionsWriter(ABC):
    """Writes at a rate until stopped; pauses while the database is away. `what` is called so when it is refused."""

    what = "rows"

    def __init__(self, settings: Settings, *, seed: int) -> None:
        self._settings = settings
        self._random = Random(f"transactions/{seed}")
        self._open = asyncio.Semaphore(MOST_OPEN)
        self._stop = asyncio.Event()
        self._away = False
        self._database: AsyncEngine

    def stop(self) -> None:
        """Begin no more transactions; those that are open come to their end."""
        self._stop.set()

    async def run(self) -> None:
        """Write until `stop`; raises ChaosError when the database refuses."""
        self._database = engine(self._settings)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._write(tasks)
        except* ChaosError as errors:
            raise errors.exceptions[0] from None
        finally:
            await self._database.dispose()

    @abstractmethod
    async def _write(self, tasks: asyncio.TaskGroup) -> None:
        """Have each kind of rows written by `_spread`."""

    async def _spread(
        self, tasks: asyncio.TaskGroup, pacer: Pacer, take: Callable[[int], list[R]], fate: Fate[R]
    ) -> None:
        """Write what is due at each tick, in two transactions."""
        while not self._stop.is_set():
            rows = take(pacer.take(time.monotonic()))
            middle = len(rows) // 2
            for part in filter(None, (rows[:middle], rows[middle:])):
                await self._open.acquire()
                held_open = self._random.random() < HELD_OPEN
                rolled_back = self._random.random() < ROLLED_BACK
                tasks.create_task(self._transaction(part, held_open, rolled_back, fate))
            await wait(self._stop, PAUSE_S if self._away else TICK_S)

    async def _transaction(self, rows: list[R], held_open: bool, rolled_back: bool, fate: Fate[R]) -> None:
        try:
            async with self._database.connect() as connection:
                await fate(connection, rows, held_open, rolled_back)
            self._away = False
        except (SQLAlchemyError, OSError) as error:
            if not is_outage(error):
                raise self._refused(error) from error
            self._away = True
        finally:
            self._open.release()

    def _refused(self, error: Exception) -> ChaosError:
        return ChaosError(f"{self.what} cannot be written to {address(self._settings)}: {reason(error)}")
