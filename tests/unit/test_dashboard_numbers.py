"""Filters are applied exactly, to the cent, from the table that has the columns."""

import itertools
from dataclasses import replace

import pytest
from dashboard_data import H22, H23, NEXT, NOW, SALES, UNKNOWN_VIEWS, VIEWS, chosen, numbers_of, shop
from dashboard_data import filters as filtered

from pipeline.dashboard.choices import PERIODS, Choices, Filters
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.numbers import Change, notes, numbers
from pipeline.dashboard.snapshot import Data, Session
from pipeline.timebase import DAY_MS, HOUR_MS

DATES = [(None, None), ("2024-10-04", "2024-10-04"), ("2024-10-05", None), (None, "2024-10-05"), ("2030-01-01", None)]
GROUPS = [[], ["Electronics"], ["Electronics", "Fashion"], ["Nothing"]]
REGIONS = [[], ["North"], ["South", "North"]]


def kept(filters: Filters, group: str, region: str, start_ms: int) -> bool:
    begin_ms, end_ms = filters.bounds_ms(Formats(), NOW, HOUR_MS)
    return (
        (not filters.groups or group in filters.groups)
        and (not filters.regions or region in filters.regions)
        and begin_ms <= start_ms
        and (end_ms is None or start_ms < end_ms)
    )


@pytest.mark.parametrize(("dates", "groups", "regions"), [*itertools.product(DATES, GROUPS, REGIONS)])
def test_every_combination_equals_the_sum_over_single_sales(
    dates: tuple[str | None, str | None], groups: list[str], regions: list[str]
) -> None:
    filters = filtered(*dates, groups, regions)
    found = numbers_of(shop(), filters)
    sales = {key: cents for key, cents in SALES.items() if kept(filters, *key)}

    def by(position: int) -> dict[object, int]:
        sums: dict[object, int] = {}
        for key, cents in sales.items():
            sums[key[position]] = sums.get(key[position], 0) + cents
        return sums

    assert found.sales_cents == sum(sales.values())
    assert dict(found.sales_by_group) == by(0)
    assert dict(found.sales_by_region) == by(1)
    assert dict(found.trend) == by(2)
    views = {key: n for key, n in VIEWS.items() if kept(replace(filters, groups=()), "", *key)}
    unknown = UNKNOWN_VIEWS if not regions and kept(replace(filters, groups=(), regions=()), "", "", NEXT) else 0
    assert found.pageviews == sum(views.values()) + unknown
    assert sum(n for _, n in found.pageviews_by_region) == sum(views.values())


def test_numbers_without_filters() -> None:
    found = numbers_of(shop(), Filters())
    assert (found.pageviews, found.sales_cents, found.users) == (25, 150_018, 8)
    assert found.trend == ((H22, 30_003), (H23, 40_004), (NEXT, 80_011))
    assert found.sales_by_group == (("Electronics", 110_011), ("Fashion", 40_007))
    assert found.sales_by_region == (("North", 130_013), ("South", 20_005))
    assert found.pageviews_by_region == (("North", 16), ("South", 7))


def test_users_are_filtered_by_the_regions_id() -> None:
    assert numbers_of(shop(), filtered(None, None, [], ["North"])).users == 4
    assert numbers_of(shop(), filtered(None, None, ["Fashion"], ["North", "South"])).users == 5
    assert numbers_of(shop(), filtered("2030-01-01", None, [], [])).users == 8


def test_equal_values_are_sorted_by_name() -> None:
    data = Data(sales_by_group=shop().sales_by_group[:1])
    assert numbers_of(data, Filters()).sales_by_group == (("Electronics", 30_003),)
    twice = tuple(cell._replace(group=group) for group in ("b", "a") for cell in data.sales_by_group)
    assert [name for name, _ in numbers_of(Data(sales_by_group=twice), Filters()).sales_by_group] == ["a", "b"]


def bounds(period: str, zone: str = "UTC", **days: str) -> tuple[int, int | None]:
    choices = Choices.of({"period": period, "tz": zone, **days})
    return choices.filters.bounds_ms(choices.formats, NOW, HOUR_MS)


def test_days_are_whole_and_in_the_viewers_zone() -> None:
    assert bounds("dates", **{"from": "2024-10-05", "to": "2024-10-05"}) == (NEXT, NEXT + DAY_MS)
    assert bounds("dates", **{"from": "2024-10-05T00:00:00"}) == (NEXT, None)
    assert bounds("dates", "Asia/Tokyo", **{"from": "2024-10-05"}) == (NEXT - 9 * HOUR_MS, None)
    summer_ends = {"from": "2024-10-27", "to": "2024-10-27"}
    begin, end = bounds("dates", "Europe/Berlin", **summer_ends)
    assert end is not None
    assert end - begin == 25 * HOUR_MS


def test_presets_follow_the_clock() -> None:
    assert bounds("all") == (0, None)
    assert bounds("6h") == (NEXT - 5 * HOUR_MS, None)
    assert bounds("24h") == (NEXT - 23 * HOUR_MS, None)
    assert bounds("7d") == (NEXT - (7 * 24 - 1) * HOUR_MS, None)
    assert bounds("today") == (NEXT, NEXT + DAY_MS)
    assert bounds("yesterday") == (NEXT - DAY_MS, NEXT)
    assert bounds("today", "America/New_York") == (NEXT - 20 * HOUR_MS, NEXT + 4 * HOUR_MS)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"period": "century", "tz": "Mars/Base", "format": "roman"},
        {"period": ["all"], "tz": 5, "groups": "Fashion", "regions": [1, None, ""]},
        {"from": "yesterday", "to": "0001-01-01"},
        {},
    ],
)
def test_what_is_no_choice_is_the_default(nonsense: dict[str, object]) -> None:
    assert Choices.of(nonsense) == Choices(Filters(period="24h"))


def test_dates_that_are_none_leave_everything() -> None:
    assert Choices.of({"period": "dates", "from": "soon"}).filters == Filters(period="dates")
    assert set(PERIODS) >= {"all", "dates"}


def test_equal_filters_are_equal_whatever_the_order() -> None:
    one, two = chosen(None, None, ["a", "b"], []), chosen("", "", ["b", "a", "b"], None)
    assert one == two
    assert one.token == two.token
    assert one.token != chosen(None, None, [], ["a", "b"]).token


def test_changes_compare_sixty_minutes_with_the_sixty_before() -> None:
    found = numbers_of(shop(), Filters()).changes
    assert (found["pageviews"].now, found["pageviews"].before) == (10, 8)
    assert (found["sales"].now, found["sales"].before) == (300, 200)
    assert sum(found["sales"].spark) == 500
    assert found["sales"].spark[-1] == 300
    assert found["users"] == Change(3, 4, ())
    south = numbers_of(shop(), filtered(None, None, [], ["South"])).changes
    assert (south["pageviews"].now, south["pageviews"].before, south["sales"].now) == (0, 8, 0)
    assert (south["users"].now, south["users"].before) == (2, 0)


def test_latest_sales_and_top_products_are_filtered() -> None:
    found = numbers_of(shop(), filtered(None, None, [], ["South"]))
    assert [sale.sale_id for sale in found.latest] == [7]
    assert found.top_products == (("Thing", "Electronics", 20_002), ("Thing", "Fashion", 3))


def test_windows_by_page_group_follow_the_dates_alone() -> None:
    found = numbers_of(shop(), filtered("2024-10-05", None, ["Fashion"], ["South"]))
    assert [(c.start_ms, c.value) for c in found.tumbling] == [(NEXT, 13)]
    assert [(c.start_ms, c.value) for c in found.hopping] == [(NEXT, 13)]
    assert [s.value for s in found.sessions] == [13]
    told = notes(filtered(None, None, ["Fashion"], ["South"]))
    assert {told[p] for p in ("tumbling", "hopping", "sessions")} == {"not filtered by product group or region"}


def test_a_session_is_shown_where_any_part_of_it_lies_in_the_period() -> None:
    ended, long, late = Session("A", H22, NEXT - 1, 1), Session("B", H22, NEXT, 2), Session("C", NEXT + HOUR_MS, NOW, 3)
    data = replace(shop(), sessions=(ended, long, late))
    assert numbers(data, Filters(), (NEXT, NEXT + HOUR_MS)).sessions == (long,)
    assert numbers(data, Filters(), (NEXT, None)).sessions == (long, late)


def test_panels_say_which_chosen_filters_do_not_apply() -> None:
    assert set(notes(Filters()).values()) == {""}
    told = notes(filtered("2024-10-04", None, ["Fashion"], ["North"]))
    assert told["pageviews"] == told["pageviews_by_region"] == "not filtered by product group"
    assert told["users"] == "not filtered by date or product group"
    assert {told[panel] for panel in ("sales", "trend", "sales_by_group", "sales_by_region")} == {""}
    assert notes(filtered(None, None, [], ["North"]))["users"] == ""
