"""A declared page with every kind of panel in a real browser, over a Pinot that the tests direct."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pages import Page, Serving, until
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from visits_data import SOURCES, ServedVisits

from pipeline.dashboard.hosting import Several
from pipeline.settings import load

pytestmark = pytest.mark.browser

EVIL = (
    "<img src=x onerror='window.owned=1'>",
    "\u202egnp.exe\u2066 back",
    "<a href='https://evil.example'>DE</a>",
    "\x1b[2J\x07 escape",
    "W" * 5_000,
    "<script>window.owned=2</script>",
    "%{customdata} {{7*7}} &lt;b&gt;",
)
PICTURES = "declared-"
SCROLL_WIDTH = "return document.documentElement.scrollWidth"


@pytest.fixture
def served() -> Iterator[ServedVisits]:
    served = ServedVisits()
    yield served
    served.stop()


def names(page: Page, panel: str) -> list[str]:
    """The traces of a figure."""
    return [trace.get("name", "") for trace in page.figure(panel)["data"]]


def choose(page: Page, column: str, *values: str) -> None:
    """Tick values of a filter."""
    page.driver.find_element(By.CSS_SELECTOR, f"[data-filter={column}] summary").click()
    for value in values:
        option = f"//*[@data-filter='{column}']//label[normalize-space()='{value}']"
        until(lambda option=option: page.driver.find_element(By.XPATH, option)).click()
    page.click("clear") if not values else page.driver.find_element(By.TAG_NAME, "h1").click()


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (390, False)])
def test_every_panel_shows_its_rows(driver: Chrome, served: ServedVisits, width: int, dark: bool) -> None:
    page = Page(driver, served.url, width=width, dark=dark)
    until(lambda: page.text("chip-state") == "Live")
    assert (page.text("kpi-p0"), page.text("unit-p0"), page.text("kpi-p2")) == ("1,234,567", "views", "$98,765.43")
    assert page.text("hint-p1") == "4,000 users before"
    assert len(names(page, "p3")) == 14, "the ground, and every country but Atlantis"
    assert page.text("note-p3") == "not on the map: Atlantis"
    for panel in ("p5", "p6", "p8"):
        assert names(page, panel) == sorted(SOURCES)
    assert len(page.figure("p7")["data"][0]["x"]) == 12
    assert page.text("body-p10").startswith("s-1")
    assert page.text("head-p10").split("\n")[0].startswith("Session id")
    assert driver.execute_script(SCROLL_WIDTH) <= width
    assert {httpx.URL(one).host for one in page.requests()} == {"127.0.0.1"}
    assert page.violations() == []
    assert page.complaints() == []


def test_an_error_of_pinot_is_a_sentence_in_its_panel(driver: Chrome, served: ServedVisits) -> None:
    page = Page(driver, served.url)
    until(lambda: "TableDoesNotExistError <b>NO_SUCH_TABLE</b>" in page.text("problem-p9"))
    assert page.figure("p9")["layout"]["annotations"][0]["text"] == "No answer"
    assert page.text("problem-p10") == ""
    assert page.text("chip-state") == "Live"
    assert page.complaints() == []


def test_filters_leave_what_they_name_and_stand_in_the_address(driver: Chrome, served: ServedVisits) -> None:
    page = Page(driver, served.url)
    assert names(page, "p5") == sorted(SOURCES)
    colour = page.figure("p5")["data"][2]["marker"]["color"]
    choose(page, "source", "Inbox")
    until(lambda: names(page, "p5") == ["Inbox"])
    assert page.figure("p5")["data"][0]["marker"]["color"] == colour
    assert driver.current_url.endswith("?source=Inbox")
    until(lambda: "not filtered by source" in page.text("note-p4"))
    assert "Homepage" not in page.text("body-p10")
    page.click("clear")
    until(lambda: names(page, "p5") == sorted(SOURCES))
    assert driver.current_url == served.url
    page = Page(driver, served.url + "?source=External&country=DE&country=FR&nothing=1")
    until(lambda: names(page, "p8") == ["External"])
    until(lambda: page.figure("p4")["layout"]["yaxis"]["ticktext"] == ["DE"])
    assert page.complaints() == []


def test_the_page_moves_and_says_when_pinot_is_away(driver: Chrome, served: ServedVisits) -> None:
    page = Page(driver, served.url)
    until(lambda: page.text("chip-state") == "Live")
    rows = list(served.pinot._rows("SELECT SUM(views) AS value FROM VISITS_BY_COUNTRY"))
    served.pinot.dressed = lambda found: [{"value": 7.0}] if found == rows else found
    until(lambda: page.text("kpi-p0") == "7")
    served.pinot.error = "Pinot at http://127.0.0.1:8099 cannot be reached: Connection refused"
    until(lambda: "The page shows the last good data." in page.text("banner"), 30)
    assert page.text("chip-state") == "Pinot unreachable"
    assert page.text("kpi-p0") == "7"
    served.pinot.error = ""
    until(lambda: page.text("banner") == "", 30)
    assert page.complaints() == []


def test_a_page_without_rows_waits(driver: Chrome, served: ServedVisits) -> None:
    served.pinot.empty = True
    page = Page(driver, served.url)
    assert page.figure("p5")["layout"]["annotations"][0]["text"] == "Waiting for the first events"
    assert page.text("body-p10") == "Waiting for the first events"
    assert page.text("chip-state") == "Waiting for data"
    served.pinot.empty = False
    until(lambda: names(page, "p5") == sorted(SOURCES))
    assert page.complaints() == []


@pytest.mark.parametrize("width", [1440, 390])
def test_texts_of_records_neither_run_nor_break_the_page(driver: Chrome, served: ServedVisits, width: int) -> None:
    def dressed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        evil = dict(zip(("DE", "US", "France", *SOURCES, "s-1"), EVIL, strict=True))
        return [{name: evil.get(value, value) for name, value in row.items()} for row in rows]

    served.pinot.dressed = dressed
    page = Page(driver, served.url, width=width)
    until(lambda: "escape" in str(page.figure("p5")["data"][0]["name"]) or len(names(page, "p5")) == 3)
    page.click("table-p4")
    until(lambda: "<img" in page.text("rows-p4"), what="the table behind a chart")
    driver.find_element(By.CSS_SELECTOR, "[data-filter=country] summary").click()
    until(lambda: "<img" in driver.find_element(By.CSS_SELECTOR, "[data-filter=country]").text)
    assert driver.execute_script("return window.owned") is None
    assert driver.find_elements(By.CSS_SELECTOR, "img, main a, .graph a, [onerror], main script") == []
    shown = driver.execute_script("return document.body.innerText")
    assert not [mark for mark in "\u202e\u2066\x1b\x07" if mark in shown]
    assert driver.execute_script(SCROLL_WIDTH) <= width
    assert page.complaints() == []


def test_the_policy_is_kept_while_the_page_is_used(driver: Chrome, served: ServedVisits) -> None:
    """Hover texts of bars, lines and countries, another scheme, the tables behind charts."""
    page = Page(driver, served.url)
    page.figure("p7")
    for place in ("#figure-p5 .bars path", "#figure-p6 .points path", "#figure-p4 .bars path"):
        ActionChains(driver).move_to_element(driver.find_elements(By.CSS_SELECTOR, place)[-1]).pause(0.4).perform()
    until(lambda: driver.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext"), what="a hover text")
    page.click("theme")
    for panel in ("p3", "p8"):
        page.click(f"table-{panel}")
        until(lambda panel=panel: "users" in page.text(f"rows-{panel}") or "views" in page.text(f"rows-{panel}"))
    assert page.complaints() == []


def test_health_and_queries_are_beside_the_page(driver: Chrome, served: ServedVisits) -> None:
    for path, heading in (("health", "Health"), ("queries", "Saved queries")):
        text = httpx.get(served.url + path, trust_env=False).text
        assert f"<h1>{heading}</h1>" in text
        assert "Who visits, and which way" in text
    assert "There are none yet" in httpx.get(served.url + "queries", trust_env=False).text


def test_several_pages_have_one_address_and_an_index(driver: Chrome) -> None:
    settings = load(
        app_dir=Path(__file__).parent, pinot_broker_url="http://127.0.0.1:1", bootstrap_servers="127.0.0.1:1"
    )
    several = Several(settings, [settings.replaced(app=name, app_id=name) for name in ("visits", "flash_sales")])
    serving = Serving(several)
    try:
        url = f"http://127.0.0.1:{serving.port}/"
        driver.get(url)
        driver.get_log("browser")
        links = [link.get_attribute("href") for link in driver.find_elements(By.CSS_SELECTOR, ".application h2 a")]
        assert links == [f"{url}visits/", f"{url}flash_sales/"]
        assert "Who visits, from where, and by which way" in driver.find_element(By.TAG_NAME, "main").text
        for name, title in (("visits", "Who visits, and which way"), ("flash_sales", "Flash sales live")):
            page = Page(driver, f"{url}{name}/")
            assert driver.title == title
            until(lambda page=page: page.text("chip-state") == "Pinot unreachable", 30)
            assert page.complaints() == []
            assert driver.find_element(By.LINK_TEXT, "All").get_attribute("href") == url
    finally:
        serving.stop()
        several.stop()
