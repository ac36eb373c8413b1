"""A small shop whose every number can be checked by hand: two product groups, two regions, three hours."""

from pipeline.dashboard.snapshot import Cell, Cells, Data
from pipeline.timebase import DAY_MS, HOUR_MS

DAY = 20_000 * DAY_MS  # 2024-10-04
H22, H23, NEXT = DAY + 22 * HOUR_MS, DAY + 23 * HOUR_MS, DAY + 24 * HOUR_MS
SALES = {
    ("Electronics", "North", H22): 10_001,
    ("Electronics", "South", H22): 20_002,
    ("Fashion", "North", H23): 40_004,
    ("Electronics", "North", NEXT): 80_008,
    ("Fashion", "South", NEXT): 3,
}
VIEWS = {("North", H22): 5, ("South", H22): 7, ("North", NEXT): 11}
UNKNOWN_VIEWS = 2  # of the last hour: their viewers have no region


def cells(sums: dict[tuple[str, str, int], int]) -> Cells:
    return tuple(sorted(Cell(*key, value) for key, value in sums.items()))


def add(pairs: list[tuple[tuple[str, str, int], int]]) -> dict[tuple[str, str, int], int]:
    sums: dict[tuple[str, str, int], int] = {}
    for key, value in pairs:
        sums[key] = sums.get(key, 0) + value
    return sums


def shop(extra_cents: int = 0, newest_event_ms: int | None = NEXT + 60_000) -> Data:
    """The shop's data; `extra_cents` more of Fashion were sold in the South in the last hour."""
    sales = {**SALES, ("Fashion", "South", NEXT): SALES["Fashion", "South", NEXT] + extra_cents}
    views = [*((("", *key), n) for key, n in VIEWS.items()), (("", "", NEXT), UNKNOWN_VIEWS)]
    return Data(
        pageviews_by_group=cells({("All", "", 0): sum(n for _, n in views)}),
        pageviews_by_region=cells(add([(("", region, 0), n) for (_, region, _), n in views if region])),
        pageview_windows=cells(add([(("", "", start), n) for (_, _, start), n in views])),
        pageview_cube=cells({key: n for key, n in views if key[1]}),
        sales_by_group=cells(add([((group, "", start), n) for (group, _, start), n in sales.items()])),
        sales_by_region=cells(add([(("", region, start), n) for (_, region, start), n in sales.items()])),
        sales_cube=cells(sales),
        users_by_region=cells({("", "Region_2", 0): 4, ("", "Region_6", 0): 1, ("", "Region_7", 0): 3}),
        region_ids=(("Region_2", "North"), ("Region_6", "South")),
        newest_event_ms=newest_event_ms,
    )
