"""Flash sales written to MySQL by transactions that commit out of the order of their ids, with a ledger of all."""

import asyncio
import logging
import time
from itertools import islice

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from pipeline.chaos.ledger import SalesLedger
from pipeline.chaos.transactions import HELD_OPEN_S, TransactionsWriter
from pipeline.settings import Settings
from pipeline.sources.flash_sales import Row, datetime_column, sales
from pipeline.sources.models import FlashSale
from pipeline.sources.runtime import Pacer
from pipeline.timebase import now_ms

log = logging.getLogger(__name__)


def cents(row: Row) -> int:
    """What a sale comes to."""
    return int(row["sale_price"] * row["quantity"] * 100)


class SalesWriter(TransactionsWriter):
    """Writes sales, and notes in its ledger what has become of each."""

    what = "flash sales"

    def __init__(self, settings: Settings, *, per_s: float, seed: int) -> None:
        super().__init__(settings, seed=seed)
        self._pacer = Pacer(per_s, time.monotonic())
        self._rows = sales(seed)
        self.ledger = SalesLedger()

    async def _write(self, tasks: asyncio.TaskGroup) -> None:
        await self._spread(tasks, self._pacer, lambda count: list(islice(self._rows, count)), self._fate)

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
