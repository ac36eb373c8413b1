"""Hopping windows in slices against the same kept by themselves and against a tumbling window: both stages, in process.

    .venv/bin/python -m bench.sliced [--events 200000] [--groups 1] [--batch 500]

Events a second of processor time: rows folded, partials and changelog records written as JSON, partials read, merged.
The windows are those of order analytics: a minute that advances by a second, grace five minutes, five aggregates that
are asked for and send no rows. Kept by themselves they get a twentieth of the events, at the same rate of event time.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click
import orjson

from pipeline.agents.partials import dump, load
from pipeline.tables.aggregate import Aggregate, Function
from pipeline.tables.fold import PartitionFold
from pipeline.tables.functions import Count, SumLong
from pipeline.tables.merge import PartitionMerge
from pipeline.tables.partials import Rows
from pipeline.tables.state import State
from pipeline.tables.windows import Hopping, Tumbling, Window

MINUTE_MS, SECOND_MS, GRACE_MS = 60_000, 1_000, 300_000
EVENTS_PER_S = 1_000
BEGIN_MS = 1_700_000_000_000
FEWER = 20


def five(window: Window, *, sliced: bool) -> list[Aggregate]:
    """Counts and a sum, as five statements."""
    functions: list[Function] = [
        Count("n"),
        SumLong("total", "revenue"),
        *(SumLong(flag, flag) for flag in ("fraud", "gone", "back")),
    ]
    made = [Aggregate(f"a{n}", "g", one, f"A{n}", window, silent=True) for n, one in enumerate(functions)]
    return [replace(one, sliced=sliced) for one in made]


def events_per_s(aggregates: Sequence[Aggregate], events: int, groups: int, batch: int) -> tuple[float, int]:
    """Events a second, and rows of both states at the end."""
    states = State(), State()
    fold, merge = PartitionFold(aggregates, 0, states[0]), PartitionMerge(aggregates, 1, states[1])
    sent_before, began_s = 0, time.process_time()
    for first in range(0, events, batch):
        offsets = range(first, min(first + batch, events))
        columns: dict[str, Sequence[Any]] = {
            "g": [f"group {offset % groups}" for offset in offsets],
            **{name: [1] * len(offsets) for name in ("total", "fraud", "gone", "back")},
        }
        times_ms = [BEGIN_MS + offset * 1_000 // EVENTS_PER_S for offset in offsets]
        folded = fold.fold(Rows(offsets, times_ms, (), [(0, offset) for offset in offsets], columns))
        written = [dump(partial) for partial in folded.partials]
        written += [dump(folded.watermark)] if folded.watermark else []
        if written:
            merge.merge(map(load, written), sent_before, sent_before + len(written) - 1)
            sent_before += len(written)
        for state in states:
            for key, value in state.take_changes().items():
                orjson.dumps(key)
                orjson.dumps(value)
    return events / (time.process_time() - began_s), sum(len(state.rows) for state in states)


@click.command(help=__doc__)
@click.option("--events", default=200_000, show_default=True)
@click.option("--groups", default=1, show_default=True)
@click.option("--batch", default=500, show_default=True)
@click.option("--runs", default=3, show_default=True, help="The median of so many.")
def main(events: int, groups: int, batch: int, runs: int) -> None:
    """Measure and print."""
    hopping = Hopping(MINUTE_MS, SECOND_MS, GRACE_MS)
    tumbling = five(Tumbling(MINUTE_MS, grace_ms=GRACE_MS), sliced=False)
    cases = {
        "one tumbling window of a minute": (tumbling[:1], events),
        "five tumbling windows of a minute": (tumbling, events),
        "five hopping windows in slices": (five(hopping, sliced=True), events),
        "five hopping windows by themselves": (five(hopping, sliced=False), events // FEWER),
    }
    speeds: dict[str, float] = {}
    for name, (aggregates, count) in cases.items():
        found = sorted(events_per_s(aggregates, count, groups, batch) for _ in range(runs))
        speeds[name], rows = found[runs // 2]
        click.echo(f"{name:<36} {speeds[name]:>12,.0f} events/s {rows:>9,} rows of state")
    one, _, sliced, alone = speeds.values()
    click.echo(f"in slices: {sliced / one:.2f} of one tumbling window, {sliced / alone:.1f} times by themselves")


if __name__ == "__main__":
    main()
