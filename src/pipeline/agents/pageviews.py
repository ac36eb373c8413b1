"""Page views joined with pages, users and regions: one enriched row out per view in."""

import struct
from collections.abc import Sequence

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import DecodingProcessor, Schemas
from pipeline.agents.users import UserVersions
from pipeline.codecs import Record
from pipeline.formats import ValueEncoder
from pipeline.records import Outgoing, RecordBatch, outgoing
from pipeline.tables.lookup import Lookup, looked_up
from pipeline.topics import EXTENDED_PAGEVIEWS, PAGEVIEW, PAGEVIEW_BY_USER
from pipeline.transport.outbox import partition_for

ORIGIN = struct.Struct(">iq")
KEPT_HOMES = 1_000_000


class PageviewJoin:
    """The left joins of a view with the user's row as of its time, the page and the user's region."""

    def __init__(self, users: UserVersions, pages: Lookup, regions: Lookup, encoder: ValueEncoder) -> None:
        self._users = users
        self._pages = pages
        self._regions = regions
        self._encode = encoder

    def enrich(
        self,
        views: Sequence[Record],
        origin_partitions: Sequence[int],
        origin_offsets: Sequence[int],
        times_ms: Sequence[int],
        partition: int,
    ) -> list[Outgoing]:
        """The enriched rows of views, in the partition where their users lie; columns of equal length."""
        if not views:
            return []
        userids = [view["userid"] for view in views]
        pageids = [view["pageid"] for view in views]
        users = self._users.of(partition)
        rows = users.as_of(userids, times_ms)
        users.joined(max(times_ms))
        regionids, genders = [row[1] for row in rows], [row[2] for row in rows]
        columns = {
            "userid": userids,
            "pageid": pageids,
            "viewtime": [view["viewtime"] for view in views],
            "page_group": looked_up(pageids, self._pages, "page_group"),
            "page_name": looked_up(pageids, self._pages, "page_name"),
            "regionid": regionids,
            "gender": genders,
            "region_name": looked_up(regionids, self._regions, "region_name"),
            "event_time_ms": times_ms,
            "origin_partition": origin_partitions,
            "origin_offset": origin_offsets,
        }
        values = self._encode.columns(columns, len(views))
        keys = [userid.encode() for userid in userids]
        return outgoing(EXTENDED_PAGEVIEWS.name, keys, values, times_ms, partition)


class PageviewEnricher(DecodingProcessor):
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
        offsets, times_ms = batch.offsets, batch.timestamps
        if len(places) < len(batch):
            offsets, times_ms = [offsets[place] for place in places], [times_ms[place] for place in places]
        return out + self._join.enrich(views, [partition] * len(views), offsets, times_ms, partition)

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


class RekeyedPageviewEnricher(DecodingProcessor):
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
