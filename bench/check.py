"""Whether what a program wrote is what it had to write."""

import json
from typing import Any, Protocol

from bench import cluster
from bench.inputs import Shape, Views, page_catalogue, user_id
from bench.workloads import SIZE_MS, Counts, Kind, Workload, differences, expected_counts
from pipeline import reading
from pipeline.settings import Settings
from pipeline.sources.datagen import VIEWTIME_FIRST, VIEWTIME_STEP
from pipeline.topics import Topic


class Verdict(Protocol):
    """What judges a complete output."""

    async def wrong(self) -> list[str]:
        """Sentences that say what differs; empty when nothing does."""


class Given(Protocol):
    """The input of all runs."""

    settings: Settings
    shape: Shape
    views: Views


class Check:
    """The output of one run of one program."""

    def __init__(self, given: Given, workload: Workload, program: str, result: Topic, seen: str, count: int) -> None:
        self._settings, self._shape, self._views = given.settings, given.shape, given.views
        self._workload, self._program, self._result = workload, program, result
        self._seen, self._count = seen, count

    async def wrong(self) -> list[str]:
        """What differs from the recomputation."""
        if not self._workload.counts:
            rows = await cluster.rows(self._settings, self._result.name)
            return wrong_rows(rows, self._views, self._count, self._shape)
        groups = [row["page_group"] for row in page_catalogue(self._shape)]
        expected = expected_counts(self._views, self._count, groups, self._workload.kind)
        if self._program == "faust":
            return differences(expected, await changelog_counts(self._settings, self._seen), ends=False)
        found = final_counts(
            await cluster.rows(self._settings, self._result.name),
            by_end=self._workload.kind is Kind.SESSION,
        )
        ends = not (self._program == "quix_streams" and self._workload.kind is Kind.SESSION)
        return differences(expected, found, ends=ends)


def final_counts(rows: list[dict[str, Any]], *, by_end: bool) -> Counts:
    """The last row of each (group, start), or of each (group, start, end) first; rows taken back are gone."""
    last: dict[tuple[str, int, int], tuple[int, int]] = {}
    for row in rows:
        key = (row["page_group"], row["window_start_ms"], row["window_end_ms"] if by_end else 0)
        last.pop(key, None)
        if not row.get("retired"):
            last[key] = row["total_pageview"], row["window_end_ms"]
    return {(group, start): value for (group, start, _), value in last.items()}


async def changelog_counts(settings: Settings, topic: str) -> Counts:
    """The counts in the changelog of a windowed Faust table: one group's counts may lie in several partitions, each
    as high as the table in memory was then, so that the highest is the last."""
    counts: Counts = {}
    async for batch in reading.read_batches(settings, topic):
        for record in batch:
            group, (start, _) = json.loads(record.key)
            key = str(group), int(start * 1000)
            number = max(counts.get(key, (0, 0))[0], int(json.loads(record.value)))
            counts[key] = number, key[1] + SIZE_MS
    return counts


def wrong_rows(rows: list[dict[str, Any]], views: Views, count: int, shape: Shape) -> list[str]:
    """Whether there is exactly one row per view, with its page's group and name; the viewtime tells which view."""
    pages = page_catalogue(shape)
    seen = bytearray(count)
    wrong: list[str] = []
    for row in rows:
        place = (row["viewtime"] - VIEWTIME_FIRST) // VIEWTIME_STEP
        page = pages[views.pages[place]]
        good = row["userid"] == user_id(views.users[place]) and row["pageid"] == page["page_id"]
        if not (good and row["page_group"] == page["page_group"] and row["page_name"] == page["page_name"]):
            wrong.append(f"view {place} became {row}")
        seen[place] += seen[place] < 2
    missing, twice = seen.count(0), seen.count(2)
    if missing or twice:
        wrong.append(f"{missing} of {count} views have no row, {twice} have more than one")
    return wrong[:5]
