"""Whether what a topology declares can work, found out when it is built and not at the first record.

Every fault is a SettingError in one sentence, which names topology, aggregate, column and type, and what would be
right. What is right comes back bound to the types of the source's columns.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException, expand_schema

from pipeline import functions
from pipeline.avro_schemas import defined_once
from pipeline.codecs import schema
from pipeline.errors import SettingError
from pipeline.event_times import event_time_format
from pipeline.tables.aggregate import Aggregate, Function
from pipeline.tables.json_forms import same_type
from pipeline.tables.several import parts_of
from pipeline.tables.types import ColumnType, column_type
from pipeline.tables.windows import Session, Unwindowed
from pipeline.topics import Kind, Schema, Topic

Columns = Mapping[str, ColumnType]

TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
EVENT_TIMES = ("long", "timestamp-millis", "timestamp-micros", "local-timestamp-millis", "local-timestamp-micros")
WINDOW_COLUMNS = (
    ("window_start", "string"),
    ("window_end", "string"),
    ("window_start_ms", "long"),
    ("window_end_ms", "long"),
)
WIDER = {"int": ("long", "double"), "float": ("double",)}
"""What a column may also be declared as: each of its values is one of these, too."""


@dataclass(frozen=True, slots=True)
class TableJoin:
    """`LEFT JOIN table ON source.key = table's key`: columns that a reference table adds to the rows of a source.

    The columns are those of the row that is known when a source's row is processed, null where there is none. `key` is
    a text column of the source, or one that an earlier join adds.
    """

    key: str
    table: Topic
    columns: tuple[str, ...]


def column_types(given: Schema) -> Columns:
    """The types of the fields of a record's schema; what it raises for any other schema is fastavro's affair."""
    expanded: Any = expand_schema(schema(given))
    return {field["name"]: column_type(field["type"]) for field in expanded["fields"]}


BYTES = functions.BYTES
ALL_HEADERS = functions.parse_type("ARRAY<STRUCT<KEY STRING, VALUE BYTES>>")
"""The type of a column with all headers of a record, as ksqlDB's HEADERS."""


def columns_of(where: str, topic: Topic) -> Columns:
    """The types of a topic's columns, those of headers last; raises SettingError when its schema is not a record's."""
    if topic.schema is None:
        raise SettingError(f"{where}: topic {topic.name} has no schema, but must have one: its columns are used")
    try:
        columns = column_types(topic.schema)
        return {**columns, **{column: ALL_HEADERS if name is None else BYTES for column, name in topic.headers.items()}}
    except FileNotFoundError:
        reason = f"there is no packaged schema {topic.schema!r}"
    except (SchemaParseException, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = f"its schema is not one of an Avro record ({type(error).__name__}: {error})"
    raise SettingError(f"{where}: the columns of topic {topic.name} are not known: {reason}")


def check_names(where: str, kind: str, names: Iterable[str]) -> None:
    """Raise SettingError when a name comes twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SettingError(f"{where}: {kind} {name} is there twice, but must be a name of its own for each")
        seen.add(name)


def check_topic_name(where: str, name: str) -> None:
    """Raise SettingError unless Kafka takes the name of a topic."""
    if TOPIC_NAME.fullmatch(name) is None or name in (".", ".."):
        raise SettingError(f"{where}: {name!r} is no name for a topic, but must be letters, digits, '.', '_' and '-'")


def check_event_time(where: str, topic: Topic, columns: Columns) -> None:
    """Raise SettingError unless event times can be read from the topic's column for them."""
    name, pattern = topic.event_time, topic.event_time_format
    if name is None:
        if pattern is not None:
            raise SettingError(
                f"{where}: topic {topic.name} has an event_time_format, so event_time must name its column"
            )
        return
    kind = _column(where, f"event_time of topic {topic.name}", name, columns)
    if pattern is not None:
        try:
            event_time_format(pattern)
        except SettingError as error:
            raise SettingError(f"{where}, topic {topic.name}: {error}") from None
        if kind.family != "string" or kind.name != "string":
            raise SettingError(
                f"{where}: event_time {name} of topic {topic.name} is of type {kind.name}, but must be string, "
                "since it has an event_time_format"
            )
    elif kind.name == "string":
        raise SettingError(
            f"{where}: event_time {name} of topic {topic.name} is of type string, but then event_time_format must say "
            "how to read it, such as yyyy-MM-dd HH:mm:ss"
        )
    elif kind.family not in EVENT_TIMES or "nanos" in str(kind.avro):
        raise SettingError(
            f"{where}: event_time {name} of topic {topic.name} is of type {kind.name}, but must be long (epoch "
            "milliseconds), a timestamp of milliseconds or microseconds, or string with an event_time_format"
        )


def with_joined(where: str, source: Topic, columns: Columns, joins: Sequence[TableJoin]) -> Columns:
    """The columns of a source and of the tables that it is joined with; raises SettingError for a join that fails."""
    known = dict(columns)
    for join in joins:
        name = join.table.name
        kind = _column(where, f"key of the join with {name}", join.key, known)
        if kind.family != "string":
            raise SettingError(
                f"{where}: column {join.key} is of type {kind.name}, but must be string, since {name} is joined by it "
                "and keys of tables are texts"
            )
        table = columns_of(where, join.table)
        for column in join.columns:
            if column in known:
                raise SettingError(
                    f"{where}: column {column} is in {name} and in {source.name} or another table joined with it, but "
                    "must be in one of them only"
                )
            known[column] = _column(where, f"join with {name}", column, table)
    return known


def bound(where: str, aggregate: Aggregate, columns: Columns) -> Aggregate:
    """The aggregate with the types of its group and its values; raises SettingError when they cannot be aggregated."""
    where = f"{where}, aggregate {aggregate.name}"
    groups = [_group(where, name, columns) for name in aggregate.group_columns]
    values = [kind for function in parts_of(aggregate.function) for kind in _inputs(where, function, columns)]
    return replace(
        aggregate,
        group_types=() if all(group.family == "string" for group in groups) else tuple(groups),
        value_types=() if all(kind is None for kind in values) else tuple(values),
    )


def _group(where: str, name: str, columns: Columns) -> ColumnType:
    """The type of one column of a group."""
    group = _column(where, "group_by", name, columns)
    if not group.is_scalar:
        raise SettingError(
            f"{where}: group_by {name} is of type {group.name}, but must be a scalar: it is the key of the result"
        )
    return group


def _inputs(where: str, function: Function, columns: Columns) -> Iterator[ColumnType | None]:
    """The type of each input of one function whose values have to be made plain for it; None where they have not."""
    what, takes, free_from = type(function).__name__, getattr(function, "TAKES", None), len(function.inputs)
    free_from = getattr(function, "FREE_FROM", free_from)
    for place, name in enumerate(function.inputs):
        values = _column(where, what, name, columns)
        free = place >= free_from
        if not free and takes is not None and values.family not in takes:
            raise SettingError(
                f"{where}: {what} is of column {name}, which is of type {values.name}, but must be of type "
                f"{', '.join(takes)}"
            )
        _check_declared(where, function, place, values)
        plain = free or values.is_plain or not getattr(function, "TAKES_PLAIN", False)
        yield None if plain else values


def check_output(where: str, aggregate: Aggregate, output: Topic) -> None:
    """Raise SettingError unless the output can be a topic with an Avro schema."""
    where = f"{where}, aggregate {aggregate.name}"
    check_topic_name(where, output.name)
    declared = schema(output.schema or {})
    names = [field["name"] for field in declared["fields"]]
    for name in names:
        if COLUMN_NAME.fullmatch(name) is None:
            raise SettingError(
                f"{where}: {name!r} is no name for a column, but must be letters, digits and _, and begin with no digit"
            )
    check_names(f"{where}, output {output.name}", "column", names)
    try:
        fastavro.parse_schema(declared)
    except (SchemaParseException, KeyError, TypeError, ValueError) as error:
        raise SettingError(f"{where}: the fields of its function make no Avro schema: {error}") from None


def avro_name(topic: str) -> str:
    """A topic's name as a name in Avro, which takes less than Kafka."""
    return re.sub(r"^(?=[0-9])|[^A-Za-z0-9_]", "_", topic)


def output_topic(aggregate: Aggregate, *, retires: bool = False) -> Topic:
    """The topic of an aggregate's results, with the schema that follows from group, function and window.

    With `retires`, any row may be taken back, not only those of sessions.
    """
    names = aggregate.group_columns
    groups = [kind.avro for kind in aggregate.group_types] or ["string"] * len(names)
    columns: list[dict[str, Any]] = [{"name": n, "type": kind} for n, kind in zip(names, groups, strict=True)]
    columns += defined_once(aggregate.function.fields(), "pipeline")
    if not isinstance(aggregate.window, Unwindowed):
        columns += [{"name": name, "type": kind} for name, kind in WINDOW_COLUMNS]
    columns += [{"name": name, "type": "long"} for name in ("event_time_ms", "version")]
    if retires or isinstance(aggregate.window, Session):
        columns.append({"name": "retired", "type": "boolean"})
    name = avro_name(aggregate.output)
    schema = {"type": "record", "namespace": "pipeline", "name": name, "fields": columns}
    return Topic(aggregate.output, Kind.OUTPUT, key=",".join(names), schema=schema)


def _check_declared(where: str, function: Function, place: int, values: ColumnType) -> None:
    """A function that says which type its column has must say the right one."""
    said: ColumnType | tuple[ColumnType, ...] | None = getattr(function, "declared", None)
    declared = said[place] if isinstance(said, tuple) else said
    if declared is None or same_type(declared.avro, values.avro):
        return
    if values.is_plain and declared.family in WIDER.get(values.family, ()):
        return
    raise SettingError(
        f"{where}: {type(function).__name__} says that column {function.inputs[place]} is of type "
        f"{declared.name}, but it is of type {values.name}: type must be {values.avro!r}"
    )


def _column(where: str, what: str, name: str, columns: Columns) -> ColumnType:
    if name not in columns:
        raise SettingError(f"{where}: {what} is {name!r}, but must be one of the columns {', '.join(columns)}")
    return columns[name]
