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
spans = st.tuples(st.integers(0, 15), st.integers(0, 15))
cuts = st.sets(st.integers(1, 24), max_size=8)
crashes = st.tuples(st.integers(0, 25), st.integers(0, 30), st.integers(0, 4), st.booleans())


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
        """All batches in; `crash`: at which batch, how many changes unwritten, records read again, results sent."""
        batches = self._batches(self._events)
        for number, batch in enumerate(batches):
            if crash is not None and number == crash[0]:
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


def stream_run(events: list, kind: JoinKind, within: int, grace: int, cut: set[int], crash: Any = None) -> Replayed:
    join = StreamJoin("j", within, grace, kind)
    records = [(side, time_ms, key, {"t": time_ms}) for side, time_ms, key in events]
    return Replayed(lambda state: PartitionStreamJoin(join, state), records, cut).run(crash)


def pairs(run: Replayed) -> Counter:
    return Counter((r.key, r.left_offset, r.right_offset, r.time_ms) for r in run.sent)


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
    numbered = [(s, o, t, k) for s, o, (t, k) in _numbered(events) if k is not None]
    left, right = ([e[1:] for e in numbered if e[0] is side] for side in Side)
    found = Counter(
        (key, lo, ro, max(lt, rt))
        for lo, lt, key in left
        for ro, rt, other in right
        if key == other and abs(lt - rt) <= within
    )
    matched = ({pair[1] for pair in found}, {pair[2] for pair in found})
    if kind.keeps(Side.LEFT):
        found.update((key, lo, -1, lt) for lo, lt, key in left if lo not in matched[0])
    if kind.keeps(Side.RIGHT):
        found.update((key, -1, ro, rt) for ro, rt, key in right if ro not in matched[1])
    return found


END = [(Side.LEFT, 10_000, "end"), (Side.LEFT, 20_000, "end")]


@given(stream_events, kinds, st.integers(0, 15), cuts)
def test_a_stream_join_is_the_cross_product_under_any_order_within_grace(
    events: list, kind: JoinKind, within: int, cut: set[int]
) -> None:
    run = stream_run([*events, *END], kind, within, needed_grace(events), cut)
    expected = cross_product([*events, *END], kind, within)
    del expected["end", sum(side is Side.LEFT for side, _, _ in events) + 1, -1, 20_000]  # its window is open
    assert pairs(run) == expected
    assert run.late == []


@given(stream_events, kinds, spans)
def test_a_stream_join_beyond_grace_joins_what_was_open(events: list, kind: JoinKind, span: tuple[int, int]) -> None:
    within, grace = span
    run = stream_run(events, kind, within, grace, set())
    stream_time, seen, expected, late = -1, [], Counter(), []
    for side, offset, (time_ms, key) in _numbered(events):
        if key is None:
            continue
        stream_time = max(stream_time, time_ms)
        if time_ms + within + grace < stream_time:
            late.append((side, offset))
            continue
        for other_side, other_offset, other_time, other_key in seen:
            open_still = other_time + within + grace >= stream_time
            if other_side is not side and other_key == key and abs(other_time - time_ms) <= within and open_still:
                offsets = (offset, other_offset) if side is Side.LEFT else (other_offset, offset)
                expected[key, *offsets, max(time_ms, other_time)] += 1
        seen.append((side, offset, time_ms, key))
    assert Counter({p: n for p, n in pairs(run).items() if -1 not in p}) == expected
    assert run.late == late


@given(stream_events, kinds, spans)
def test_a_row_goes_out_with_partners_or_alone_never_both(events: list, kind: JoinKind, span: tuple[int, int]) -> None:
    run = stream_run([*events, *END], kind, *span, set())
    for column, side in ((1, Side.LEFT), (2, Side.RIGHT)):
        alone = {p[column] for p in pairs(run) if p[3 - column] == -1}
        joined = {p[column] for p in pairs(run) if -1 not in p}
        late = {offset for late_side, offset in run.late if late_side is side}
        null = {o for s, o, (_, k) in _numbered(events) if s is side and k is None}
        every = {o for s, o, _ in _numbered(events) if s is side}
        assert not alone & joined
        if kind.keeps(side):
            assert alone | joined | late | null >= every


@given(stream_events, kinds, spans, cuts)
def test_any_batch_borders_give_the_same_stream_join(
    events: list, kind: JoinKind, span: tuple[int, int], cut: set[int]
) -> None:
    whole, single = stream_run(events, kind, *span, cut), stream_run(events, kind, *span, set(range(30)))
    assert whole.sent == single.sent
    assert whole.late == single.late


@settings(max_examples=300)
@given(stream_events, kinds, spans, cuts, crashes)
def test_a_stream_join_after_a_crash_sends_all_and_nothing_else(
    events: list, kind: JoinKind, span: tuple[int, int], cut: set[int], crash: tuple
) -> None:
    """Lateness and rows that stay alone included: sides are read again in the order in which they were read."""
    expected = pairs(stream_run([*events, *END], kind, *span, cut))
    crashed = pairs(stream_run([*events, *END], kind, *span, cut, crash))
    assert set(crashed) == set(expected)


@given(stream_events, st.integers(0, 15))
def test_a_stream_join_holds_only_what_can_still_match(events: list, within: int) -> None:
    join = PartitionStreamJoin(StreamJoin("j", within, 5), Crashing(lambda state: state).operator)
    for side, offset, (time_ms, key) in _numbered(events):
        began = join.stream_time_ms
        join.take(side, keyed([(time_ms, key, {})], offset))
        join.acked(side)
        held = [value[0] for place, value in join.state.rows.items() if place[0] == "j"]
        assert all(time + within + 5 >= began for time in held)


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
