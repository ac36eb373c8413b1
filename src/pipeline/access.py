"""Who may do what: the rights of each kind of process on Kafka, as small as its work needs.

The table in docs/security.md is made from `rights`; `pipeline provision --access` gives them. A process may go by any
user name that has the rights; the local secured stack uses `pipeline-<process>`.
"""

from collections.abc import Iterable

from pipeline import topics
from pipeline.applications.loading import Runnable, runnable
from pipeline.kafka_access import CLUSTER_NAME, Operation, Pattern, Resource, Right
from pipeline.plan.plan import Plan
from pipeline.settings import FLASH_SALES, Settings
from pipeline.topics import Topic

PROCESSES = ("provision", "worker", "poller", "generator", "dashboard", "verify", "pinot")


def user_of(process: str) -> str:
    """The user name that a kind of process has in the local secured stack."""
    return f"pipeline-{process}"


def rights(settings: Settings) -> dict[str, tuple[Right, ...]]:
    """{process: its rights} of the application that is set; a process that it has not is not there.

    Topics of state and transactional ids begin with the application's id. READ and WRITE include DESCRIBE,
    ALTER_CONFIGS includes DESCRIBE_CONFIGS: nothing is listed that another line gives. Raises SettingError when there
    is no such application.
    """
    found = runnable(settings)
    if settings.app != FLASH_SALES and found.plan is not None:
        return rights_of(found, found.plan, settings.app_id)
    return _flash_sales(settings.app_id, found.changelogs(settings.app_id))


def rights_of(found: Runnable, plan: Plan, app: str) -> dict[str, tuple[Right, ...]]:
    """The rights of the processes of an application that is declared, from its plan."""
    own = [root.topic for root in plan.roots.values() if root.is_internal]
    partials = [plan.partials(state) for _, _, state, _ in plan.folds()]
    reads = _once(
        (*(root.topic for root in plan.roots.values()), *(t.topic for t in plan.application.tables), *partials)
    )
    writes = _once((*plan.application.outputs, *own, *partials, topics.DEAD_LETTERS, topics.LATE_RECORDS))
    data = _once(made.topic for made in plan.application.data)
    state = found.changelogs(app)
    return {
        "provision": _on(found.topics, Operation.CREATE, Operation.DESCRIBE, Operation.ALTER_CONFIGS),
        "worker": (
            *_on(reads, Operation.READ),
            *_on(writes, Operation.WRITE),
            *_on(own, Operation.DELETE),  # what has been read of them is deleted by the workers
            *_named(state, Operation.CREATE, Operation.READ, Operation.WRITE),
            Right(Operation.READ, Resource.GROUP, app),
            Right(Operation.WRITE, Resource.TRANSACTIONAL_ID, f"{app}-worker-", Pattern.PREFIXED),
        ),
        **({"generator": _on(data, Operation.WRITE)} if found.has_data else {}),
        "dashboard": _looking_on(found.topics, app, state),
        "verify": (*_on(found.topics, Operation.READ), Right(Operation.DESCRIBE, Resource.GROUP, app)),
    }


def _looking_on(of: Iterable[Topic], app: str, state: Iterable[str]) -> tuple[Right, ...]:
    return (
        *_on(of, Operation.READ),
        Right(Operation.DESCRIBE, Resource.GROUP, app),
        *_named(state, Operation.DESCRIBE),
        Right(Operation.DESCRIBE, Resource.CLUSTER, CLUSTER_NAME),
    )


def _flash_sales(app: str, state: tuple[str, ...]) -> dict[str, tuple[Right, ...]]:
    poller_writes = (topics.FLASH_SALES, *topics.REFERENCES, topics.POLLER_POSITION, topics.DEAD_LETTERS)
    workers_own = (topics.PAGEVIEW_BY_USER, topics.PAGEVIEW_PARTIALS, topics.FLASHSALE_PARTIALS)
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
        "dashboard": _looking_on(topics.ALL, app, state),
        "verify": (
            *_on(topics.ALL, Operation.READ),
            Right(Operation.DESCRIBE, Resource.GROUP, app),
        ),
        "pinot": _on((*topics.ENRICHED, *topics.OUTPUTS), Operation.READ),
    }


def _once(of: Iterable[Topic]) -> tuple[Topic, ...]:
    return tuple({topic.name: topic for topic in of}.values())


def _on(names: Iterable[Topic], *operations: Operation) -> tuple[Right, ...]:
    return _named((topic.name for topic in names), *operations)


def _named(names: Iterable[str], *operations: Operation) -> tuple[Right, ...]:
    return tuple(Right(operation, Resource.TOPIC, name) for name in names for operation in operations)
