"""Who may do what: the rights of each kind of process on Kafka, as small as its work needs.

The table in docs/security.md is made from `rights`; `pipeline provision --access` gives them. A process may go by any
user name that has the rights; the local secured stack uses `pipeline-<process>`.
"""

from collections.abc import Iterable

from pipeline import topics
from pipeline.applications.loading import runnable
from pipeline.declare.application import Application
from pipeline.kafka_access import CLUSTER_NAME, Operation, Pattern, Resource, Right
from pipeline.settings import Settings
from pipeline.topics import Kind, Topic

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
    found, app = runnable(settings), settings.app_id
    plan, hooks, state = found.plan, found.hooks, found.changelogs(app)
    outputs = plan.application.outputs
    own = [topic for topic in found.kept if topic.kind is Kind.INTERNAL]
    emptied = [root.topic for root in plan.roots.values() if root.is_internal]
    reads = _once((*found.kept, *(table.topic for table in plan.application.tables)))
    writes = _once((*outputs, *own, topics.DEAD_LETTERS, topics.LATE_RECORDS))
    reached = {topic.name for topic in (*reads, *writes)}
    code = (topics.PAGEVIEW, topics.USERS) if hooks.generators else ()
    application = plan.application
    data = _once((*code, *(m.topic for m in application.data if application.carried_into(m.topic) is None)))
    return {
        "provision": _on(found.topics, Operation.CREATE, Operation.DESCRIBE, Operation.ALTER_CONFIGS),
        "worker": (
            *_on(reads, Operation.READ),
            *_on(writes, Operation.WRITE),
            *_on(emptied, Operation.DELETE),  # what has been read of them is deleted by the workers
            *_on((topic for topic in found.topics if topic.name not in reached), Operation.DESCRIBE),
            *_named(state, Operation.CREATE, Operation.READ, Operation.WRITE),
            Right(Operation.READ, Resource.GROUP, app),
            Right(Operation.WRITE, Resource.TRANSACTIONAL_ID, f"{app}-worker-", Pattern.PREFIXED),
        ),
        **({"poller": _of_the_poller(app, application)} if hooks.database else {}),
        **({"generator": _on(data, Operation.WRITE)} if found.has_data else {}),
        "dashboard": (
            *_on(found.topics, Operation.READ, Operation.DESCRIBE_CONFIGS),
            Right(Operation.DESCRIBE, Resource.GROUP, app),
            *_named(state, Operation.READ, Operation.DESCRIBE_CONFIGS),  # its topics page shows what lies in each
            Right(Operation.DESCRIBE, Resource.CLUSTER, CLUSTER_NAME),
        ),
        "verify": (*_on(found.topics, Operation.READ), Right(Operation.DESCRIBE, Resource.GROUP, app)),
        **({"pinot": _on((s.output for s in plan.application.in_pinot), Operation.READ)} if hooks.pinot else {}),
    }


def _of_the_poller(app: str, application: Application) -> tuple[Right, ...]:
    filled, position = (table.topic for table in application.database), application.position
    assert position is not None, "it has a database"
    return (
        *_on((*filled, position, topics.DEAD_LETTERS), Operation.WRITE),
        *_on((*(table.topic for table in application.positioned), position), Operation.READ),
        Right(Operation.WRITE, Resource.TRANSACTIONAL_ID, f"{app}-poller"),
    )


def _once(of: Iterable[Topic]) -> tuple[Topic, ...]:
    return tuple({topic.name: topic for topic in of}.values())


def _on(names: Iterable[Topic], *operations: Operation) -> tuple[Right, ...]:
    return _named((topic.name for topic in names), *operations)


def _named(names: Iterable[str], *operations: Operation) -> tuple[Right, ...]:
    return tuple(Right(operation, Resource.TOPIC, name) for name in names for operation in operations)
