"""Joins of two tables by a foreign key of the left one: rows of both sides lie in different partitions.

The left side subscribes to the right row that its row names, and is answered with it: once for the subscription, and
whenever the right row changes. Either side triggers, and the result is a table under the left key. The protocol is that
of Kafka Streams (KIP-213) with applied offsets as versions; docs/adr/0020 has it whole. Among records of one key the
later offset is the newer, whatever their times.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipeline.errors import SettingError
from pipeline.tables.aggregate import Row
from pipeline.tables.joins import JoinedRow, JoinKind, KeyedRows, Side
from pipeline.tables.state import State


class Subscription(NamedTuple):
    """A left row that names a right one, or, with `ends`, does not any more. `partition` is where the left row lies.

    `version` is the offset of the left record that says so.
    """

    foreign_key: str
    key: str
    partition: int
    version: int
    ends: bool = False


class Answer(NamedTuple):
    """The right row to a subscription of this version, null where there is none; -1 ms where there never was one."""

    key: str
    partition: int
    version: int
    time_ms: int
    row: Row | None


@dataclass(frozen=True, slots=True)
class ForeignJoin:
    """`left JOIN right ON left.foreign_key = right.key`. INNER: both must be there; LEFT: the left one.

    `name` is the key of its states in the changelogs: never change it for a running application.
    """

    name: str
    kind: JoinKind = JoinKind.INNER

    def __post_init__(self) -> None:
        if self.kind.keeps(Side.RIGHT):
            raise SettingError(
                f"join {self.name}: kind is '{self.kind}', but must be 'inner' or 'left': a right row that no left row "
                "names has no key for its result"
            )


@dataclass(slots=True)
class Subscribed:
    """What left records bring forth: subscriptions, and results that need no answer."""

    subscriptions: list[Subscription] = field(default_factory=list)
    rows: list[JoinedRow] = field(default_factory=list)


class _Left:
    """A left row as it is kept: [offset, time_ms, row, foreign key, foreign keys that it left in its latest batch,
    offset of the latest answer that counted, time of its right row, shown]; `shown` is what consumers have: null for
    nothing yet, else [time_ms, whether it is a tombstone].
    """

    __slots__ = ("answer_offset", "foreign_key", "left", "offset", "right_time_ms", "row", "shown", "time_ms")

    def __init__(self, kept: Sequence[Any] | None) -> None:
        self.offset: int = -1
        self.time_ms: int = -1
        self.row: Row | None = None
        self.foreign_key: str | None = None
        self.left: list[str] = []
        self.answer_offset: int = -1
        self.right_time_ms: int = -1
        self.shown: list[Any] | None = None
        if kept is not None:
            self.offset, self.time_ms, self.row, self.foreign_key, self.left = kept[:5]
            self.answer_offset, self.right_time_ms, self.shown = kept[5:]

    def kept(self) -> list[Any]:
        first = [self.offset, self.time_ms, self.row, self.foreign_key, self.left]
        return [*first, self.answer_offset, self.right_time_ms, self.shown]

    def show(self, key: str, right: Row | None) -> list[JoinedRow]:
        """What consumers are to have, with this right row; nothing where there is nothing to take back."""
        if self.shown is None:
            return []
        time_ms, retired = self.shown
        rows = (None, None) if retired else (self.row, right)
        return [JoinedRow(key, *rows, time_ms, self.offset, self.answer_offset, retired)]

    @property
    def is_retired(self) -> bool:
        """Whether a tombstone is what consumers have."""
        return self.shown is not None and bool(self.shown[1])

    def retire(self, time_ms: int) -> bool:
        """There is no joined row any more; whether that changes what consumers have."""
        if self.shown is None or self.is_retired:
            return False
        self.shown = [time_ms, True]
        return True


class PartitionSubscriptions:
    """The left side of one join over one partition of the left table, and of its answers.

    State: (name, key) -> what `_Left` says. Its offset tells which left records were applied, the answer's offset which
    answers were; there is no marker.
    """

    def __init__(self, join: ForeignJoin, partition: int, state: State) -> None:
        self.state = state
        self._join = join
        self._partition = partition
        self.stale = 0

    def take(self, rows: KeyedRows, foreign_keys: Sequence[str | None]) -> Subscribed:
        """Take a batch of left records in; `foreign_keys` are what their rows name, null where there is no row.

        Records that were applied before change nothing, but what they brought forth goes out again. Records without a
        key are dropped.
        """
        fresh: dict[str, _Left] = {}
        again: set[str] = set()
        shows: dict[str, bool] = {}
        for offset, time_ms, key, record, foreign in zip(
            rows.offsets, rows.times_ms, rows.keys, rows.records, foreign_keys, strict=True
        ):
            if key is None:
                continue
            entry = fresh.get(key) or self._of(key)
            if offset <= entry.offset:
                again.add(key)
                shows[key] = True
                continue
            left = [*entry.left] if key in shows else []
            if entry.foreign_key is not None:
                left.append(entry.foreign_key)
            entry.left = [one for one in dict.fromkeys(left) if one != foreign]
            entry.offset, entry.time_ms, entry.row, entry.foreign_key = offset, time_ms, record, foreign
            shows[key] = (foreign is None and self._alone(entry)) or shows.get(key, False)
            fresh[key] = entry
        out = Subscribed()
        for key, is_shown in shows.items():
            entry = fresh.get(key) or self._of(key)
            place = (key, self._partition, entry.offset)
            out.subscriptions += [Subscription(one, *place, ends=True) for one in entry.left]
            if entry.foreign_key is not None:
                out.subscriptions.append(Subscription(entry.foreign_key, *place))
            if is_shown and (entry.foreign_key is None or entry.is_retired):
                out.rows += entry.show(key, None)
            if key in fresh:
                self.state.put((self._join.name, key), entry.kept())
        return out

    def _alone(self, entry: _Left) -> bool:
        """A left row that names none, or is gone, has come; whether that changes what consumers are to have."""
        if entry.row is None or not self._join.kind.keeps(Side.LEFT):
            return entry.retire(max(entry.time_ms, entry.right_time_ms))
        entry.shown, entry.right_time_ms = [entry.time_ms, False], -1
        return True

    def answered(self, offsets: Sequence[int], answers: Sequence[Answer]) -> list[JoinedRow]:
        """Take a batch of answers in: one result for each that counts, in their order.

        One that the left row has changed since is stale, and dropped; one that was applied gives its result again.
        """
        rows: list[JoinedRow] = []
        for offset, answer in zip(offsets, answers, strict=True):
            entry = self._of(answer.key)
            if entry.foreign_key is None or answer.version != entry.offset:
                self.stale += 1
                rows += self._stale(offset, answer, entry)
            elif offset == entry.answer_offset:
                rows += entry.show(answer.key, answer.row)
            elif offset > entry.answer_offset:
                rows += self._answered(offset, answer, entry)
        return rows

    def _answered(self, offset: int, answer: Answer, entry: _Left) -> list[JoinedRow]:
        time_ms = max(entry.time_ms, answer.time_ms)
        if answer.row is not None or self._join.kind.keeps(Side.LEFT):
            entry.shown = [time_ms, False]
        elif not entry.retire(time_ms):
            return []
        entry.answer_offset, entry.right_time_ms = offset, answer.time_ms
        self.state.put((self._join.name, answer.key), entry.kept())
        return entry.show(answer.key, answer.row)

    def _stale(self, offset: int, answer: Answer, entry: _Left) -> list[JoinedRow]:
        """What makes up for a stale answer that counted before a crash, whose result went out but was not kept.

        Where another answer is on its way, that one takes the result back if it has to. Where none is, what there is
        now goes out once more, with a version above that of the lost result.
        """
        if entry.offset < 0 or offset <= entry.answer_offset:
            return []
        if answer.row is None and not self._join.kind.keeps(Side.LEFT):
            return []
        entry.answer_offset = offset
        if entry.shown is None or (entry.is_retired and entry.foreign_key is not None):
            entry.shown = [max(entry.time_ms, answer.time_ms), entry.foreign_key is None]
        self.state.put((self._join.name, answer.key), entry.kept())
        return entry.show(answer.key, None) if entry.foreign_key is None else []

    def _of(self, key: str) -> _Left:
        return _Left(self.state.get((self._join.name, key)))


class PartitionSubscribers:
    """The right side of one join over one partition of the right table, and of the subscriptions to its rows.

    State: ("row", name, foreign key) -> [offset, time_ms, row], with a null row after a tombstone, since versions must
    not fall; ("subscriber", name, foreign key, key) -> [version, partition]. The keys of each foreign key's subscribers
    are held in memory, too.
    """

    def __init__(self, join: ForeignJoin, state: State) -> None:
        self.state = state
        self._name = join.name
        self._keys: dict[str, dict[str, None]] = {}
        for place, _ in state.items():
            if place[:2] == ("subscriber", self._name):
                self._keys.setdefault(place[2], {})[place[3]] = None

    def subscribe(self, subscriptions: Iterable[Subscription]) -> list[Answer]:
        """Take a batch of subscriptions in: an answer to each, the latest of each left row only.

        One that is older than what is known is dropped; one that was applied is answered again.
        """
        latest = {(one.foreign_key, one.key): one for one in subscriptions}
        answers = []
        for one in latest.values():
            place = ("subscriber", self._name, one.foreign_key, one.key)
            known = self.state.get(place)
            if known is not None and one.version < known[0]:
                continue
            keys = self._keys.setdefault(one.foreign_key, {})
            if one.ends:
                self.state.delete(place)
                keys.pop(one.key, None)
                if not keys:
                    del self._keys[one.foreign_key]
                continue
            keys[one.key] = None
            if known != [one.version, one.partition]:
                self.state.put(place, [one.version, one.partition])
            _, time_ms, row = self.state.get(("row", self._name, one.foreign_key)) or (-1, -1, None)
            answers.append(Answer(one.key, one.partition, one.version, -1 if row is None else time_ms, row))
        return answers

    def change(self, rows: KeyedRows) -> list[Answer]:
        """Take a batch of right records in: an answer to each subscriber of each row, once for a row.

        Records that were applied before change nothing, but are answered again. Records without a key are dropped.
        """
        touched: dict[str, None] = {}
        for offset, time_ms, key, record in zip(rows.offsets, rows.times_ms, rows.keys, rows.records, strict=True):
            if key is None:
                continue
            place = ("row", self._name, key)
            if offset > (self.state.get(place) or [-1])[0]:
                self.state.put(place, [offset, time_ms, record])
            touched.pop(key, None)
            touched[key] = None
        return [answer for key in touched for answer in self._answers(key)]

    def _answers(self, foreign_key: str) -> Iterable[Answer]:
        _, time_ms, row = self.state.get(("row", self._name, foreign_key))
        for key in self._keys.get(foreign_key, ()):
            version, partition = self.state.get(("subscriber", self._name, foreign_key, key))
            yield Answer(key, partition, version, time_ms, row)
