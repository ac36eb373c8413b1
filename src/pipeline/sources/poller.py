"""Carries MySQL's tables to Kafka, in the place of Kafka Connect's JDBC source.

`flash_sales` is read incrementally by `sale_id`, the reference tables whole (bulk) every `bulk_interval_s`: first
when the poller starts, before any sale.

**Exactly once into the topic.** Each batch of sales and the position after it (`position.py`: the largest id sent
and the ranges of ids below it that have not turned up yet) are one Kafka transaction: for readers with
`isolation_level=read_committed` both are there or neither. So the position is always right about what the topic
holds, and there is nothing to reconcile. What kill -9 leaves behind, by moment:

| killed | left behind | next start |
|---|---|---|
| between polls | nothing open | goes on from the position |
| rows read, not sent | nothing | reads the same rows again |
| some or all rows sent, position not | an open transaction | starting the producer aborts it; same rows again |
| commit asked for, not confirmed | committed or aborted | starting the producer waits for it; the position tells |
| committed, not noted in memory | rows and position | goes on from the position |

An outage of the brokers is handled as a kill is: the producer is thrown away, and a new one starts as above. No
position at all (the topic was deleted, or a real connector ran before) is rebuilt from the keys of the flash-sales
topic, which is the truth about what was acknowledged.

**A zombie is fenced.** The transactional id belongs to one producer at a time: a poller that was stopped and
continued after its successor had started cannot commit. It then finds another owner in the position and ends with
an error; when the owner is still itself (a transaction ran out during an outage), it goes on.

Readers without read_committed would see the rows of aborted transactions as duplicates. An idempotent producer
without transactions would need the tail of the topic read back on every start, and could not be fenced.

Values are what the connector would write: nullable unions, DECIMAL as Avro decimals without loss, DATETIME as
timestamp-millis; the key is the id as raw UTF-8. A record's timestamp is the
time of the poll, also as the connector's: retention by the time of a sale would delete old sales before anybody had
read them. A sale's event time is its column `sale_datetime`.

**Odd rows** (`rows.py`) become dead letters or nulls, and never stop the others.

**Changed tables** (`columns.py`). New columns are not read, so that they change nothing. Where a column is missing or
has another type the poller ends with a sentence that names it, before it sends anything read after the change.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from pipeline.errors import SourceError, StackError
from pipeline.kafka_refusals import REFUSED_RIGHTS, denied
from pipeline.registry import Registry, is_registry_outage
from pipeline.settings import Settings
from pipeline.sources.columns import COLUMNS, differences, notices
from pipeline.sources.database import address, engine, is_outage, reason
from pipeline.sources.feed import Feed, Outgoing, new_owner, stored_position
from pipeline.sources.metrics import PollerMetrics
from pipeline.sources.models import Base, FlashSale, Page, Product, Region
from pipeline.sources.position import Position, Ranges
from pipeline.sources.rows import Carrier, Row, new_sales, split
from pipeline.sources.runtime import is_kafka_outage, kafka_reason, retrying, until_stopped, wait
from pipeline.timebase import now_ms
from pipeline.topics import DEAD_LETTERS, FLASH_SALES, PAGES, PRODUCT, REGION, Topic

log = logging.getLogger(__name__)

BATCH_ROWS = 5_000
LOG_EVERY_S = 10.0
ALTERED_S = 1.0
LOST_EVERY_S = 60.0
MOST_TOLD = 5
MOST_KNOWN = 10_000
"""Letters of reference rows that are remembered, so as not to be sent again with every bulk."""
BULK: tuple[tuple[type[Base], Topic], ...] = ((Product, PRODUCT), (Region, REGION), (Page, PAGES))

TABLES: tuple[tuple[type[Base], Topic], ...] = ((FlashSale, FLASH_SALES), *BULK)


async def run(settings: Settings, stop: asyncio.Event, *, once: bool = False) -> int:
    """Poll until `stop` is set, or once until nothing is new; returns the number of flash sales sent.

    Rides out outages of MySQL, Kafka and the registry. Raises SourceError when the database refuses or another
    poller has taken over, RegistryError when the registry refuses a schema.
    """
    poller = Poller(settings, stop, once=once)
    with poller.metrics.served(settings):
        await until_stopped(poller.run(), stop)
    return poller.sent


class Poller:
    """One run of the poller."""

    def __init__(self, settings: Settings, stop: asyncio.Event, *, once: bool) -> None:
        self._settings = settings
        self._stop = stop
        self._once = once
        self._owner = new_owner()
        self._opened = False
        self._carriers: dict[str, Carrier] = {}
        self._columns: list[Row] = []
        self._next_bulk_s = 0.0
        self._told = (time.monotonic(), 0)
        self._lost: tuple[float, list[str]] = (-LOST_EVERY_S, [])
        self._known_letters: set[bytes] = set()
        self.metrics = PollerMetrics()
        self.sent = 0

    async def run(self) -> None:
        """Open the feed and poll through it; after an outage of Kafka open a new one."""
        database = engine(self._settings)
        try:
            await self._register()
            while not self._stop.is_set():
                feed = await self._open()
                try:
                    await self._poll(database, feed)
                    return
                except REFUSED_RIGHTS as error:
                    raise denied(self._settings, error) from error
                except Exception as error:
                    if not is_kafka_outage(error):
                        raise
                    log.warning("Kafka: the batch is dropped and read again: %s", kafka_reason(error))
                finally:
                    await feed.close()
                await wait(self._stop, 1.0)
        except Exception as error:
            if not (self._stop.is_set() and (is_kafka_outage(error) or is_registry_outage(error))):
                raise
        finally:
            await database.dispose()
            self._tell_lost(now=True)
            log.info("flash sales: %d sent in all", self.sent)

    async def _register(self) -> None:
        registry = Registry(self._settings)
        async for attempt in retrying(log, "schema registry", self._stop, retry_on=is_registry_outage):
            with attempt:
                letter = await registry.encoder(DEAD_LETTERS)
                for model, topic in TABLES:
                    self._carriers[topic.name] = Carrier(model, topic, await registry.encoder(topic), letter)

    async def _open(self) -> Feed:
        """A feed, once the brokers answer; raises SourceError when another poller has committed since ours did."""
        what = f"Kafka at {self._settings.bootstrap_servers}"
        async for attempt in retrying(log, what, self._stop, retry_on=is_kafka_outage, reason=kafka_reason):
            with attempt:
                if self._opened:
                    await self._check_owner()
                feed = await Feed.open(self._settings, self._owner)
                self._opened = True
                return feed
        raise StackError(f"{what} was not reached before the stop")

    async def _check_owner(self) -> None:
        stored = await stored_position(self._settings)
        if stored is not None and stored.owner != self._owner:
            raise SourceError(
                f"another poller with app_id={self._settings.app_id} has taken over at sale_id "
                f"{stored.position.last_id}: only one may run"
            )

    async def _poll(self, database: AsyncEngine, feed: Feed) -> None:
        """Bulk tables when due, then sales, every `poll_interval_s`; at once again after a full batch."""
        await self._require_columns(database)
        await self._compare(database, feed.position)
        due_s = time.monotonic()
        while not self._stop.is_set():
            if time.monotonic() >= self._next_bulk_s:
                await self._bulk(database, feed)
                self._next_bulk_s = time.monotonic() + self._settings.bulk_interval_s
            await self._require_columns(database)
            full = await self._sales(database, feed)
            if full:
                continue
            if self._once:
                return
            due_s = max(due_s + self._settings.poll_interval_s, time.monotonic())
            await wait(self._stop, due_s - time.monotonic())

    async def _compare(self, database: AsyncEngine, position: Position) -> None:
        """Warn when the table ends below the position: it was made anew, and its ids start again."""
        (row,) = await self._read(database, select(func.max(FlashSale.sale_id).label("last"))) or [{"last": None}]
        if position.first_id is not None and (row["last"] is None or row["last"] < position.last_id):
            log.warning(
                "flash sales: the table ends at sale_id %s, but rows up to %d have been sent: was it made anew? "
                "Only rows with larger ids are sent from here on",
                row["last"],
                position.last_id,
            )

    async def _bulk(self, database: AsyncEngine, feed: Feed) -> None:
        """Send all rows of the reference tables in one transaction."""
        tables = [await self._read(database, select(model.__table__)) for model, _ in BULK]
        await self._require_columns(database)
        outgoing: list[Outgoing] = []
        for (_, topic), rows in zip(BULK, tables, strict=True):
            outgoing += self._carriers[topic.name].records(rows, now_ms())
        records, letters = split(outgoing)
        unknown = [letter for letter in letters if letter.key not in self._known_letters]
        await feed.publish([*records, *unknown])
        if len(self._known_letters) < MOST_KNOWN:
            self._known_letters.update(letter.key for letter in unknown)
        self._tell_letters(unknown)

    async def _sales(self, database: AsyncEngine, feed: Feed) -> bool:
        """Send one batch of new sales and their position; returns whether there may be more at once."""
        position, carrier = feed.position, self._carriers[FLASH_SALES.name]
        reads = await self._read_each(database, new_sales(position, BATCH_ROWS))
        full = any(len(rows) >= BATCH_ROWS for rows in reads)
        new = {row["sale_id"]: row for rows in reads for row in rows}
        if new:  # the columns were right when these were read, if they are still
            await self._require_columns(database)
        at_ms = now_ms()
        outgoing = {row_id: carrier.record(new[row_id], at_ms) for row_id in sorted(new)}
        records, letters = split(list(outgoing.values()))
        bad = {row_id for row_id, record in outgoing.items() if record.topic != FLASH_SALES.name}
        after, lost = position.advance(new.keys(), at_ms // 1_000, bad), Ranges()
        if not full and not self._stop.is_set():  # every gap has been looked for just now
            waited_s, most = self._settings.poll_gap_wait_s, self._settings.poll_gaps
            after, lost = after.give_up(at_ms // 1_000, waited_s, most)
        if after != position:
            await feed.publish([*records, *letters], after)
        self.sent += len(records)
        self.metrics.count(len(records), after, lost)
        self._tell_letters(letters)
        self._note_lost(lost)
        self._tell(feed.position)
        return full

    async def _require_columns(self, database: AsyncEngine) -> None:
        """Raise SourceError when a table has no longer the columns that are carried."""
        found = await self._read(database, COLUMNS)
        if found == self._columns or self._stop.is_set():
            return
        tables = [model.metadata.tables[model.__tablename__] for model, _ in TABLES]
        if differences(tables, found):  # a table that is being altered is away for a moment: look again
            await wait(self._stop, ALTERED_S)
            found = await self._read(database, COLUMNS)
        if not self._stop.is_set() and (wrong := differences(tables, found)):
            raise SourceError(
                f"database {address(self._settings)}: {'; '.join(wrong)}. Rows cannot be carried without loss: change "
                "the table back, or pipeline.sources.models and the Avro schema with it"
            )
        for sentence in notices(tables, found):
            log.warning("database: %s", sentence)
        self._columns = found

    async def _read(self, database: AsyncEngine, query: Any) -> list[Row]:
        """The rows of a query, once the database answers; none when stopped before."""
        return [row for rows in await self._read_each(database, [query]) for row in rows]

    async def _read_each(self, database: AsyncEngine, queries: Sequence[Any]) -> list[list[Row]]:
        """The rows of each of these queries in one transaction, once the database answers; none when stopped before."""
        found: list[list[Row]] = []
        try:
            async for attempt in retrying(log, address(self._settings), self._stop, retry_on=is_outage, reason=reason):
                with attempt:
                    async with database.connect() as connection:
                        found = [
                            [dict(row) for row in (await connection.execute(query)).mappings()] for query in queries
                        ]
        except (SQLAlchemyError, OSError) as error:
            if not (self._stop.is_set() and is_outage(error)):
                raise SourceError(f"database {address(self._settings)} cannot be read: {reason(error)}") from error
        return found

    def _tell_letters(self, letters: Sequence[Outgoing]) -> None:
        self.metrics.letters.inc(len(letters))
        for letter in letters[:MOST_TOLD]:
            log.warning("dead letter: %s", letter.key.decode())
        if len(letters) > MOST_TOLD:
            log.warning("and %d more dead letters: see `pipeline status`", len(letters) - MOST_TOLD)

    def _note_lost(self, lost: Ranges) -> None:
        """Say which ids were given up, at once and then at most every LOST_EVERY_S seconds."""
        self._lost[1].extend(f"{gap.first}..{gap.last}" for gap in lost)
        self._tell_lost()

    def _tell_lost(self, *, now: bool = False) -> None:
        told_s, ranges = self._lost
        if not ranges or not (now or time.monotonic() - told_s >= LOST_EVERY_S):
            return
        log.warning(
            "flash sales: sale_ids %s were given up: they were not seen for %.0f s, or too many others were missing "
            "(PIPELINE_POLL_GAPS=%d). Mostly they were rolled back; `pipeline poll --again FROM..TO` looks once more",
            ", ".join(ranges[:MOST_TOLD]) + (f" and {len(ranges) - MOST_TOLD} more" if len(ranges) > MOST_TOLD else ""),
            self._settings.poll_gap_wait_s,
            self._settings.poll_gaps,
        )
        self._lost = (time.monotonic(), [])

    def _tell(self, position: Position) -> None:
        now_s, (told_s, told) = time.monotonic(), self._told
        if now_s - told_s >= LOG_EVERY_S:
            speed = (self.sent - told) / (now_s - told_s)
            log.info("flash sales: %d sent, %.1f a second, at sale_id %d", self.sent, speed, position.last_id)
            self._told = (now_s, self.sent)
