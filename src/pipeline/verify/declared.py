"""An application that is declared, as it is verified: all of it follows from the plan."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.applications.loading import beside
from pipeline.codecs import fields
from pipeline.declare.application import Application, aggregated
from pipeline.declare.relations import Statement
from pipeline.declare.statements import AggregateStatement, StreamStatement
from pipeline.plan.nodes import Node
from pipeline.plan.plan import Plan
from pipeline.tables.several import Several
from pipeline.tables.windows import Session
from pipeline.topics import Topic
from pipeline.verify.subject import Checked, Source, Subject

RISING = {"Count", "CountValues", "CountDistinct", "Max"}
"""Functions whose results only rise while rows are added."""


def oracle_of(path: Path) -> Path:
    """Where the oracle of an application lies: in its folder, or beside its one module."""
    return beside(path, "oracle.sql")


def declared(application: Application, oracle: Path) -> Subject:
    """An application that is declared."""
    plan = Plan(application)
    written = {output.name for output in application.outputs}
    kept = {table.topic.name: table for table in application.tables}
    sources: dict[str, Source] = {}
    for root in plan.roots.values():
        if not root.is_internal:
            is_table = root.table is not None
            sources[root.topic.name] = Source(root.topic, is_table, root.topic.name in written)
    for name, table in kept.items():
        sources[name] = Source(table.topic, True, name in written, table.everywhere)
    after = _after(plan)
    writers = Counter(statement.output.name for statement in application.statements)
    in_pinot = {statement.output.name for statement in application.in_pinot}
    outputs = {}
    for statement in application.statements:
        if not statement.is_written:
            continue
        name = statement.output.name
        checked = _checked(statement, _made_of(after, name) & sources.keys(), writers[name])
        outputs[name] = replace(checked, in_pinot=name in in_pinot)
    return Subject(
        application.name,
        oracle,
        tuple(sources.values()),
        _stages(plan, after),
        tuple(outputs.values()),
        {
            statement.output.name: statement.aggregate.window
            for statement in aggregated(application.statements)
            if statement.is_windowed and statement.is_written
        },
    )


def _checked(statement: Statement, made_of: frozenset[str], writers: int) -> Checked:
    if isinstance(statement, AggregateStatement):
        aggregate = statement.aggregate
        function = aggregate.function
        functions = function.functions if isinstance(function, Several) else (function,)
        rising = {name for one in functions if type(one).__name__ in RISING for name in one.columns(one.zero())}
        bounds = {"event_time_ms", "window_end", "window_end_ms"}
        return Checked(
            statement.output,
            made_of,
            statement.keys or ("_key",),
            is_windowed=statement.is_windowed,
            is_session=isinstance(aggregate.window, Session),
            gap_ms=aggregate.window.gap_ms if isinstance(aggregate.window, Session) else 0,
            of_all=not statement.keys,
            rising=frozenset(rising | bounds),
        )
    output = statement.output
    if isinstance(statement, StreamStatement):
        # of several writers' rows, two may come from the same place
        known = None if writers > 1 else statement.origin
        return Checked(output, made_of) if known is None else Checked(output, made_of, known, keeps_first=True)
    assert output.schema is not None
    return Checked(output, made_of, (output.key if output.key in fields(output.schema) else "_key",))


def _after(plan: Plan) -> dict[str, set[str]]:
    """{topic that the group reads: topics that its rows come into}, by their names."""
    after: defaultdict[str, set[str]] = defaultdict(set)
    for root in plan.roots.values():
        after[root.topic.name] |= {made.name for made in _written(plan, root.node)}
    for _, _, state, statements in plan.folds():
        after[plan.partials(state).name] |= {statement.output.name for statement in statements}
    return dict(after)


def _made_of(after: Mapping[str, set[str]], name: str) -> frozenset[str]:
    """The topics from which rows come into one, over however many others."""
    found: set[str] = set()
    todo = {name}
    while todo:
        todo = {topic for topic, made in after.items() if made & todo} - found
        found |= todo
    return frozenset(found)


def _stages(plan: Plan, after: Mapping[str, set[str]]) -> tuple[tuple[Topic, ...], ...]:
    """The topics that the group reads: each after all those from which its records come."""
    known = {made.name: made for root in plan.roots.values() for made in _written(plan, root.node)}
    known |= {root.topic.name: root.topic for root in plan.roots.values()}
    known |= {table.topic.name: table.topic for table in plan.as_of_tables}
    depths: dict[str, int] = {}

    def deepen(name: str, depth: int) -> None:
        if depth > depths.get(name, -1):
            depths[name] = depth
            for following in after.get(name, ()):
                deepen(following, depth + 1)

    read = {*plan.roots, *(table.topic.name for table in plan.as_of_tables)}
    read |= {plan.partials(state).name for _, _, state, _ in plan.folds()}
    for name in known:
        deepen(name, 0)
    by_depth: defaultdict[int, list[Topic]] = defaultdict(list)
    for name in sorted(read):
        by_depth[depths[name]].append(known[name])
    return tuple(tuple(by_depth[depth]) for depth in sorted(by_depth))


def _written(plan: Plan, node: Node) -> Iterable[Topic]:
    """The topics into which rows go that come to a node: straight, or by joins that they are the right side of."""
    yield from (statement.output for statement in node.writes)
    yield from (statement.output for statement in node.keeps)
    for state in node.folds:
        yield plan.partials(state)
    for branch in (*node.branches, *node.feeds):
        if branch.topic is not None:
            yield branch.topic
        else:
            yield from _written(plan, branch.node)
