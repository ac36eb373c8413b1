"""The columns of a topic's rows, by its schema, and the one of them that is the event time."""

from collections.abc import Mapping
from typing import Any

from fastavro.schema import SchemaParseException, expand_schema

from pipeline import functions
from pipeline.codecs import schema
from pipeline.errors import SettingError
from pipeline.event_times import event_time_format
from pipeline.tables.types import ColumnType, column_type
from pipeline.topics import Schema, Topic

Columns = Mapping[str, ColumnType]

EVENT_TIMES = ("long", "timestamp-millis", "timestamp-micros", "local-timestamp-millis", "local-timestamp-micros")
BYTES = functions.BYTES
ALL_HEADERS = functions.parse_type("ARRAY<STRUCT<KEY STRING, VALUE BYTES>>")
"""The type of a column with all headers of a record, as ksqlDB's HEADERS."""


def column_types(given: Schema) -> Columns:
    """The types of the fields of a record's schema; what it raises for any other schema is fastavro's affair."""
    expanded: Any = expand_schema(schema(given))
    return {field["name"]: column_type(field["type"]) for field in expanded["fields"]}


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


def check_event_time(where: str, topic: Topic, columns: Columns) -> None:
    """Raise SettingError unless event times can be read from the topic's column for them."""
    name, pattern = topic.event_time, topic.event_time_format
    if name is None:
        if pattern is not None:
            raise SettingError(
                f"{where}: topic {topic.name} has an event_time_format, so event_time must name its column"
            )
        return
    if name not in columns:
        raise SettingError(
            f"{where}: event_time of topic {topic.name} is {name!r}, but must be one of the columns "
            f"{', '.join(columns)}"
        )
    kind = columns[name]
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
