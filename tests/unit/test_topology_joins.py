"""Aggregations over rows that are joined with a reference table as they are folded."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from pipeline import topics
from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import Schemas
from pipeline.agents.references import ReferenceLoader
from pipeline.codecs import Encoder
from pipeline.composition import reference_table
from pipeline.errors import SettingError
from pipeline.records import RecordBatch
from pipeline.runner.local import LocalApplication, topology_application
from pipeline.settings import Settings, load
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.functions import Count
from pipeline.tables.windows import Tumbling
from pipeline.topics import Kind, Topic
from pipeline.topology import Aggregation, TableJoin, Topology
from pipeline.transport.app import BatchApp
from pipeline.transport.references import References

VIEWS = Topic("views", Kind.EVENT, key="userid", schema="pageview")
COUNT = Aggregate("per_group", "page_group", Count("n"), "VIEWS_PER_GROUP", Tumbling(1_000))
TOPOLOGY = Topology("joined", Aggregation(VIEWS, COUNT, joins=[TableJoin("pageid", topics.PAGES, ("page_group",))]))


def build(settings: Settings, app: BatchApp, registry: Schemas, encoders: Mapping[str, Encoder]) -> None:
    pages = reference_table(app, topics.PAGES)
    loader = ReferenceLoader([topics.PAGES], registry, DeadLetters(encoders[topics.DEAD_LETTERS.name]), app.outbox)
    app.references = References({topics.PAGES.name: pages}, 1, loader, app.changelog_reader, 0)
    TOPOLOGY.compose(settings, app, registry, encoders)


@pytest.fixture
async def application() -> AsyncIterator[LocalApplication]:
    async with LocalApplication(load(), [*TOPOLOGY.topics(), topics.PAGES], build).running() as running:
        await page(running, "Page_10", "G")
        yield running


async def page(app: LocalApplication, page_id: str, group: str) -> None:
    row = {"page_id": page_id, "page_group": group, "page_name": "N"}
    await app.feed(topics.PAGES.name, page_id.encode(), app.encode(topics.PAGES.name, row), 0)


async def view(app: LocalApplication, pageid: str, time_ms: int) -> None:
    await app.feed("views", b"u", app.encode("views", {"viewtime": 1, "userid": "u", "pageid": pageid}), time_ms)


async def counts(app: LocalApplication) -> list[tuple[str, int, int]]:
    rows = [row for _, row in await app.rows("VIEWS_PER_GROUP") if row is not None]
    return [(row["page_group"], row["window_start_ms"], row["n"]) for row in rows]


async def test_a_row_counts_in_the_group_that_the_table_has_for_it_when_it_is_processed(
    application: LocalApplication,
) -> None:
    await view(application, "Page_10", 5)
    await page(application, "Page_10", "H")
    await view(application, "Page_10", 1_005)
    await view(application, "Page_11", 1_006)  # no such page: a group of null counts nowhere
    assert await counts(application) == [("G", 0, 1), ("H", 1_000, 1)]


async def test_a_batch_that_is_folded_at_once_is_joined_alike(application: LocalApplication) -> None:
    await page(application, "Page_11", "H")
    pages = ["Page_10", "Page_11", "Page_12"] * 10
    values = [application.encode("views", {"viewtime": 1, "userid": "u", "pageid": p}) for p in pages]
    batch = RecordBatch("views", 0, range(30), range(30), [b"u"] * 30, values)
    await application.feed_batch(batch)
    assert await counts(application) == [("G", 0, 10), ("H", 0, 10)]


def test_a_join_needs_an_application_that_follows_the_table() -> None:
    async def run() -> None:
        async with topology_application(load(), TOPOLOGY).running():
            pass

    with pytest.raises(SettingError, match="join with MysqlSource-pages needs an application that follows"):
        asyncio.run(run())


def test_a_topic_has_one_agent_since_offsets_are_committed_for_all_of_it() -> None:
    async def run() -> None:
        count = Aggregate("per_page", "pageid", Count("n"), "VIEWS_PER_PAGE", Tumbling(1_000))
        parts = (Aggregation(VIEWS, count, name="one"), Aggregation(VIEWS, count, name="two"))
        async with topology_application(load(), Topology("twice", *parts)).running():
            pass

    with pytest.raises(SettingError, match="topic views has two agents: put all its aggregates in one Aggregation"):
        asyncio.run(run())
