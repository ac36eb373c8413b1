"""`--fresh`: of what ran before, nothing is left in any part of the stack."""

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest
from sqlalchemy import text

from pipeline.applications.loading import names, runnable
from pipeline.kafka import admin_client, topic_states
from pipeline.processes import programs
from pipeline.provision import provision
from pipeline.settings import Settings
from pipeline.sources.database import engine
from pipeline.stack.cluster import Stack
from pipeline.status.parts import collect_pinot
from running import free_port, own_stack

pytestmark = pytest.mark.integration

ROOMS = names(Path(__file__).parent / "nowhere")
FILLED_S = 120.0


class Left(NamedTuple):
    """What the parts of a stack know of applications."""

    topics: set[str]
    subjects: set[str]
    databases: set[str]
    pinot: dict[str, int]


async def _left(settings: Settings) -> Left:
    async with admin_client(settings) as admin:
        topics = {name for name in topic_states(await admin.describe_topics()) if not name.startswith("__")}
    subjects = set(httpx.get(f"{settings.registry_url}/subjects", trust_env=False).json())
    database = engine(settings)
    async with database.connect() as connection:
        found = await connection.execute(text("SELECT DISTINCT table_schema FROM information_schema.tables"))
        databases = {name for (name,) in found} - {"information_schema", "mysql", "performance_schema", "sys"}
    await database.dispose()
    pinot = {name: table.rows or 0 for name, table in (await collect_pinot(settings)).items()}
    return Left(topics, subjects, databases, pinot)


def left(stack: Stack) -> Left:
    return asyncio.run(_left(stack.settings))


def settings_of(stack: Stack, room: str) -> Settings:
    return stack.settings.replaced(app=room, app_id=room, dashboard_port=free_port(), worker_web_port=0)


def test_nothing_is_left_after_a_fresh_start(tmp_path: Path) -> None:
    """Every application of the project is filled first, each with its processes; then the stack starts again."""
    with own_stack(tmp_path) as stack:
        in_pinot = set()
        for room in ROOMS:
            settings = settings_of(stack, room)
            asyncio.run(provision(settings, tell=lambda _: None))
            stack.add(programs(settings, 1, prefix=f"{room}-"))
            in_pinot |= {one.output.name for one in runnable(settings).application.in_pinot[:1]}
        deadline = time.monotonic() + FILLED_S
        while not all(left(stack).pinot.get(name) for name in in_pinot):
            assert time.monotonic() < deadline, left(stack)
            time.sleep(1)
        before = left(stack)
        assert len(before.topics) > 20 and len(before.subjects) > 20 and before.databases

        stack.down()
        data = str(stack.folder.path)
        assert [p for p in psutil.process_iter(["cmdline"]) if data in " ".join(p.info["cmdline"] or ())] == []
        stack.up(fresh=True)
        assert left(stack) == Left(set(), set(), set(), {})
        for room in ROOMS:
            asyncio.run(provision(settings_of(stack, room), tell=lambda _: None))
        after = left(stack)
        assert after.topics < before.topics  # workers make their states' topics when they start
        assert (after.subjects, after.databases) == (before.subjects, before.databases)
        assert set(after.pinot) == set(before.pinot)
        assert set(after.pinot.values()) == {0}
