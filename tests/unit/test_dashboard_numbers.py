"""Filters are applied exactly, to the cent, from the table that has the columns."""

import itertools

import pytest
from dashboard_data import H22, H23, NEXT, SALES, UNKNOWN_VIEWS, VIEWS, shop

from pipeline.dashboard.numbers import Filters, notes, numbers
from pipeline.dashboard.snapshot import Data

DATES = [(None, None), ("2024-10-04", "2024-10-04"), ("2024-10-05", None), (None, "2024-10-05"), ("2030-01-01", None)]
GROUPS = [[], ["Electronics"], ["Electronics", "Fashion"], ["Nothing"]]
REGIONS = [[], ["North"], ["South", "North"]]


def kept(filters: Filters, group: str, region: str, start_ms: int) -> bool:
    begin_ms, end_ms = filters.bounds_ms()
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
    filters = Filters.of(*dates, groups, regions)
    found = numbers(shop(), filters)
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
    views = {key: n for key, n in VIEWS.items() if kept(Filters(*_days(filters), (), filters.regions), "", *key)}
    unknown = UNKNOWN_VIEWS if not regions and kept(Filters(*_days(filters)), "", "", NEXT) else 0
    assert found.pageviews == sum(views.values()) + unknown
    assert sum(n for _, n in found.pageviews_by_region) == sum(views.values())


def _days(filters: Filters) -> tuple[object, object]:
    return filters.first_day, filters.last_day


def test_numbers_without_filters() -> None:
    found = numbers(shop(), Filters())
    assert (found.pageviews, found.sales_cents, found.users) == (25, 150_018, 8)
    assert found.trend == ((H22, 30_003), (H23, 40_004), (NEXT, 80_011))
    assert found.sales_by_group == (("Electronics", 110_011), ("Fashion", 40_007))
    assert found.sales_by_region == (("North", 130_013), ("South", 20_005))
    assert found.pageviews_by_region == (("North", 16), ("South", 7))


def test_users_are_filtered_by_the_regions_id() -> None:
    assert numbers(shop(), Filters.of(None, None, [], ["North"])).users == 4
    assert numbers(shop(), Filters.of(None, None, ["Fashion"], ["North", "South"])).users == 5
    assert numbers(shop(), Filters.of("2030-01-01", None, [], [])).users == 8


def test_equal_values_are_sorted_by_name() -> None:
    data = Data(sales_by_group=shop().sales_by_group[:1])
    assert numbers(data, Filters()).sales_by_group == (("Electronics", 30_003),)
    twice = tuple(cell._replace(group=group) for group in ("b", "a") for cell in data.sales_by_group)
    assert [name for name, _ in numbers(Data(sales_by_group=twice), Filters()).sales_by_group] == ["a", "b"]


def test_days_are_whole_and_in_utc() -> None:
    filters = Filters.of("2024-10-05", "2024-10-05", None, None)
    assert filters.bounds_ms() == (NEXT, NEXT + 86_400_000)
    assert Filters.of("2024-10-05T00:00:00", None, None, None).bounds_ms() == (NEXT, None)
    with pytest.raises(ValueError, match="isoformat"):
        Filters.of("yesterday", None, None, None)


def test_equal_filters_are_equal_whatever_the_order() -> None:
    one, two = Filters.of(None, None, ["a", "b"], []), Filters.of("", "", ["b", "a", "b"], None)
    assert one == two
    assert one.token == two.token
    assert one.token != Filters.of(None, None, [], ["a", "b"]).token


def test_panels_say_which_chosen_filters_do_not_apply() -> None:
    assert set(notes(Filters()).values()) == {""}
    told = notes(Filters.of("2024-10-04", None, ["Fashion"], ["North"]))
    assert told["pageviews"] == told["pageviews_by_region"] == "not filtered by product group"
    assert told["users"] == "not filtered by date or product group"
    assert {told[panel] for panel in ("sales", "trend", "sales_by_group", "sales_by_region")} == {""}
    assert notes(Filters.of(None, None, [], ["North"]))["users"] == ""
