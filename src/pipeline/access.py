"""Who may do what: the rights of each kind of process on Kafka, as small as its work needs.

The table in docs/security.md is made from RIGHTS; `pipeline provision --access` gives them. A process may go by any
user name that has the rights; the local secured stack uses `pipeline-<process>`.
"""

from collections.abc import Iterable

from pipeline import topics
from pipeline.kafka_access import CLUSTER_NAME, Operation, Pattern, Resource, Right
from pipeline.settings import Settings
from pipeline.topics import Topic

PROCESSES = ("provision", "worker", "poller", "generator", "dashboard", "verify", "pinot")


STATE = ("users", "pageview_partials", "pageview_totals", "flashsale_partials", "flashsale_totals")
"""The workers' tables; each is kept in a topic `<app_id>-<table>-changelog`, which they make themselves."""


def user_of(process: str) -> str:
    """The user name that a kind of process has in the local secured stack."""
    return f"pipeline-{process}"


def rights(settings: Settings) -> dict[str, tuple[Right, ...]]:
    """{process: its rights}; topics of state and transactional ids begin with the application's id.

    READ and WRITE include DESCRIBE, ALTER_CONFIGS includes DESCRIBE_CONFIGS: nothing is listed that another line gives.
    """
    app = settings.app_id
    poller_writes = (topics.FLASH_SALES, *topics.REFERENCES, topics.POLLER_POSITION, topics.DEAD_LETTERS)
    workers_own = (topics.PAGEVIEW_BY_USER, topics.PAGEVIEW_PARTIALS, topics.FLASHSALE_PARTIALS)
    state = tuple(f"{app}-{table}-changelog" for table in STATE)
    return {
        "provision": (*_on(topics.ALL, Operation.CREATE, Operation.DESCRIBE, Operation.ALTER_CONFIGS),),
        "worker": (
            *_on((*topics.EVENTS, *topics.REFERENCES, *topics.ENRICHED, *workers_own), Operation.READ),
            *_on((*topics.ENRICHED, *topics.OUTPUTS, *workers_own), Operation.WRITE),
            *_on((topics.PAGEVIEW_BY_USER,), Operation.DELETE),
            *_on((topics.DEAD_LETTERS, topics.LATE_RECORDS), Operation.WRITE),
            *_on((topics.POLLER_POSITION,), Operation.DESCRIBE),
            *_named(state, Operation.CREATE, Operation.READ, Operation.WRITE),
            Right(Operation.READ, Resource.GROUP, app),
            Right(Operation.WRITE, Resource.TRANSACTIONAL_ID, f"{app}-worker-", Pattern.PREFIXED),
        ),
        "poller": (
            *_on(poller_writes, Operation.WRITE),
            *_on((topics.FLASH_SALES, topics.POLLER_POSITION), Operation.READ),
            Right(Operation.WRITE, Resource.TRANSACTIONAL_ID, f"{app}-poller"),
        ),
        "generator": _on((topics.PAGEVIEW, topics.USERS), Operation.WRITE),
        "dashboard": (
            *_on(topics.ALL, Operation.READ),
            Right(Operation.DESCRIBE, Resource.GROUP, app),
            *_named(state, Operation.DESCRIBE),
            Right(Operation.DESCRIBE, Resource.CLUSTER, CLUSTER_NAME),
        ),
        "verify": (
            *_on(topics.ALL, Operation.READ),
            Right(Operation.DESCRIBE, Resource.GROUP, app),
        ),
        "pinot": _on((*topics.ENRICHED, *topics.OUTPUTS), Operation.READ),
    }


def _on(names: Iterable[Topic], *operations: Operation) -> tuple[Right, ...]:
    return _named((topic.name for topic in names), *operations)


def _named(names: Iterable[str], *operations: Operation) -> tuple[Right, ...]:
    return tuple(Right(operation, Resource.TOPIC, name) for name in names for operation in operations)
