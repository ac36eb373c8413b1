"""Hopping windows in slices give, batch by batch, what windows give that are each kept by themselves."""

from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.fold import PartitionFold
from pipeline.tables.functions import CollectList, Count, LatestByOffset, Max, Several, SumDouble
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Late, Rows, Sent
from pipeline.tables.results import Result
from pipeline.tables.state import State
from pipeline.tables.windows import Hopping

PARTITIONS = 2


class Event(NamedTuple):
    """A row; `group` may be null."""

    partition: int
    time_ms: int
    group: str | None
    value: float


class Batch(NamedTuple):
    """What comes out of a batch: what the first stage sends, late rows, results."""

    late: list[Late]
    results: list[Result]


class Stages:
    """Both stages over two partitions, with all groups in one."""

    def __init__(self, aggregate: Aggregate) -> None:
        self.aggregate = aggregate
        self.states = [State() for _ in range(PARTITIONS + 1)]
        self.sent: list[list[Sent]] = []
        self.restart()

    def restart(self) -> None:
        """As after a crash: everything in memory is gone, the rows of the states are not."""
        self.states = [State(dict(state.rows)) for state in self.states]
        self.folds = [PartitionFold([self.aggregate], n, self.states[n]) for n in range(PARTITIONS)]
        self.merge = PartitionMerge([self.aggregate], PARTITIONS, self.states[-1])

    def feed(self, partition: int, events: list[tuple[int, Event]]) -> Batch:
        """Rows of one partition, with their offsets."""
        offsets = [offset for offset, _ in events]
        records = [{"g": event.group, "v": event.value} for _, event in events]
        times_ms = [event.time_ms for _, event in events]
        folded = self.folds[partition].fold(Rows(offsets, times_ms, records, [(partition, o) for o in offsets]))
        self.sent.append([*folded.partials, *([folded.watermark] if folded.watermark else [])])
        return Batch(folded.late, self.merged(len(self.sent) - 1))

    def merged(self, number: int) -> list[Result]:
        """The results of what was sent with one batch, at the same offsets each time."""
        if not self.sent[number]:
            return []
        first = sum(map(len, self.sent[:number]))
        return self.merge.merge(self.sent[number], first, first + len(self.sent[number]) - 1)


function = Several(
    (
        Count("n"),
        SumDouble("v", "s"),
        Max("v", "m", "double"),
        LatestByOffset("v", "l", "double"),
        CollectList("v", "c", "double"),
    )
)
steps = st.tuples(
    st.sampled_from([0, 0, 0, 1]),
    st.integers(-70, 40),
    st.sampled_from(["x", "x", "x", "y", None]),
    st.sampled_from([0.5, 1.0, 7.0]),
)


def walked(steps: list[tuple[int, int, str | None, float]]) -> list[Event]:
    """Events of which each is near the latest of its partition: many are late for some windows, and not for others."""
    now = [50] * PARTITIONS
    found = []
    for partition, step, group, value in steps:
        time_ms = max(0, now[partition] + step)
        now[partition] = max(now[partition], time_ms)
        found.append(Event(partition, time_ms, group, value))
    return found


events = st.lists(steps, max_size=60).map(walked)
windows = st.builds(
    lambda n, advance, grace: Hopping(n * advance, advance, grace),
    st.integers(1, 9),
    st.integers(1, 20),
    st.sampled_from([0, 1, 7, 30]),
)
sizes = st.lists(st.sampled_from([1, 2, 3, 9, 20]), min_size=1, max_size=10)


def batches(stream: list[Event], sizes: list[int]) -> list[tuple[int, list[tuple[int, Event]]]]:
    """(partition, rows with their offsets): pieces of the stream, each by partition."""
    found, at, place, ends = [], 0, 0, [0] * PARTITIONS
    while at < len(stream):
        piece = stream[at : at + sizes[place % len(sizes)]]
        at, place = at + len(piece), place + 1
        for partition in range(PARTITIONS):
            rows = [event for event in piece if event.partition == partition]
            if rows:
                found.append((partition, list(enumerate(rows, ends[partition]))))
                ends[partition] += len(rows)
    return found


def both(window: Hopping, *, final: bool) -> tuple[Stages, Stages]:
    plain = Aggregate("a", "g", function, "OUTPUT", window, final=final)
    return Stages(plain), Stages(replace(plain, sliced=True))


@settings(max_examples=400)
@given(windows, events, sizes, st.booleans())
def test_every_batch_brings_the_same_results_and_late_rows(
    window: Hopping, stream: list[Event], sizes: list[int], final: bool
) -> None:
    plain, sliced = both(window, final=final)
    for partition, rows in batches(stream, sizes):
        expected, found = plain.feed(partition, rows), sliced.feed(partition, rows)
        assert found.late == expected.late
        assert found.results == expected.results
    slices = {(e.group, e.time_ms // window.advance_ms) for e in stream if e.group is not None}
    for state in sliced.states:
        assert len(state.rows) <= len(slices) + 1, "more than a row a slice, and the marker"


@settings(max_examples=400)
@given(windows, events, sizes, st.booleans(), st.data())
def test_a_restart_and_a_replay_change_nothing(
    window: Hopping, stream: list[Event], sizes: list[int], final: bool, data: st.DataObject
) -> None:
    """The first stage reads the latest rows of a partition again, in other batches; the second all of the latest."""
    plain, sliced = both(window, final=final)
    seen: list[dict[Any, Result]] = [{}, {}]
    every = batches(stream, sizes)
    again = data.draw(st.sets(st.integers(0, max(len(every) - 1, 0))))
    for number, (partition, rows) in enumerate(every):
        for table, stages in zip(seen, (plain, sliced), strict=True):
            results = stages.feed(partition, rows).results
            if number in again:
                stages.restart()
                repeated = stages.merged(len(stages.sent) - 1)
                assert {(r.group, r.start_ms): r for r in results}.items() <= {
                    (r.group, r.start_ms): r for r in repeated
                }.items()
                results += repeated
                for row in rows[-3:]:
                    results += stages.feed(partition, [row]).results
            table.update({(r.group, r.start_ms): r for r in results})
    assert seen[1] == seen[0]
