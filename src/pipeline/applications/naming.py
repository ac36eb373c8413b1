"""What else follows from a plan: the topics that others write, and the names of what workers keep."""

from collections.abc import Iterable

from pipeline.declare.steps import TableTableJoin, WindowJoin
from pipeline.plan.plan import Plan
from pipeline.topics import Topic


def followed(plan: Plan) -> tuple[Topic, ...]:
    """Topics that others write and the workers' group reads partition by partition, so that it has a position there."""
    application = plan.application
    found = {topic.name: topic for topic in application.sources}
    return tuple((found | {table.topic.name: table.topic for table in plan.as_of_tables}).values())


def states(plan: Plan) -> tuple[str, ...]:
    """The workers' tables of state, as the composition names them; each has a topic `<app_id>-<table>-changelog`."""
    return tuple(dict.fromkeys(_states(plan)))


def _states(plan: Plan) -> Iterable[str]:
    for table in plan.as_of_tables:
        yield plan.versions(table)
    for root in plan.roots.values():
        for node in root.node.tree():
            for branch in node.branches:
                if isinstance(branch.step, WindowJoin | TableTableJoin):
                    yield plan.join_state(branch.step)
            yield from (plan.shown(kept) for kept in node.keeps if kept.filters)
    for _, step in plan.foreign_joins():
        yield f"{step.name}_subscriptions"
        yield f"{step.name}_subscribers"
    for _, _, state, _ in plan.folds():
        yield f"{state}_partials"
        yield f"{state}_totals"
