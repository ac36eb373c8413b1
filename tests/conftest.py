"""Fixtures that several suites share."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from pipeline import settings as configuration
from pipeline.stack.cluster import Stack
from running import Application, own_stack

# how long an example takes says nothing on a busy machine
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

BROWSER = ("chromium", "chromedriver")
DESELECTED = pytest.StashKey[str]()
SHARED: list[Stack] = []
"""The stack that tests share, while it runs."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whatever uses the real cluster is an integration test; browser tests need a browser.

    Quick tests come first, then those with brokers of their own, then those that share the running application, and
    last those that inject faults into a stack of their own.
    """
    items.sort(key=_weight)
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker("integration")
    missing = [name for name in BROWSER if shutil.which(name) is None]
    browser = [item for item in items if item.get_closest_marker("browser")]
    if browser and missing:
        items[:] = [item for item in items if item not in browser]
        config.hook.pytest_deselected(items=browser)
        config.stash[DESELECTED] = f"{len(browser)} browser tests deselected: no {' and no '.join(missing)} on the PATH"


def _weight(item: pytest.Item) -> int:
    names = getattr(item, "fixturenames", ())
    if item.get_closest_marker("chaos"):
        return 4
    if "application" in names:
        return 3
    if "stack" in names:
        return 2
    return 1 if {"brokers", "sasl", "secured"} & set(names) or item.get_closest_marker("browser") else 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why tests were deselected."""
    if DESELECTED in config.stash:
        terminalreporter.write_line(config.stash[DESELECTED], yellow=True)


@pytest.fixture
def apps_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Has applications found in a folder; the settings are read anew."""

    def search(folder: Path) -> None:
        monkeypatch.setenv("PIPELINE_APP_DIR", str(folder))
        monkeypatch.setenv("PIPELINE_APP", "flash_sales")
        configuration.settings.cache_clear()

    yield search
    configuration.settings.cache_clear()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A local stack of its own: free ports, a temporary data folder, the user's cache of downloads.

    `stack.settings` are the settings with its addresses. It is stopped, and its data are wiped, at the end.
    """
    with own_stack(tmp_path_factory.mktemp("stack")) as stack:
        SHARED.append(stack)
        yield stack


@pytest.fixture
def alone() -> None:
    """Nothing else runs: the stack that tests share is stopped. Those of faults come last, and need the machine."""
    while SHARED:
        SHARED.pop().down()


@pytest.fixture(scope="session")
def application(stack: Stack) -> Application:
    """The whole application, running on the stack and stopped with it."""
    application = Application(stack)
    application.start()
    return application
