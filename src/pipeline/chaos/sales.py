"""Flash sales written to MySQL by transactions that commit out of the order of their ids, with a ledger of all."""

import asyncio
import logging
import time
from itertools import islice
from random import Random

from sqlalchemy import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from pipeline.chaos.ledger import SalesLedger
from pipeline.errors import ChaosError
from pipeline.settings import Settings
from pipeline.sources.database import address, engine, is_outage, reason
from pipeline.sources.flash_sales import Row, datetime_column, sales
from pipeline.sources.models import FlashSale
from pipeline.sources.runtime import Pacer, wait
from pipeline.timebase import now_ms

log = logging.getLogger(__name__)

HELD_OPEN_S = 1.0
HELD_OPEN = 0.15
"""Share of transactions that stay open while later ids commit; a share of these, too, is rolled back."""
ROLLED_BACK = 0.1
MOST_OPEN = 8
TICK_S = 0.1
PAUSE_S = 0.5


def cents(row: Row) -> int:
    """What a sale comes to."""
    return int(row["sale_price"] * row["quantity"] * 100)


class SalesWriter:
    """Writes at a rate until stopped; pauses while the database is away."""

    def __init__(self, settings: Settings, *, per_s: float, seed: int) -> None:
        self._settings = settings
        self._pacer = Pacer(per_s, time.monotonic())
        self._rows = sales(seed)
        self._random = Random(f"transactions/{seed}")
        self._open = asyncio.Semaphore(MOST_OPEN)
        self._stop = asyncio.Event()
        self._away = False
        self.ledger = SalesLedger()

    def stop(self) -> None:
        """Begin no more transactions; those that are open come to their end."""
        self._stop.set()

    async def run(self) -> None:
        """Write until `stop`; raises ChaosError when the database refuses."""
        self._database = engine(self._settings)
        try:
            async with asyncio.TaskGroup() as tasks:
                while not self._stop.is_set():
                    rows = list(islice(self._rows, self._pacer.take(time.monotonic())))
                    middle = len(rows) // 2
                    for part in filter(None, (rows[:middle], rows[middle:])):
                        await self._open.acquire()
                        held_open = self._random.random() < HELD_OPEN
                        rolled_back = self._random.random() < ROLLED_BACK
                        tasks.create_task(self._transaction(part, held_open, rolled_back))
                    await wait(self._stop, PAUSE_S if self._away else TICK_S)
        except* ChaosError as errors:
            raise errors.exceptions[0] from None
        finally:
            await self._database.dispose()

    async def _transaction(self, rows: list[Row], held_open: bool, rolled_back: bool) -> None:
        try:
            async with self._database.connect() as connection:
                await self._fate(connection, rows, held_open, rolled_back)
            self._away = False
        except (SQLAlchemyError, OSError) as error:
            if not is_outage(error):
                raise ChaosError(
                    f"flash sales cannot be written to {address(self._settings)}: {reason(error)}"
                ) from error
            self._away = True
        finally:
            self._open.release()

    async def _fate(self, connection: AsyncConnection, rows: list[Row], held_open: bool, rolled_back: bool) -> None:
        """One transaction; the ids of one statement's rows are consecutive (innodb_autoinc_lock_mode is 1)."""
        rows = [{**row, "sale_datetime": datetime_column(now_ms())} for row in rows]
        first = (await connection.execute(insert(FlashSale).values(rows))).lastrowid
        written = {first + index: cents(row) for index, row in enumerate(rows)}
        if held_open:
            await asyncio.sleep(HELD_OPEN_S)
        if rolled_back:
            self.ledger.roll_back(written)
            await connection.rollback()
            return
        try:
            await connection.commit()
        except BaseException:
            self.ledger.doubt(written)
            raise
        self.ledger.commit(written)
