"""What the filters leave of the data: totals, the trend and the breakdowns, as exact integers."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pipeline.dashboard.snapshot import Cell, Data
from pipeline.timebase import DAY_MS, to_ms

Breakdown = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a viewer has chosen; an empty tuple and None mean everything.

    Dates are whole days in UTC, both inclusive; a window belongs to the day in which it starts.
    """

    first_day: date | None = None
    last_day: date | None = None
    groups: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        first_day: str | None,
        last_day: str | None,
        groups: Sequence[str] | None,
        regions: Sequence[str] | None,
    ) -> "Filters":
        """From the values of the page's inputs; raises ValueError for what is no ISO date."""
        return cls(
            date.fromisoformat(first_day[:10]) if first_day else None,
            date.fromisoformat(last_day[:10]) if last_day else None,
            tuple(sorted(set(groups or ()))),
            tuple(sorted(set(regions or ()))),
        )

    @property
    def has_dates(self) -> bool:
        """Whether the dates leave anything out."""
        return self.first_day is not None or self.last_day is not None

    @property
    def token(self) -> str:
        """Equal for equal filters; goes to the browser and comes back."""
        return repr((str(self.first_day), str(self.last_day), self.groups, self.regions))

    def bounds_ms(self) -> tuple[int, int | None]:
        """[from, to) of the chosen days, None for no end."""
        first = 0 if self.first_day is None else _midnight_ms(self.first_day)
        return first, None if self.last_day is None else _midnight_ms(self.last_day) + DAY_MS


def _midnight_ms(day: date) -> int:
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Numbers:
    """The page's numbers. Money is in cents; breakdowns are sorted by value, largest first; the trend by time."""

    pageviews: int
    sales_cents: int
    users: int
    trend: tuple[tuple[int, int], ...]
    pageviews_by_region: Breakdown
    sales_by_group: Breakdown
    sales_by_region: Breakdown


PANELS = ("pageviews", "sales", "users", "trend", "pageviews_by_region", "sales_by_group", "sales_by_region")
NOT_FILTERED = {
    "pageviews": ("product group",),
    "pageviews_by_region": ("product group",),
    "users": ("date", "product group"),
}
"""{panel: filters that do not apply, since its tables have no such column}."""


def numbers(data: Data, filters: Filters) -> Numbers:
    """Apply the filters."""
    return Numbers(
        pageviews=sum(cell.value for cell in _pageviews(data, filters, by_region=False)),
        sales_cents=sum(cell.value for cell in _sales(data, filters)),
        users=_users(data, filters),
        trend=_by_window(_sales(data, filters)),
        pageviews_by_region=_breakdown((c.region, c.value) for c in _pageviews(data, filters, by_region=True)),
        sales_by_group=_breakdown((c.group, c.value) for c in _sales(data, filters, by_group=True)),
        sales_by_region=_breakdown((c.region, c.value) for c in _sales(data, filters, by_region=True)),
    )


def notes(filters: Filters) -> dict[str, str]:
    """{panel: which of the chosen filters do not apply to it, in words, or ""}."""
    chosen = {"date": filters.has_dates, "product group": bool(filters.groups), "region": bool(filters.regions)}
    return {panel: _words([name for name in NOT_FILTERED.get(panel, ()) if chosen[name]]) for panel in PANELS}


def _words(names: Sequence[str]) -> str:
    return f"not filtered by {' or '.join(names)}" if names else ""


def _sales(data: Data, filters: Filters, *, by_group: bool = False, by_region: bool = False) -> Iterator[Cell]:
    """Sales from the smallest table that has every needed column."""
    needs_group, needs_region = bool(filters.groups) or by_group, bool(filters.regions) or by_region
    if needs_group and needs_region:
        cells = data.sales_cube
    else:
        cells = data.sales_by_region if needs_region else data.sales_by_group
    groups, regions = set(filters.groups), set(filters.regions)
    for cell in _in_dates(cells, filters):
        if (not groups or cell.group in groups) and (not regions or cell.region in regions):
            yield cell


def _pageviews(data: Data, filters: Filters, *, by_region: bool) -> Iterator[Cell]:
    """Page views: unwindowed tables without dates, windows with them; product groups are not page groups."""
    if filters.regions or by_region:
        cells = data.pageview_cube if filters.has_dates else data.pageviews_by_region
    else:
        cells = data.pageview_windows if filters.has_dates else data.pageviews_by_group
    regions = set(filters.regions)
    for cell in _in_dates(cells, filters):
        if not regions or cell.region in regions:
            yield cell


def _users(data: Data, filters: Filters) -> int:
    """Users carry a region's id, not its name."""
    names = dict(data.region_ids)
    regions = set(filters.regions)
    return sum(cell.value for cell in data.users_by_region if not regions or names.get(cell.region) in regions)


def _in_dates(cells: Iterable[Cell], filters: Filters) -> Iterator[Cell]:
    if not filters.has_dates:
        yield from cells
        return
    begin_ms, end_ms = filters.bounds_ms()
    for cell in cells:
        if cell.start_ms >= begin_ms and (end_ms is None or cell.start_ms < end_ms):
            yield cell


def _by_window(cells: Iterable[Cell]) -> tuple[tuple[int, int], ...]:
    sums: dict[int, int] = defaultdict(int)
    for cell in cells:
        sums[cell.start_ms] += cell.value
    return tuple(sorted(sums.items()))


def _breakdown(pairs: Iterable[tuple[str, int]]) -> Breakdown:
    sums: dict[str, int] = defaultdict(int)
    for name, value in pairs:
        sums[name] += value
    return tuple(sorted(sums.items(), key=lambda item: (-item[1], item[0])))
