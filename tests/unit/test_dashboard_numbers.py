"""Filters are applied exactly, to the cent, from the table that has the columns."""

import itertools
from dataclasses import replace

import pytest
from dashboard_data import H22, H23, NEXT, NOW, SALES, UNKNOWN_VIEWS, VIEWS, chosen, numbers_of, shop
from dashboard_data import filters as filtered

from pipeline.dashboard.choices import PERIODS, Choices, Filters
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.numbers import Change, notes, numbers
from pipeline.dashboard.snapshot import Cell, Data, Sale, Session, Window
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
    views = {key: n for key, n in VIEWS.items() if kept(filters, *key)}
    unknown = UNKNOWN_VIEWS if kept(filters, "Fashion", "", NEXT) else 0
    assert found.pageviews == sum(views.values()) + unknown
    by_region: dict[str, int] = {}
    for (_, region, _), n in views.items():
        by_region[region] = by_region.get(region, 0) + n
    assert dict(found.pageviews_by_region) == by_region


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


def bounds(period: str, zone: str = "UTC", now_ms: int = NOW, **days: str) -> tuple[int, int | None]:
    choices = Choices.of({"period": period, "tz": zone, **days})
    return choices.filters.bounds_ms(choices.formats, now_ms, HOUR_MS)


def test_days_are_whole_and_in_the_viewers_zone() -> None:
    later = NOW + 30 * DAY_MS
    assert bounds("dates", now_ms=later, **{"from": "2024-10-05", "to": "2024-10-05"}) == (NEXT, NEXT + DAY_MS)
    assert bounds("dates", **{"from": "2024-10-05T00:00:00"}) == (NEXT, NEXT + HOUR_MS)
    assert bounds("dates", "Asia/Tokyo", **{"from": "2024-10-05"}) == (NEXT - 9 * HOUR_MS, NEXT + HOUR_MS)
    summer_ends = {"from": "2024-10-27", "to": "2024-10-27"}
    begin, end = bounds("dates", "Europe/Berlin", later, **summer_ends)
    assert end is not None
    assert end - begin == 25 * HOUR_MS


def test_presets_follow_the_clock() -> None:
    end_ms = NEXT + HOUR_MS  # of the window that is open: nothing that is dated ahead is in any period
    assert bounds("all") == (0, end_ms)
    assert bounds("6h") == (NEXT - 5 * HOUR_MS, end_ms)
    assert bounds("24h") == (NEXT - 23 * HOUR_MS, end_ms)
    assert bounds("7d") == (NEXT - (7 * 24 - 1) * HOUR_MS, end_ms)
    assert bounds("today") == (NEXT, end_ms)
    assert bounds("yesterday") == (NEXT - DAY_MS, NEXT)
    assert bounds("today", "America/New_York") == (NEXT - 20 * HOUR_MS, end_ms)


@pytest.mark.parametrize("period", PERIODS)
def test_a_sale_dated_ahead_is_in_no_period_but_is_told(period: str) -> None:
    ahead = 4_080_000_000_000 // HOUR_MS * HOUR_MS  # in 2099
    data, known = shop(), ("Fashion", "", ahead, 700)
    data = replace(
        data,
        sales_by_group=(*data.sales_by_group, Cell(*known)),
        sales_by_region=(*data.sales_by_region, Cell("", "North", ahead, 700)),
        sales_cube=(*data.sales_cube, Window(ahead, (Cell("Fashion", "North", ahead, 700, "Thing"),))),
        sales_hopping=(*data.sales_hopping, Cell(*known)),
        sale_sessions=(*data.sale_sessions, Session("Fashion", ahead, ahead, 700)),
        latest_sales=(Sale(ahead, 9, "Thing", "Fashion", "North", 1, 700), *data.latest_sales),
        sales_ahead=(Cell("Fashion", "North", 0, 1),),
    )
    for groups, regions, told in ((None, None, 1), (["Fashion"], ["North"], 1), (["Electronics"], None, 0)):
        chosen = Choices.of({"period": period, "groups": groups, "regions": regions, "to": "2199-01-01"}).filters
        found, without = numbers_of(data, chosen), numbers_of(shop(), chosen)
        assert replace(found, sales_ahead=0) == without
        assert found.sales_ahead == told
        said = notes(chosen, found.sales_ahead)
        assert all(("1 sale dated ahead left out" in said[panel]) == bool(told) for panel in ("trend", "latest"))
    assert "12 sales dated ahead left out" in notes(Filters(), 12)["trend"]


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
    found = Choices.of(nonsense)
    assert (found.filters, found.formats) == (Filters(period="24h"), Formats())


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ({"unknown": ["groups", "colour"]}, ("groups, colour", "period, from", "group and region")),
        ({"unknown": [f"x{n}" for n in range(9)]}, ("x0, x1, x2, x3, x4 and 4 more",)),
        ({"unknown": [""]}, ('has "", which',)),
        ({"period": "century"}, ("period=century", "6h, 24h", "24h is shown")),
        ({"tz": "Mars/Base"}, ("tz=Mars/Base", "UTC is shown")),
        ({"format": "roman"}, ("format=roman", "1,234.56 is shown")),
        ({"period": "dates", "from": "soon"}, ("from=soon", "no day")),
        ({"period": "dates", "to": "9999-12-31"}, ("to=9999-12-31", "1970 to 9000")),
        ({"groups": [str(n) for n in range(105)]}, ("of 105 groups the first 100",)),
        ({"tz": "x" * 1000}, ("x" * 40 + "\N{HORIZONTAL ELLIPSIS}",)),
    ],
)
def test_what_the_page_cannot_use_is_named(address: dict[str, object], words: tuple[str, ...]) -> None:
    found = Choices.of(address)
    (doubt,) = found.doubts
    assert all(word in doubt for word in words), doubt
    assert found.token != Choices.of({}).token


def test_a_good_address_leaves_no_doubt() -> None:
    good = {"period": "6h", "tz": "Asia/Tokyo", "format": "1.234,56", "groups": ["a"], "regions": [], "unknown": []}
    for address in (good, {}, {**good, "period": "dates", "from": "2024-10-05", "to": None}):
        assert Choices.of(address).doubts == ()


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


def test_windows_follow_dates_and_groups_but_not_regions() -> None:
    found = numbers_of(shop(), filtered("2024-10-05", None, ["Any", "Fashion"], ["South"]))
    assert [(c.start_ms, c.value) for c in found.tumbling] == [(NEXT, 2)]
    assert [(c.start_ms, c.value) for c in found.hopping] == [(NEXT, 13)]
    assert [s.value for s in found.sessions] == [13]
    assert [s.value for s in found.sales_sessions] == [3]
    found = numbers_of(shop(), filtered(None, None, ["Fashion"], []))
    assert (found.hopping, found.sessions) == ((), ())
    assert [(c.group, c.value) for c in found.sales_hopping] == [("Fashion", 40_004)]
    told = notes(filtered(None, None, ["Fashion"], ["South"]))
    windowed = ("tumbling", "hopping", "sessions", "sales_hopping", "sales_sessions")
    assert {told[panel] for panel in windowed} == {"not filtered by region"}


def test_a_session_is_shown_where_any_part_of_it_lies_in_the_period() -> None:
    ended, long, late = Session("A", H22, NEXT - 1, 1), Session("B", H22, NEXT, 2), Session("C", NEXT + HOUR_MS, NOW, 3)
    data = replace(shop(), sessions=(ended, long, late))
    assert numbers(data, Filters(), (NEXT, NEXT + HOUR_MS)).sessions == (long,)
    assert numbers(data, Filters(), (NEXT, None)).sessions == (long, late)


def test_panels_say_which_chosen_filters_do_not_apply() -> None:
    assert set(notes(Filters()).values()) == {""}
    told = notes(filtered("2024-10-04", None, ["Fashion"], ["North"]))
    assert told["users"] == "whose region is now North; not filtered by date or product group"
    everything = ("pageviews", "pageviews_by_region", "sales", "trend", "sales_by_group", "sales_by_region", "latest")
    assert {told[panel] for panel in everything} == {""}


def test_users_of_a_region_are_those_whose_region_it_is_now_and_the_tile_says_so() -> None:
    chosen = filtered(None, None, [], ["South"])
    moved = replace(shop(), users_by_region=(Cell("", "Region_2", 0, 9),))
    assert (numbers_of(moved, chosen).users, numbers_of(moved, chosen).pageviews) == (0, 7)
    assert notes(chosen)["users"] == "whose region is now South"
    assert notes(filtered(None, None, [], ["North", "South"]))["users"] == "whose region is now North or South"
    assert notes(filtered(None, None, [], list("abcd")))["users"] == "whose region is now one of these 4"


def test_the_last_hour_is_filtered_by_group() -> None:
    found = numbers_of(shop(), filtered(None, None, ["Fashion"], [])).changes
    assert (found["pageviews"].now, found["pageviews"].before) == (0, 8)
