"""The flash-sales application in a Faust app: its joins, its reference tables, its aggregations."""

from collections.abc import Mapping

from pipeline import topics
from pipeline.agents.attach import attach
from pipeline.agents.flash_sales import SaleEnricher
from pipeline.agents.letters import DeadLetters
from pipeline.agents.pageviews import PageviewEnricher, PageviewJoin, RekeyedPageviewEnricher
from pipeline.agents.processor import Processor, Schemas
from pipeline.agents.references import ReferenceLoader
from pipeline.agents.users import UserTable, UserVersions
from pipeline.applications.flash_sales.aggregations import aggregations
from pipeline.composition import reference_table
from pipeline.formats import ValueEncoder
from pipeline.settings import Settings
from pipeline.tables.store import ReferenceTable
from pipeline.topology import Topology
from pipeline.transport.app import BatchApp
from pipeline.transport.references import References


def compose(settings: Settings, app: BatchApp, registry: Schemas, encoders: Mapping[str, ValueEncoder]) -> None:
    """Attach the application's agents, tables and reference tables to a Faust app that has its outbox."""
    letters = DeadLetters(encoders[topics.DEAD_LETTERS.name])
    references = {topic.name: reference_table(app, topic) for topic in topics.REFERENCES}
    loader = ReferenceLoader(topics.REFERENCES, registry, letters, app.outbox)
    app.references = References(
        references, settings.partitions, loader, app.changelog_reader, settings.reference_wait_s
    )
    for name, processor in processors(settings, app, registry, letters, encoders, references).items():
        attach(app, processor, name, letters)
    Topology("flash_sales", *aggregations(settings)).compose(settings, app, registry, encoders)


def processors(
    settings: Settings,
    app: BatchApp,
    registry: Schemas,
    letters: DeadLetters,
    encoders: Mapping[str, ValueEncoder],
    references: Mapping[str, ReferenceTable],
) -> dict[str, Processor]:
    """The joins of the application by their agents' names."""
    pages, products, regions = (references[t.name].rows() for t in (topics.PAGES, topics.PRODUCT, topics.REGION))
    users = UserVersions(app.state_table("users", topics.USERS, settings.partitions), settings.join_history_ms)
    app.state_listeners.append(users.reset)
    app.tables_of_streams = dict.fromkeys((topics.PAGEVIEW.name, topics.PAGEVIEW_BY_USER.name), (topics.USERS.name,))
    join = PageviewJoin(users, pages, regions, encoders[topics.EXTENDED_PAGEVIEWS.name])
    made: dict[str, Processor] = {
        "users": UserTable(registry, letters, encoders[topics.USER_TRANSFORMED.name], users),
        "pageviews": PageviewEnricher(registry, letters, join, settings.partitions),
        "pageviews_by_userid": RekeyedPageviewEnricher(registry, letters, join),
        "flash_sales": SaleEnricher(registry, letters, products, regions, encoders[topics.EXTENDED_FLASHSALES.name]),
    }
    return made
