"""Final results are the last changes of what has closed: any events, batch borders, order within grace, crashes."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from aggregations import Event, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from joining import Changelog

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.fold import PartitionFold
from pipeline.tables.functions import Count
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Sent
from pipeline.tables.results import Result
from pipeline.tables.state import State
from pipeline.tables.windows import Hopping, Session, Tumbling, Window

END = 10_000
windows = st.one_of(
    st.builds(Tumbling, st.integers(1, 60), grace_ms=st.integers(0, 100)),
    st.builds(lambda n, a, g: Hopping(n * a, a, g), st.integers(1, 3), st.integers(1, 30), st.integers(0, 100)),
    st.builds(Session, st.integers(1, 40), st.integers(0, 100)),
)
events = st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["x", "y", None])), max_size=25)
cuts = st.sets(st.integers(1, 24), max_size=6)
# at which batch; changes not written, records not sent; whether it had been sent whole; records read again before it
crashes = st.none() | st.tuples(st.integers(0, 25), st.integers(0, 6), st.integers(0, 6), st.integers(0, 20))
Crash = tuple[int, int, int, int] | None


class Stage:
    """An operator over a changelog, which takes batches of its input by offset and may crash once."""

    def __init__(self, make: Callable[[State], Any], run: Callable[[Any, int, int], list[Any]], crash: Crash) -> None:
        self._make, self._run, self._crash = make, run, crash
        self.changelog, self.operator = Changelog(), make(State())
        self._batches = 0
        self._from = 0

    def take(self, end: int) -> list[Any]:
        """Read on to offset `end`, exclusive; what was sent, in order."""
        sent = self._batch(self._from, end)
        crashed, self._batches = self._crash is not None and self._batches == self._crash[0], self._batches + 1
        if crashed and self._crash is not None:
            _, unwritten, unsent, back = self._crash
            self.changelog.write(self.operator.state, unwritten)
            self.operator = self._make(self.changelog.restored())
            sent = sent[: max(len(sent) - unsent, 0)]
            for first in range(max(self._from - back, 0), end, 3):
                sent += self._batch(first, min(first + 3, end))
                self.changelog.write(self.operator.state)
        self.changelog.write(self.operator.state)
        self._from = end
        return sent

    def _batch(self, first: int, end: int) -> list[Any]:
        return self._run(self.operator, first, end)


class Chain:
    """The same aggregate with changes ("c") and final ("f"), over some source partitions."""

    def __init__(self, window: Window, streams: list[list[Event]], fold_crash: Crash, merge_crash: Crash) -> None:
        self.window = window
        both = [Aggregate(name, "g", Count("n"), "O", window, final=name == "f") for name in "cf"]
        self._streams = streams
        self._folds = [
            Stage(lambda state, p=p: PartitionFold(both, p, state), self._fold(p), fold_crash)
            for p in range(len(streams))
        ]
        self._partials: list[Sent] = []
        self._merge = Stage(lambda state: PartitionMerge(both, len(streams), state), self._merged, merge_crash)
        self.results: list[Result] = []

    def _fold(self, partition: int) -> Callable[[PartitionFold, int, int], list[Sent]]:
        def run(fold: PartitionFold, first: int, end: int) -> list[Sent]:
            out = fold.fold(rows(self._streams[partition][first:end], first, partition))
            return [*out.partials, *([out.watermark] if out.watermark else [])]

        return run

    def _merged(self, merge: PartitionMerge, first: int, end: int) -> list[Result]:
        return merge.merge(self._partials[first:end], first, end - 1)

    def take(self, partition: int, end: int) -> list[Result]:
        """Read a source partition on to an offset; what that brings forth."""
        before = len(self._partials)
        self._partials += self._folds[partition].take(end)
        results = self._merge.take(len(self._partials)) if len(self._partials) > before else []
        self.results += results
        return results

    def run(self, cut: set[int]) -> "Chain":
        """All partitions to their ends, in turns, in batches cut at these places."""
        for _, end in pairwise([0, *sorted(cut), max(map(len, self._streams))]):
            for partition, stream in enumerate(self._streams):
                if self._folds[partition]._from < min(end, len(stream)):
                    self.take(partition, min(end, len(stream)))
        return self

    def finals(self) -> list[Result]:
        """Every final result that was sent."""
        return [result for result in self.results if result.aggregate == "f"]

    def final(self) -> dict[tuple[str, int, int], Any]:
        """Final results as a consumer has them."""
        return {(r.group, r.start_ms, r.end_ms): r.state for r in self.finals()}

    def changed(self) -> dict[tuple[str, int, int], Any]:
        """The last changes, as a consumer has them, by the upsert's key: (group, start)."""
        table: dict[tuple[str, int], Result] = {}
        for result in self.results:
            if result.aggregate == "c":
                table[result.group, result.start_ms] = result
        return {(g, start, r.end_ms): r.state for (g, start), r in table.items() if not r.retired}

    def closed(self, stream_time_ms: int) -> dict[tuple[str, int, int], Any]:
        """The last changes of what has closed by then."""
        window = self.window
        return {
            (g, start, end): n
            for (g, start, end), n in self.changed().items()
            if window.closed(end if isinstance(window, Session) else start, stream_time_ms)
        }


def stream_time(stream: list[Event]) -> int:
    return max((time_ms for time_ms, group in stream if group is not None), default=-1)


@given(windows, events, cuts)
def test_final_results_are_the_last_changes_of_what_has_closed_each_sent_once(
    window: Window, stream: list[Event], cut: set[int]
) -> None:
    chain = Chain(window, [stream], None, None).run(cut)
    assert chain.final() == chain.closed(stream_time(stream))
    assert len(chain.finals()) == len(chain.final())


@given(windows, events)
def test_with_every_event_final_results_are_there_at_once_and_in_order(window: Window, stream: list[Event]) -> None:
    chain = Chain(window, [stream], None, None)
    for end in range(1, len(stream) + 1):
        finals = [result for result in chain.take(0, end) if result.aggregate == "f"]
        assert finals == sorted(finals, key=lambda r: (r.start_ms, r.group))
        assert chain.final() == chain.closed(stream_time(stream[:end]))


@settings(max_examples=300)
@given(windows, events, cuts, crashes, crashes)
def test_after_crashes_consumers_have_the_same_final_results(
    window: Window, stream: list[Event], cut: set[int], fold_crash: Crash, merge_crash: Crash
) -> None:
    calm = Chain(window, [stream], None, None).run(cut)
    chain = Chain(window, [stream], fold_crash, merge_crash).run(cut)
    assert chain.final() == calm.final()
    assert chain.changed() == calm.changed()


@settings(max_examples=300)
@given(windows, events, events, cuts, crashes, crashes)
def test_two_partitions_close_together(
    window: Window, one: list[Event], two: list[Event], cut: set[int], fold_crash: Crash, merge_crash: Crash
) -> None:
    """An event of another group at the end closes all that was there."""
    streams = [[*stream, (END, "end")] for stream in (one, two)]
    chain = Chain(window, streams, fold_crash, merge_crash).run(cut)
    last = {key: n for key, n in chain.changed().items() if key[0] != "end"}
    assert chain.final() == last
    if fold_crash is None and merge_crash is None:
        assert len(chain.finals()) == len(last)


@given(windows, events, cuts, crashes)
def test_versions_never_fall(window: Window, stream: list[Event], cut: set[int], crash: Crash) -> None:
    versions: dict[tuple[str, int], int] = {}
    for result in Chain(window, [stream, [(END, "end")]], crash, None).run(cut).results:
        if result.aggregate == "c":
            assert result.version >= versions.get((result.group, result.start_ms), -1)
            versions[result.group, result.start_ms] = result.version


@given(windows, events, cuts)
def test_nothing_is_held_once_everything_has_closed_and_is_done(
    window: Window, stream: list[Event], cut: set[int]
) -> None:
    after = [(time_ms, "end") for time_ms in range(END, 5 * END, END)]
    borders = range(len(stream) + 1, len(stream) + len(after))
    chain = Chain(window, [[*stream, *after]], None, None).run(cut | {*borders})
    for stage in (chain._folds[0], chain._merge):
        assert {key[1] for key in stage.changelog.restored().rows if key[0] in ("c", "f")} == {"end"}
