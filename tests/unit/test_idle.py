"""Idle partitions hold back closing, unless they are told not to be waited for."""

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.functions import Count
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Partial, Sent, Watermark
from pipeline.tables.results import Result
from pipeline.tables.state import State
from pipeline.tables.windows import Tumbling

FINAL = Aggregate("a", "g", Count("n"), "OUTPUT", Tumbling(100, grace_ms=0), final=True)


class Merge:
    """Two source partitions, one merge."""

    def __init__(self) -> None:
        self.state, self.offset = State(), 0
        self.restart()

    def restart(self) -> None:
        self.merge = PartitionMerge([FINAL], 2, State(self.state.rows))

    def feed(self, *sent: Sent) -> list[Result]:
        first = self.offset
        self.offset += len(sent)
        return self.merge.merge(sent, first, self.offset - 1)


def window(origin: int, offset: int, count: int) -> Partial:
    return Partial("a", "x", 0, origin, offset, 10, count, 10)


def test_a_partition_that_has_said_nothing_holds_results_back() -> None:
    merge = Merge()
    assert merge.feed(window(0, 0, 3), Watermark(0, {"a": 500})) == []
    assert [r.state for r in merge.feed(window(1, 0, 4), Watermark(1, {"a": 100}))] == [7]


def test_an_idle_partition_is_not_waited_for() -> None:
    merge = Merge()
    merge.feed(window(0, 0, 3), Watermark(0, {"a": 100}))
    assert [r.state for r in merge.feed(Watermark(1, {"a": -1}, idle=True))] == [3]


def test_what_an_idle_partition_sends_after_the_close_is_ignored_and_counted_also_after_a_restart() -> None:
    merge = Merge()
    merge.feed(window(0, 0, 3), Watermark(0, {"a": 100}))
    merge.feed(Watermark(1, {"a": -1}, idle=True))
    merge.feed(Watermark(1, {"a": 50}))
    merge.restart()
    assert merge.feed(window(1, 0, 4)) == []
    merge.feed(Watermark(0, {"a": 200}))
    assert merge.feed(window(1, 1, 5), Watermark(1, {"a": 200})) == []
    assert merge.merge._merges["a"].ignored == 2


def test_when_all_are_idle_nothing_closes_further() -> None:
    merge = Merge()
    merge.feed(window(0, 0, 3), Watermark(0, {"a": 50}, idle=True))
    assert merge.feed(Watermark(1, {"a": 500}, idle=True)) == []
