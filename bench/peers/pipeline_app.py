"""This application's parts, composed for one workload as a user would: a join alone, or an aggregation with a join."""

from collections.abc import Iterable
from functools import partial
from itertools import repeat

from bench.peers.configuration import Configuration, configuration
from bench.topics import LETTERS, counts_topic, enriched_topic
from pipeline import topics
from pipeline.agents.attach import attach
from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import DecodingProcessor, Schemas
from pipeline.agents.references import ReferenceLoader
from pipeline.app import new_app, outbox
from pipeline.codecs import Encoder
from pipeline.composition import reference_table
from pipeline.records import Outgoing, RecordBatch
from pipeline.registry import Registry
from pipeline.settings import Settings, settings
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.functions import Count
from pipeline.tables.lookup import Lookup, looked_up
from pipeline.tables.windows import Hopping, Session, Tumbling, Window
from pipeline.topics import Kind, Topic
from pipeline.topology import Aggregation, TableJoin, Topology
from pipeline.transport.app import BatchApp
from pipeline.transport.references import References


class PageEnricher(DecodingProcessor):
    """Joins views with their page: one row out per view."""

    def __init__(
        self, views: Topic, output: Topic, registry: Schemas, letters: DeadLetters, pages: Lookup, encoder: Encoder
    ) -> None:
        super().__init__(views, registry, letters)
        self._output = output.name
        self._pages = pages
        self._encode = encoder

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """One enriched record per good view, in the view's partition."""
        out: list[Outgoing] = []
        places, views = self.decoded(batch, out)
        pageids = [view["pageid"] for view in views]
        times_ms = [batch.timestamps[place] for place in places]
        columns = {
            **{name: [view[name] for view in views] for name in ("userid", "viewtime")},
            "pageid": pageids,
            "page_group": looked_up(pageids, self._pages, "page_group"),
            "page_name": looked_up(pageids, self._pages, "page_name"),
            "event_time_ms": times_ms,
            "origin_partition": [batch.partition] * len(views),
            "origin_offset": [batch.offsets[place] for place in places],
        }
        values = self._encode.columns(columns, len(views))
        keys = [batch.keys[place] or b"" for place in places]
        return out + list(map(Outgoing, repeat(self._output), keys, values, times_ms, repeat(batch.partition)))


def window(config: Configuration) -> Window:
    """The window of a workload."""
    if config.kind == "session":
        return Session(config.gap_ms, config.grace_ms)
    if config.kind == "hopping":
        return Hopping(config.size_ms, config.advance_ms, config.grace_ms)
    return Tumbling(config.size_ms, grace_ms=config.grace_ms)


def parts(config: Configuration) -> tuple[Topic, Topology | None]:
    """Source, and what is counted; None: only the join."""
    views = Topic(config.input, Kind.EVENT, key="userid", schema="pageview")
    if config.kind == "enrichment":
        return views, None
    count = Aggregate("counts", "page_group", Count("total_pageview"), counts_topic(config.app_id).name, window(config))
    join = TableJoin("pageid", topics.PAGES, ("page_group",))
    return views, Topology("bench", Aggregation(views, count, name=f"{config.app_id}-views", joins=[join]))


def needed_topics(config: Configuration) -> tuple[Topic, ...]:
    """Every topic that has to be there before the worker starts, the input among them where it is counted."""
    _, topology = parts(config)
    return (enriched_topic(config.app_id), *LETTERS) if topology is None else topology.topics()


def create(settings: Settings, config: Configuration) -> BatchApp:
    """The application with its agents, nothing started."""
    views, topology = parts(config)
    app, registry = new_app(settings), Registry(settings)
    app.outbox = outbox(settings)
    schemas = {topic.name: topic for topic in needed_topics(config) if topic.schema is not None}
    encoders = {name: Encoder(topic.schema) for name, topic in schemas.items() if topic.schema is not None}
    app.prepare = partial(prepare, registry, schemas.values(), encoders)
    letters = DeadLetters(encoders[topics.DEAD_LETTERS.name])
    pages = reference_table(app, topics.PAGES)
    loader = ReferenceLoader([topics.PAGES], registry, letters, app.outbox)
    app.references = References(
        {topics.PAGES.name: pages}, settings.partitions, loader, app.changelog_reader, settings.reference_wait_s
    )
    if topology is not None:
        topology.compose(settings, app, registry, encoders)
    else:
        joined = enriched_topic(config.app_id)
        attach(
            app, PageEnricher(views, joined, registry, letters, pages.rows(), encoders[joined.name]), "join", letters
        )
    return app


async def prepare(registry: Registry, wanted: Iterable[Topic], encoders: dict[str, Encoder]) -> None:
    """Register the schemas and give the encoders their ids."""
    wanted = list(wanted)
    ids = await registry.register(wanted)
    for topic in wanted:
        encoders[topic.name].registered(ids[topic.subject])


if __name__ == "__main__":
    create(settings(), configuration()).Worker(loglevel="warning", redirect_stdouts=False).execute_from_commandline()
