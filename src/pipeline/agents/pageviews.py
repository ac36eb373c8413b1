"""Page views joined with pages, users and regions: one enriched row out per view in."""

import struct
from collections.abc import Iterable
from typing import Any

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import AvroProcessor, Schemas
from pipeline.codecs import Encoder, Record
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.joins import Lookup
from pipeline.tables.partials import Origin
from pipeline.tables.store import StateTable
from pipeline.topics import EXTENDED_PAGEVIEWS, PAGEVIEW, PAGEVIEW_BY_USER
from pipeline.transport.outbox import partition_for

ORIGIN = struct.Struct(">iq")
NO_USER = (-1, None, None)
KEPT_HOMES = 1_000_000
NO_ROW: dict[str, Any] = {}


class PageviewJoin:
    """The left joins of a view with the user's row of its partition, the page and the user's region."""

    def __init__(self, users: StateTable, pages: Lookup, regions: Lookup, encoder: Encoder) -> None:
        self._users = users
        self._pages = pages
        self._regions = regions
        self._encode = encoder

    def enrich(self, views: Iterable[tuple[Record, Origin, int]], partition: int) -> list[Outgoing]:
        """The enriched rows of (view, origin, event time), in the partition where the views' users lie."""
        users, pages, regions = self._users.rows(partition), self._pages, self._regions
        encode, topic, out = self._encode, EXTENDED_PAGEVIEWS.name, []
        for view, (origin_partition, origin_offset), time_ms in views:
            userid = view["userid"]
            _, regionid, gender = users.get((userid,)) or NO_USER
            page = pages.get(view["pageid"], NO_ROW)
            region = NO_ROW if regionid is None else regions.get(regionid, NO_ROW)
            row = {
                **view,
                "page_group": page.get("page_group"),
                "page_name": page.get("page_name"),
                "regionid": regionid,
                "gender": gender,
                "region_name": region.get("region_name"),
                "event_time_ms": time_ms,
                "origin_partition": origin_partition,
                "origin_offset": origin_offset,
            }
            out.append(Outgoing(topic, userid.encode(), encode(row), time_ms, partition))
        return out


class PageviewEnricher(AvroProcessor):
    """Joins the views that lie where their user lies; the others go to a topic keyed by userid first."""

    def __init__(self, registry: Schemas, letters: DeadLetters, join: PageviewJoin, partitions: int) -> None:
        super().__init__(PAGEVIEW, registry, letters)
        self._join = join
        self._partitions = partitions
        self._home: dict[str, int] = {}

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """One enriched or re-keyed record per good view."""
        out: list[Outgoing] = []
        at_home: list[tuple[Record, Origin, int]] = []
        known, partition = self._home, batch.partition
        for index, view in self.decoded(batch, out):
            userid, time_ms = view["userid"], batch.timestamps[index]
            home = known.get(userid)
            if home is None:
                home = self._home_of(userid)
            origin = partition, batch.offsets[index]
            if home == partition:
                at_home.append((view, origin, time_ms))
            else:
                value = ORIGIN.pack(*origin) + (batch.values[index] or b"")
                out.append(Outgoing(PAGEVIEW_BY_USER.name, userid.encode(), value, time_ms, home))
        return out + self._join.enrich(at_home, partition)

    def _home_of(self, userid: str) -> int:
        if len(self._home) >= KEPT_HOMES:
            self._home.clear()
        home = self._home[userid] = partition_for(userid.encode(), self._partitions)
        return home


class RekeyedPageviewEnricher(AvroProcessor):
    """Joins the views that were brought to their user's partition; their origin is where they came from."""

    def __init__(self, registry: Schemas, letters: DeadLetters, join: PageviewJoin) -> None:
        super().__init__(PAGEVIEW, registry, letters)
        self.topic = PAGEVIEW_BY_USER
        self._join = join

    async def prepare(self, batch: RecordBatch) -> None:
        """Learn the schema ids that the batch uses."""
        await super().prepare(self._unwrapped(batch))

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """One enriched record per view."""
        out: list[Outgoing] = []
        views: list[tuple[Record, Origin, int]] = []
        for index, view in self.decoded(self._unwrapped(batch), out):
            origin_partition, origin_offset = ORIGIN.unpack_from(batch.values[index] or b"")
            views.append((view, (origin_partition, origin_offset), batch.timestamps[index]))
        return out + self._join.enrich(views, batch.partition)

    @staticmethod
    def _unwrapped(batch: RecordBatch) -> RecordBatch:
        return RecordBatch(
            batch.topic,
            batch.partition,
            batch.offsets,
            batch.timestamps,
            batch.keys,
            [None if value is None else value[ORIGIN.size :] for value in batch.values],
            batch.next_offset,
        )
