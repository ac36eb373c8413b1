"""Carries MySQL's tables to Kafka, in the place of Kafka Connect's JDBC source.

Which tables, into which topics, and how new rows are found is what the application declares (`declare/database.py`).
Tables that are read whole (bulk) are read every `bulk_interval_s`: first when the poller starts, before any other.
The others are read from a position: by id (`position.py`: the largest id sent and the ranges of ids below it that have
not turned up yet), or by timestamp and id (`recent.py`). `readers.py` has the three ways.

**Exactly once into the topic.** Each batch of rows and the position after it are one Kafka transaction: for readers
with `isolation_level=read_committed` both are there or neither. So the position is always right about what the topic
holds, and there is nothing to reconcile. What kill -9 leaves behind, by moment:

| killed | left behind | next start |
|---|---|---|
| between polls | nothing open | goes on from the position |
| rows read, not sent | nothing | reads the same rows again |
| some or all rows sent, position not | an open transaction | starting the producer aborts it; same rows again |
| commit asked for, not confirmed | committed or aborted | starting the producer waits for it; the position tells |
| committed, not noted in memory | rows and position | goes on from the position |

An outage of the brokers is handled as a kill is: the producer is thrown away, and a new one starts as above. No
position at all (the topic was deleted, or a real connector ran before) is rebuilt from the table's topic, which is the
truth about what was acknowledged (`topic_positions.py`).

**A zombie is fenced.** The transactional id belongs to one producer at a time: a poller that was stopped and
continued after its successor had started cannot commit. It then finds another owner in the position and ends with
an error; when the owner is still itself (a transaction ran out during an outage), it goes on.

Readers without read_committed would see the rows of aborted transactions as duplicates. An idempotent producer
without transactions would need the tail of the topic read back on every start, and could not be fenced.

Values are what the connector would write: nullable unions, DECIMAL as Avro decimals without loss, DATETIME as
timestamp-millis (`values.py`), in the topic's own formats. A record's timestamp is the time of the poll, also as the
connector's: retention by the time of a row would delete old rows before anybody had read them. A row's event time is a
column, such as `sale_datetime` of a flash sale.

**Odd rows** (`rows.py`) become dead letters or nulls, and never stop the others.

**Changed tables** (`columns.py`). New columns are not read, so that they change nothing. Where a column is missing or
has another type the poller ends with a sentence that names it, before it sends anything read after the change.
"""

import asyncio
import logging
import time

from pipeline.declare.database import Incrementing
from pipeline.errors import SourceError, StackError
from pipeline.formats import encoders_of, key_encoder, registered
from pipeline.kafka_refusals import REFUSED_RIGHTS, denied
from pipeline.registry import Registry, is_registry_outage
from pipeline.settings import Settings
from pipeline.sources.asking import Asking
from pipeline.sources.carried import Carried
from pipeline.sources.feed import Feed, application_of, new_owner, stored_positions
from pipeline.sources.metrics import PollerMetrics
from pipeline.sources.readers import ById, ByTimestamp, Reader, Whole
from pipeline.sources.rows import Carrier, KeyWriter
from pipeline.sources.runtime import is_kafka_outage, kafka_reason, retrying, until_stopped, wait
from pipeline.topics import DEAD_LETTERS, KeyFormat, Topic

log = logging.getLogger(__name__)


async def run(settings: Settings, stop: asyncio.Event, *, once: bool = False) -> int:
    """Poll until `stop` is set, or once until nothing is new; returns the number of rows sent, but of bulk tables.

    Where all tables are read whole, their rows count. Rides out outages of MySQL, Kafka and the registry. Raises
    SourceError when the database refuses or another poller has taken over, RegistryError when the registry refuses a
    schema.
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
        self._tables = [Carried.of(table) for table in application_of(settings).database]
        self.asking = Asking(settings, self._tables, stop)
        self._carriers: dict[str, Carrier] = {}
        self._next_bulk_s = 0.0
        self.metrics = PollerMetrics([table.name for table in self._tables])
        self._readers: list[Reader] = []
        self._whole = Whole(self.asking, [], self.metrics)

    @property
    def sent(self) -> int:
        """How many rows have been sent, but those of bulk tables where there are others."""
        return sum(reader.sent for reader in self._readers) if self._readers else self._whole.sent

    async def run(self) -> None:
        """Open the feed and poll through it; after an outage of Kafka open a new one."""
        try:
            await self._register()
            self._make_readers()
            while not self._stop.is_set():
                feed = await self._open()
                try:
                    await self._poll(feed)
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
            await self.asking.close()
            for reader in self._readers:
                reader.telling.tell_lost(now=True)
                log.info("%s: %d sent in all", reader.table.label, reader.sent)

    async def _register(self) -> None:
        registry = Registry(self._settings)
        async for attempt in retrying(log, "schema registry", self._stop, retry_on=is_registry_outage):
            with attempt:
                letter = await registry.encoder(DEAD_LETTERS)
                for table in self._tables:
                    encode = await registry.encoder(table.topic)
                    self._carriers[table.name] = Carrier(
                        table, encode, letter, await _key_writer(registry, table.topic)
                    )

    def _make_readers(self) -> None:
        """The readers of all tables, in the order in which they are declared."""
        given = self._settings, self.asking
        for table in self._tables:
            if not table.is_bulk and table.name in self._carriers:
                made = ById if isinstance(table.declared.mode, Incrementing) else ByTimestamp
                self._readers.append(made(*given, self._carriers[table.name], table, self.metrics, self._stop))
        self.asking.learned = [carrier.learned for carrier in self._carriers.values()]
        whole = [(table, self._carriers[table.name]) for table in self._tables if table.is_bulk and self._carriers]
        self._whole = Whole(self.asking, whole, self.metrics)

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
        for name, stored in (await stored_positions(self._settings)).items():
            if stored.owner != self._owner:
                column = next(table.identity for table in self._tables if table.name == name)
                raise SourceError(
                    f"another poller with app_id={self._settings.app_id} has taken over at {column} "
                    f"{stored.position.last_id}: only one may run"
                )

    async def _poll(self, feed: Feed) -> None:
        """Bulk tables when due, then the others, every `poll_interval_s`; at once again after a full batch."""
        await self.asking.require_columns()
        await self.asking.require_conditions()
        for reader in self._readers:
            await reader.begin(feed)
        due_s = time.monotonic()
        while not self._stop.is_set():
            if time.monotonic() >= self._next_bulk_s:
                await self._whole.poll(feed)
                self._next_bulk_s = time.monotonic() + self._settings.bulk_interval_s
            await self.asking.require_columns()
            full = [await reader.poll(feed) for reader in self._readers]
            if any(full):
                continue
            if self._once:
                return
            due_s = max(due_s + self._settings.poll_interval_s, time.monotonic())
            await wait(self._stop, due_s - time.monotonic())


async def _key_writer(registry: Registry, topic: Topic) -> KeyWriter | None:
    """What writes the keys of a topic; None where they are texts."""
    if topic.key_format == KeyFormat.TEXT:
        return None
    encoders = encoders_of([topic])
    registered([topic], encoders, await registry.register([topic]))
    return key_encoder(topic, encoders)
