"""Ticks: everything at first, then only what changed, whole figures after a change of filters."""

from typing import Any

import pytest
from dash import Patch, no_update
from dashboard_data import NEXT, chosen, shop

from pipeline.dashboard.callbacks import Ticks, outputs, refresh_limit_s
from pipeline.dashboard.choices import Choices
from pipeline.dashboard.numbers import FIGURES
from pipeline.dashboard.snapshot import Data, Poller
from pipeline.dashboard.ticking import banner_text
from pipeline.dashboard.views import CACHED_VIEWS, NO_MATCH, NOTHING_YET, WAITING, Views, Windows
from pipeline.errors import QueryError
from pipeline.settings import load
from pipeline.timebase import HOUR_MS

ALL = chosen()
SIZES = Windows(HOUR_MS, HOUR_MS, 900_000)
WINDOWED = {"tumbling", "hopping", "sessions", "sales_hopping", "sales_sessions"}
SOUTH = chosen(None, None, [], ["South"])


class Page:
    """A browser page as far as ticks go: it keeps what it was sent."""

    def __init__(self) -> None:
        self.now_ms = NEXT + 61_000
        self.data: Data | Exception = shop()
        self.poller = Poller(self._source, 1.0, lambda: self.now_ms)
        self.ticks = Ticks(self.poller, load(), lambda: self.now_ms)
        self.seen: list[Any] | None = None

    def _source(self) -> Data:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data

    def tick(self, choices: Choices = ALL, scheme: str = "light") -> dict[str, Any]:
        answer = self.ticks.answer(self.seen, choices, scheme)
        if answer["seen"] is not no_update:
            self.seen = answer["seen"]
        return answer


@pytest.fixture
def page() -> Page:
    page = Page()
    page.poller.refresh()
    return page


def shown(answer: dict[str, Any]) -> dict[str, str]:
    """{KPI: value} as far as they were sent."""
    panels = answer["panels"]
    return {} if panels is no_update else {name: kpi["value"] for name, kpi in panels.get("kpis", {}).items()}


def sent(values: dict[str, Any]) -> set[str]:
    return {panel for panel, value in values.items() if value is not no_update}


def test_the_first_tick_brings_everything(page: Page) -> None:
    answer = page.tick()
    assert shown(answer) == {"pageviews": "25", "sales": "$1,500.18", "users": "8"}
    assert all(isinstance(figure, dict) and not isinstance(figure, Patch) for figure in answer["figures"].values())
    assert answer["panels"]["groups"] == ("Electronics", "Fashion")
    assert answer["panels"]["regions"] == ("North", "South")
    assert answer["panels"]["latest"][0] == ["00:00:00", "Thing", "Fashion", "South", "2", "$0.03"]
    assert answer["panels"]["kpis"]["pageviews"]["change"] == "\N{BLACK UP-POINTING TRIANGLE} +25.0%"
    assert (answer["banner"], answer["banner_class"]) == ("", "banner hidden")
    assert answer["freshness"]["state"] == "live"
    assert answer["freshness"]["event_age_s"] == 1.0


def test_outputs_have_the_shape_of_answers(page: Page) -> None:
    answer, declared = page.tick(), outputs()
    assert answer.keys() == declared.keys()
    for name in ("notes", "figures"):
        assert answer[name].keys() == declared[name].keys()


def test_without_news_only_the_ages_are_sent(page: Page) -> None:
    page.tick()
    page.now_ms += 1000
    page.poller.refresh()
    answer = page.tick()
    assert not sent(answer["figures"]) | sent(answer["notes"])
    assert {answer["panels"], answer["seen"]} == {no_update}
    assert answer["freshness"]["event_age_s"] == 2.0


def test_news_are_sent_as_patches(page: Page) -> None:
    page.tick()
    page.data = shop(extra_cents=100)
    page.poller.refresh()
    answer = page.tick()
    assert shown(answer) == {"sales": "$1,501.18"}
    assert sent(answer["figures"]) == {"trend", "top_products", "sales_by_group", "sales_by_region"}
    assert all(isinstance(answer["figures"][panel], Patch) for panel in sent(answer["figures"]))


def test_a_change_of_filters_or_scheme_brings_whole_figures(page: Page) -> None:
    page.tick()
    for filters, scheme in ((SOUTH, "light"), (SOUTH, "dark"), (ALL, "dark")):
        answer = page.tick(filters, scheme)
        assert sent(answer["figures"]) == set(FIGURES)
        assert not any(isinstance(figure, Patch) for figure in answer["figures"].values())


def test_filters_reach_every_panel(page: Page) -> None:
    answer = page.tick(SOUTH)
    assert shown(answer) == {"pageviews": "7", "sales": "$200.05", "users": "1"}
    assert answer["figures"]["sales_by_region"]["data"][0]["y"] == ["South"]
    assert answer["notes"]["users"] == "whose region is now South"
    assert answer["panels"]["doubts"] == ()


def test_the_next_hour_closes_the_column_without_any_news(page: Page) -> None:
    page.tick()
    page.now_ms += HOUR_MS
    page.poller.refresh()
    assert sent(page.tick()["figures"]) == {"trend", *WINDOWED}


@pytest.mark.parametrize("seen", [["other", 1, "", "", "light"], ["x"], [[]] * 5, [], "nonsense", 5])
def test_a_page_of_an_earlier_process_is_sent_everything(page: Page, seen: Any) -> None:
    page.tick()
    page.seen = seen
    answer = page.tick()
    assert set(shown(answer)) == {"pageviews", "sales", "users"}
    assert not any(isinstance(figure, Patch) for figure in answer["figures"].values())
    assert answer["seen"] is not no_update


def test_a_page_that_slept_for_long_is_sent_whole_figures(page: Page) -> None:
    page.tick()
    for extra in range(1, CACHED_VIEWS + 2):
        page.data = shop(extra_cents=extra)
        page.poller.refresh()
        Page.tick(page, SOUTH)  # another viewer keeps the cache busy
    page.seen = [page.poller.epoch, 1, "gone", ALL.token, "light"]
    answer = page.tick()
    assert sent(answer["figures"]) == set(FIGURES)
    assert not any(isinstance(figure, Patch) for figure in answer["figures"].values())


def test_when_pinot_goes_away_the_data_stay_and_a_banner_comes(page: Page) -> None:
    page.tick()
    page.data = QueryError("Pinot at http://pinot:8099 cannot be reached: refused")
    page.now_ms += 60_000
    page.poller.refresh()
    answer = page.tick()
    assert answer["freshness"]["state"] == "unreachable"
    assert answer["freshness"]["refresh_age_s"] == 60.0
    assert answer["banner_class"] == "banner"
    assert "last good data" in answer["banner"]
    assert "pinot:8099" in answer["banner"]
    assert not sent(answer["figures"])
    page.data = shop()
    page.poller.refresh()
    assert page.tick()["banner_class"] == "banner hidden"


def test_before_any_data_the_page_waits() -> None:
    page = Page()
    answer = page.tick()
    assert set(shown(answer).values()) == {NOTHING_YET}
    assert answer["freshness"]["state"] == "starting"
    texts = {figure["layout"]["annotations"][0]["text"] for figure in answer["figures"].values()}
    assert texts == {WAITING}
    page.data = Data()
    page.poller.refresh()
    assert page.tick()["freshness"]["state"] == "starting"


def test_filters_that_leave_nothing_say_so(page: Page) -> None:
    answer = page.tick(chosen("2030-01-01", None, [], []))
    assert shown(answer)["sales"] == "$0.00"
    assert answer["figures"]["trend"]["layout"]["annotations"][0]["text"] == NO_MATCH


def test_a_chosen_name_stays_among_the_options(page: Page) -> None:
    panels = page.tick(chosen(None, None, ["Gone"], ["South", "Nowhere"]))["panels"]
    assert panels["groups"] == ("Electronics", "Fashion", "Gone")
    assert panels["doubts"] == (
        "no sale and no page view has the product group Gone",
        "no sale and no page view has the region Nowhere",
    )


def test_names_that_mean_nothing_are_told_once_until_they_are_gone(page: Page) -> None:
    strange = Choices.of({"period": "all", "unknown": ["groups"], "tz": "Mars/Base"})
    told = page.tick(strange)["panels"]["doubts"]
    assert [word for word in ("groups", "Mars/Base") if word in " ".join(told)] == ["groups", "Mars/Base"]
    page.now_ms += 60_000
    page.data = shop(extra_cents=1)
    page.poller.refresh()
    assert "doubts" not in page.tick(strange)["panels"]
    assert page.tick()["panels"]["doubts"] == ()


def test_before_any_data_no_name_is_doubted() -> None:
    assert Page().tick(chosen(None, None, ["Fashion"], []))["panels"]["doubts"] == ()


def test_banner_speaks_only_when_pinot_is_unreachable() -> None:
    assert [banner_text(state, "x", True) for state in ("live", "stale", "starting")] == ["", "", ""]
    assert banner_text("unreachable", None, False) == "No new data from Pinot. There are no data to show yet."


def test_viewers_share_views_and_the_cache_is_bounded() -> None:
    views = Views("e", SIZES)
    snapshot = Page().poller.refresh()
    first = views.get(snapshot, ALL, "light", NEXT)
    assert views.get(snapshot, ALL, "light", NEXT + 5)[1] is first[1]
    for number in range(CACHED_VIEWS):
        views.get(snapshot, chosen(None, None, [str(number)], []), "light", NEXT)
    assert views.find(first[0]) is None


def test_refresh_limit_follows_the_setting() -> None:
    assert refresh_limit_s(load()) == 3.0
    assert refresh_limit_s(load(refresh_s=10)) == 30.0
