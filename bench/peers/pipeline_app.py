"""A workload as an application of this project: what a user would write for it. `pipeline worker --app` runs it."""

from bench.peers.configuration import Configuration, configuration
from bench.topics import ENRICHED_SCHEMA, counts_topic, enriched_topic
from pipeline import Application, Count, Hopping, Session, Stream, Table, Tumbling, c
from pipeline.plan.plan import Plan
from pipeline.settings import Settings
from pipeline.tables.windows import Window
from pipeline.topics import PAGES, Topic

NAME = "bench.peers.pipeline_app"


def window(config: Configuration) -> Window:
    """The window of a workload."""
    if config.kind == "session":
        return Session(config.gap_ms, config.grace_ms)
    if config.kind == "hopping":
        return Hopping(config.size_ms, config.advance_ms, config.grace_ms)
    return Tumbling(config.size_ms, grace_ms=config.grace_ms)


def declared(config: Configuration) -> Application:
    """Views with their pages, counted by page group, or each of them."""
    views = Stream(config.input, "pageview", key="userid")
    joined = views.join("page", Table(PAGES.name, "page", key="page_id", everywhere=True), on=c.pageid)
    if config.kind != "enrichment":
        counted = joined.window(window(config)).group_by(page_group=c.page.page_group)
        return Application(
            config.app_id, counted.aggregate(total_pageview=Count()).to(counts_topic(config.app_id).name)
        )
    rows = joined.select(
        c.viewtime,
        c.userid,
        c.pageid,
        page_group=c.page.page_group,
        page_name=c.page.page_name,
        event_time_ms=c.ROWTIME,
        origin_partition=c.ROWPARTITION,
        origin_offset=c.ROWOFFSET,
    )
    output = rows.to(enriched_topic(config.app_id).name, schema=ENRICHED_SCHEMA, time="event_time_ms")
    return Application(config.app_id, output)


def needed_topics(config: Configuration) -> tuple[Topic, ...]:
    """Every topic that has to be there before the worker starts, the input and the pages among them."""
    return Plan(declared(config)).topics()


def APPLICATION(settings: Settings) -> Application:
    """The workload that the environment says."""
    return declared(configuration())
