"""Aggregations of your own: topics grouped by a column, in windows, into topics.

    USERS = Topic("User_", Kind.EVENT, key="userid", schema=USER, event_time="registertime")

    TOPOLOGY = Topology(
        "users_per_region",
        Aggregation(USERS, Aggregate("per_region", "regionid", Count("USER_COUNT"), "USERS_PER_REGION", Unwindowed())),
    )

The output's topic and Avro schema follow from the aggregate and the source's schema. What cannot work is refused when
the topology is built (see declarations.py). `pipeline test-runner --topology MODULE` feeds golden cases through it;
`create_app` makes the Faust application that runs it on a cluster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.agents.aggregation import Fold, Merge
from pipeline.agents.attach import attach, close_idle_partitions
from pipeline.agents.letters import DeadLetters, LateLetters
from pipeline.agents.processor import Schemas
from pipeline.declarations import (
    TableJoin,
    bound,
    check_event_time,
    check_names,
    check_output,
    check_topic_name,
    columns_of,
    output_topic,
    with_joined,
)
from pipeline.errors import SettingError
from pipeline.formats import KeyEncoder, ValueEncoder, check_formats, key_encoder
from pipeline.settings import Settings
from pipeline.tables.aggregate import Aggregate
from pipeline.topics import DEAD_LETTERS, LATE_RECORDS, KeyFormat, Kind, Topic, ValueFormat
from pipeline.transport.app import BatchApp

__all__ = ["Aggregation", "TableJoin", "Topology", "output_topic"]


class Aggregation:
    """Aggregates over one source topic; their state and their re-keyed rows are kept together.

    `name` (by default the source's) is the prefix of agents, tables and the internal topic: never change it for a
    running application. `joins` add columns of reference tables which the application follows. That is exact with
    `exactly_once`; with `at_least_once` a table that changes between a crash and the replay may count a row in two
    groups: send the joined rows to a topic of their own first, and aggregate that one.

    The source is read in the formats that its topic names. Results are written in `output_format`, under keys in
    `output_key_format`; they are not those of the source where nothing is said, as they would be in ksqlDB.
    """

    def __init__(
        self,
        source: Topic,
        *aggregates: Aggregate,
        name: str = "",
        joins: Sequence[TableJoin] = (),
        output_format: ValueFormat = ValueFormat.AVRO,
        output_key_format: KeyFormat = KeyFormat.TEXT,
        output_delimiter: str = ",",
    ) -> None:
        if source.schema is None:
            raise SettingError(f"topic {source.name} has no schema, but what is aggregated needs one")
        self.source = source
        self.aggregates = aggregates
        self.name = name or source.name.lower()
        self.joins = tuple(joins)
        self.output_format = output_format
        self.output_key_format = output_key_format
        self.output_delimiter = output_delimiter

    def bound(self, topology: str) -> "Aggregation":
        """The same with the types of the source's columns; raises SettingError where it cannot work."""
        where = f"topology {topology}, aggregation {self.name}"
        if not self.aggregates:
            raise SettingError(f"{where}: there is no aggregate, but must be at least one")
        check_names(where, "aggregate", (aggregate.name for aggregate in self.aggregates))
        check_topic_name(where, self.source.name)
        check_topic_name(where, self.partials.name)
        source = columns_of(where, self.source)
        for topic in (self.source, *(join.table for join in self.joins if join.table.schema is not None)):
            check_formats(where, topic)
        check_event_time(where, self.source, source)
        columns = with_joined(where, self.source, source, self.joins)
        aggregates = [bound(where, aggregate, columns) for aggregate in self.aggregates]
        for aggregate in aggregates:
            output = self.output_topic(aggregate)
            check_output(where, aggregate, output)
            check_formats(f"{where}, aggregate {aggregate.name}", output)
        return Aggregation(
            self.source,
            *aggregates,
            name=self.name,
            joins=self.joins,
            output_format=self.output_format,
            output_key_format=self.output_key_format,
            output_delimiter=self.output_delimiter,
        )

    def output_topic(self, aggregate: Aggregate) -> Topic:
        """The topic of an aggregate's results, in the formats that are asked for."""
        group = aggregate.group_types[0] if len(aggregate.group_types) == 1 else None
        return replace(
            output_topic(aggregate),
            value_format=self.output_format,
            value_delimiter=self.output_delimiter,
            key_format=self.output_key_format,
            key_type="string" if group is None or self.output_key_format == KeyFormat.TEXT else group.avro,
        )

    @property
    def partials(self) -> Topic:
        """The internal topic that carries partials to where their group lies."""
        return Topic(f"pipeline-{self.name}-partials", Kind.INTERNAL, key="group")


class Topology:
    """Aggregations under one name; raises SettingError when one of them cannot work, or two get into each other's way.

    A topic has one agent, since offsets are committed for all of it: so its aggregates are in one Aggregation.
    """

    def __init__(self, name: str, *aggregations: Aggregation) -> None:
        self.name = name
        self.aggregations = tuple(part.bound(name) for part in aggregations)
        where = f"topology {name}"
        sources = [part.source.name for part in self.aggregations]
        for source in sources:
            if sources.count(source) > 1:
                raise SettingError(f"{where}: topic {source} has two agents: put all its aggregates in one Aggregation")
        check_names(where, "aggregation", (part.name for part in self.aggregations))
        written = [*(topic.name for topic in self.outputs), *(part.partials.name for part in self.aggregations)]
        check_names(where, "topic", [*written, DEAD_LETTERS.name, LATE_RECORDS.name])
        for source in sources:
            if source in written:
                raise SettingError(f"{where}: topic {source} is a source and an output, but must be one of them only")

    @property
    def outputs(self) -> tuple[Topic, ...]:
        """The topics of the results."""
        return tuple(part.output_topic(aggregate) for part in self.aggregations for aggregate in part.aggregates)

    def topics(self) -> tuple[Topic, ...]:
        """Every topic that it needs: sources, outputs, internal ones, dead and late letters."""
        sources = [part.source for part in self.aggregations]
        internal = [part.partials for part in self.aggregations]
        return (*sources, *self.outputs, *internal, DEAD_LETTERS, LATE_RECORDS)

    def compose(
        self, settings: Settings, app: BatchApp, registry: Schemas, encoders: Mapping[str, ValueEncoder]
    ) -> None:
        """Attach its agents and tables to a Faust app that has its outbox."""
        letters = DeadLetters(encoders[DEAD_LETTERS.name])
        late = LateLetters(encoders[LATE_RECORDS.name])
        for part in self.aggregations:
            outputs = {aggregate.name: encoders[aggregate.output] for aggregate in part.aggregates}
            keys = {
                aggregate.name: key_encoder(part.output_topic(aggregate), encoders)
                for aggregate in part.aggregates
                if part.output_key_format != KeyFormat.TEXT
            }
            fold = attach_aggregation(app, part, settings.partitions, registry, letters, late, outputs, keys)
            if part.source.name in encoders:
                fold.take_over_from(encoders[part.source.name])
            if settings.idle_close_s is not None:
                close_idle_partitions(app, part.source, fold, settings.idle_close_s)


def attach_aggregation(
    app: BatchApp,
    part: Aggregation,
    partitions: int,
    registry: Schemas,
    letters: DeadLetters,
    late: LateLetters,
    outputs: Mapping[str, ValueEncoder],
    keys: Mapping[str, KeyEncoder] | None = None,
) -> Fold:
    """The two agents of an aggregation, with their tables. `outputs` and `keys` are encoders by aggregate."""
    folded = app.state_table(f"{part.name}_partials", part.source, partitions)
    merged = app.state_table(f"{part.name}_totals", part.partials, partitions)
    joined = {column: (join.key, _rows(app, join.table)) for join in part.joins for column in join.columns}
    fold = Fold(part.source, part.aggregates, part.partials, folded, partitions, registry, letters, late, joined)
    merge = Merge(part.partials, part.aggregates, merged, partitions, outputs, letters, keys=keys)
    for name, processor in ((f"{part.name}_fold", fold), (f"{part.name}_merge", merge)):
        attach(app, processor, name, letters)
    return fold


def _rows(app: BatchApp, topic: Topic) -> Mapping[str, Mapping[str, Any]]:
    if app.references is None:
        raise SettingError(
            f"a join with {topic.name} needs an application that follows this topic as a reference table"
        )
    return app.references.rows(topic.name)
