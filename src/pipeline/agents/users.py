"""Users: the table that page views are joined with, and the flattened output."""

from sys import intern

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import AvroProcessor, Schemas
from pipeline.codecs import Encoder, Record, fields, key_text
from pipeline.errors import BadRecord
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.state import State
from pipeline.tables.store import StateTable
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


class UserTable(AvroProcessor):
    """Keeps the latest row of every user, and sends it on, flattened.

    State: (userid,) -> [offset, regionid, gender]; regionid and gender are null after a tombstone.
    """

    def __init__(self, registry: Schemas, letters: DeadLetters, encoder: Encoder, table: StateTable) -> None:
        super().__init__(USERS, registry, letters, tombstones=True)
        self._encode = encoder
        self._table = table

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """Changelog records and one row per user record; a tombstone sends a retired row."""
        out: list[Outgoing] = []
        state = self._table.state_of(batch.partition)
        for index, user in zip(*self.decoded(batch, out), strict=True):
            try:
                row = self._take(state, batch, index, user)
            except BadRecord as error:
                out.append(self.dead_letter(batch, index, error))
            else:
                out.extend(row)
        return self._table.changes(state, batch.partition) + out

    def _take(self, state: State, batch: RecordBatch, index: int, user: Record | None) -> list[Outgoing]:
        userid = key_text(batch.keys[index])
        offset, time_ms = batch.offsets[index], batch.timestamps[index]
        columns: tuple[str | None, str | None] = None, None
        if user is not None:
            if userid != user["userid"]:
                raise BadRecord(f"key {userid!r} is not the userid {user['userid']!r}")
            columns = _shared(user["regionid"]), _shared(user["gender"])
        row = retired(userid, time_ms, offset) if user is None else flatten(user, time_ms, offset)
        value = self._encode(row)
        if not self._update(state, userid, offset, columns):
            return []
        return [Outgoing(USER_TRANSFORMED.name, userid.encode(), value, time_ms)]

    @staticmethod
    def _update(state: State, userid: str, offset: int, columns: tuple[str | None, str | None]) -> bool:
        """Keep the newest row; True unless a newer one is known. The same one goes out again after a crash."""
        known = state.get((userid,))
        if known is not None and known[0] > offset:
            return False
        state.put((userid,), [offset, *columns])
        return True
