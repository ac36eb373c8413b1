"""A plan as text and as a drawing."""

from collections.abc import Callable, Iterator

from pipeline.declare.joins import ForeignKeyJoin, WindowJoin
from pipeline.declare.statements import AggregateStatement, StreamStatement
from pipeline.plan.kept import kept
from pipeline.plan.nodes import Node, Root
from pipeline.plan.plan import Plan
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.windows import Hopping, Session, Tumbling, Unwindowed, Window

Box = Callable[[str], str]
"""The drawing's name of a topic."""


def explained(plan: Plan) -> str:
    """Every topic that is read, with its tree of steps; then the topics and states that are the application's own."""
    lines = [f"application {plan.application.name}"]
    for root in plan.roots.values():
        lines += ["", f"topic {root.topic.name}{_how(root)}: key {root.topic.key}"]
        lines += [*(f"  {one}" for one in (root.table.required if root.table else ())), *_node(plan, root.node, "  ")]
    for table in plan.application.tables:
        how = "held whole by every worker" if table.everywhere else "its versions are kept partition by partition"
        of = "" if table.kept is None else f", of which {', '.join(table.kept)}"
        lines += ["", f"table {table.topic.name}{of}: key {table.topic.key}, {how}"]
    if states := kept(plan):
        lines += ["", "states", *(f"  {name}: {what}" for name, what in states.items())]
    lines += ["", "topics", *(f"  {topic.name} ({topic.kind})" for topic in plan.topics())]
    return "\n".join(lines)


def _how(root: Root) -> str:
    if root.is_internal:
        return " (the application's own, rows keyed anew)"
    return " (written by this application)" if root.written_here else ""


def _node(plan: Plan, node: Node, indent: str) -> Iterator[str]:
    for written in node.writes:
        yield f"{indent}INTO {written.output.name}{_key(written)}"
    for one in node.keeps:
        yield f"{indent}INTO {one.output.name}"
    for state, statements in node.folds.items():
        for statement in statements:
            into = "INTO" if statement.is_written else "KEPT AS"
            where = f"fold here, merge in {plan.partials(state).name}"
            yield f"{indent}{_aggregate(statement)} {into} {statement.output.name} ({where})"
    for feed in node.feeds:
        yield f"{indent}right side of: {feed.step}"
    for branch in node.branches:
        yield f"{indent}{branch.step}"
        if isinstance(branch.step, ForeignKeyJoin):
            asked, answered = plan.subscriptions(branch.step).name, plan.answers(branch.step).name
            yield f"{indent}  asks in topic {asked}, goes on with the answers in topic {answered}"
        if branch.topic is None:
            yield from _node(plan, branch.node, indent + "  ")
        else:
            home = "" if branch.node.keeps_state() else ", rows that lie there already at once"
            yield f"{indent}  goes on in topic {branch.topic.name}{home}"


def _key(statement: StreamStatement) -> str:
    return "" if statement.key is None else f" KEYED BY {statement.key[0].text}"


def _aggregate(statement: AggregateStatement) -> str:
    aggregate = statement.aggregate
    groups = aggregate.group_by if isinstance(aggregate.group_by, str) else ", ".join(aggregate.group_by)
    having = "" if statement.having is None else f" HAVING {statement.having.text}"
    final = " EMIT FINAL" if aggregate.final else ""
    return f"GROUP BY {groups}{window_text(aggregate.window)}{slices_text(aggregate)}{having}{final}"


def slices_text(aggregate: Aggregate) -> str:
    """How windows are kept, where not each by itself."""
    if not (aggregate.sliced and isinstance(aggregate.window, Hopping)):
        return ""
    return f" KEPT IN SLICES ({aggregate.window.slices} OF {aggregate.window.advance_ms} ms)"


def window_text(window: Window) -> str:
    """A window as ksqlDB writes it."""
    match window:
        case Unwindowed():
            return ""
        case Tumbling():
            return f" WINDOW TUMBLING (SIZE {window.size_ms} ms, GRACE PERIOD {window.grace_ms} ms)"
        case Hopping():
            return (
                f" WINDOW HOPPING (SIZE {window.size_ms} ms, ADVANCE BY {window.advance_ms} ms, "
                f"GRACE PERIOD {window.grace_ms} ms)"
            )
        case Session():
            return f" WINDOW SESSION ({window.gap_ms} ms, GRACE PERIOD {window.grace_ms} ms)"


def drawn(plan: Plan) -> str:
    """Topics as boxes, steps as arrows, in Mermaid's language."""
    ids: dict[str, str] = {}

    def box(name: str) -> str:
        return ids.setdefault(name, f"n{len(ids)}")

    edges: list[str] = []
    for root in plan.roots.values():
        _edges(plan, root.topic.name, root.node, [], box, edges)
    for table in plan.application.tables:
        for name, root in plan.roots.items():
            if any(getattr(b.step, "table", None) is table for n in root.node.tree() for b in n.branches):
                edges.append(f"  {box(table.topic.name)} -. joined .-> {box(name)}")
    boxes = [f'  {number}["{name}"]' for name, number in ids.items()]
    return "\n".join(["flowchart LR", *boxes, *edges])


def _edges(plan: Plan, source: str, node: Node, steps: list[str], box: Box, edges: list[str]) -> None:
    def edge(target: str, *more: str) -> None:
        text = "<br/>".join([*steps, *more]).replace('"', "'")
        edges.append(f'  {box(source)} -- "{text or "as it is"}" --> {box(target)}')

    for output in (*(one.output for one in node.writes), *(one.output for one in node.keeps)):
        edge(output.name)
    for statements in node.folds.values():
        for statement in statements:
            edge(statement.output.name, _aggregate(statement))
    for feed in node.feeds:
        if isinstance(feed.step, ForeignKeyJoin):
            edge(plan.answers(feed.step).name, f"right side of {feed.step.name}")
        else:
            edge(f"join {feed.step.name}" if isinstance(feed.step, WindowJoin) else "join")
    for branch in node.branches:
        if branch.topic is not None:
            edge(branch.topic.name, str(branch.step))
        elif isinstance(branch.step, WindowJoin):
            edge(f"join {branch.step.name}", str(branch.step))
            _edges(plan, f"join {branch.step.name}", branch.node, [], box, edges)
        elif isinstance(branch.step, ForeignKeyJoin):
            asked, answered = plan.subscriptions(branch.step).name, plan.answers(branch.step).name
            edge(asked, str(branch.step))
            edges.append(f'  {box(asked)} -- "{branch.step.right.name}" --> {box(answered)}')
            _edges(plan, answered, branch.node, [], box, edges)
        else:
            _edges(plan, source, branch.node, [*steps, str(branch.step)], box, edges)
