"""A table read by timestamp and id, against its whole history: every version that a poll could see is sent once.

Transactions take their timestamps when they write and commit later, in any order, some are rolled back, several change
a row within one tick; the reader is killed between transactions of its own, before or after they were committed.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.position import Stored
from pipeline.sources.recent import SECOND_US, Recent, Sent, Version, Window

TICK_US = SECOND_US
OVERLAP_S = 5
PAGE = 3
IDS = 4


@dataclass
class Database:
    """Rows that are committed, {id: (timestamp, content)}, and transactions that are not."""

    rows: dict[str, tuple[int, int]] = field(default_factory=dict)
    open: list[tuple[int, dict[str, tuple[int, int]]]] = field(default_factory=list)
    now_s: int = 100
    contents: int = 0

    def begin(self, row_id: str, back_s: int) -> None:
        """Write a row within a transaction; a row that another one holds is not written, as its lock says."""
        if any(row_id in rows for _, rows in self.open):
            return
        self.contents += 1
        self.open.append((self.now_s, {row_id: ((self.now_s - back_s) * TICK_US, self.contents)}))

    def end(self, place: int, *, commit: bool) -> None:
        if self.open:
            _, rows = self.open.pop(place % len(self.open))
            if commit:
                self.rows |= rows

    def pass_time(self, seconds: int) -> None:
        """Transactions are over before the overlap is."""
        self.now_s += seconds
        for began_s, rows in list(self.open):
            if self.now_s - began_s >= OVERLAP_S - 1:
                self.rows |= rows
                self.open.remove((began_s, rows))


@dataclass
class Topic:
    """Records (id, timestamp, content, time), and the position, as they were committed together."""

    records: list[tuple[str, int, int, int]] = field(default_factory=list)
    stored: bytes | None = None
    time_ms: int = 1_000_000

    def window(self, overlap_us: int) -> Window:
        """As after a start: by the position and the topic's tail, from the first record of its time on."""
        position = Stored.from_json(self.stored).position if self.stored else Recent()
        assert isinstance(position, Recent)
        tail = next((n for n, record in enumerate(self.records) if record[3] >= position.tail_ms), len(self.records))
        sent = {row_id: Sent(at, content, ms) for row_id, at, content, ms in self.records[tail:]}
        return Window(position, overlap_us, sent)


class Killed(Exception):
    pass


def poll(database: Database, topic: Topic, window: Window, fate: str, between: list[tuple]) -> None:
    """One poll, page by page; `between` happens to the database between its pages."""
    if not database.rows:
        return
    largest = max(at for at, _ in database.rows.values())
    window.begin(largest, database.now_s * TICK_US, database.now_s)
    after = None
    while True:
        lowest = window.lowest_us
        rows = sorted(
            (at, row_id, content)
            for row_id, (at, content) in database.rows.items()
            if at <= largest and (after is None or (at, row_id) > after) and (after or lowest is None or at >= lowest)
        )[:PAGE]
        topic.time_ms += 1
        new = window.page([Version(row_id, at, content) for at, row_id, content in rows], topic.time_ms)
        last = len(rows) < PAGE
        if last:
            window.end(topic.time_ms)
        if fate == "killed before":
            raise Killed
        topic.records += [(rows[n][1], rows[n][0], rows[n][2], topic.time_ms) for n in new]
        topic.stored = Stored(window.position, "me", topic.time_ms).to_json("t")
        if fate == "killed after":
            raise Killed
        if last:
            return
        after = rows[-1][:2]
        for step in between:
            happen(database, step)


def happen(database: Database, step: tuple) -> None:
    match step:
        case ("write", row_id, back_s):
            database.begin(str(row_id), back_s)
        case ("commit", place):
            database.end(place, commit=True)
        case ("roll back", place):
            database.end(place, commit=False)
        case ("time", seconds):
            database.pass_time(seconds)


DATABASE = st.one_of(
    st.tuples(st.just("write"), st.integers(0, IDS), st.just(0)),
    st.tuples(st.just("commit"), st.integers(0, 9)),
    st.tuples(st.just("roll back"), st.integers(0, 9)),
    st.tuples(st.just("time"), st.integers(0, 2)),
    st.tuples(st.just("time"), st.integers(0, 12)),
)
STEPS = st.one_of(
    DATABASE,
    DATABASE,
    st.tuples(
        st.just("poll"),
        st.sampled_from(["whole", "whole", "killed before", "killed after"]),
        st.lists(DATABASE, max_size=3),
    ),
    st.just(("restart",)),
)


@given(st.lists(STEPS, max_size=60))
@settings(max_examples=400, deadline=None)
def test_every_version_that_is_there_at_a_poll_is_sent_once(steps):
    database, topic = Database(), Topic()
    window = topic.window(OVERLAP_S * SECOND_US)
    for step in steps:
        if step[0] == "restart":
            window = topic.window(OVERLAP_S * SECOND_US)
        elif step[0] == "poll":
            before = dict(database.rows)
            try:
                poll(database, topic, window, step[1], step[2])
            except Killed:
                window = topic.window(OVERLAP_S * SECOND_US)
                continue
            sent = {(row_id, content) for row_id, _, content, _ in topic.records}
            for row_id, (_, content) in before.items():
                replaced = database.rows[row_id] != before[row_id]  # between two pages
                assert replaced or (row_id, content) in sent, "what was there when the poll began was sent"
        else:
            happen(database, step)
    database.pass_time(OVERLAP_S)
    poll(database, topic, window, "whole", [])
    versions = [record[:3] for record in topic.records]
    assert len(versions) == len(set(versions)), "no version is there twice"
    latest = {row_id: (at, content) for row_id, at, content in versions}
    assert latest == database.rows


@given(st.lists(STEPS, max_size=40), st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=200, deadline=None)
def test_a_changed_overlap_sends_nothing_twice(steps, first_s, second_s):
    database, topic = Database(), Topic()
    for overlap_s in (first_s, second_s):
        window = topic.window(overlap_s * SECOND_US)
        for step in steps:
            if step[0] == "poll":
                try:
                    poll(database, topic, window, step[1], step[2])
                except Killed:
                    window = topic.window(overlap_s * SECOND_US)
            elif step[0] != "restart":
                happen(database, step)
    versions = [record[:3] for record in topic.records]
    assert len(versions) == len(set(versions))


def test_rows_ahead_of_the_clock_hide_nothing_and_are_sent_once():
    window = Window(Recent(), 10 * SECOND_US)
    far, now = 10**16, 1_000 * SECOND_US
    window.begin(far, now, 0)
    assert window.page([Version("a", far, 1)], 1) == [0]
    window.end(1)
    assert window.position.last_us == now
    assert window.lowest_us == now - 10 * SECOND_US
    for later_s in (1, 50, 500):
        window.begin(far, now + later_s * SECOND_US, later_s)
        ours = Version("b", now + (later_s - 3) * SECOND_US, later_s)
        assert window.page([ours, Version("a", far, 1)], 2) == [0]
        window.end(2)


def test_a_table_at_rest_is_not_read_again_and_its_digests_are_dropped():
    window = Window(Recent(), 10 * SECOND_US)
    rows = [Version(str(n), 5 * SECOND_US, n) for n in range(1_000)]
    for second in range(12):
        window.begin(5 * SECOND_US, (6 + second) * SECOND_US, second)
        assert len(window.page(rows if second <= 10 else [], second)) == (1_000 if second == 0 else 0)
        window.end(second)
    assert len(window) == 0
    assert window.lowest_us == 5 * SECOND_US + 1


def test_a_letter_is_known_after_a_start():
    window = Window(Recent(), 10 * SECOND_US)
    window.begin(5, 6, 0)
    assert window.page([Version("bad", 5, 7, True), Version("good", 5, 8)], 3) == [0, 1]
    window.end(3)
    stored = Stored.from_json(Stored(window.position, "me", 3).to_json("t")).position
    assert stored == window.position
    again = Window(stored, 10 * SECOND_US, {"good": Sent(5, 8, 3)})
    again.begin(5, 6, 0)
    assert again.page([Version("bad", 5, 7, True), Version("good", 5, 8)], 4) == []
    assert again.page([Version("bad", 5, 9, True)], 4) == [0]


def test_a_wider_overlap_begins_where_the_narrower_one_did():
    window = Window(Recent(), 2 * SECOND_US)
    for second in (100, 101, 105):
        window.begin(second * SECOND_US, second * SECOND_US, second)
        window.page([Version(str(second), second * SECOND_US, second)], second)
    assert len(window) == 1
    wider = Window(window.position, 60 * SECOND_US, {"105": Sent(105 * SECOND_US, 105, 105)})
    assert wider.lowest_us == 103 * SECOND_US, "of what lies before nothing is known"
    assert Window(window.position, SECOND_US).lowest_us == 104 * SECOND_US
