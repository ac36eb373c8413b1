"""The trees of tables, as what the agents of their topics do: changes in, records out."""

from collections.abc import Mapping

from pipeline.agents.changes import ROW, FoldTable, Go, JoinTables, KeepTable
from pipeline.agents.foreign import LeftRows, OwnTopic, RightRows
from pipeline.agents.keeping import InTable, Stateful
from pipeline.agents.letters import DeadLetters
from pipeline.agents.tree import select, where
from pipeline.declare.joins import ForeignKeyJoin, TableTableJoin
from pipeline.declare.steps import Select, Where
from pipeline.formats import KeyEncoder, ValueEncoder, key_encoder
from pipeline.plan.nodes import Branch, Node, Root
from pipeline.plan.plan import Plan
from pipeline.settings import Settings
from pipeline.tables.joins import Side
from pipeline.tables.types import column_type
from pipeline.topics import KeyFormat, Topic
from pipeline.transport.app import BatchApp

STRING = column_type("string")


class TableTrees:
    """The trees of tables: what is done with their changes."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        app: BatchApp,
        encoders: Mapping[str, ValueEncoder],
        letters: DeadLetters,
    ) -> None:
        self._plan = plan
        self._partitions = settings.partitions
        self._app = app
        self._encoders = encoders
        self._letters = letters
        self._joins: dict[int, JoinTables] = {}
        self.between: list[OwnTopic] = []
        """The agents of topics between the sides of joins by a foreign key."""

    def tree(self, root: Root) -> tuple[Go, list[Stateful]]:
        """What is done with the changes of a table, and everything in it that keeps state."""
        stateful: list[Stateful] = []
        return self._node(root, root.node, stateful), stateful

    def _node(self, root: Root, node: Node, stateful: list[Stateful]) -> Go:
        parts: list[Go] = []
        for kept in node.keeps:
            table = None
            if kept.filters:
                table = self._app.state_table(self._plan.shown(kept), root.topic, self._partitions)
                stateful.append(InTable(table))
            key = kept.stream.columns.get(kept.output.key, STRING)
            encoder, keys = self._encoders[kept.output.name], keys_of(kept.output, self._encoders)
            parts.append(KeepTable(kept, table, encoder, self._letters, key, keys))
        for state, statements in node.folds.items():
            table = self._app.state_table(self._plan.folded(state), root.topic, self._partitions)
            columns = {name: made for statement in statements for name, made in statement.computed}
            fold = FoldTable([s.aggregate for s in statements], columns, self._plan.partials(state), table)
            stateful.append(fold)
            parts.append(fold)
        parts += [self._fed(root, feed, Side.RIGHT, stateful) for feed in node.feeds]
        for branch in node.branches:
            parts.append(self._branch(root, branch, stateful))
        return lambda changes: [record for part in parts for record in part(changes)]

    def _branch(self, root: Root, branch: Branch, stateful: list[Stateful]) -> Go:
        step = branch.step
        if isinstance(step, TableTableJoin):
            return self._fed(root, branch, Side.LEFT, stateful)
        if isinstance(step, ForeignKeyJoin):
            return self._left(root, branch.node, step, stateful)
        go_on = self._node(root, branch.node, stateful)
        assert isinstance(step, Where | Select), f"{step} is no step of a table"
        run = where(step) if isinstance(step, Where) else select(step, keep=(ROW,))
        return lambda changes: go_on(changes.then(run))

    def _fed(self, root: Root, branch: Branch, side: Side, stateful: list[Stateful]) -> Go:
        """Changes into a join of two tables, which has one state for both."""
        if isinstance(branch.step, ForeignKeyJoin):
            return self._right(root, branch.step, stateful)
        found = self._joins.get(id(branch))
        if found is None:
            assert isinstance(branch.step, TableTableJoin)
            table = self._app.state_table(self._plan.join_state(branch.step), root.topic, self._partitions)
            behind: list[Stateful] = []
            found = JoinTables(branch.step, table, self._node(root, branch.node, behind), behind)
            self._joins[id(branch)] = found
        join = found
        stateful += [join, *join.behind]
        return lambda changes: join.take(side, changes)

    def _left(self, root: Root, node: Node, step: ForeignKeyJoin, stateful: list[Stateful]) -> Go:
        table = self._app.state_table(self._plan.asking(step), root.topic, self._partitions)
        behind: list[Stateful] = []
        go_on, keys = self._node(root, node, behind), keys_of(step.right.topic, self._encoders)
        rows = LeftRows(step, self._plan.subscriptions(step), table, go_on, behind, self._letters, keys)
        self.between.append(OwnTopic(self._plan.answers(step), rows.answered, [rows, *behind]))
        stateful += [rows, *behind]
        return rows.take

    def _right(self, root: Root, step: ForeignKeyJoin, stateful: list[Stateful]) -> Go:
        table = self._app.state_table(self._plan.asked(step), root.topic, self._partitions)
        rows = RightRows(step, self._plan.answers(step), table)
        self.between.append(OwnTopic(self._plan.subscriptions(step), rows.asked, [rows]))
        stateful.append(rows)
        return rows.take


def keys_of(topic: Topic, encoders: Mapping[str, ValueEncoder]) -> KeyEncoder | None:
    """What writes the keys of a topic; None where they are texts."""
    return None if topic.key_format == KeyFormat.TEXT else key_encoder(topic, encoders)
