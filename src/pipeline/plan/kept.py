"""What workers keep for a plan: every table of state by its name, which `explain` prints and rights are given for."""

from collections.abc import Iterator

from pipeline.declare.joins import TableTableJoin, WindowJoin
from pipeline.declare.steps import Distinct
from pipeline.names import check_names
from pipeline.plan.plan import Plan


def kept(plan: Plan) -> dict[str, str]:
    """{name of a table: what it holds}; each has a topic `<app_id>-<name>-changelog`.

    Raises SettingError when two have one name.
    """
    found = list(_kept(plan))
    check_names(str(plan.application), "state", (name for name, _ in found))
    return dict(found)


def _kept(plan: Plan) -> Iterator[tuple[str, str]]:
    for root, _, state, _ in plan.folds():
        yield plan.folded(state), f"what is folded, by partition of {root.topic.name}"
        yield plan.merged(state), f"what is merged, by partition of {plan.partials(state).name}"
    for table in plan.as_of_tables:
        yield plan.versions(table), f"versions of the rows of {table.topic.name}"
    for root in plan.roots.values():
        for node in root.node.tree():
            for step in (branch.step for branch in node.branches):
                if isinstance(step, Distinct):
                    yield plan.known(step), f"which rows went on, by partition of {root.topic.name}"
                if isinstance(step, WindowJoin | TableTableJoin):
                    both = "streams" if isinstance(step, WindowJoin) else "tables"
                    yield plan.join_state(step), f"rows of both {both}, by partition of {root.topic.name}"
            for one in (one for one in node.keeps if one.filters):
                yield plan.shown(one), f"which rows of {one.output.name} are there, by partition of {root.topic.name}"
    for root, join in plan.foreign_joins():
        yield plan.asking(join), f"left rows and what they name, by partition of {root.topic.name}"
        yield plan.asked(join), f"right rows and who names them, by partition of {join.right.name}"
