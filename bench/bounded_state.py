"""Two days of event time through tumbling, hopping and session windows: does the state stay bounded?

    .venv/bin/python bench/bounded_state.py [--hours 48] [--keys 1000]

Every key has an event every three minutes and, so that sessions end, none in the second half of each hour; five source
partitions, both stages, grace of an hour. Prints live entries of the state and the process's memory by hour.
"""

import gc

import click
import psutil

from pipeline.tables.aggregate import Aggregate
from pipeline.tables.fold import PartitionFold
from pipeline.tables.functions import Count
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Rows
from pipeline.tables.state import State
from pipeline.tables.windows import Hopping, Session, Tumbling
from pipeline.timebase import HOUR_MS, MINUTE_MS

PARTITIONS = 5
AGGREGATES = (
    Aggregate("tumbling", "key", Count("n"), "T", Tumbling(HOUR_MS, grace_ms=HOUR_MS)),
    Aggregate("hopping", "key", Count("n"), "H", Hopping(HOUR_MS, HOUR_MS // 2, HOUR_MS)),
    Aggregate("session", "key", Count("n"), "S", Session(15 * MINUTE_MS, HOUR_MS)),
)


class Run:
    """The state of both stages, and the offsets reached."""

    def __init__(self) -> None:
        self.folds = [PartitionFold(AGGREGATES, p, State()) for p in range(PARTITIONS)]
        self.merge = PartitionMerge(AGGREGATES, PARTITIONS, State())
        self.offsets = [0] * PARTITIONS
        self.sent = 0

    def feed(self, partition: int, time_ms: int, keys: list[str]) -> None:
        """One event of each key at this time, in one partition."""
        first = self.offsets[partition]
        self.offsets[partition] += len(keys)
        offsets = list(range(first, first + len(keys)))
        origins = [(partition, offset) for offset in offsets]
        rows = Rows(offsets, [time_ms] * len(keys), [{"key": key} for key in keys], origins)
        folded = self.folds[partition].fold(rows)
        self.folds[partition].state.take_changes()
        sent = [*folded.partials, *([folded.watermark] if folded.watermark else [])]
        self.merge.merge(sent, self.sent, self.sent + len(sent) - 1)
        self.merge.state.take_changes()
        self.sent += len(sent)

    def entries(self) -> int:
        """Live entries of both stages."""
        return sum(len(fold.state.rows) for fold in self.folds) + len(self.merge.state.rows)


@click.command(help=__doc__)
@click.option("--hours", default=48, show_default=True)
@click.option("--keys", default=1_000, show_default=True)
def main(hours: int, keys: int) -> None:
    """Run and print."""
    run, process = Run(), psutil.Process()
    names = [f"key-{n}" for n in range(keys)]
    shares = [names[p::PARTITIONS] for p in range(PARTITIONS)]
    for minute in range(hours * 60):
        if minute % 60 < 30 and minute % 3 == 0:
            for partition in range(PARTITIONS):
                # keys move on by a partition every time, so that groups are spread over partitions
                run.feed(partition, minute * MINUTE_MS, shares[(partition + minute) % PARTITIONS])
        if minute % 60 == 59 and (hour := minute // 60 + 1) % 6 == 0:
            gc.collect()
            click.echo(f"{hour:3} h: {run.entries():8,} entries, {process.memory_info().rss / 1e6:7.1f} MB")


if __name__ == "__main__":
    main()
