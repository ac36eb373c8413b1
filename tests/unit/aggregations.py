"""Shared by the operators' tests: rows from short lists, and both stages run in one go."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.fold import PartitionFold
from pipeline.tables.functions import Count
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Folded, Rows
from pipeline.tables.results import Result
from pipeline.tables.state import State
from pipeline.tables.windows import Window

Event = tuple[int, str | None]


def count(window: Window) -> Aggregate:
    """COUNT(*) by `g`."""
    return Aggregate("a", "g", Count("n"), "OUTPUT", window)


def rows(events: Sequence[Event], first_offset: int = 0, partition: int = 0) -> Rows:
    """Rows of (time_ms, group), with offsets from `first_offset`."""
    offsets = list(range(first_offset, first_offset + len(events)))
    return Rows(
        offsets,
        [time for time, _ in events],
        [{"g": group} for _, group in events],
        [(partition, offset) for offset in offsets],
    )


class Pipeline:
    """One aggregate over one partition, both stages."""

    def __init__(self, window: Window) -> None:
        self.aggregate = count(window)
        self.fold_state, self.merge_state = State(), State()
        self.results: list[Result] = []
        self.sent = 0
        self.folded: list[Folded] = []
        self.restart()

    def restart(self) -> None:
        """As after a crash: everything in memory is gone, the state is not."""
        self.fold = PartitionFold([self.aggregate], 0, State(self.fold_state.rows))
        self.merge = PartitionMerge([self.aggregate], 1, State(self.merge_state.rows))

    def feed(self, batch: Rows) -> list[Result]:
        """Fold and merge a batch; the results that it brings forth."""
        folded = self.fold.fold(batch)
        self.folded.append(folded)
        sent = [*folded.partials, *([folded.watermark] if folded.watermark else [])]
        if not sent:
            return []
        first = self.sent
        self.sent += len(sent)
        results = self.merge.merge(sent, first, self.sent - 1)
        self.results += results
        return results

    def feed_all(self, batches: Iterable[Rows]) -> None:
        """Feed batches in order."""
        for batch in batches:
            self.feed(batch)

    def table(self) -> dict[tuple[str, int, int], Any]:
        """Last count per (group, start, end), as a consumer of the output would have it."""
        table: dict[tuple[str, int, int], Any] = {}
        for result in self.results:
            key = (result.group, result.start_ms, result.end_ms)
            if result.retired:
                table.pop(key, None)
            else:
                table[key] = result.state
        return table
