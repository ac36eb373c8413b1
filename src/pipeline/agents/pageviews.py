"""Page views joined with pages, users and regions: one enriched row out per view in."""

import struct
from typing import Any

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import AvroProcessor, Schemas
from pipeline.codecs import Encoder, Record
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.joins import Lookup, left_join
from pipeline.tables.partials import Origin
from pipeline.tables.store import StateTable
from pipeline.topics import EXTENDED_PAGEVIEWS, PAGEVIEW, PAGEVIEW_BY_USER
from pipeline.transport.outbox import partition_for

ORIGIN = struct.Struct(">iq")


class PageviewJoin:
    """The left joins of a view with the user's row of its partition, the page and the user's region."""

    def __init__(self, users: StateTable, pages: Lookup, regions: Lookup, encoder: Encoder) -> None:
        self._users = users
        self._pages = pages
        self._regions = regions
        self._encode = encoder

    def enrich(self, view: Record, origin: Origin, time_ms: int, partition: int) -> Outgoing:
        """The enriched row, in the partition where the view's user lies."""
        known = self._users.rows(partition).get((view["userid"],))
        regionid, gender = (known[1], known[2]) if known is not None else (None, None)
        row: dict[str, Any] = {
            **view,
            **left_join(view["pageid"], self._pages, ("page_group", "page_name")),
            "regionid": regionid,
            "gender": gender,
            **left_join(regionid, self._regions, ("region_name",)),
            "event_time_ms": time_ms,
            "origin_partition": origin[0],
            "origin_offset": origin[1],
        }
        return Outgoing(EXTENDED_PAGEVIEWS.name, view["userid"].encode(), self._encode(row), time_ms, partition)


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
        for index, view in self.decoded(batch, out):
            userid, time_ms = view["userid"], batch.timestamps[index]
            home = self._home_of(userid)
            origin = batch.partition, batch.offsets[index]
            if home == batch.partition:
                out.append(self._join.enrich(view, origin, time_ms, home))
            else:
                value = ORIGIN.pack(*origin) + (batch.values[index] or b"")
                out.append(Outgoing(PAGEVIEW_BY_USER.name, userid.encode(), value, time_ms, home))
        return out

    def _home_of(self, userid: str) -> int:
        home = self._home.get(userid)
        if home is None:
            if len(self._home) > 1_000_000:
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
        for index, view in self.decoded(self._unwrapped(batch), out):
            origin = ORIGIN.unpack_from(batch.values[index] or b"")
            out.append(self._join.enrich(view, (origin[0], origin[1]), batch.timestamps[index], batch.partition))
        return out

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
