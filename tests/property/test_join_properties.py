"""Joins and grouped tables whatever the batches' borders, the order within grace, the crash: against brute force."""

from collections import Counter
from itertools import groupby, pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from joining import Crashing, keyed

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.functions import SumLong
from pipeline.tables.grouped_table import GroupedTable
from pipeline.tables.joins import JoinKind, Side
from pipeline.tables.stream_join import PartitionStreamJoin, StreamJoin
from pipeline.tables.table_join import PartitionTableJoin, TableJoin
from pipeline.tables.windows import Unwindowed

kinds = st.sampled_from(list(JoinKind))
sides = st.sampled_from(list(Side))
keys = st.sampled_from(["x", "y", None])
stream_events = st.lists(st.tuples(sides, st.integers(0, 60), keys), max_size=25)
table_events = st.lists(
    st.tuples(sides, st.integers(0, 60), keys, st.one_of(st.none(), st.integers(0, 9))), max_size=25
)
group_events = st.lists(
    st.tuples(st.sampled_from(["u", "v", "w"]), st.sampled_from(["A", "B", "C", None]), st.integers(0, 9)), max_size=25
)
reaches = st.one_of(st.integers(0, 15), st.tuples(st.integers(0, 15), st.integers(0, 15)))
graces = st.one_of(st.none(), st.integers(0, 15))
spans = st.tuples(reaches, graces)
cuts = st.sets(st.integers(1, 24), max_size=8)
unwritten = st.one_of(st.just(0), st.integers(0, 30))
crashes = st.tuples(st.integers(0, 25), unwritten, st.integers(0, 4), st.booleans())


class Replayed:
    """Runs events of both sides through a join: in batches cut at given places, with one crash at most.

    A crash hits the batch in hand, of whose changes some may have been written. Either all results were sent, or
    those of that batch and of the other side's latest batch, which was under way as well, are lost. Then each side is
    read again from `back` records earlier, or from what was lost, and the rest follows in its order.
    """

    def __init__(self, make: Any, events: list[tuple], cut: set[int]) -> None:
        self._crashing = Crashing(make)
        self._events = _numbered(events)
        self._cut = cut
        self._results: list[list[Any]] = []
        self.late: list[tuple[Side, int]] = []

    @property
    def sent(self) -> list[Any]:
        """All results that reached the consumer, in order."""
        return [row for rows in self._results for row in rows]

    def run(self, crash: tuple[int, int, int, bool] | None = None) -> "Replayed":
        """All batches in; `crash`: batch from the last, changes unwritten, records read again, results sent."""
        batches = self._batches(self._events)
        dies = None if crash is None or not batches else len(batches) - 1 - crash[0] % len(batches)
        for number, batch in enumerate(batches):
            if crash is not None and number == dies:
                self._take(batch, crash[1])
                self._replay(batches, number, crash[2], crash[3])
                break
            self._take(batch)
        return self

    def _replay(self, batches: list[list[tuple]], crashed: int, back: int, sent: bool) -> None:
        side = batches[crashed][0][0]
        others = [number for number in range(crashed) if batches[number][0][0] is not side]
        if not sent:
            for number in [*others[-1:], crashed]:
                self._results[number] = []
        before = [event for batch in batches[:crashed] for event in batch]
        for again, least in ((side, 0), (side.other, len(batches[others[-1]]) if others else 0)):
            earlier = [event for event in before if event[0] is again]
            for event in earlier[max(len(earlier) - max(back, least), 0) :]:
                self._take([event])
        for batch in self._batches([event for events in batches[crashed:] for event in events]):
            self._take(batch)

    def _batches(self, events: list[tuple]) -> list[list[tuple]]:
        batches: list[list[tuple]] = []
        for index, event in enumerate(events):
            if not batches or index in self._cut or batches[-1][-1][0] is not event[0]:
                batches.append([])
            batches[-1].append(event)
        return batches

    def _take(self, batch: list[tuple], lost: int | None = None) -> None:
        side, first, _ = batch[0]
        rows = keyed([record for _, _, record in batch], first)
        out = self._crashing.run(lambda join: join.take(side, rows), lost)
        self._results.append(out.rows)
        self.late += [(side, late.offset) for late in out.late]


def _numbered(events: list[tuple]) -> list[tuple]:
    """(side, offset in that side, (time, key, record)) of each event."""
    offsets, numbered = [0, 0], []
    for side, *record in events:
        numbered.append((side, offsets[side], tuple(record)))
        offsets[side] += 1
    return numbered


DEFAULT_GRACE_MS = 24
"""What stands for the 24 hours of a join without a grace, so that rows of a minute can be too old for it."""


class Short(StreamJoin):
    """A join whose rows are held for a short time where it has no grace."""

    __slots__ = ()

    @property
    def used_grace_ms(self) -> int:
        """As the join's, of 24 ms in place of 24 hours."""
        if self.grace_ms is not None:
            return self.grace_ms
        return max(DEFAULT_GRACE_MS - 2 * self.reach_ms[0], 0)


def stream_run(
    events: list, kind: JoinKind, within: Any, grace: int | None, cut: set[int], crash: Any = None
) -> Replayed:
    join = Short("j", within, grace, kind)
    records = [(side, time_ms, key, {"t": time_ms}) for side, time_ms, key in events]
    return Replayed(lambda state: PartitionStreamJoin(join, state), records, cut).run(crash)


def sent(run: Replayed) -> list:
    return [(r.key, r.left_offset, r.right_offset, r.time_ms) for r in run.sent]


def pairs(run: Replayed) -> Counter:
    return Counter(sent(run))


class Oracle:
    """The rules one record after the other, with lists and no cleverness: `rows` in order, `late` ones."""

    def __init__(self, kind: JoinKind, within: Any, grace: int | None) -> None:
        before, after = within if isinstance(within, tuple) else (within, within)
        self.kind, self.grace = kind, grace
        self.reach = {Side.LEFT: (before, after), Side.RIGHT: (after, before)}
        self.used = max(DEFAULT_GRACE_MS - 2 * before, 0) if grace is None else grace
        self.kept = max(before + after, before + 1, after + 1) + self.used
        self.time = {Side.LEFT: -1, Side.RIGHT: -1}
        self.held: list[tuple] = []
        self.waiting: list[tuple] = []
        self.rows: list[tuple] = []
        self.late: list[tuple] = []

    def run(self, events: list) -> "Oracle":
        for side, offset, (time, key) in _numbered(events):
            if key is None:
                if self.kind.keeps(side):
                    self._alone((side, offset, time, key))
            else:
                self._take((side, offset, time, key))
        return self

    def _take(self, row: tuple) -> None:
        side, offset, time, key = row
        self.time[side] = max(self.time[side], time)
        for other in sorted((w for w in self.waiting if self._closed(w)), key=lambda w: (w[2], w[0], w[1])):
            self.waiting.remove(other)
            self._alone(other)
        before, after = self.reach[side]
        partners = [
            h
            for h in self.held
            if h[0] is not side and h[3] == key and time - before <= h[2] <= time + after and self._is_held(h)
        ]
        for other in sorted(partners, key=lambda h: (h[2], h[1])):
            offsets = (offset, other[1]) if side is Side.LEFT else (other[1], offset)
            self.rows.append((key, *offsets, max(time, other[2])))
            if other in self.waiting:
                self.waiting.remove(other)
        late = not self._is_held(row)
        if not partners and self.kind.keeps(side):
            if self.grace is None or late or self._closed(row):
                self._alone(row)
            else:
                self.waiting.append(row)
        if late:
            self.late.append((side, offset))
        else:
            self.held.append(row)

    def _closed(self, row: tuple) -> bool:
        return row[2] + self.reach[row[0]][1] + self.used < max(self.time.values())

    def _is_held(self, row: tuple) -> bool:
        return row[2] > self.time[row[0]] - self.kept

    def _alone(self, row: tuple) -> None:
        side, offset, time, key = row
        self.rows.append((key, offset, -1, time) if side is Side.LEFT else (key, -1, offset, time))


def needed_grace(events: list) -> int:
    """The least grace with which no row and no pair is late."""
    stream_time, grace = 0, 0
    for _, time_ms, key in events:
        if key is not None:
            stream_time = max(stream_time, time_ms)
            grace = max(grace, stream_time - time_ms)
    return grace


def cross_product(events: list, kind: JoinKind, within: int) -> Counter:
    """All pairs of equal keys within the distance; rows without any partner where the kind keeps them."""
    numbered = [(s, o, t, k) for s, o, (t, k) in _numbered(events)]
    left, right = ([e[1:] for e in numbered if e[0] is side] for side in Side)
    found = Counter(
        (key, lo, ro, max(lt, rt))
        for lo, lt, key in left
        for ro, rt, other in right
        if key == other and key is not None and abs(lt - rt) <= within
    )
    matched = ({pair[1] for pair in found}, {pair[2] for pair in found})
    if kind.keeps(Side.LEFT):
        found.update((key, lo, -1, lt) for lo, lt, key in left if lo not in matched[0])
    if kind.keeps(Side.RIGHT):
        found.update((key, -1, ro, rt) for ro, rt, key in right if ro not in matched[1])
    return found


END = [(Side.LEFT, 10_000, "end"), (Side.LEFT, 20_000, "end")]


@settings(max_examples=300)
@given(stream_events, kinds, spans, cuts)
def test_a_stream_join_is_what_its_rules_say_record_by_record(
    events: list, kind: JoinKind, span: tuple[Any, int | None], cut: set[int]
) -> None:
    run, oracle = stream_run(events, kind, *span, cut), Oracle(kind, *span).run(events)
    assert sent(run) == oracle.rows
    assert run.late == oracle.late


@given(stream_events, kinds, st.integers(0, 15), cuts)
def test_a_stream_join_is_the_cross_product_under_any_order_within_grace(
    events: list, kind: JoinKind, within: int, cut: set[int]
) -> None:
    run = stream_run([*events, *END], kind, within, needed_grace(events), cut)
    expected = cross_product([*events, *END], kind, within)
    del expected["end", sum(side is Side.LEFT for side, _, _ in events) + 1, -1, 20_000]  # its window is open
    assert pairs(run) == expected
    assert run.late == []


@given(stream_events, kinds, reaches)
def test_without_a_grace_what_meets_is_the_same_and_lone_rows_go_out_at_once(
    events: list, kind: JoinKind, within: Any
) -> None:
    inner = stream_run(events, JoinKind.INNER, within, None, set())
    run = stream_run(events, kind, within, None, set(range(30)))
    assert [row for row in sent(run) if -1 not in row[1:3]] == sent(inner)
    numbered = [(side, offset) for side, offset, _ in _numbered(events)]
    alone = [(Side.LEFT, row[1]) if row[2] == -1 else (Side.RIGHT, row[2]) for row in sent(run) if -1 in row[1:3]]
    assert [numbered.index(place) for place in alone] == sorted(numbered.index(place) for place in alone)


@given(stream_events, kinds, spans)
def test_a_row_of_an_outer_side_is_never_lost_and_goes_out_alone_once_at_most(
    events: list, kind: JoinKind, span: tuple[Any, int | None]
) -> None:
    found = pairs(stream_run([*events, *END], kind, *span, set()))
    assert set(found.values()) <= {1}
    for column, side in ((1, Side.LEFT), (2, Side.RIGHT)):
        every = {o for s, o, _ in _numbered(events) if s is side}
        if kind.keeps(side):
            assert {row[column] for row in found} >= every
        else:
            assert not {row for row in found if row[3 - column] == -1}


@given(stream_events, kinds, spans, cuts)
def test_any_batch_borders_give_the_same_stream_join(
    events: list, kind: JoinKind, span: tuple[Any, int | None], cut: set[int]
) -> None:
    whole, single = stream_run(events, kind, *span, cut), stream_run(events, kind, *span, set(range(30)))
    assert whole.sent == single.sent
    assert whole.late == single.late


@settings(max_examples=400)
@given(stream_events, kinds, spans, cuts, crashes)
def test_a_stream_join_after_a_crash_sends_all_and_nothing_else(
    events: list, kind: JoinKind, span: tuple[Any, int | None], cut: set[int], crash: tuple
) -> None:
    """Lateness and rows that stay alone included: sides are read again in the order in which they were read."""
    expected = pairs(stream_run([*events, *END], kind, *span, cut))
    crashed = pairs(stream_run([*events, *END], kind, *span, cut, crash))
    assert set(crashed) == set(expected)


@given(stream_events, kinds, spans)
def test_a_stream_join_holds_only_what_can_still_match(
    events: list, kind: JoinKind, span: tuple[Any, int | None]
) -> None:
    join = Short("j", *span, kind)
    operator = PartitionStreamJoin(join, Crashing(lambda state: state).operator)
    for side, offset, (time_ms, key) in _numbered(events):
        began = list(operator.times_ms)
        operator.take(side, keyed([(time_ms, key, {})], offset))
        operator.acked(side)
        for place, value in operator.state.rows.items():
            if place[0] == "j" and (place[1], place[3]) != (side, offset) and place[1] is side:
                assert value[0] > began[side] - join.kept_ms


def table_run(events: list, kind: JoinKind, cut: set[int], crash: Any = None) -> dict:
    """The joined table as a consumer would have it, newest versions first come."""
    records = [(side, time_ms, key, None if v is None else {"v": v}) for side, time_ms, key, v in events]
    run = Replayed(lambda state: PartitionTableJoin(TableJoin("j", kind), state), records, cut).run(crash)
    table: dict = {}
    versions: dict = {}
    for row in run.sent:
        if row.version < versions.get(row.key, -1):
            continue
        versions[row.key] = row.version
        if row.retired:
            table.pop(row.key, None)
        else:
            table[row.key] = (row.left, row.right)
    return table


def joined_tables(events: list, kind: JoinKind) -> dict:
    tables: tuple[dict, dict] = {}, {}
    for side, _, key, value in events:
        if key is not None:
            tables[side][key] = None if value is None else {"v": value}
    rows = {key: (tables[0].get(key), tables[1].get(key)) for key in tables[0] | tables[1]}
    return {
        key: (left, right)
        for key, (left, right) in rows.items()
        if (left and right) or (left and kind.keeps(Side.LEFT)) or (right and kind.keeps(Side.RIGHT))
    }


@given(table_events, kinds, cuts)
def test_joined_tables_equal_the_join_of_the_final_tables(events: list, kind: JoinKind, cut: set[int]) -> None:
    assert table_run(events, kind, cut) == joined_tables(events, kind)


@settings(max_examples=300)
@given(table_events, kinds, cuts, crashes)
def test_joined_tables_after_a_crash(events: list, kind: JoinKind, cut: set[int], crash: tuple) -> None:
    assert table_run(events, kind, cut, crash) == joined_tables(events, kind)


@given(table_events, kinds)
def test_tombstones_only_where_there_was_a_row(events: list, kind: JoinKind) -> None:
    records = [(side, time_ms, key, None if v is None else {"v": v}) for side, time_ms, key, v in events]
    run = Replayed(lambda state: PartitionTableJoin(TableJoin("j", kind), state), records, set(range(30))).run()
    for _, rows in groupby(sorted(run.sent, key=lambda r: r.key), key=lambda r: r.key):
        retired = [True, *(row.retired for row in rows)]
        assert all(not (before and now) for before, now in pairwise(retired))


def grouped_run(events: list, cut: set[int], crash: Any = None) -> dict:
    """The totals as a consumer would have them."""
    aggregate = Aggregate("a", "g", SumLong("v", "s"), "O", Unwindowed())
    crashing = Crashing(lambda state: GroupedTable(aggregate, 0, state))
    records = [(0, key, {"g": group, "v": v} if v else None) for key, group, v in events]
    places = sorted({0, len(records), *(c for c in cut if c < len(records))})
    batches = list(pairwise(places))
    totals: dict = {}
    at = 0
    while at < len(batches):
        first, end = batches[at]
        rows = keyed(records[first:end], first)
        dies = crash is not None and at == crash[0]
        out = crashing.run(lambda table, rows=rows: table.fold(rows), crash[1] if dies else None)
        if not dies or crash[3]:
            totals |= {p.group: p.state for p in out.partials}
        if dies:  # read again, with other borders
            first = max(0, first - crash[2])
            batches, at, crash = [(i, min(i + 3, len(records))) for i in range(first, len(records), 3)], 0, None
        else:
            at += 1
    return totals


def regrouped(events: list) -> dict:
    """Totals of the final table; groups that have lost all rows have 0."""
    totals = {group: 0 for _, group, v in events if group is not None and v}
    for group, v in {key: (group, v) for key, group, v in events}.values():
        if group is not None and v:
            totals[group] += v
    return totals


@given(group_events, cuts)
def test_a_grouped_table_equals_the_groups_of_the_final_table(events: list, cut: set[int]) -> None:
    assert grouped_run(events, cut) == regrouped(events)


@settings(max_examples=300)
@given(group_events, cuts, crashes)
def test_a_grouped_table_after_a_crash(events: list, cut: set[int], crash: tuple) -> None:
    assert grouped_run(events, cut, crash) == regrouped(events)
