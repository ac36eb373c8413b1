"""An application's plan, with agents and tables attached to a Faust app."""

from collections.abc import Mapping, Sequence

from pipeline.agents.attach import attach, close_idle_partitions
from pipeline.agents.distinct import DistinctRows
from pipeline.agents.folding import Folding
from pipeline.agents.joining import AsOfRows, LookupRows, Next, StreamWindow, TableVersions
from pipeline.agents.keeping import Stateful
from pipeline.agents.letters import DeadLetters, LateLetters
from pipeline.agents.merging import Merge
from pipeline.agents.processor import Schemas
from pipeline.agents.references import ReferenceLoader
from pipeline.agents.tables import TableProcessor
from pipeline.agents.tree import TopicProcessor, explode, require, select, sequence, then, where
from pipeline.agents.writing import Encoding, Rekey, Write
from pipeline.cleaning import clean
from pipeline.declare.joins import AsOfJoin, Lookup, WindowJoin
from pipeline.declare.statements import AggregateStatement
from pipeline.declare.steps import Distinct, Explode, Repartition, Require, Select, Where
from pipeline.formats import ValueEncoder
from pipeline.plan.nodes import Branch, Node, Root
from pipeline.plan.plan import Plan
from pipeline.settings import Settings
from pipeline.table_trees import TableTrees, keys_of
from pipeline.tables.joins import Side
from pipeline.tables.store import ReferenceTable
from pipeline.topics import DEAD_LETTERS, LATE_RECORDS, Topic
from pipeline.transport.app import BatchApp
from pipeline.transport.references import References

CLEAN_EVERY_S = 30.0
"""As Kafka Streams' repartition.purge.interval.ms."""


class Composition:
    """Puts a plan into a Faust app that has its outbox."""

    def __init__(
        self, plan: Plan, settings: Settings, app: BatchApp, registry: Schemas, encoders: Mapping[str, ValueEncoder]
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._app = app
        self._registry = registry
        self._encoders = encoders
        self._letters = DeadLetters(encoders[DEAD_LETTERS.name])
        self._late = LateLetters(encoders[LATE_RECORDS.name])
        self._versions: dict[str, TableVersions] = {}
        self._windows: dict[int, StreamWindow] = {}
        self._foldings: list[tuple[Topic, Folding]] = []

    def compose(self) -> None:
        """Attach every agent and table."""
        self._follow_tables()
        processors = {name: self._processor(root) for name, root in self._plan.roots.items()}
        for name, root in self._plan.roots.items():
            if isinstance(found := processors[name], TopicProcessor):
                stateful: list[Stateful] = []
                found.runs(self._node(root, root.node, found, stateful), stateful)
                if root.written_here and not root.is_internal:
                    found.take_over_from(self._encoders[name])
        tables = TableTrees(self._plan, self._settings, self._app, self._encoders, self._letters)
        for name, root in self._plan.roots.items():
            if isinstance(found := processors[name], TableProcessor):
                found.runs(*tables.tree(root))
        alone = [table for table in self._plan.as_of_tables if table.topic.name not in processors]
        for table in alone:
            keeper = TableProcessor(table, (), self._registry, self._letters, self._versions[table.topic.name])
            keeper.runs(None, ())
            processors[table.topic.name] = keeper
        between = {own.topic.name: own for own in tables.between}
        for name, processor in {**processors, **between}.items():
            attach(self._app, processor, agent_name(name), self._letters)
        for _, _, state, statements in self._plan.folds():
            self._merge(state, statements)
        self._clean_own_topics()
        if self._settings.idle_close_s is not None:
            for topic, folding in self._foldings:
                close_idle_partitions(self._app, topic, folding, self._settings.idle_close_s)

    def _clean_own_topics(self) -> None:
        """Delete, from time to time, what has been read of topics in between."""
        own = {name for name, root in self._plan.roots.items() if root.is_internal}
        app, settings = self._app, self._settings

        async def clean_own() -> None:
            await clean(settings, app.consumer.assignment(), own)

        if own:
            app.timer(interval=CLEAN_EVERY_S)(clean_own)

    def _follow_tables(self) -> None:
        everywhere = [table.topic for table in self._plan.everywhere]
        if everywhere:
            loader = ReferenceLoader(everywhere, self._registry, self._letters, self._app.outbox)
            tables = {topic.name: reference_table(self._app, topic) for topic in everywhere}
            reader, wait_s = self._app.changelog_reader, self._settings.reference_wait_s
            self._app.references = References(tables, self._settings.partitions, loader, reader, wait_s)
        for table in self._plan.as_of_tables:
            state = self._app.state_table(self._plan.versions(table), table.topic, self._settings.partitions)
            self._versions[table.topic.name] = TableVersions(table, state, self._settings.join_history_ms)

    def _processor(self, root: Root) -> TopicProcessor | TableProcessor:
        names, registry, letters = _names(root), self._registry, self._letters
        if root.table is None:
            internal, numbered = root.is_internal, root.is_numbered
            return TopicProcessor(
                root.topic,
                names,
                registry,
                letters,
                is_internal=internal,
                is_numbered=numbered,
                origin=root.origin,
                read_as=root.read_as,
            )
        return TableProcessor(root.table, names, registry, letters, self._versions.get(root.topic.name))

    def _node(self, root: Root, node: Node, processor: TopicProcessor, stateful: list[Stateful]) -> Next:
        """What is done with the rows of a node; what keeps state is added to `stateful`."""
        parts: list[Next] = [
            Write(s, self._encoders[s.output.name], self._letters, keys_of(s.output, self._encoders))
            for s in node.writes
        ]
        for state, statements in node.folds.items():
            folding = self._folding(root, state, statements, processor)
            stateful.append(folding)
            parts.append(folding)
        for feed in node.feeds:
            parts.append(self._fed(root, feed, Side.RIGHT, processor, stateful))
        for branch in node.branches:
            parts.append(self._branch(root, branch, processor, stateful))
        return sequence(parts)

    def _branch(self, root: Root, branch: Branch, processor: TopicProcessor, stateful: list[Stateful]) -> Next:
        step = branch.step
        if isinstance(step, Repartition):
            assert branch.topic is not None
            rows = None
            if not branch.as_they_are:
                encoder = self._encoders[branch.topic.name]
                rows = Encoding(tuple(branch.node.columns), encoder, self._letters)
            at_home = None if branch.node.keeps_state() else self._node(root, branch.node, processor, stateful)
            return Rekey(step, branch.topic, self._settings.partitions, rows, at_home)
        if isinstance(step, WindowJoin):
            return self._fed(root, branch, Side.LEFT, processor, stateful)
        go_on = self._node(root, branch.node, processor, stateful)
        if isinstance(step, Distinct):
            known = self._app.state_table(self._plan.known(step), root.topic, self._settings.partitions)
            distinct = DistinctRows(step, known, self._late, go_on)
            stateful.append(distinct)
            return distinct
        match step:
            case Where():
                return then(where(step), go_on)
            case Require():
                return then(require(step), go_on)
            case Select():
                return then(select(step), go_on)
            case Explode():
                return then(explode(step), go_on)
            case Lookup():
                assert self._app.references is not None
                return then(LookupRows(step, self._app.references.rows(step.table.topic.name)), go_on)
        assert isinstance(step, AsOfJoin), f"{step} is no step of a stream"
        table = step.table.topic.name
        joined = self._app.tables_of_streams.get(root.topic.name, ())
        self._app.tables_of_streams[root.topic.name] = tuple(dict.fromkeys((*joined, table)))
        return then(AsOfRows(step, self._versions[table]), go_on)

    def _fed(self, root: Root, branch: Branch, side: Side, processor: TopicProcessor, stateful: list[Stateful]) -> Next:
        """Rows into a join of two streams, which has one state for both."""
        window = self._windows.get(id(branch))
        if window is None:
            assert isinstance(branch.step, WindowJoin)
            name = self._plan.join_state(branch.step)
            table = self._app.state_table(name, root.topic, self._settings.partitions)
            go_on = self._node(root, branch.node, processor, [])
            window = self._windows[id(branch)] = StreamWindow(branch.step, table, self._late, go_on)
        stateful.append(window)
        made = window
        return lambda block: made.take(side, block)

    def _folding(
        self, root: Root, state: str, statements: Sequence[AggregateStatement], processor: TopicProcessor
    ) -> Folding:
        table = self._app.state_table(self._plan.folded(state), root.topic, self._settings.partitions)
        columns = {name: made for statement in statements for name, made in statement.computed}
        aggregates = [statement.aggregate for statement in statements]
        partials, partitions = self._plan.partials(state), self._settings.partitions
        folding = Folding(aggregates, columns, partials, table, partitions, self._late, processor.counts)
        self._foldings.append((root.topic, folding))
        return folding

    def _merge(self, state: str, statements: Sequence[AggregateStatement]) -> None:
        partials = self._plan.partials(state)
        table = self._app.state_table(self._plan.merged(state), partials, self._settings.partitions)
        aggregates = [statement.aggregate for statement in statements]
        written = [statement for statement in statements if statement.is_written]
        encoders = {s.aggregate.name: self._encoders[s.output.name] for s in written}
        made = {s.aggregate.name: keys_of(s.output, self._encoders) for s in written}
        keys = {name: one for name, one in made.items() if one is not None}
        having = {s.aggregate.name: s.having for s in written if s.having is not None}
        merge = Merge(partials, aggregates, table, self._settings.partitions, encoders, self._letters, having, keys)
        attach(self._app, merge, agent_name(f"{state}_merge"), self._letters)


def agent_name(name: str) -> str:
    """The name of the agent of a topic."""
    return name.replace("-", "_").replace(".", "_")


def _names(root: Root) -> list[str]:
    used = root.node.reads()
    return [name for name in root.node.columns if name in used]


def reference_table(app: BatchApp, topic: Topic) -> ReferenceTable:
    """A global table that follows a reference topic, added to the app."""
    table = ReferenceTable(app, name=topic.name.lower(), changelog_topic=app.topic(topic.name), is_global=True)
    app.tables.add(table)
    return table
