"""Page views joined with pages, users and regions: one enriched row out per view in."""

import struct
from collections.abc import Iterable
from itertools import repeat
from typing import Any

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import AvroProcessor, Schemas
from pipeline.codecs import Encoder, Record
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.joins import Lookup
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

    def enrich(
        self,
        views: Iterable[Record],
        origin_partitions: Iterable[int],
        origin_offsets: Iterable[int],
        times_ms: Iterable[int],
        partition: int,
    ) -> list[Outgoing]:
        """The enriched rows of views, in the partition where their users lie; columns of equal length."""
        users, pages, regions = self._users.rows(partition), self._pages, self._regions
        rows: list[Record] = []
        columns = zip(views, origin_partitions, origin_offsets, times_ms, strict=False)
        for view, origin_partition, origin_offset, time_ms in columns:
            _, regionid, gender = users.get((view["userid"],)) or NO_USER
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
            rows.append(row)
        return [
            Outgoing(EXTENDED_PAGEVIEWS.name, row["userid"].encode(), value, row["event_time_ms"], partition)
            for row, value in zip(rows, self._encode.many(rows), strict=True)
        ]


class PageviewEnricher(AvroProcessor):
    """Joins the views that lie where their user lies; the others go to a topic keyed by userid first."""

    def __init__(self, registry: Schemas, letters: DeadLetters, join: PageviewJoin, partitions: int) -> None:
        super().__init__(PAGEVIEW, registry, letters)
        self._join = join
        self._homes = Homes(partitions)

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """One enriched or re-keyed record per good view."""
        out: list[Outgoing] = []
        places, views = self.decoded(batch, out)
        partition, all_homes = batch.partition, self._homes
        homes = [all_homes[view["userid"]] for view in views]
        if homes.count(partition) < len(homes):
            strangers = zip(places, views, homes, strict=True)
            out += [self._rekeyed(batch, place, view, home) for place, view, home in strangers if home != partition]
            at_home = [number for number, home in enumerate(homes) if home == partition]
            places, views = [places[number] for number in at_home], [views[number] for number in at_home]
        offsets, times_ms = [batch.offsets[place] for place in places], [batch.timestamps[place] for place in places]
        return out + self._join.enrich(views, repeat(partition), offsets, times_ms, partition)

    @staticmethod
    def _rekeyed(batch: RecordBatch, place: int, view: Record, home: int) -> Outgoing:
        value = ORIGIN.pack(batch.partition, batch.offsets[place]) + (batch.values[place] or b"")
        return Outgoing(PAGEVIEW_BY_USER.name, view["userid"].encode(), value, batch.timestamps[place], home)


class Homes(dict[str, int]):
    """The partition of each user, worked out when it is first asked for; never more than KEPT_HOMES are kept."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._partitions = partitions

    def __missing__(self, userid: str) -> int:
        if len(self) >= KEPT_HOMES:
            self.clear()
        home = self[userid] = partition_for(userid.encode(), self._partitions)
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
        places, views = self.decoded(self._unwrapped(batch), out)
        origins = [ORIGIN.unpack_from(batch.values[place] or b"") for place in places]
        partitions, offsets = [origin[0] for origin in origins], [origin[1] for origin in origins]
        times_ms = [batch.timestamps[place] for place in places]
        return out + self._join.enrich(views, partitions, offsets, times_ms, batch.partition)

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
