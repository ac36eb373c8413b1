"""A small shop whose every number can be checked by hand: two product groups, two regions, three hours."""

from pipeline.dashboard.choices import Choices, Filters
from pipeline.dashboard.cubes import by_window
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.numbers import Numbers, numbers
from pipeline.dashboard.snapshot import Cell, Cells, Data, Recent, Sale, Session, Window
from pipeline.timebase import DAY_MS, HOUR_MS, MINUTE_MS

DAY = 20_000 * DAY_MS  # 2024-10-04
H22, H23, NEXT = DAY + 22 * HOUR_MS, DAY + 23 * HOUR_MS, DAY + 24 * HOUR_MS
SALES = {
    ("Electronics", "North", H22): 10_001,
    ("Electronics", "South", H22): 20_002,
    ("Fashion", "North", H23): 40_004,
    ("Electronics", "North", NEXT): 80_008,
    ("Fashion", "South", NEXT): 3,
}
VIEWS = {("Electronics", "North", H22): 5, ("Fashion", "South", H22): 7, ("Electronics", "North", NEXT): 11}
UNKNOWN_VIEWS = 2  # of Fashion in the last hour: their viewers have no region


NOW = NEXT + 61_000


def chosen(
    first: str | None = None, last: str | None = None, groups: list[str] | None = None, regions: list[str] | None = None
) -> Choices:
    """What a viewer chose: days, product groups, regions."""
    period = "dates" if first or last else "all"
    return Choices.of({"period": period, "from": first, "to": last, "groups": groups, "regions": regions})


def filters(*args: object, **kwargs: object) -> Filters:
    return chosen(*args, **kwargs).filters  # type: ignore[arg-type]


def numbers_of(data: Data, found: Filters) -> Numbers:
    """The numbers as they are at NOW, in UTC."""
    return numbers(data, found, found.bounds_ms(Formats(), NOW, HOUR_MS))


def windows(sums: dict[tuple[str, str, int], int], product: str = "") -> tuple[Window, ...]:
    found = by_window(tuple(cell._replace(product=product) for cell in cells(sums)))
    return tuple(Window(start, found[start]) for start in sorted(found))


def cells(sums: dict[tuple[str, str, int], int]) -> Cells:
    return tuple(sorted(Cell(*key, value) for key, value in sums.items()))


RECENT = Recent(
    minute_ms=NEXT + MINUTE_MS,
    pageviews=(
        Cell("Electronics", "North", H23 + 5 * MINUTE_MS, 10),
        Cell("Fashion", "South", H22 + 5 * MINUTE_MS, 8),
    ),
    sales=(Cell("Fashion", "North", NEXT, 300), Cell("Fashion", "North", H22 + 30 * MINUTE_MS, 200)),
    users=(("", 3), ("North", 2), ("South", 2)),
    users_before=(("", 4), ("North", 4)),
)


def add(pairs: list[tuple[tuple[str, str, int], int]]) -> dict[tuple[str, str, int], int]:
    sums: dict[tuple[str, str, int], int] = {}
    for key, value in pairs:
        sums[key] = sums.get(key, 0) + value
    return sums


def shop(extra_cents: int = 0, newest_event_ms: int | None = NEXT + 60_000) -> Data:
    """The shop's data; `extra_cents` more of Fashion were sold in the South in the last hour."""
    sales = {**SALES, ("Fashion", "South", NEXT): SALES["Fashion", "South", NEXT] + extra_cents}
    views = [*VIEWS.items(), (("Fashion", "", NEXT), UNKNOWN_VIEWS)]
    return Data(
        pageviews_by_group=cells(add([((group, "", 0), n) for (group, _, _), n in views])),
        pageviews_by_region=cells(add([(("", region, 0), n) for (_, region, _), n in views if region])),
        pageviews_tumbling=cells(add([((group, "", start), n) for (group, _, start), n in views])),
        pageviews_hopping=cells({("Any", "", NEXT): 13, ("Any", "", NEXT - HOUR_MS // 2): 13}),
        sessions=(Session("Any", H22 + 5, H22 + 9, 12), Session("Any", NEXT, NEXT + 60_000, 13)),
        sales_hopping=cells({("Fashion", "", H23): 40_004, ("Electronics", "", NEXT - HOUR_MS // 2): 80_008}),
        sale_sessions=(Session("Electronics", H22, H22, 30_003), Session("Fashion", NEXT, NEXT + 1, 3)),
        pageview_cube=windows({key: n for key, n in views if key[1]}),
        sales_by_group=cells(add([((group, "", start), n) for (group, _, start), n in sales.items()])),
        sales_by_region=cells(add([(("", region, start), n) for (_, region, start), n in sales.items()])),
        sales_cube=windows(sales, "Thing"),
        latest_sales=(
            Sale(NEXT + 5, 7, "Thing", "Fashion", "South", 2, 3),
            Sale(H22, 1, "It", "Fashion", "North", 1, 9),
        ),
        recent=RECENT,
        users_ever=9,
        users_by_region=cells({("", "Region_2", 0): 4, ("", "Region_6", 0): 1, ("", "Region_7", 0): 3}),
        region_ids=(("Region_2", "North"), ("Region_6", "South")),
        newest_ms=() if newest_event_ms is None else (("sales", newest_event_ms), ("users", 5)),
    )
