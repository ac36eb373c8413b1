"""Every application that comes with the project, beside flash sales on the cluster that tests share: from nothing to a
page, right after a kill, and with a user who is retired everywhere.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pages import Page, chromium, until
from sqlalchemy import text

from pipeline.applications.loading import names
from pipeline.demo_page import answers, dashboard_url
from pipeline.processes import GENERATOR, POLLER, programs
from pipeline.provision import provision
from pipeline.serving.pinot import client
from pipeline.settings import FLASH_SALES, Settings
from pipeline.sources.database import engine
from pipeline.stack.cluster import Stack
from pipeline.verify.run import verify
from running import Application, free_port

ROOMS = [name for name in names(Path(__file__).parent / "nowhere") if name != FLASH_SALES]
STARTED_S, SEEN_S = 120.0, 60.0
pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Room:
    """An application that runs; the names of its processes begin with `prefix`."""

    settings: Settings
    stack: Stack
    prefix: str

    @property
    def url(self) -> str:
        """Its page."""
        return dashboard_url(self.settings)

    def pid(self, process: str) -> int:
        """The pid of one of its processes."""
        (part,) = (part for part in self.stack.status() if part.name == f"{self.prefix}{process}")
        return part.pid

    async def sql(self, statement: str) -> None:
        """Run a statement in its database."""
        database = engine(self.settings)
        try:
            async with database.begin() as connection:
                await connection.execute(text(statement))
        finally:
            await database.dispose()

    def asked(self, query: str) -> list[dict[str, object]]:
        """What Pinot answers."""
        return client(self.settings).query(query)


@pytest.fixture(scope="module", params=ROOMS)
def room(application: Application, request: pytest.FixtureRequest) -> Iterator[Room]:
    """The application with one worker, from `provision` until its page answers."""
    name = str(request.param)
    stack, prefix = application.stack, f"{name}-"
    settings = stack.settings.replaced(app=name, app_id=name, dashboard_port=free_port(), worker_web_port=0)
    asyncio.run(provision(settings, tell=lambda _: None))
    made = programs(settings, 1, prefix=prefix)
    stack.add(made)
    deadline = time.monotonic() + STARTED_S
    while not answers(settings):
        assert time.monotonic() < deadline, f"no data on the page: {stack.status()}"
        time.sleep(0.5)
    yield Room(settings, stack, prefix)
    stack.stop(*(program.name for program in made))


@pytest.mark.browser
def test_its_page_shows_data_and_asks_nobody_else(room: Room, tmp_path: Path) -> None:
    driver = chromium(tmp_path)
    try:
        page = Page(driver, room.url)
        until(lambda: page.text("chip-state") == "Live", SEEN_S, "live data")
        assert page.complaints() == []
        assert [address for address in page.requests() if not address.startswith(room.url)] == []
        assert page.violations() == []
    finally:
        driver.quit()


@pytest.mark.parametrize("room", ["user_sessions"], indirect=True)
def test_a_user_who_gets_a_null_is_retired_everywhere(room: Room) -> None:
    room.stack.stop(f"{room.prefix}{GENERATOR}")
    found = "SELECT user_id FROM CLEANED_USERS WHERE user_id = 'who' AND retired = false"
    columns = "(user_id, age, gender, country, subscription, updated_at)"
    now = "UTC_TIMESTAMP(3)"
    asyncio.run(room.sql(f"INSERT INTO users {columns} VALUES ('who', 40, 'other', 'Chile', 'Gold', {now})"))
    until(lambda: len(room.asked(found)) == 1, SEEN_S, "the user is there")
    asyncio.run(room.sql(f"UPDATE users SET country = NULL, updated_at = {now} WHERE user_id = 'who'"))
    until(lambda: not room.asked(found), SEEN_S, "the user is retired")
    asyncio.run(room.sql(f"UPDATE users SET country = 'Peru', updated_at = {now} WHERE user_id = 'who'"))
    until(lambda: len(room.asked(found)) == 1, SEEN_S, "the user is back")
    room.stack.start(f"{room.prefix}{GENERATOR}")


def test_every_number_is_right_after_kills(room: Room) -> None:
    killed = ["worker-1"] + ([POLLER] if any(p.name == f"{room.prefix}{POLLER}" for p in room.stack.status()) else [])
    for process in killed:
        os.kill(room.pid(process), signal.SIGKILL)
    time.sleep(10)
    room.stack.stop(f"{room.prefix}{GENERATOR}")
    time.sleep(3)
    report = asyncio.run(verify(room.settings, timeout_s=120))
    assert report.ok, report
    assert all(output.expected for output in report.outputs.values())
