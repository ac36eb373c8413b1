"""Fixtures that several suites share."""

import asyncio
import shutil
import socket
import time
from collections.abc import Iterator

import httpx
import hypothesis
import pytest

from pipeline.demo import dashboard_url, programs
from pipeline.provision import provision
from pipeline.settings import Settings, load
from pipeline.stack.cluster import Stack
from pipeline.stack.ports import FREE_PORTS
from pipeline.verify.report import Report
from pipeline.verify.run import verify

# how long an example takes says nothing on a busy machine
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

BROWSER = ("chromium", "chromedriver")
DESELECTED = pytest.StashKey[str]()


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
    return 1 if "brokers" in names or item.get_closest_marker("browser") else 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why tests were deselected."""
    if DESELECTED in config.stash:
        terminalreporter.write_line(config.stash[DESELECTED], yellow=True)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A local stack of its own: free ports, a temporary data folder, the user's cache of downloads.

    `stack.settings` are the settings with its addresses. It is stopped, and its data are wiped, at the end.
    """
    stack = Stack(load(data_dir=tmp_path_factory.mktemp("stack") / "data", **FREE_PORTS))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
        stack.folder.wipe()


class Application:
    """The application's processes on the `stack`: poller, two workers, generators, dashboard."""

    def __init__(self, stack: Stack) -> None:
        rates = {"pageview_rate": 150.0, "sale_rate": 100.0, "user_rate": 50.0, "dashboard_port": free_port()}
        self.stack = stack
        self.settings: Settings = stack.settings.model_copy(update=rates)
        self.url = dashboard_url(self.settings)

    def start(self) -> None:
        """Provision and start everything, with three hours of the past; returns when the dashboard shows data."""
        asyncio.run(provision(self.settings, tell=lambda _: None))
        self.stack.add(programs(self.settings, workers=2, history=3.0))
        deadline = time.monotonic() + 90
        while not self._live():
            assert time.monotonic() < deadline, f"no data in the dashboard: {self.stack.status()}"
            time.sleep(0.5)

    def _live(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def pid(self, name: str) -> int:
        """The pid of one of its processes."""
        (part,) = (part for part in self.stack.status() if part.name == name)
        return part.pid

    def verified(self, *, resume: bool = True) -> Report:
        """Stop the sources, let the rest catch up, verify, and let the sources go on unless told otherwise."""
        self.stack.stop("generator")
        time.sleep(3)
        self.stack.stop("poller")
        try:
            return asyncio.run(verify(self.settings, timeout_s=90))
        finally:
            if resume:
                self.stack.start("poller", "generator")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def application(stack: Stack) -> Application:
    """The whole application, running on the stack and stopped with it."""
    application = Application(stack)
    application.start()
    return application
