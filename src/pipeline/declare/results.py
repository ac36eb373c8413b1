"""What an aggregate gives: whether its functions take the columns that they read, and the topic of its results."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException

from pipeline.avro_schemas import defined_once
from pipeline.codecs import schema
from pipeline.columns import Columns
from pipeline.errors import SettingError
from pipeline.names import COLUMN_NAME, avro_name, check_names, check_topic_name
from pipeline.tables.aggregate import Aggregate, Function
from pipeline.tables.several import parts_of
from pipeline.tables.types import ColumnType
from pipeline.tables.windows import Session, Unwindowed
from pipeline.topics import Kind, Topic

WINDOW_COLUMNS = (
    ("window_start", "string"),
    ("window_end", "string"),
    ("window_start_ms", "long"),
    ("window_end_ms", "long"),
)


def bound(where: str, aggregate: Aggregate, columns: Columns) -> Aggregate:
    """The aggregate with the types of its group and its values, which are among the columns.

    Raises SettingError where a function does not take the type of what it reads.
    """
    where = f"{where}, aggregate {aggregate.name}"
    groups = tuple(columns[name] for name in aggregate.group_columns)
    values = tuple(kind for function in parts_of(aggregate.function) for kind in _inputs(where, function, columns))
    return replace(
        aggregate,
        group_types=() if all(group.family == "string" for group in groups) else groups,
        value_types=() if all(kind is None for kind in values) else values,
    )


def _inputs(where: str, function: Function, columns: Columns) -> Iterator[ColumnType | None]:
    """The type of each input of one function whose values have to be made plain for it; None where they have not."""
    what, takes, free_from = type(function).__name__, getattr(function, "TAKES", None), len(function.inputs)
    free_from = getattr(function, "FREE_FROM", free_from)
    for place, name in enumerate(function.inputs):
        values = columns[name]
        free = place >= free_from
        if not free and takes is not None and values.family not in takes:
            raise SettingError(
                f"{where}: {what} is of column {name}, which is of type {values.name}, but must be of type "
                f"{', '.join(takes)}"
            )
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
