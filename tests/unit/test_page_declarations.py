"""Pages by declaration: what can be said, and what is refused in one sentence, when it is written."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import (
    KPI,
    Application,
    Bars,
    CodePage,
    CollectSet,
    Count,
    Filter,
    Grid,
    Hopping,
    Map,
    Page,
    Session,
    Sessions,
    Stream,
    TimeSeries,
    Tumbling,
    Windows,
    c,
    minutes,
    seconds,
)
from pipeline.applications.loading import declared
from pipeline.errors import SettingError

CLICKS = Stream("clicks", {"user": "STRING", "source": "STRING", "country": "STRING"}, key="user")
GROUPS = CLICKS.group_by(c.source).aggregate(clicks=Count(), users=CollectSet(c.user))
TUMBLING = GROUPS.window(Tumbling(minutes(1))).to("TUMBLING")
HOPPING = GROUPS.window(Hopping(minutes(1), seconds(30))).to("HOPPING")
SESSION = GROUPS.window(Session(seconds(30))).to("SESSION")
TOTALS = GROUPS.to("TOTALS")
SQL = "SELECT source, clicks AS value FROM TOTALS"
EVERYTHING = (
    KPI("Clicks", SQL, trend=TUMBLING, value="clicks", unit="clicks"),
    TimeSeries("Over time", SQL, x="event_time_ms", by="source"),
    Bars("By source", SQL, x="source", y="value", also=("a", "b")),
    Windows("Tumbling", TUMBLING, by="source", value="clicks", kind="stacked"),
    Windows("Hopping", HOPPING, by="source", value="clicks", kind="lines"),
    Sessions("Sessions", SESSION, by="source", value="clicks"),
    Grid("Latest", SQL),
    Map("World", SQL, place="country"),
)
RESULTS = (TUMBLING, HOPPING, SESSION, TOTALS)


def application(page: Any, pinot: Any = True) -> Application:
    return Application("clicks", *RESULTS, pinot=pinot, page=page)


def test_an_application_that_declares_a_page_has_one() -> None:
    page = Page("Clicks", *EVERYTHING, filters=[Filter("source")], refresh_s=5)
    assert page.panels == EVERYTHING
    assert (page.filters[0].title, Filter("page_group", "Group").title) == ("Source", "Group")
    assert declared(application(page)).hooks.page
    assert declared(application(CodePage("own.pages:make"))).hooks.page
    assert not declared(application(None)).hooks.page


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Page(" "), "page: title is ' ', but must be a text"),
        (lambda: Page("A"), "page 'A': there is no panel, but must be at least one"),
        (lambda: Page("A", "x"), "page 'A': 'x' is no panel, but must be KPI(...), Bars(...) or the like"),  # type: ignore[arg-type]
        (
            lambda: Page("A", Grid("B", SQL), KPI("B", SQL)),
            "page 'A': panel 'B' is there twice, but must be there once",
        ),
        (
            lambda: Page("A", Grid("B", SQL), filters=[Filter("x"), Filter("x", "y")]),
            "page 'A': filter 'x' is there twice, but must be there once",
        ),
        (
            lambda: Page("A", Grid("B", SQL), filters=["x"]),  # type: ignore[list-item]
            "page 'A': filter is 'x', but must be Filter(...)",
        ),
        (
            lambda: Page("A", Grid("B", SQL), refresh_s=0.5),
            "page 'A': refresh_s is 0.5, but must be at least 1 second",
        ),
        (lambda: Filter("a b"), "page, Filter: column is 'a b', but must be the name of a column"),
        (lambda: KPI("", SQL), "page, KPI: title is '', but must be a text"),
        (lambda: KPI("A", "DELETE FROM x"), "page, KPI 'A': sql is 'DELETE FROM x', but must be a SELECT"),
        (lambda: Grid("A", "SELECT 1;"), "page, Grid 'A': sql ends with ';', but must be one query without it"),
        (lambda: Grid("A", SQL, width=7), "page, Grid 'A': width is 7, but must be 1 to 6 columns, or 0"),
        (
            lambda: Grid("A", SQL, refresh_s=0),
            "page, Grid 'A': refresh_s is 0, but must be at least 1 second",
        ),
        (
            lambda: Bars("A", SQL, x="a b", y="v"),
            "page, Bars 'A': x is 'a b', but must be the name of a column of its sql",
        ),
        (
            lambda: Map("A", SQL, also=["no name"]),
            "page, Map 'A': also is 'no name', but must be the name of a column of its sql",
        ),
        (
            lambda: Windows("A", TUMBLING, by="sauce", value="clicks"),
            "page, Windows 'A': by is 'sauce', but must be a group of TUMBLING: source",
        ),
        (
            lambda: Windows("A", TUMBLING, value="users"),
            "page, Windows 'A': value is 'users', but must be a number that TUMBLING computes: clicks",
        ),
        (
            lambda: Windows("A", SESSION, value="clicks"),
            "page, Windows 'A': stream SESSION has no time windows, but must be of Tumbling or Hopping ones",
        ),
        (
            lambda: Sessions("A", HOPPING, value="clicks"),
            "page, Sessions 'A': stream HOPPING has no sessions, but must be of Session windows",
        ),
        (
            lambda: Sessions("A", CLICKS, value="clicks"),
            "page, Sessions 'A': output is stream clicks, but must be an aggregate that .to(\"TOPIC\") has written",
        ),
        (
            lambda: Windows("A", "TUMBLING", value="clicks"),  # type: ignore[arg-type]
            "page, Windows 'A': output is TUMBLING, but must be an aggregate that .to(\"TOPIC\") has written",
        ),
        (lambda: Windows("A", TUMBLING, value="clicks", last=0), "page, Windows 'A': last is 0, but must be 1 to 60"),
        (
            lambda: Windows("A", TUMBLING, value="clicks", kind="pie"),
            "page, Windows 'A': kind is 'pie', but must be one of bars, stacked, lines",
        ),
        (
            lambda: KPI("A", SQL, trend=TUMBLING),
            "page, KPI 'A': value is 'value', but must be a number that TUMBLING computes: clicks",
        ),
        (
            lambda: CodePage("own.pages"),
            "CodePage: function is 'own.pages', but must be like 'package.module:function'",
        ),
        (
            lambda: application(Page("A", Grid("B", SQL)), pinot=False),
            "application clicks: it has a page, but nothing in Pinot: a page shows what is there; say pinot=True",
        ),
        (lambda: application("A"), "application clicks: page is 'A', but must be Page(...) or CodePage(...)"),
        (
            lambda: application(Page("A", Windows("B", TUMBLING, value="clicks")), pinot=[TOTALS, HOPPING]),
            "application clicks, page, Windows 'B': stream TUMBLING has no table in Pinot, but must be one of TOTALS, "
            "HOPPING",
        ),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(SettingError, match=f"^{re.escape(sentence)}$"):
        make()
