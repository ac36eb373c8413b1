"""A running flash sales goes on with this version: names and what is kept are, byte for byte, what they were.

The stored file was written by version 0.1 before applications were declared; see pinned.py.
"""

import json
from dataclasses import replace
from typing import Any

import pinned
import pytest

from pipeline import topics
from pipeline.applications.loading import runnable
from pipeline.runner.local import flash_sales_application


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    """Names and changelogs of the version before."""
    found: dict[str, Any] = json.loads(pinned.FILE.read_text())
    return found


async def test_names_and_schemas_are_as_they_were(stored: dict[str, Any]) -> None:
    assert json.loads(json.dumps(pinned.called(pinned.settings()))) == stored["called"]


def test_topics_are_declared_as_everything_else_knows_them() -> None:
    declared = {topic.name: topic for topic in runnable(pinned.settings()).topics}
    assert declared.keys() == {topic.name for topic in topics.ALL}
    for topic in topics.ALL:
        assert replace(declared[topic.name], schema=topic.schema) == topic


async def test_changelogs_are_as_they_were(stored: dict[str, Any]) -> None:
    assert await pinned.kept() == stored["kept"]


async def test_a_stored_changelog_restores_what_is_kept_now(stored: dict[str, Any]) -> None:
    application = flash_sales_application(pinned.settings())
    async with application.running():
        await pinned.fed(application)
        for name, records in stored["kept"].items():
            table = application.app.tables.data[name.removeprefix("pipeline-").removesuffix("-changelog")]
            live = dict(table.rows(0))
            assert live, name
            table.rows(0).clear()
            table.restore(0, [(key.encode(), None if value is None else value.encode()) for key, value in records])
            assert table.rows(0) == {key: json.loads(json.dumps(value)) for key, value in live.items()}
