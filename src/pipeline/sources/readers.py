"""How new rows of a table are found and sent: by id, by timestamp and id, or all of them."""

import json
import time
from abc import ABC, abstractmethod
from asyncio import Event
from collections.abc import Sequence
from typing import Any

from pipeline.settings import Settings
from pipeline.sources.asking import Asking
from pipeline.sources.carried import WANTED, Carried, micros
from pipeline.sources.feed import Feed, Outgoing
from pipeline.sources.metrics import PollerMetrics
from pipeline.sources.position import Position, Ranges
from pipeline.sources.recent import SECOND_US, Version
from pipeline.sources.rows import Carrier, split
from pipeline.sources.telling import Telling, log, tell_letters
from pipeline.sources.topic_positions import digest_of
from pipeline.sources.values import Row
from pipeline.timebase import now_ms

BATCH_ROWS = 5_000
MOST_KNOWN = 10_000
"""Letters of tables that are read whole that are remembered, so as not to be sent again with every bulk."""
AHEAD_S = 60.0
"""How far timestamps may be ahead of the database's clock before that is told."""


class Reader(ABC):
    """One table that is read from where it was left. `batch_rows` is how many rows a question asks for."""

    batch_rows = BATCH_ROWS

    def __init__(
        self, settings: Settings, asking: Asking, carrier: Carrier, table: Carried, metrics: PollerMetrics, stop: Event
    ) -> None:
        self.table = table
        self.sent = 0
        self._settings = settings
        self._asking = asking
        self._carrier = carrier
        self._metrics = metrics
        self._stop = stop
        self.telling = Telling(settings, table)

    @abstractmethod
    async def begin(self, feed: Feed) -> None:
        """Look once at the table, and warn where something is odd."""

    @abstractmethod
    async def poll(self, feed: Feed) -> bool:
        """Send one batch of what is new, with the position after it; returns whether there may be more at once."""


class ById(Reader):
    """New rows by an id that grows."""

    async def begin(self, feed: Feed) -> None:
        """Warn when the table ends below the position: it was made anew, and its ids start again."""
        position = feed.positions[self.table.name]
        (row,) = await self._asking.rows(self.table.largest()) or [{"last": None}]
        if not isinstance(position, Position) or position.first_id is None:
            return
        if row["last"] is None or row["last"] < position.last_id:
            log.warning(
                "%s: the table ends at %s %s, but rows up to %d have been sent: was it made anew? "
                "Only rows with larger ids are sent from here on",
                self.table.label,
                self.table.identity,
                row["last"],
                position.last_id,
            )

    async def poll(self, feed: Feed) -> bool:
        """See Reader."""
        position, carrier, name = feed.positions[self.table.name], self._carrier, self.table.identity
        assert isinstance(position, Position)
        reads = await self._asking.each(self.table.new_rows(position, self.batch_rows))
        full = any(len(rows) >= self.batch_rows for rows in reads)
        new = {row[name]: dict(row) for rows in reads for row in rows}
        if new:  # the columns were right when these were read, if they are still
            await self._asking.require_columns()
        at_ms = now_ms()
        wanted = [row_id for row_id in sorted(new) if new[row_id].pop(WANTED, True)]
        outgoing = {row_id: carrier.record(new[row_id], at_ms) for row_id in wanted}
        records, letters = split(list(outgoing.values()))
        bad = {row_id for row_id, record in outgoing.items() if record.topic != carrier.topic.name}
        after, lost = position.advance(new.keys(), at_ms // 1_000, bad), Ranges()
        if not full and not self._stop.is_set():  # every gap has been looked for just now
            waited_s, most = self._settings.poll_gap_wait_s, self._settings.poll_gaps
            after, lost = after.give_up(at_ms // 1_000, waited_s, most)
        if after != position:
            await feed.publish([*records, *letters], {self.table.name: after})
        self.sent += len(records)
        self._metrics.count(self.table.name, len(records), after, lost)
        tell_letters(self._metrics, letters)
        self.telling.note_lost(lost)
        self.telling.tell(self.sent, after)
        return full


class ByTimestamp(Reader):
    """New and changed rows by a timestamp and an id; see `recent.py`."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._after: tuple[Any, Any] | None = None
        self._largest: Any = None
        self._window: object = None
        self._told_ahead = False

    async def begin(self, feed: Feed) -> None:
        """Warn of rows without a timestamp, which are never read."""
        (row,) = await self._asking.rows(self.table.unseen()) or [{"rows": 0}]
        if row["rows"]:
            log.warning(
                "%s: %d rows have NULL in column %s, their timestamp: they are not sent until they get one",
                self.table.label,
                row["rows"],
                self._timestamp,
            )

    @property
    def _timestamp(self) -> str:
        mode: Any = self.table.declared.mode
        return str(mode.timestamp)

    async def poll(self, feed: Feed) -> bool:
        """One page; the bounds are those of the first page until there is no further one."""
        window = feed.windows[self.table.name]
        if self._window is not window:  # another feed: what the last one did not commit is read again
            self._window, self._after, self._largest = window, None, None
        if self._largest is None:
            (row,) = await self._asking.rows(self.table.largest()) or [{"largest": None}]
            self._largest = row["largest"]
            largest_us = micros(self._largest)
            if largest_us is None:
                self._largest = None
                return False
            now_us = micros(row["now"]) or 0
            self._tell_ahead(largest_us - now_us)
            window.begin(largest_us, now_us, time.monotonic())
        rows = await self._asking.rows(
            self.table.changed_rows(window.lowest_us, self._largest, self._after, self.batch_rows)
        )
        if rows:
            await self._asking.require_columns()
        full = len(rows) >= self.batch_rows and not self._stop.is_set()
        await self._send(feed, rows, is_last=not full)
        self._after = (rows[-1][self._timestamp], rows[-1][self.table.identity]) if full else None
        if not full:
            self._largest = None
        return full

    async def _send(self, feed: Feed, rows: Sequence[Row], *, is_last: bool) -> None:
        window, before, at_ms = feed.windows[self.table.name], feed.positions[self.table.name], now_ms()
        dated = [row for row in rows if micros(row[self._timestamp]) is not None]  # zero dates are no timestamps
        outgoing = self._carrier.records(dated, at_ms)
        new = window.page([self._version(row, one) for row, one in zip(dated, outgoing, strict=True)], at_ms)
        if is_last and not self._stop.is_set():
            window.end(at_ms)
        records, letters = split([outgoing[place] for place in new])
        after = window.position
        if new or after != before:
            await feed.publish([*records, *letters], {self.table.name: after})
        self.sent += len(records)
        self._metrics.count(self.table.name, len(records), after)
        tell_letters(self._metrics, letters)
        self.telling.tell(self.sent, after)

    def _version(self, row: Row, made: Outgoing) -> Version:
        """What is written of a row; a letter's value tells the time, and so the row itself is compared."""
        is_letter = made.topic != self._carrier.topic.name
        written = json.dumps(dict(row), default=str).encode() if is_letter else made.value
        row_id = self.table.columns[self.table.identity].text(row[self.table.identity])
        at_us = micros(row[self._timestamp])
        assert at_us is not None
        return Version(row_id, at_us, digest_of(written), is_letter)

    def _tell_ahead(self, ahead_us: int) -> None:
        if ahead_us > AHEAD_S * SECOND_US and not self._told_ahead:
            self._told_ahead = True
            log.warning(
                "%s: the largest timestamp is %.0f s ahead of the database's clock, in UTC: such rows are sent, and "
                "compared again at every poll until their time has come",
                self.table.label,
                ahead_us / SECOND_US,
            )


class Whole:
    """Tables that are read whole, all of them in one transaction."""

    def __init__(self, asking: Asking, tables: Sequence[tuple[Carried, Carrier]], metrics: PollerMetrics) -> None:
        self._asking = asking
        self._tables = tables
        self._metrics = metrics
        self._known_letters: set[bytes] = set()
        self.sent = 0

    async def poll(self, feed: Feed) -> None:
        """Send all rows of all tables in one transaction."""
        if not self._tables:
            return
        found = [await self._asking.rows(table.every()) for table, _ in self._tables]
        await self._asking.require_columns()
        outgoing: list[Outgoing] = []
        for (table, carrier), rows in zip(self._tables, found, strict=True):
            made = carrier.records(rows, now_ms())
            outgoing += made
            self._metrics.rows.labels(table.name).inc(len(split(made)[0]))
        records, letters = split(outgoing)
        unknown = [letter for letter in letters if letter.key not in self._known_letters]
        await feed.publish([*records, *unknown])
        if len(self._known_letters) < MOST_KNOWN:
            self._known_letters.update(letter.key for letter in unknown)
        self.sent += len(records)
        tell_letters(self._metrics, unknown)
