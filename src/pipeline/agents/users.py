"""Users: the versions of their rows, which page views are joined with, and the flattened output."""

from sys import intern

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import DecodingProcessor, Schemas
from pipeline.codecs import Record, fields, key_text
from pipeline.errors import BadRecord
from pipeline.formats import ValueEncoder
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.store import StateTable
from pipeline.tables.versions import Versions
from pipeline.timebase import format_ms
from pipeline.topics import USER_TRANSFORMED, USERS

CONTACT = ("phone", "city", "state", "zipcode")
COLUMNS = fields(USER_TRANSFORMED.schema or "")
MAX_MS = 253_402_300_799_999  # 9999-12-31 23:59:59.999, the last that the output's format can show


def flatten(user: Record, time_ms: int, offset: int) -> Record:
    """The output row of a user; raises BadRecord when registertime is no time."""
    registered, interests, contact = user["registertime"], user["interests"], user["contactinfo"]
    if not 0 <= registered <= MAX_MS:
        raise BadRecord(f"registertime {registered} is not in 0 .. {MAX_MS} ms")
    return {
        "userid": user["userid"],
        "registertime": format_ms(registered),
        "registertime_ms": registered,
        "gender": user["gender"],
        "regionid": user["regionid"],
        "interests_1": interests[0] if interests else None,
        "interests_2": interests[1] if len(interests) > 1 else None,
        **{name: contact.get(name) for name in CONTACT},
        "event_time_ms": time_ms,
        "version": offset,
        "retired": False,
    }


def retired(userid: str, time_ms: int, offset: int) -> Record:
    """The output row of a user who was deleted: Pinot ignores tombstones (ADR 7). Nothing of the user is left in it."""
    known = {"userid": userid, "event_time_ms": time_ms, "version": offset, "retired": True}
    return dict.fromkeys(COLUMNS) | known


def _shared(name: str | None) -> str | None:
    """One of a few names, in one object for all users."""
    return None if name is None else intern(name)


JOINED = ("regionid", "gender")
"""What views take of a user."""


class UserVersions:
    """What views are joined with: the versions of JOINED by userid, in each partition."""

    def __init__(self, table: StateTable, kept_ms: int) -> None:
        self.table = table
        self._kept_ms = kept_ms
        self._partitions: dict[int, Versions] = {}

    def of(self, partition: int) -> Versions:
        """The versions of one partition."""
        if partition not in self._partitions:
            self._partitions[partition] = Versions(self.table.state_of(partition), len(JOINED), self._kept_ms)
        return self._partitions[partition]

    def forget(self, partition: int) -> None:
        """Read a partition's rows afresh."""
        self._partitions.pop(partition, None)

    def reset(self) -> None:
        """Partitions have come or gone: read all rows afresh."""
        self._partitions.clear()


class UserTable(DecodingProcessor):
    """Keeps the versions of every user, and sends the latest on, flattened."""

    def __init__(self, registry: Schemas, letters: DeadLetters, encoder: ValueEncoder, users: UserVersions) -> None:
        super().__init__(USERS, registry, letters, table=True)
        self._encode = encoder
        self._users = users
        self.tables = [users.table]

    def forget(self, partition: int) -> None:
        """Read the partition's rows afresh."""
        self._users.forget(partition)

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Changelog records and one row per user record; a tombstone sends a retired row."""
        out: list[Outgoing] = []
        versions = self._users.of(batch.partition)
        versions.drop_old()
        for index, user in zip(*self.decoded(batch, out), strict=True):
            try:
                row = self._take(versions, batch, index, user)
            except BadRecord as error:
                out.append(self.dead_letter(batch, index, error))
            else:
                out.extend(row)
        return self._users.table.changes(self._users.table.state_of(batch.partition), batch.partition) + out

    def _take(self, versions: Versions, batch: RecordBatch, index: int, user: Record | None) -> list[Outgoing]:
        userid = key_text(batch.keys[index])
        offset, time_ms = batch.offsets[index], batch.timestamps[index]
        columns: tuple[str | None, ...] = (None,) * len(JOINED)
        if user is not None:
            if userid != user["userid"]:
                raise BadRecord(f"key {userid!r} is not the userid {user['userid']!r}")
            columns = tuple(_shared(user[name]) for name in JOINED)
        row = retired(userid, time_ms, offset) if user is None else flatten(user, time_ms, offset)
        value = self._encode(row)
        self.counts["behind_stream"] += time_ms <= versions.stream_time_ms
        if not versions.put(userid, offset, time_ms, columns):
            return []
        return [Outgoing(USER_TRANSFORMED.name, userid.encode(), value, time_ms)]
