"""Writes flash sales into MySQL at a rate, as the shop's tills would; seeded and pure but for the clock."""

import logging
import time
from asyncio import Event, sleep
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import islice
from random import Random
from typing import Any

from sqlalchemy import CursorResult, insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pipeline.errors import SourceError
from pipeline.settings import Settings
from pipeline.sources.database import address, engine, is_outage, reason
from pipeline.sources.history import Past, in_batches
from pipeline.sources.imperfect import PERFECT, ZERO_DATE, Imperfection
from pipeline.sources.models import FlashSale
from pipeline.sources.runtime import Pacer, retrying, until_stopped, wait
from pipeline.timebase import now_ms, to_datetime

log = logging.getLogger(__name__)

Row = dict[str, Any]
Result = CursorResult[Any]

CENT = Decimal("0.01")
DISCOUNT_CENTS = (500, 7_000)
"""Discounts from 5.00 to 70.00 per cent, both possible, in hundredths of a per cent."""
PRICE_CENTS = (99, 250_000)
"""Original prices from 0.99 to 2,500.00, both possible, in cents."""
CUSTOMERS = 100_000
LOG_EVERY_S = 10.0
ZERO_DATES = text("SET SESSION sql_mode = REPLACE(REPLACE(@@sql_mode, 'NO_ZERO_DATE', ''), 'NO_ZERO_IN_DATE', '')")
"""MySQL 8 refuses zero dates by default; shops that have them allow them."""


def sale_price(original_price: Decimal, discount: Decimal) -> Decimal:
    """The original price less `discount` per cent, rounded half up to the cent."""
    return (original_price * (100 - discount) / 100).quantize(CENT, ROUND_HALF_UP)


def sales(seed: int) -> Iterator[Row]:
    """Endless flash sales without `sale_id` and `sale_datetime`, which are given when they are written."""
    integer = Random(f"flash_sales/{seed}").randint
    while True:
        discount = Decimal(integer(*DISCOUNT_CENTS)).scaleb(-2)
        original_price = Decimal(integer(*PRICE_CENTS)).scaleb(-2)
        yield {
            "customer_id": integer(1, CUSTOMERS),
            "province_id": integer(1, 77),
            "product_id": f"P{integer(10, 99)}",
            "region_id": f"Region_{integer(1, 9)}",
            "discount": discount,
            "original_price": original_price,
            "sale_price": sale_price(original_price, discount),
            "quantity": integer(1, 10),
        }


def datetime_column(ms: int) -> datetime:
    """The DATETIME value of epoch milliseconds: naive UTC, cut off to the second."""
    return to_datetime(ms).replace(microsecond=0, tzinfo=None)


def _dated(row: Row, imperfect: Imperfection, at_ms: int) -> Row:
    """The row as it is written at that time."""
    sold_ms = imperfect.sale_ms(at_ms)
    return {**row, "sale_datetime": ZERO_DATE if sold_ms is None else datetime_column(sold_ms)}


async def run(
    settings: Settings,
    stop: Event,
    *,
    rate: float,
    seed: int,
    limit: int | None = None,
    past: Past | None = None,
    imperfect: Imperfection = PERFECT,
) -> int:
    """Insert at `rate` rows a second (0: as fast as possible) until `stop`, or until `limit` rows are in.

    Before that, where the table is empty, a row for each time of the past, as of that time.
    Rows that are due in the same tick share a transaction. Rides out outages of the database: a transaction whose
    fate is not known is written again, so that it may be in twice. Returns the number of rows that the database
    confirmed. Raises SourceError when the database refuses, for instance a wrong password or a missing table.
    """
    written = 0

    async def work() -> None:
        nonlocal written
        database = engine(settings)
        rows = islice(sales(seed), limit)
        try:
            if past and await _is_empty(settings, database, stop):
                written += await _write_past(settings, database, rows, past, imperfect, stop)
            pacer = Pacer(rate, time.monotonic())
            told_s, told = time.monotonic(), written
            while not stop.is_set():
                due = pacer.take(time.monotonic())
                batch = [_dated(row, imperfect, now_ms()) for row in islice(rows, due)]
                if batch and await _insert(settings, database, batch, stop):
                    written += len(batch)
                if len(batch) < due:
                    break
                now_s = time.monotonic()
                if now_s - told_s >= LOG_EVERY_S:
                    log.info("flash sales: %d written, %.1f a second", written, (written - told) / (now_s - told_s))
                    told_s, told = now_s, written
                await wait(stop, pacer.sleep_s(now_s))
                await sleep(0)
        finally:
            await database.dispose()
            log.info("flash sales: %d written in all", written)

    await until_stopped(work(), stop)
    return written


async def _write_past(
    settings: Settings,
    database: AsyncEngine,
    rows: Iterator[Row],
    past: Past,
    imperfect: Imperfection,
    stop: Event,
) -> int:
    """A row for each of the times, until either ends or `stop` is set; the number of rows that are in."""
    written = 0
    for times in in_batches(past.times_ms):
        if stop.is_set():
            break
        batch = [_dated(row, imperfect, ms) for ms, row in zip(times, rows, strict=False)]
        if not batch or not await _insert(settings, database, batch, stop):
            break
        written += len(batch)
    log.info("flash sales: %d of the past written", written)
    return written


async def _is_empty(settings: Settings, database: AsyncEngine, stop: Event) -> bool:
    """Whether there is no sale yet; False when stopped before the database told."""
    first = select(FlashSale.sale_id).limit(1)
    found = await _asked(settings, database, lambda connection: connection.execute(first), stop)
    return found is not None and found.first() is None


async def _insert(settings: Settings, database: AsyncEngine, batch: list[Row], stop: Event) -> bool:
    """Insert a batch in one transaction; False when stopped before it was in."""

    async def write(connection: AsyncConnection) -> Result:
        if any(row["sale_datetime"] == ZERO_DATE for row in batch):
            await connection.execute(ZERO_DATES)
        return await connection.execute(insert(FlashSale), batch)

    return await _asked(settings, database, write, stop) is not None


async def _asked(
    settings: Settings, database: AsyncEngine, ask: Callable[[AsyncConnection], Awaitable[Result]], stop: Event
) -> Result | None:
    """The answer within a transaction, trying on while the database is away; None when stopped before."""
    try:
        async for attempt in retrying(log, address(settings), stop, retry_on=is_outage, reason=reason):
            with attempt:
                async with database.begin() as connection:
                    return await ask(connection)
    except (SQLAlchemyError, OSError) as error:
        if not (stop.is_set() and is_outage(error)):
            raise SourceError(f"flash sales cannot be written to {address(settings)}: {reason(error)}") from error
    return None
