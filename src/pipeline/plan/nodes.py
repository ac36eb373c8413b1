"""The trees of a plan: rows at one place, the steps that lead from there, the topic where they begin."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.declare.joins import AsOfJoin, ForeignKeyJoin, Lookup, TableTableJoin, WindowJoin
from pipeline.declare.kinds import Scope
from pipeline.declare.statements import AggregateStatement, StreamStatement, TableStatement
from pipeline.declare.steps import Distinct, Explode, Repartition, Require, Select, Step, Where
from pipeline.declare.tables import BaseTable
from pipeline.topics import Topic


@dataclass(slots=True, eq=False)
class Node:
    """Rows at one place of a tree, and what becomes of them: written as they are, folded, fed to a join, or more steps.

    `folds` are the aggregates over these rows by the name of their state; `feeds` are joins of which these rows are the
    right side; `keeps` are tables' rows that are written.
    """

    columns: Scope
    writes: list[StreamStatement] = field(default_factory=list)
    keeps: list[TableStatement] = field(default_factory=list)
    folds: dict[str, list[AggregateStatement]] = field(default_factory=dict)
    feeds: list["Branch"] = field(default_factory=list)
    branches: list["Branch"] = field(default_factory=list)

    def reads(self) -> set[str]:
        """The columns of these rows that anything after them reads."""
        found: set[str] = set()
        for statement in self.writes:
            found |= set(statement.stream.columns)
            found |= set(statement.key[0].inputs) if statement.key else set()
        for kept in self.keeps:
            found |= set(kept.stream.columns)
        for statements in self.folds.values():
            found |= {name for s in statements for _, made in s.computed for name in made.inputs}
        if self.feeds:
            found |= set(self.columns)
        for branch in self.branches:
            found |= branch.reads()
        return found

    def keeps_state(self) -> bool:
        """Whether anything that is done with these rows, here and below, keeps state by their offsets."""
        return any(
            node.folds
            or node.keeps
            or node.feeds
            or any(isinstance(branch.step, WindowJoin | Distinct) for branch in node.branches)
            for node in self.tree()
        )

    def tree(self, *, at_home: bool = False) -> Iterable["Node"]:
        """It and all nodes below it whose rows lie in the same partition.

        With `at_home`, also those behind a repartition that rows reach at once when they lie there already.
        """
        yield self
        for branch in self.branches:
            if branch.topic is None or (at_home and not branch.node.keeps_state()):
                yield from branch.node.tree(at_home=at_home)


@dataclass(slots=True, eq=False)
class Branch:
    """A step, and the rows that it makes; `topic` is where they lie when it takes them elsewhere.

    Where `as_they_are`, they are the records of the source, whose values go there unchanged.
    """

    step: Step
    node: Node
    topic: Topic | None = None
    as_they_are: bool = False

    def reads(self) -> set[str]:
        """The columns that the step and all after it read of the rows before it."""
        after, step = self.node.reads(), self.step
        match step:
            case Where() | Require():
                return after | set(step.condition.inputs)
            case Select():
                return {name for column, made in step.columns if column in after for name in made.inputs}
            case Explode():
                return after - dict(step.arrays).keys() | {name for _, array in step.arrays for name in array.inputs}
            case Lookup():
                return after - {step.name} | set(step.key.inputs)
            case Repartition():
                settled = self.topic is not None and self.topic.schema is not None
                return (set(self.node.columns) if settled else after) | set(step.key.inputs)
            case Distinct():
                return after | {name for made, _ in step.by for name in made.inputs}
            case WindowJoin() | TableTableJoin():
                return (after | set(step.left_columns)) - {step.name}
            case ForeignKeyJoin():
                return (after | set(step.left_columns)) - {step.name} | set(step.key.inputs)
        assert isinstance(step, AsOfJoin), f"{step} is no step of a plan"
        return after - {step.name}


@dataclass(slots=True, eq=False)
class Root:
    """What the agent of one topic does. `table` is set where its rows are those of one.

    `read_as` is the topic whose records these are: another one where they come from it as they were. `origin` names the
    columns that say which source record a row comes from.

    Where `is_internal`, rows come from another topic and say from where; `is_numbered`: also which of several rows they
    are that one record was exploded into.
    """

    topic: Topic
    node: Node
    is_internal: bool = False
    is_numbered: bool = False
    written_here: bool = False
    table: BaseTable | None = None
    read_as: Topic | None = None
    origin: tuple[str, str] | None = None
