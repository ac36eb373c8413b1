"""First stage: fold the rows of one source partition into partials, each of which knows how far it has come.

A partial holds the aggregate of one (group, window) over one source partition, and the offset of the last row folded
in: a row at or below it is skipped when it is read again, and the partial goes out again, since the crash may have
struck between the state and the row. After the keys of a batch one marker is written: everything up to its offset
has been applied, whatever its key. So replay changes nothing, wherever the batches' borders fall. The marker keeps the
latest batch's late rows, too: after a crash nothing else could tell them.
"""

from bisect import bisect_right
from collections.abc import Iterable
from operator import lt

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.partials import Folded, Late, Progress, Rows, Watermark
from pipeline.tables.sessions import SessionFold
from pipeline.tables.sliced_windows import SlicedFold
from pipeline.tables.state import State
from pipeline.tables.time_windows import WindowFold
from pipeline.tables.windows import Session

MARKER = ("marker",)


class PartitionFold:
    """All aggregates over one source partition, with the marker that makes replay harmless."""

    def __init__(self, aggregates: Iterable[Aggregate], partition: int, state: State) -> None:
        self.state = state
        self._partition = partition
        self._folds = {aggregate.name: _fold(aggregate, partition, state) for aggregate in aggregates}
        marker = state.get(MARKER)
        applied, origins, progress, late = marker if marker is not None else (-1, [], {}, [])
        self._late = [Late(*entry) for entry in late]
        self.applied: int = applied
        self.origins: dict[int, int] = dict(origins)
        self.progress: dict[str, Progress] = {name: Progress(*progress.get(name, [])) for name in self._folds}

    def fold(self, rows: Rows) -> Folded:
        """Fold a batch in and write its marker. Rows that were applied before only send their partials again."""
        out = Folded()
        before = {name: progress.stream_time_ms for name, progress in self.progress.items()}
        split = bisect_right(rows.offsets, self.applied)
        replayed = rows.between(0, split)
        fresh = self._without_duplicates(rows, split, out)
        closing = bool(split)  # a replay sends the watermark again, too
        for name, fold in self._folds.items():
            if rows.offsets and not split:  # else rows of the latest batch may still have to go out again
                fold.drop_closed(before[name])
            fold.fold(replayed, fresh, self.progress[name], out)
            closing = fold.closes(before[name], self.progress[name].stream_time_ms) or closing
        if closing and rows.offsets and rows.offsets[-1] >= self.applied:  # else partials have still to go out again
            out.watermark = self.watermark()
        if len(rows.offsets) > split:
            self.applied = rows.offsets[-1]
            marker = {n: [p.stream_time_ms, p.late, p.null_groups] for n, p in self.progress.items()}
            self._late = [*(self._late if split else []), *out.late]
            origins = [list(item) for item in self.origins.items()]
            self.state.put(MARKER, [self.applied, origins, marker, [list(late) for late in self._late]])
        if split:
            out.late = self._late
        return out

    def watermark(self) -> Watermark:
        """How far this partition has come."""
        return Watermark(self._partition, {name: p.stream_time_ms for name, p in self.progress.items()})

    def _without_duplicates(self, rows: Rows, split: int, out: Folded) -> Rows:
        origins = self.origins
        if self._all_new(rows, split):
            return rows.between(split, len(rows.offsets))
        keep: list[int] = []
        for index in range(split, len(rows.offsets)):
            partition, offset = rows.origins[index]
            if offset > origins.get(partition, -1):
                origins[partition] = offset
                keep.append(index)
        out.duplicates = len(rows.offsets) - split - len(keep)
        return rows.at(keep)

    def _all_new(self, rows: Rows, split: int) -> bool:
        """Whether all origins lie in one partition, above what is known of it, and rise, as they mostly do."""
        if split >= len(rows.origins):
            return False
        partitions, offsets = zip(*rows.origins[split:], strict=True)
        first, last = offsets[0], offsets[-1]
        if partitions.count(partitions[0]) < len(partitions) or first <= self.origins.get(partitions[0], -1):
            return False
        if not all(map(lt, offsets, offsets[1:])):
            return False
        self.origins[partitions[0]] = last
        return True


def _fold(aggregate: Aggregate, partition: int, state: State) -> WindowFold | SessionFold:
    """What folds the rows of one aggregate."""
    window = aggregate.window
    if isinstance(window, Session):
        return SessionFold(aggregate, window, partition, state)
    return (SlicedFold if aggregate.sliced else WindowFold)(aggregate, window, partition, state)
