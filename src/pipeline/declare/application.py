"""An application: streams, tables and statements under one name, checked as a whole."""

from collections.abc import Iterable, Sequence, Set
from typing import TypeVar

from pipeline.codecs import fields
from pipeline.declare.database import Bulk, DatabaseTable
from pipeline.declare.endpoints import Endpoint, SqlEndpoint
from pipeline.declare.generators import Generator, Rows
from pipeline.declare.joins import AsOfJoin, Lookup, TwoSided
from pipeline.declare.pages import CodePage, Page
from pipeline.declare.panels import outputs
from pipeline.declare.relations import Relation, Statement
from pipeline.declare.statements import AggregateStatement
from pipeline.declare.steps import Repartition
from pipeline.declare.tables import BaseTable
from pipeline.errors import SettingError
from pipeline.names import TOPIC_NAME, check_names
from pipeline.topics import DEAD_LETTERS, LATE_RECORDS, Kind, Schema, Topic

T = TypeVar("T")
EVENT_TIME = "event_time_ms"
"""The column that every table of Pinot has."""
NO_FIELDS: Schema = {"fields": []}


class Application:
    """What runs under one name: `results` are what `to` gave, with all that they are made of.

    `name` is the beginning of its group, its state and its own topics: never change it for a running application.
    `prefix` begins its own topics in place of the name. `data` are generators of example data for its sources, which
    `pipeline generate` runs. `topics` are further ones that are provisioned with its own, such as a source's. `pinot`
    says which topics that it writes have a table in Pinot: all of them, or those of the relations that are given.
    `sources` are tables of a database, which `pipeline poll` carries into topics that statements read.
    `page` is its page of the dashboard, which shows what is in Pinot. `endpoints` are what `pipeline api` answers
    beside its tables.
    Raises SettingError when two statements get into each other's way.
    """

    def __init__(
        self,
        name: str,
        *results: Relation,
        data: Sequence[Generator | Rows] = (),
        prefix: str | None = None,
        topics: Sequence[Topic] = (),
        pinot: bool | Sequence[Relation] = False,
        sources: Sequence[DatabaseTable] = (),
        page: Page | CodePage | None = None,
        endpoints: Sequence[Endpoint | SqlEndpoint] = (),
    ) -> None:
        where = f"application {name}"
        if TOPIC_NAME.fullmatch(name) is None or len(name) > 100:
            raise SettingError(f"{where}: its name must be 1 to 100 letters, digits, '.', '_' and '-'")
        self.name = name
        self.data = tuple(data)
        self.further_topics = tuple(topics)
        self.database = tuple(sources)
        self._prefix = name if prefix is None else prefix
        for result in results:
            if not isinstance(result, Relation):
                raise SettingError(
                    f'{where}: {type(result).__name__} is no result: end it with .to("TOPIC"), an aggregate with '
                    '.to("TOPIC") or .materialize("NAME")'
                )
            if result.steps or not result.statements:
                raise SettingError(f'{where}: {result} is not written to a topic: end it with .to("TOPIC")')
        self.statements: tuple[Statement, ...] = _once(s for result in results for s in result.statements)
        if not self.statements:
            raise SettingError(f"{where}: there is no statement, but must be at least one")
        self._check(where)
        self.in_pinot: tuple[Statement, ...] = self._in_pinot(where, pinot)
        self.page = page
        self.endpoints = tuple(endpoints)
        for endpoint in self.endpoints:
            if not isinstance(endpoint, Endpoint | SqlEndpoint):
                raise SettingError(f"{where}, endpoints: {endpoint!r} is none, but must be Endpoint or SqlEndpoint")
        check_names(where, "endpoint", (endpoint.path for endpoint in self.endpoints))
        self._check_page(where)
        read = {topic.name for topic in self.sources} | {table.topic.name for table in self.tables}
        self._check_database(where, read)
        for made in self.data:
            if made.topic.name not in read:
                raise SettingError(f"{where}: data are generated for {made.topic.name}, which no statement reads")

    def _check_database(self, where: str, read: Set[str]) -> None:
        for table in self.database:
            if not isinstance(table, DatabaseTable):
                raise SettingError(f"{where}, sources: {table!r} is none, but must be a DatabaseTable")
            if table.topic.name not in read:
                raise SettingError(f"{where}: {table} is carried into {table.topic.name}, which no statement reads")
        names = [table.name for table in self.database], [table.topic.name for table in self.database]
        for table in self.database:
            if names[0].count(table.name) > 1:
                raise SettingError(f"{where}: {table} is carried twice, but must be into one topic")
            if names[1].count(table.topic.name) > 1:
                raise SettingError(f"{where}: topic {table.topic.name} is filled from two tables, but must be from one")

    def _in_pinot(self, where: str, wanted: bool | Sequence[Relation]) -> tuple[Statement, ...]:
        """The statements whose topics have a table in Pinot, one for each topic."""
        by_name = {s.output.name: s for s in reversed(self.statements) if s.is_written}
        found = self._wanted(where, wanted, by_name)
        for statement in found:
            if EVENT_TIME not in fields(statement.output.schema or NO_FIELDS):
                raise SettingError(
                    f"{where}, pinot: {statement.output.name} has no column {EVENT_TIME}, but must: a table of Pinot "
                    f"has a time; select {EVENT_TIME}=c.ROWTIME"
                )
        return found

    def _wanted(
        self, where: str, wanted: bool | Sequence[Relation], by_name: dict[str, Statement]
    ) -> tuple[Statement, ...]:
        if isinstance(wanted, bool):
            return tuple(by_name[topic.name] for topic in self.outputs) if wanted else ()
        for relation in wanted:
            if relation.steps or relation.name not in by_name:
                raise SettingError(f"{where}, pinot: {relation} is no topic that it writes, but must be one")
        return tuple(by_name[relation.name] for relation in wanted)

    def _check_page(self, where: str) -> None:
        """That the page's panels are of what has a table in Pinot."""
        if self.page is not None and not isinstance(self.page, Page | CodePage):
            raise SettingError(f"{where}: page is {self.page!r}, but must be Page(...) or CodePage(...)")
        if self.page is not None and not self.in_pinot:
            raise SettingError(
                f"{where}: it has a page, but nothing in Pinot: a page shows what is there; say pinot=True"
            )
        known = [statement.output.name for statement in self.in_pinot]
        for panel in self.page.panels if isinstance(self.page, Page) else ():
            for output in outputs(panel):
                if output.name not in known:
                    raise SettingError(
                        f"{where}, page, {type(panel).__name__} {panel.title!r}: {output} has no table in Pinot, but "
                        f"must be one of {', '.join(known)}"
                    )

    def _check(self, where: str) -> None:
        written = [topic.name for topic in self.outputs]
        check_names(where, "output topic", [*written, DEAD_LETTERS.name, LATE_RECORDS.name])
        repartitioned = _once(step for s in self._chains() for step in s.steps if isinstance(step, Repartition))
        check_names(where, "repartition", (step.name for step in repartitioned))
        for topic in self._declared():
            if topic.name in written and not any(topic is output for output in self.outputs):
                raise SettingError(
                    f"{where}: topic {topic.name} is a source and an output, but must be one of them only"
                )
        joins = _once(s for chain in self._chains() for s in chain.steps if isinstance(s, TwoSided))
        check_names(where, "join", (step.name for step in joins))
        for topic in (*self.sources, *(table.topic for table in self.tables)):
            same = {id(t.schema): t for t in self._declared() if t.name == topic.name}
            if len({str(t.schema) + str(t.event_time) + t.kind + str(t.headers) for t in same.values()}) > 1:
                raise SettingError(f"{where}: topic {topic.name} is declared twice, but differently")

        for name, tables in _by_topic((*self._chains(), *self.tables)).items():
            if len({one.required for one in tables}) > 1:
                raise SettingError(f"{where}: table {name} requires one thing here and another there")
        kept = _by_topic(step.table for chain in self._chains() for step in chain.steps if isinstance(step, AsOfJoin))
        for name, tables in kept.items():
            if len({(one.state, None if one.kept is None else tuple(one.kept)) for one in tables}) > 1:
                raise SettingError(
                    f"{where}: table {name} is joined in two places, but with other columns or by another name: "
                    "join one and the same"
                )

    def _chains(self) -> tuple[Relation, ...]:
        """The streams and tables of all statements, and those of the same kind that they are joined with."""
        found: list[Relation] = []
        todo: list[Relation] = [statement.stream for statement in self.statements]
        while todo:
            stream = todo.pop(0)
            found.append(stream)
            todo += [step.right for step in stream.steps if isinstance(step, TwoSided)]
        return _once(found)

    def _declared(self) -> list[Topic]:
        tables = [step.table.topic for s in self._chains() for step in s.steps if isinstance(step, Lookup | AsOfJoin)]
        return [*(stream.topic for stream in self._chains()), *tables]

    @property
    def sources(self) -> tuple[Topic, ...]:
        """Topics of streams, and of tables that are more than joined with, which somebody else writes."""
        written = {topic.name for topic in self.outputs}
        return _by_name(chain.topic for chain in self._chains() if chain.topic.name not in written)

    @property
    def tables(self) -> tuple[BaseTable, ...]:
        """Tables that streams are joined with, each once."""
        found: dict[str, BaseTable] = {}
        for stream in self._chains():
            for step in stream.steps:
                if isinstance(step, Lookup | AsOfJoin):
                    found.setdefault(step.table.topic.name, step.table)
        return tuple(found.values())

    @property
    def outputs(self) -> tuple[Topic, ...]:
        """The topics that it writes for others."""
        return _once(statement.output for statement in self.statements if statement.is_written)

    @property
    def position(self) -> Topic | None:
        """The topic in which the poller keeps how far it is with each table; None where it has no table."""
        if not self.database:
            return None
        return Topic(self.internal("poller-position"), Kind.INTERNAL, key="table", retention_ms=None)

    @property
    def positioned(self) -> tuple[DatabaseTable, ...]:
        """The tables that are read from where the poller was before."""
        return tuple(table for table in self.database if not isinstance(table.mode, Bulk))

    def carried_into(self, topic: Topic) -> DatabaseTable | None:
        """The table of the database that fills a topic, if one does."""
        return next((table for table in self.database if table.topic.name == topic.name), None)

    def internal(self, name: str) -> str:
        """The name of a topic of its own."""
        return f"{self._prefix}-{name}"

    def __str__(self) -> str:
        return f"application {self.name}"


def aggregated(statements: Sequence[Statement]) -> tuple[AggregateStatement, ...]:
    """Those that aggregate."""
    return tuple(statement for statement in statements if isinstance(statement, AggregateStatement))


def _once(values: Iterable[T]) -> tuple[T, ...]:
    found: dict[int, T] = {}
    for value in values:
        found.setdefault(id(value), value)
    return tuple(found.values())


def _by_topic(relations: Iterable[Relation]) -> dict[str, list[BaseTable]]:
    found: dict[str, list[BaseTable]] = {}
    for relation in relations:
        if isinstance(relation, BaseTable):
            found.setdefault(relation.name, []).append(relation)
    return found


def _by_name(topics: Iterable[Topic]) -> tuple[Topic, ...]:
    found: dict[str, Topic] = {}
    for topic in topics:
        found.setdefault(topic.name, topic)
    return tuple(found.values())
