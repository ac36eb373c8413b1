"""Avro fields, Pinot columns and the columns that queries use are the same thing under three names."""

import re
from pathlib import Path

import pytest

from pipeline import topics
from pipeline.applications.loading import source_file
from pipeline.codecs import schema
from pipeline.dashboard import queries
from pipeline.serving.tables import Table, overrides_folder, saved_queries, tables
from pipeline.settings import load

SETTINGS = load(bootstrap_servers="kafka:9092", registry_url="http://registry:8081")
BY_NAME = {table.name: table for table in tables(SETTINGS)}
TABLES = tuple(BY_NAME)
QUERIES = {
    **{f"dashboard {number}": sql for number, sql in enumerate(queries.ALL)},
    **{name: query.sql for name, query in saved_queries(SETTINGS.pinot_dir).items()},
}
PINOT_TYPES = {"string": "STRING", "long": "LONG", "int": "INT", "double": "DOUBLE", "boolean": "BOOLEAN"}
KEYWORDS = """
    select from where group by order limit as and or not is null case when then else end desc asc true false
    sum count max min avg cast ago lastwithtime datetimeconvert distinctcount
"""
WORDS = set(KEYWORDS.split())


def plain(avro: object) -> str:
    """The type's name without the union with null."""
    kinds = avro if isinstance(avro, list) else [avro]
    (kind,) = [str(kind) for kind in kinds if kind != "null"]
    return kind


def test_every_output_and_enriched_topic_has_a_table_of_its_name() -> None:
    assert set(BY_NAME) == {topic.name for topic in (*topics.ENRICHED, *topics.OUTPUTS)}
    assert len(BY_NAME) == 12
    overridden = {path.stem for path in overrides_folder(source_file(SETTINGS.app, SETTINGS.app_dir)).iterdir()}
    assert overridden <= set(TABLES), "an override of a table that there is not changes nothing"


@pytest.mark.parametrize("name", TABLES)
def test_columns_are_the_fields_of_the_topics_schema(name: str) -> None:
    topic = topics.BY_NAME[name]
    assert topic.schema is not None
    fields = {field["name"]: PINOT_TYPES[plain(field["type"])] for field in schema(topic.schema)["fields"]}
    assert BY_NAME[name].columns == fields


@pytest.mark.parametrize("name", TABLES)
def test_a_null_has_a_default_that_is_no_value(name: str) -> None:
    topic = topics.BY_NAME[name]
    assert topic.schema is not None
    nullable = {field["name"] for field in schema(topic.schema)["fields"] if isinstance(field["type"], list)}
    for kind in ("dimensionFieldSpecs", "dateTimeFieldSpecs"):
        for spec in BY_NAME[name].schema.get(kind, ()):
            wanted = {"STRING": "", "LONG": 0, "INT": 0}[spec["dataType"]] if spec["name"] in nullable else None
            assert spec.get("defaultNullValue") == wanted, spec["name"]


@pytest.mark.parametrize("name", TABLES)
def test_table_is_an_upsert_by_the_results_key(name: str) -> None:
    table, topic = BY_NAME[name], topics.BY_NAME[name]
    enriched = topic in topics.ENRICHED
    windowed = [topic.key, "window_start_ms"] if "window_start_ms" in table.columns else [topic.key]
    assert table.schema["primaryKeyColumns"] == (["origin_partition", "origin_offset"] if enriched else windowed)
    assert table.config["tableType"] == "REALTIME"
    assert table.config["upsertConfig"] == {
        "mode": "FULL",
        "comparisonColumn": "event_time_ms" if enriched else "version",
    }
    assert table.config["routing"] == {"instanceSelectorType": "strictReplicaGroup"}
    segments = table.config["segmentsConfig"]
    assert (segments["timeColumnName"], segments["replication"]) == ("event_time_ms", "1")
    assert (segments["retentionTimeValue"], segments["retentionTimeUnit"]) == ("7", "DAYS")
    assert table.config["tableName"] == segments["schemaName"] == table.schema["schemaName"] == name
    assert set(table.config["tableIndexConfig"]["noDictionaryColumns"]) <= set(table.columns)


@pytest.mark.parametrize("name", TABLES)
def test_stream_reads_committed_records_of_the_topic(name: str) -> None:
    stream = BY_NAME[name].config["tableIndexConfig"]["streamConfigs"]
    assert stream["stream.kafka.topic.name"] == name
    assert stream["stream.kafka.broker.list"] == "kafka:9092"
    assert stream["stream.kafka.decoder.prop.schema.registry.rest.url"] == "http://registry:8081"
    assert stream["stream.kafka.isolation.level"] == "read_committed"
    assert stream["stream.kafka.consumer.type"] == "lowlevel"
    assert stream["stream.kafka.consumer.prop.auto.offset.reset"] == "smallest"
    assert stream["realtime.segment.flush.threshold.time"] == "24h"
    assert stream["realtime.segment.flush.threshold.segment.size"] == "100M"
    assert stream["realtime.segment.flush.threshold.rows"] == "0"  # or the size would not count


def queried(sql: str) -> tuple[Table, set[str]]:
    """The table of a query and the names in it that should be its columns."""
    bare = re.sub(r"'[^']*'|%\(\w+\)s|/\*.*?\*/", " ", sql)
    (name,) = re.findall(r"\bFROM\s+(\w+)", bare)
    aliases = set(re.findall(r"\bAS\s+(\w+)", bare))
    names = {word for word in re.findall(r"[A-Za-z_]\w*", bare) if word.lower() not in WORDS}
    columns = BY_NAME[name].columns
    return BY_NAME[name], {word for word in names - {name} if word not in aliases or word in columns}


@pytest.mark.parametrize("name", QUERIES)
def test_queries_use_columns_that_exist_and_name_their_limit(name: str) -> None:
    table, columns = queried(QUERIES[name])
    assert columns
    assert columns <= set(table.columns)
    assert re.search(r"\bLIMIT\s+\d+\s*(/\*:\w+\*/)?$", QUERIES[name].rstrip())
    if "retired" in table.columns:
        assert "retired = false" in QUERIES[name]


def test_a_query_of_a_missing_column_would_be_found() -> None:
    table, columns = queried("SELECT page_group, nope AS n FROM PAGEVIEWS_BY_PAGEGROUP_TABLE LIMIT 1")
    assert columns - set(table.columns) == {"nope"}


def test_saved_queries_say_what_they_mean() -> None:
    saved = saved_queries(SETTINGS.pinot_dir)
    assert len(saved) >= 3
    for query in saved.values():
        assert query.meaning.endswith(".")
        assert query.sql.startswith("SELECT")


def test_pinot_folder_is_the_checkouts() -> None:
    assert Path(__file__).resolve().parents[2] / "pinot" == SETTINGS.pinot_dir
