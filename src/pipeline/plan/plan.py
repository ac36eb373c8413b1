"""From an application's declarations to what runs: pure values, which the agents are made of and `explain` prints.

Every topic that is read has one agent, whatever is made of it: its rows are decoded once, and run down a tree of steps
whose branches share what they have in common. A step that needs rows elsewhere ends a branch: another topic's tree
goes on with it.
"""

from collections.abc import Iterable
from dataclasses import replace

from pipeline.columns import columns_of
from pipeline.declare.application import Application
from pipeline.declare.joins import AsOfJoin, ForeignKeyJoin, TableTableJoin, TwoSided, WindowJoin
from pipeline.declare.kinds import Scope
from pipeline.declare.outputs import result_schema
from pipeline.declare.relations import Relation, Statement
from pipeline.declare.statements import AggregateStatement, StreamStatement, TableStatement
from pipeline.declare.steps import PSEUDO, Distinct, Explode, Repartition, Step
from pipeline.declare.tables import BaseTable
from pipeline.errors import SettingError
from pipeline.names import check_names, check_topic_name
from pipeline.plan.nodes import Branch, Node, Root
from pipeline.topics import DEAD_LETTERS, FOREVER, LATE_RECORDS, Kind, Topic


class Plan:
    """The trees of an application's topics, and every topic and table of state that it needs."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.roots: dict[str, Root] = {}
        self._written = {topic.name for topic in application.outputs}
        self._origins: dict[str, tuple[str, str] | None] = {}
        for statement in application.statements:
            self._add(statement)
        for name, origin in self._origins.items():
            if name in self.roots:
                self.roots[name].origin = origin
        self._settle()
        for table in self.as_of_tables:
            if table.topic.name in self.roots:
                self._root_of(table)
        self._check_names()

    def _check_names(self) -> None:
        """Raise SettingError unless Kafka takes the names of its own topics, and each topic and aggregate has its own.

        Two sets of rows that are kept under one name would have one topic of partials, so they are found here, too.
        """
        where = str(self.application)
        for topic in self._own:
            check_topic_name(where, topic.name)
        check_names(where, "topic", (topic.name for topic in (*_by_name(self._others), *self._own)))
        for _, _, state, statements in self.folds():
            check_names(f"{where}, state {state}", "aggregate", (one.aggregate.name for one in statements))

    def _add(self, statement: Statement) -> None:
        node = self._node(statement.stream)
        if isinstance(statement, StreamStatement):
            node.writes.append(statement)
            name = statement.output.name
            self._origins[name] = None if name in self._origins else statement.origin  # of several writers none is one
        elif isinstance(statement, TableStatement):
            node.keeps.append(statement)
        else:
            assert isinstance(statement, AggregateStatement), f"{statement} is no statement of a plan"
            node.folds.setdefault(statement.state, []).append(statement)

    def _node(self, stream: Relation) -> Node:
        """The node of a stream's rows, made where it is not there yet."""
        node = self._root_of(stream).node
        exploded = False
        for step, columns in zip(stream.steps, stream.shapes, strict=True):
            branch = next((known for known in node.branches if known.step is step), None)
            if branch is None:
                branch = self._branch(step, node, columns)
            if branch.topic is not None:
                self.roots[branch.topic.name].is_numbered = exploded
            exploded = exploded or isinstance(step, Explode)
            node = branch.node
        return node

    def _root_of(self, stream: Relation) -> Root:
        table = stream if isinstance(stream, BaseTable) else None
        known = self.roots.get(stream.name)
        if known is not None and (known.table is None) != (table is None):
            raise SettingError(
                f"{self.application}: topic {stream.name} is read as a stream and as a table, but must be one of both"
            )
        root = self._root(stream.topic)
        root.table = root.table or table
        return root

    def _root(self, topic: Topic, columns: Scope | None = None) -> Root:
        if topic.name not in self.roots:
            known = columns if columns is not None else stream_columns(topic)
            internal = columns is not None
            written = internal or topic.name in self._written
            self.roots[topic.name] = Root(topic, Node(known), is_internal=internal, written_here=written)
        return self.roots[topic.name]

    def _branch(self, step: Step, node: Node, columns: Scope) -> Branch:
        if isinstance(step, Repartition):
            key = step.key.text if step.key.is_column else "key"
            topic = Topic(self.application.internal(step.name), Kind.INTERNAL, key=key)
            branch = Branch(step, self._root(topic, columns=columns).node, topic)
        else:
            branch = Branch(step, Node(columns))
        node.branches.append(branch)
        if isinstance(step, TwoSided):
            self._node(step.right).feeds.append(branch)
        return branch

    def _settle(self) -> None:
        """Give each topic in between the schema of the columns that are read of its rows."""
        for root in list(self.roots.values()):
            for node in root.node.tree():
                for branch in node.branches:
                    if branch.topic is not None and branch.topic.schema is None:
                        self._settle_topic(root, node, branch)

    def _settle_topic(self, root: Root, node: Node, branch: Branch) -> None:
        assert branch.topic is not None
        if node is root.node and not root.is_internal and root.table is None and not root.topic.headers:
            branch.as_they_are = True
            branch.topic = replace(branch.topic, config=FOREVER)
            goes_on = self.roots[branch.topic.name]
            goes_on.topic, goes_on.read_as = branch.topic, root.topic
            return
        assert isinstance(branch.step, Repartition)
        there = branch.node.columns
        used = (
            (branch.node.reads() - PSEUDO.keys()) or set(branch.step.key.inputs) - PSEUDO.keys() or set(list(there)[:1])
        )
        columns = {name: kind for name, kind in there.items() if name in used}
        name = branch.topic.name
        schema = result_schema(f"topic {name}", name, columns)
        topic = Topic(name, Kind.INTERNAL, key=branch.topic.key, schema=schema, config=FOREVER)
        branch.topic = self.roots[name].topic = topic
        branch.node.columns = columns

    @property
    def as_of_tables(self) -> tuple[BaseTable, ...]:
        """Tables that streams are joined with as of their times, whose versions are kept partition by partition."""
        return tuple(table for table in self.application.tables if not table.everywhere)

    @property
    def everywhere(self) -> tuple[BaseTable, ...]:
        """Tables that every worker holds whole."""
        return tuple(table for table in self.application.tables if table.everywhere)

    @property
    def followed(self) -> tuple[Topic, ...]:
        """Topics that others write and the workers' group reads partition by partition: it has a position there."""
        return _by_name((*self.application.sources, *(table.topic for table in self.as_of_tables)))

    def partials(self, state: str) -> Topic:
        """The topic that carries partials to where their group lies."""
        return Topic(self.application.internal(f"{state}-partials"), Kind.INTERNAL, key="group")

    def folded(self, state: str) -> str:
        """The name of what is folded, where the rows lie."""
        return f"{state}_partials"

    def merged(self, state: str) -> str:
        """The name of what is merged, where the groups lie."""
        return f"{state}_totals"

    def versions(self, table: BaseTable) -> str:
        """The name of what is kept of a table's rows."""
        return table.state or f"{table.topic.name}_versions"

    def join_state(self, step: WindowJoin | TableTableJoin) -> str:
        """The name of what is kept of both sides of a join of two streams, or two tables."""
        return f"{step.name}_join"

    def known(self, step: Distinct) -> str:
        """The name of what is kept of the rows that went on where copies are left out."""
        return f"{step.name}_distinct"

    def subscriptions(self, step: ForeignKeyJoin) -> Topic:
        """The topic in which left rows ask for right ones."""
        return Topic(self.application.internal(f"{step.name}-subscriptions"), Kind.INTERNAL, key=step.key.text)

    def answers(self, step: ForeignKeyJoin) -> Topic:
        """The topic in which right rows answer."""
        return Topic(self.application.internal(f"{step.name}-answers"), Kind.INTERNAL, key="key")

    def asking(self, step: ForeignKeyJoin) -> str:
        """The name of what is kept of left rows and of what they name."""
        return f"{step.name}_subscriptions"

    def asked(self, step: ForeignKeyJoin) -> str:
        """The name of what is kept of right rows and of who names them."""
        return f"{step.name}_subscribers"

    def foreign_joins(self) -> Iterable[tuple[Root, ForeignKeyJoin]]:
        """Every join by a foreign key, with the topic of its left rows."""
        for root in self.roots.values():
            for node in root.node.tree():
                for branch in node.branches:
                    if isinstance(branch.step, ForeignKeyJoin):
                        yield root, branch.step

    def shown(self, statement: TableStatement) -> str:
        """The name of what is kept of a table's rows that were written."""
        return f"{statement.state}_shown"

    def folds(self) -> Iterable[tuple[Root, Node, str, list[AggregateStatement]]]:
        """Every group of aggregates over the same rows: the topic they come from, the rows, their state's name."""
        for root in self.roots.values():
            for node in root.node.tree():
                for state, statements in node.folds.items():
                    yield root, node, state, statements

    def joined(self) -> tuple[tuple[Topic, ...], ...]:
        """Topics that are joined partition by partition, each group with one table or stream."""
        groups: dict[str, dict[str, Topic]] = {}
        for root in self.roots.values():
            for node in root.node.tree(at_home=True):
                for step in (branch.step for branch in (*node.branches, *node.feeds)):
                    if isinstance(step, AsOfJoin):
                        table = step.table.topic
                        groups.setdefault(table.name, {table.name: table})[root.topic.name] = root.topic
                    elif isinstance(step, WindowJoin | TableTableJoin):
                        groups.setdefault(f"join {step.name}", {})[root.topic.name] = root.topic
        return tuple(tuple(group.values()) for group in groups.values())

    def topics(self) -> tuple[Topic, ...]:
        """Every topic that the application needs: sources, tables, outputs, its own, dead and late letters."""
        known = _by_name((*self._others, *self._own))
        position = self.application.position
        own = () if position is None else (position,)
        return (*known, *self.application.further_topics, *own, DEAD_LETTERS, LATE_RECORDS)

    @property
    def _others(self) -> tuple[Topic, ...]:
        """Topics of sources, tables and outputs; one that is both of two kinds comes twice."""
        application = self.application
        return (*application.sources, *(table.topic for table in application.tables), *application.outputs)

    @property
    def _own(self) -> tuple[Topic, ...]:
        """Topics between its agents."""
        between = (root.topic for root in self.roots.values() if root.is_internal)
        partials = (self.partials(state) for _, _, state, _ in self.folds())
        joins = (made(step) for _, step in self.foreign_joins() for made in (self.subscriptions, self.answers))
        return (*between, *partials, *joins)


def _by_name(topics: Iterable[Topic]) -> tuple[Topic, ...]:
    """Each once, where it comes first, but as it comes last."""
    return tuple({topic.name: topic for topic in topics}.values())


def stream_columns(topic: Topic) -> Scope:
    """The columns of a topic's rows."""
    return columns_of(f"topic {topic.name}", topic)
