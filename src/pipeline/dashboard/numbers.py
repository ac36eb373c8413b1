"""What the filters leave of the data: totals, changes, trend, breakdowns and windows, as exact integers."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.dashboard.choices import Filters
from pipeline.dashboard.snapshot import Cell, Cells, Data, Recent, Sale, Session, Window, WindowSums
from pipeline.timebase import HOUR_MS, MINUTE_MS

Breakdown = tuple[tuple[str, int], ...]
Bounds = tuple[int, int | None]

SPARK_MS = 5 * MINUTE_MS
SPARK_POINTS = 24
TOP_PRODUCTS = 10
SALES_SHOWN = 12
MEMO_PER_WINDOW = 32
NAMES_TOLD = 3

FIGURES = (
    "trend",
    "top_products",
    "sales_by_group",
    "sales_by_region",
    "pageviews_by_region",
    "tumbling",
    "hopping",
    "sessions",
    "sales_hopping",
    "sales_sessions",
)
PANELS = ("pageviews", "sales", "users", *FIGURES, "latest")
NOT_FILTERED = {
    "users": ("date", "product group"),
    "tumbling": ("region",),
    "hopping": ("region",),
    "sessions": ("region",),
    "sales_hopping": ("region",),
    "sales_sessions": ("region",),
}
"""{panel: filters that do not apply, since its tables have no such column}. Page groups are product groups."""
AHEAD = ("trend", "latest")
"""Panels that say how many sales are dated ahead: these are in no period, since every period ends now."""


@dataclass(frozen=True, slots=True)
class Change:
    """Sixty whole minutes and the sixty before them, whatever the dates; `spark` is by five minutes, oldest first."""

    now: int = 0
    before: int = 0
    spark: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Numbers:
    """The page's numbers. Money is in cents; breakdowns are sorted by value, largest first; windows by time."""

    pageviews: int
    sales_cents: int
    users: int
    changes: Mapping[str, Change]
    trend: tuple[tuple[int, int], ...]
    top_products: tuple[tuple[str, str, int], ...]
    pageviews_by_region: Breakdown
    sales_by_group: Breakdown
    sales_by_region: Breakdown
    tumbling: Cells
    hopping: Cells
    sessions: tuple[Session, ...]
    sales_hopping: Cells
    sales_sessions: tuple[Session, ...]
    latest: tuple[Sale, ...]
    sales_ahead: int


def numbers(data: Data, filters: Filters, bounds: Bounds = (0, None)) -> Numbers:
    """Apply the filters; `bounds` are those of the filters' period, [from, to) of window starts.

    A session is shown where any part of it lies within.
    """
    sums = [_window_sums(window, filters) for window in _within_windows(data.sales_cube, bounds)]
    return Numbers(
        pageviews=_pageviews(data, filters, bounds),
        sales_cents=sum(_sales(data, filters, bounds, "start_ms").values()),
        users=_users(data, filters),
        changes=changes(data, filters),
        trend=tuple(sorted((int(start), cents) for start, cents in _sales(data, filters, bounds, "start_ms").items())),
        top_products=_top(sums),
        pageviews_by_region=_breakdown(_pageviews_by_region(data, filters, bounds)),
        sales_by_group=_breakdown(_sales(data, filters, bounds, "group")),
        sales_by_region=_breakdown(_sales(data, filters, bounds, "region")),
        tumbling=_of_groups(data.pageviews_tumbling, filters, bounds),
        hopping=_of_groups(data.pageviews_hopping, filters, bounds),
        sessions=_sessions(data.sessions, filters, bounds),
        sales_hopping=_of_groups(data.sales_hopping, filters, bounds),
        sales_sessions=_sessions(data.sale_sessions, filters, bounds),
        latest=tuple(_latest(data.latest_sales, filters, bounds))[:SALES_SHOWN],
        sales_ahead=sum(cell.value for cell in data.sales_ahead if _kept(cell, filters)),
    )


def notes(filters: Filters, sales_ahead: int = 0) -> dict[str, str]:
    """{panel: what its number is of under the chosen filters, and which of them do not apply, in words, or ""}."""
    chosen = {"date": filters.has_dates, "product group": bool(filters.groups), "region": bool(filters.regions)}
    told = {panel: [_words([name for name in NOT_FILTERED.get(panel, ()) if chosen[name]])] for panel in PANELS}
    if filters.regions:
        told["users"].insert(0, f"whose region is now {_any_of(filters.regions)}")
    for panel in AHEAD if sales_ahead else ():
        told[panel].append(f"{sales_ahead} {'sale' if sales_ahead == 1 else 'sales'} dated ahead left out")
    return {panel: "; ".join(filter(None, texts)) for panel, texts in told.items()}


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(names) if len(names) <= NAMES_TOLD else f"one of these {len(names)}"


def _words(names: Sequence[str]) -> str:
    return f"not filtered by {' or '.join(names)}" if names else ""


def changes(data: Data, filters: Filters) -> dict[str, Change]:
    """The last hour against the one before, by KPI; users are distinct viewers, one of two regions counts in both."""
    recent = data.recent
    pageviews = [cell for cell in recent.pageviews if _kept(cell, filters)]
    sales = [cell for cell in recent.sales if _kept(cell, filters)]
    regions = filters.regions or ("",)
    return {
        "pageviews": _change(recent, pageviews),
        "sales": _change(recent, sales),
        "users": Change(
            sum(n for region, n in recent.users if region in regions),
            sum(n for region, n in recent.users_before if region in regions),
            _user_spark(recent, filters),
        ),
    }


def _change(recent: Recent, cells: Sequence[Cell]) -> Change:
    hour_ago = recent.minute_ms - HOUR_MS
    spark = [0] * SPARK_POINTS
    begin_ms = recent.minute_ms - SPARK_POINTS * SPARK_MS
    for cell in cells:
        if begin_ms <= cell.start_ms < recent.minute_ms:
            spark[(cell.start_ms - begin_ms) // SPARK_MS] += cell.value
    return Change(
        sum(c.value for c in cells if c.start_ms >= hour_ago),
        sum(c.value for c in cells if c.start_ms < hour_ago),
        tuple(spark),
    )


def _user_spark(recent: Recent, filters: Filters) -> tuple[int, ...]:
    sums: dict[int, int] = defaultdict(int)
    for cell in recent.users_by_bucket:
        if cell.region in (filters.regions or ("",)):
            sums[cell.start_ms] += cell.value
    return tuple(value for _, value in sorted(sums.items()))


def _wanted(name: str, chosen: Sequence[str]) -> bool:
    return not chosen or name in chosen


def _kept(cell: Cell | Sale, filters: Filters) -> bool:
    return _wanted(cell.group, filters.groups) and _wanted(cell.region, filters.regions)


def _of_groups(cells: Cells, filters: Filters, bounds: Bounds) -> Cells:
    return tuple(cell for cell in _within(cells, bounds) if _wanted(cell.group, filters.groups))


def _sessions(found: Iterable[Session], filters: Filters, bounds: Bounds) -> tuple[Session, ...]:
    return tuple(s for s in found if _overlaps(s, bounds) and _wanted(s.group, filters.groups))


def _sales(data: Data, filters: Filters, bounds: Bounds, by: str) -> Mapping[str, int] | Mapping[int, int]:
    """Sales by "group", "region" or "start_ms", from the smallest table that has every needed column."""
    needs_group = bool(filters.groups) or by == "group"
    needs_region = bool(filters.regions) or by == "region"
    sums: dict[str | int, int] = defaultdict(int)
    if needs_group and needs_region:
        for window in _within_windows(data.sales_cube, bounds):
            found = _window_sums(window, filters)
            if by == "start_ms":
                if found.by_group:
                    sums[window.start_ms] += sum(found.by_group.values())
            else:
                for name, value in (found.by_group if by == "group" else found.by_region).items():
                    sums[name] += value
        return sums  # type: ignore[return-value]
    for cell in _within(data.sales_by_region if needs_region else data.sales_by_group, bounds):
        if _kept(cell, filters):
            sums[getattr(cell, by)] += cell.value
    return sums  # type: ignore[return-value]


def _window_sums(window: Window, filters: Filters) -> WindowSums:
    key = (filters.groups, filters.regions)
    found = window.sums.get(key)
    if found is None:
        if len(window.sums) >= MEMO_PER_WINDOW:
            window.sums.clear()
        found = window.sums[key] = _add_up(window.cells, filters)
    return found


def _add_up(cells: Cells, filters: Filters) -> WindowSums:
    by_group: dict[str, int] = defaultdict(int)
    by_region: dict[str, int] = defaultdict(int)
    by_product: dict[tuple[str, str], int] = defaultdict(int)
    for group, region, _, value, product in cells:
        if _wanted(group, filters.groups) and _wanted(region, filters.regions):
            by_group[group] += value
            by_region[region] += value
            by_product[product, group] += value
    return WindowSums(dict(by_group), dict(by_region), dict(by_product))


def _top(sums: Iterable[WindowSums]) -> tuple[tuple[str, str, int], ...]:
    total: dict[tuple[str, str], int] = defaultdict(int)
    for found in sums:
        for key, value in found.by_product.items():
            total[key] += value
    ordered = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    return tuple((product, group, value) for (product, group), value in ordered[:TOP_PRODUCTS])


def _pageviews(data: Data, filters: Filters, bounds: Bounds) -> int:
    """Page views from the smallest table that has every needed column."""
    if filters.regions:
        return sum(_pageviews_by_region(data, filters, bounds).values())
    cells = _within(data.pageviews_tumbling, bounds) if filters.has_dates else data.pageviews_by_group
    return sum(cell.value for cell in cells if _wanted(cell.group, filters.groups))


def _pageviews_by_region(data: Data, filters: Filters, bounds: Bounds) -> Mapping[str, int]:
    sums: dict[str, int] = defaultdict(int)
    if not filters.has_dates and not filters.groups:
        for cell in data.pageviews_by_region:
            if _wanted(cell.region, filters.regions):
                sums[cell.region] += cell.value
        return sums
    for window in _within_windows(data.pageview_cube, bounds):
        for region, value in _window_sums(window, filters).by_region.items():
            sums[region] += value
    return sums


def _users(data: Data, filters: Filters) -> int:
    """Users whose region is now one of the chosen; they carry a region's id, not its name."""
    names = dict(data.region_ids)
    regions = filters.regions
    return sum(cell.value for cell in data.users_by_region if not regions or names.get(cell.region) in regions)


def _latest(sales: Iterable[Sale], filters: Filters, bounds: Bounds) -> Iterator[Sale]:
    for sale in sales:
        if _inside(sale.event_time_ms, bounds) and _kept(sale, filters):
            yield sale


def _within(cells: Iterable[Cell], bounds: Bounds) -> Iterator[Cell]:
    return (cell for cell in cells if _inside(cell.start_ms, bounds))


def _within_windows(windows: Iterable[Window], bounds: Bounds) -> Iterator[Window]:
    return (window for window in windows if _inside(window.start_ms, bounds))


def _overlaps(session: Session, bounds: Bounds) -> bool:
    begin_ms, end_ms = bounds
    return session.end_ms >= begin_ms and (end_ms is None or session.start_ms < end_ms)


def _inside(ms: int, bounds: Bounds) -> bool:
    begin_ms, end_ms = bounds
    return ms >= begin_ms and (end_ms is None or ms < end_ms)


def _breakdown(sums: Mapping[str, int] | Mapping[int, int]) -> Breakdown:
    return tuple(sorted(((str(name), value) for name, value in sums.items()), key=lambda item: (-item[1], item[0])))
