"""A browser, and a picture of what it shows when a test is over."""

import re
from collections.abc import Iterator

import pytest
from pages import chromium
from selenium.webdriver import Chrome


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser with a new profile."""
    driver = chromium(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture(autouse=True)
def picture(driver: Chrome, request: pytest.FixtureRequest) -> Iterator[None]:
    """What the page looked like when the test was over, good or bad: build/screenshots/TEST.png.

    A module's PICTURES begins the names of its own.
    """
    yield
    folder = request.config.rootpath / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]+", "-", request.node.name.removeprefix("test_")).strip("-")
    driver.get_screenshot_as_file(str(folder / f"{getattr(request.module, 'PICTURES', '')}{name}.png"))
