"""What is verified of an application: the topics its oracle reads, in which order workers process them, its outputs."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pipeline import topics
from pipeline.applications.loading import load, source_file
from pipeline.codecs import fields
from pipeline.declare.application import Application
from pipeline.declare.relations import Statement
from pipeline.declare.statements import AggregateStatement, StreamStatement
from pipeline.errors import NoOracleError, VerifyError
from pipeline.plan.nodes import Node
from pipeline.plan.plan import Plan
from pipeline.settings import FLASH_SALES, Settings
from pipeline.tables.several import Several
from pipeline.tables.windows import Session, Unwindowed
from pipeline.topics import Topic

RISING = {"Count", "CountValues", "CountDistinct", "Max"}
"""Functions whose results only rise while rows are added."""


@dataclass(frozen=True, slots=True)
class Source:
    """A topic that the oracle reads. `is_table`: its rows are those of a table.

    `is_own`: the application writes it. `is_followed`: every worker holds it whole, and its group reads nothing of it.
    """

    topic: Topic
    is_table: bool = False
    is_own: bool = False
    is_followed: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """An output that is compared. `keys` are the columns that tell its rows apart, a stream's by where they come from;
    none: each row counts.

    Of rows of one key the last counts, or, where it `keeps_first`, the first. `rising` columns lie between those at
    both cuts while sources move; None: all do. `is_session`: windows may be joined then,
    within `gap_ms`.
    """

    topic: Topic
    keys: tuple[str, ...] = ()
    keeps_first: bool = False
    is_windowed: bool = False
    is_session: bool = False
    gap_ms: int = 0
    of_all: bool = False
    rising: frozenset[str] | None = frozenset()
    in_pinot: bool = False

    @property
    def is_accumulated(self) -> bool:
        """Whether its rows hold all that has ever come: what retention has removed is missing in each."""
        return bool(self.keys) and not self.is_windowed and not self.keeps_first


@dataclass(frozen=True, slots=True)
class Subject:
    """An application as it is verified. `stages` are its topics in the order in which records pass through them."""

    name: str
    oracle: Path
    sources: tuple[Source, ...]
    stages: tuple[tuple[Topic, ...], ...]
    outputs: tuple[Checked, ...]

    def script(self) -> str:
        """Its oracle; raises VerifyError when there is none."""
        try:
            return self.oracle.read_text("utf-8")
        except FileNotFoundError:
            raise NoOracleError(
                f"application {self.name} has no oracle, but must have one to be verified: {self.oracle} with "
                'CREATE TABLE expected."TOPIC" AS SELECT ... for each of its outputs '
                f"({', '.join(output.topic.name for output in self.outputs)})"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise VerifyError(f"application {self.name}: its oracle {self.oracle} cannot be read: {error}") from None


def subject(settings: Settings) -> Subject:
    """The application that is set; raises SettingError when there is none."""
    if settings.app == FLASH_SALES:
        return flash_sales(settings.session_gap_ms)
    path = source_file(settings.app, settings.app_dir)
    return declared(load(settings.app, settings.app_dir, settings), oracle_of(path))


def oracle_of(path: Path) -> Path:
    """Where the oracle of an application lies: in its folder, or beside its one module."""
    return path.with_name("oracle.sql") if path.name == "__init__.py" else path.with_suffix(".oracle.sql")


def declared(application: Application, oracle: Path) -> Subject:
    """An application that is declared."""
    plan = Plan(application)
    written = {statement.output.name: statement.output for statement in application.statements}
    kept = {table.topic.name: table for table in application.tables}
    sources: dict[str, Source] = {}
    for root in plan.roots.values():
        if not root.is_internal:
            is_table = root.table is not None
            sources[root.topic.name] = Source(root.topic, is_table, root.topic.name in written)
    for name, table in kept.items():
        sources[name] = Source(table.topic, True, name in written, table.everywhere)
    outputs = tuple(_checked(statement) for statement in application.statements)
    return Subject(application.name, oracle, tuple(sources.values()), _stages(plan), outputs)


def _checked(statement: Statement) -> Checked:
    if isinstance(statement, AggregateStatement):
        aggregate = statement.aggregate
        windowed, session = not isinstance(aggregate.window, Unwindowed), isinstance(aggregate.window, Session)
        function = aggregate.function
        functions = function.functions if isinstance(function, Several) else (function,)
        rising = {name for one in functions if type(one).__name__ in RISING for name in one.columns(one.zero())}
        keys = (*aggregate.group_columns, *(["window_start_ms"] if windowed else []))
        bounds = {"event_time_ms", "window_end", "window_end_ms"}
        return Checked(
            statement.output,
            keys or ("_key",),
            is_windowed=windowed,
            is_session=session,
            gap_ms=aggregate.window.gap_ms if isinstance(aggregate.window, Session) else 0,
            of_all=not keys,
            rising=frozenset(rising | bounds),
        )
    output = statement.output
    if isinstance(statement, StreamStatement):
        return Checked(output) if statement.origin is None else Checked(output, statement.origin, keeps_first=True)
    assert output.schema is not None
    return Checked(output, (output.key if output.key in fields(output.schema) else "_key",))


def _stages(plan: Plan) -> tuple[tuple[Topic, ...], ...]:
    """The topics that the group reads: each after all those from which its records come."""
    known: dict[str, Topic] = {root.topic.name: root.topic for root in plan.roots.values()}
    known |= {table.topic.name: table.topic for table in plan.as_of_tables}
    after: defaultdict[str, set[str]] = defaultdict(set)
    for root in plan.roots.values():
        for made in _written(plan, root.node):
            known.setdefault(made.name, made)
            after[root.topic.name].add(made.name)
    for _, _, state, statements in plan.folds():
        after[plan.partials(state).name] |= {statement.output.name for statement in statements}
    for table in plan.as_of_tables:
        after[table.topic.name] |= set()
    depths: dict[str, int] = {}

    def deepen(name: str, depth: int) -> None:
        if depth > depths.get(name, -1):
            depths[name] = depth
            for following in after[name]:
                deepen(following, depth + 1)

    for name in known:
        deepen(name, 0)
    read = {*plan.roots, *(table.topic.name for table in plan.as_of_tables)}
    read |= {plan.partials(state).name for _, _, state, _ in plan.folds()}
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


GROUPS = (
    (topics.PAGEVIEWS_BY_PAGEGROUP, "page_group"),
    (topics.PAGEVIEWS_BY_REGION, "region_name"),
    (topics.PAGEVIEWS_TUMBLING, "page_group"),
    (topics.PAGEVIEWS_HOPPING, "page_group"),
    (topics.PAGEVIEWS_SESSION, "page_group"),
    (topics.SALES_BY_PRODUCTGROUP, "product_group"),
    (topics.SALES_BY_REGION, "region_name"),
    (topics.SALES_HOPPING, "product_group"),
    (topics.SALES_SESSION, "product_group"),
)


def flash_sales(session_gap_ms: int) -> Subject:
    """Flash sales, by its topics."""
    oracle = Path(str(files("pipeline.applications.flash_sales") / "oracle.sql"))
    sources = (
        Source(topics.PAGEVIEW),
        Source(topics.USERS, is_table=True),
        Source(topics.FLASH_SALES),
        *(Source(topic, is_own=True) for topic in topics.ENRICHED),
        *(Source(topic, is_table=True, is_followed=True) for topic in topics.REFERENCES),
    )
    stages = (
        (topics.PAGEVIEW, topics.USERS, topics.FLASH_SALES),
        (topics.PAGEVIEW_BY_USER,),
        topics.ENRICHED,
        (topics.PAGEVIEW_PARTIALS, topics.FLASHSALE_PARTIALS),
    )
    origin = ("origin_partition", "origin_offset")
    return Subject(
        FLASH_SALES,
        oracle,
        sources,
        stages,
        (
            *(Checked(topic, origin, keeps_first=True, rising=None) for topic in topics.ENRICHED),
            Checked(topics.USER_TRANSFORMED, ("userid",), in_pinot=True),
            *(_aggregate(topic, group, session_gap_ms) for topic, group in GROUPS),
        ),
    )


def _aggregate(topic: Topic, group: str, gap_ms: int) -> Checked:
    assert topic.schema is not None
    windowed = "window_start_ms" in fields(topic.schema)
    keys = (group, *(["window_start_ms"] if windowed else []))
    session = "SESSION" in topic.name
    return Checked(
        topic,
        keys,
        is_windowed=windowed,
        is_session=session,
        gap_ms=gap_ms if session else 0,
        rising=None,
        in_pinot=True,
    )
