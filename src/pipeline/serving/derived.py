"""Pinot's schema and table of a topic that an application writes: they follow from its Avro schema and its statement.

| what | from |
|---|---|
| columns | the fields: texts, whole numbers, doubles, booleans, and arrays of these as columns of several values |
| times | `event_time_ms`, and every long whose name ends in `_ms`: epoch milliseconds |
| metrics | what an aggregate computes; everything else is a dimension |
| primary key | an aggregate's groups, with the window's start; a table's key; the origin of a stream's rows |
| which row counts | the latest `version`; of a stream's, the latest event: a row that comes again is the same row |

The origin are the columns of ROWPARTITION and ROWOFFSET. Without them a stream has no key: each record is a row.

`overrides` change single columns and anything of the table: see docs/applications.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.codecs import schema
from pipeline.declare.application import EVENT_TIME
from pipeline.declare.relations import Statement
from pipeline.declare.statements import AggregateStatement, StreamStatement
from pipeline.errors import ProvisionError
from pipeline.serving.texts import NUL_TO_SYMBOL

TYPES = {"string": "STRING", "long": "LONG", "int": "INT", "double": "DOUBLE", "float": "FLOAT", "boolean": "BOOLEAN"}
KINDS = {"dimension": "dimensionFieldSpecs", "metric": "metricFieldSpecs", "time": "dateTimeFieldSpecs"}
VERSION = "version"
WINDOW_TEXTS = ("window_start", "window_end")
LONGEST_TEXT = 1 << 20
NOTHING = {"STRING": "", "LONG": 0, "INT": 0, "DOUBLE": 0.0, "FLOAT": 0.0, "BOOLEAN": 0}
"""What is shown for a null."""
MILLIS = {"format": "1:MILLISECONDS:EPOCH", "granularity": "1:MILLISECONDS"}
OVERRIDES = ("columns", "table")


@dataclass(slots=True)
class Column:
    """A column: `kind` is one of KINDS; a text that is `clean` never holds NUL, and is taken as it is."""

    name: str
    kind: str
    spec: dict[str, Any]
    clean: bool

    @property
    def is_text(self) -> bool:
        """Whether it holds texts."""
        return bool(self.spec["dataType"] == "STRING")


def schema_and_table(
    statement: Statement, kafka: str, registry: str, overrides: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pinot's schema and table for a statement's output. Raises ProvisionError where it can hold no such rows."""
    name = statement.output.name
    if unknown := overrides.keys() - set(OVERRIDES):
        raise ProvisionError(
            f"Pinot, {name}: overrides are of {', '.join(sorted(unknown))}, but must be of {' and '.join(OVERRIDES)}"
        )
    columns = _columns(statement, overrides.get("columns", {}))
    keys = _keys(statement, columns)
    return _schema(name, columns, keys), _merged(
        _table(name, columns, keys, kafka, registry, is_stream=isinstance(statement, StreamStatement)),
        overrides.get("table", {}),
    )


def _columns(statement: Statement, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Column]:
    output = statement.output
    assert output.schema is not None
    computed = set()
    if isinstance(statement, AggregateStatement):
        computed = {field["name"] for field in statement.aggregate.function.fields()}
    found: dict[str, Column] = {}
    for field in schema(output.schema)["fields"]:
        name = field["name"]
        column = _column(f"topic {output.name}, column {name}", name, field["type"], is_computed=name in computed)
        change = dict(changes.get(name, {}))
        column.kind, column.clean = change.pop("kind", column.kind), change.pop("clean", column.clean)
        if column.kind not in KINDS:
            raise ProvisionError(
                f"Pinot, {output.name}: column {name} is of kind {column.kind!r}, but must be one of {', '.join(KINDS)}"
            )
        if column.kind == "time":
            column.spec |= MILLIS
        elif column.kind == "metric":
            column.spec.pop("defaultNullValue", None)
        column.spec |= change
        found[name] = column
    if unknown := changes.keys() - found.keys():
        raise ProvisionError(f"Pinot, {output.name}: there is no column {', '.join(sorted(unknown))} to change")
    return found


def _column(where: str, name: str, avro: Any, *, is_computed: bool) -> Column:
    kinds = [kind for kind in (avro if isinstance(avro, list) else [avro]) if kind != "null"]
    kind: Any = kinds[0] if len(kinds) == 1 else None
    several = isinstance(kind, dict) and kind.get("type") == "array"
    if several:
        inner = kind["items"]
        kind = next((one for one in inner if one != "null"), None) if isinstance(inner, list) else inner
    if not isinstance(kind, str) or kind not in TYPES:
        raise ProvisionError(
            f"Pinot, {where}: it holds no values of type {kind}: select what is in them, or leave the topic out of "
            "Application(pinot=[...])"
        )
    spec: dict[str, Any] = {"name": name, "dataType": TYPES[kind]}
    if TYPES[kind] == "STRING":
        spec["maxLength"] = LONGEST_TEXT
    if several:
        return Column(name, "dimension", {**spec, "singleValueField": False}, clean=True)
    if isinstance(avro, list):
        spec["defaultNullValue"] = NOTHING[TYPES[kind]]
    if kind == "long" and name.endswith("_ms"):
        return Column(name, "time", spec, clean=True)
    is_metric = is_computed and kind in ("int", "long", "double", "float")
    return Column(name, "metric" if is_metric else "dimension", spec, clean=kind != "string" or name in WINDOW_TEXTS)


def _keys(statement: Statement, columns: Mapping[str, Column]) -> list[str]:
    """The columns that tell rows apart; none where each row counts."""
    name = statement.output.name
    if isinstance(statement, StreamStatement):
        return list(statement.origin or ())
    keys = list(statement.keys) if isinstance(statement, AggregateStatement) else [statement.output.key]
    if not keys or not columns.keys() >= set(keys):
        raise ProvisionError(
            f"Pinot, {name}: the key of its rows is none of its columns, but must be one: Pinot tells rows apart by it"
        )
    return keys


def _schema(name: str, columns: Mapping[str, Column], keys: list[str]) -> dict[str, Any]:
    of_kind = {specs: [c.spec for c in columns.values() if c.kind == kind] for kind, specs in KINDS.items()}
    return {
        "schemaName": name,
        **({"primaryKeyColumns": keys} if keys else {}),
        **{specs: found for specs, found in of_kind.items() if found},
    }


def _table(
    name: str, columns: Mapping[str, Column], keys: list[str], kafka: str, registry: str, *, is_stream: bool
) -> dict[str, Any]:
    texts = [column.name for column in columns.values() if column.is_text]
    foreign = [column.name for column in columns.values() if column.is_text and not column.clean]
    plain = [c.name for c in columns.values() if c.kind == "metric" or c.name in (EVENT_TIME, VERSION)]
    decoder = "org.apache.pinot.plugin.inputformat.avro.confluent.KafkaConfluentSchemaRegistryAvroMessageDecoder"
    upsert = {"mode": "FULL", "comparisonColumn": EVENT_TIME if is_stream else VERSION}
    ingestion = {
        "complexTypeConfig": {"prefixesToRename": {column: f"raw_{column}" for column in foreign}},
        "transformConfigs": [
            {"columnName": column, "transformFunction": NUL_TO_SYMBOL.format(f"raw_{column}")} for column in foreign
        ],
    }
    return {
        "tableName": name,
        "tableType": "REALTIME",
        "segmentsConfig": {
            "schemaName": name,
            "timeColumnName": EVENT_TIME,
            "replication": "1",
            "replicasPerPartition": "1",
            "retentionTimeUnit": "DAYS",
            "retentionTimeValue": "7",
        },
        "tenants": {},
        "tableIndexConfig": {
            "loadMode": "MMAP",
            "nullHandlingEnabled": True,
            "noDictionaryColumns": plain,
            "varLengthDictionaryColumns": texts,
            "streamConfigs": {
                "streamType": "kafka",
                "stream.kafka.topic.name": name,
                "stream.kafka.broker.list": kafka,
                "stream.kafka.consumer.type": "lowlevel",
                "stream.kafka.consumer.factory.class.name": (
                    "org.apache.pinot.plugin.stream.kafka20.KafkaConsumerFactory"
                ),
                "stream.kafka.consumer.prop.auto.offset.reset": "smallest",
                "stream.kafka.isolation.level": "read_committed",
                "stream.kafka.decoder.class.name": decoder,
                "stream.kafka.decoder.prop.schema.registry.rest.url": registry,
                "realtime.segment.flush.threshold.time": "24h",
                "realtime.segment.flush.threshold.rows": "0",
                "realtime.segment.flush.threshold.segment.size": "100M",
            },
        },
        **({"routing": {"instanceSelectorType": "strictReplicaGroup"}, "upsertConfig": upsert} if keys else {}),
        "ingestionConfig": ingestion if foreign else {},
        "metadata": {},
    }


def _merged(given: Any, change: Any) -> Any:
    """JSON's merge patch (RFC 7396): objects are merged, null takes away, all else takes the place of what was."""
    if not isinstance(change, Mapping):
        return change
    made = dict(given) if isinstance(given, Mapping) else {}
    for name, value in change.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = _merged(made.get(name), value)
    return made
