"""Pinot's tables as they follow from declarations, what overrides them, and saved queries."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import Application, Count, Stream, Table, Tumbling, c
from pipeline.errors import ProvisionError, SettingError
from pipeline.serving.derived import schema_and_table
from pipeline.serving.tables import saved_queries, tables
from pipeline.settings import Settings, load

SHOP = """
from pipeline import Application, Count, Stream, c
views = Stream("views", {"user": "STRING", "region": "STRING"}, key="user")
counts = [views.group_by(c.region).aggregate(count_view=Count()).to(name) for name in ("BY_REGION", "OTHER")]
APPLICATION = Application("shop", *counts, pinot=True)
"""


def overriding(folder: Path, text: str) -> Settings:
    name = re.sub(r"\W", "_", f"shop_{folder.name}")  # modules are imported once
    (folder / f"{name}.py").write_text(SHOP)
    (folder / f"{name}.pinot").mkdir()
    (folder / f"{name}.pinot" / "BY_REGION.json").write_text(text)
    return load(app=name, app_dir=folder)


def stream(**settings: str) -> dict[str, str]:
    config = tables(load(**settings))[0].config
    found: dict[str, str] = config["tableIndexConfig"]["streamConfigs"]
    return found


def test_pinot_may_see_kafka_and_the_registry_under_other_addresses() -> None:
    found = stream(
        bootstrap_servers="127.0.0.1:9092",
        registry_url="http://127.0.0.1:8081",
        pinot_kafka_bootstrap="kafka-1:9092,kafka-2:9092",
        pinot_registry_url="http://registry:8080/apis/ccompat/v7",
    )
    assert found["stream.kafka.broker.list"] == "kafka-1:9092,kafka-2:9092"
    assert found["stream.kafka.decoder.prop.schema.registry.rest.url"] == "http://registry:8080/apis/ccompat/v7"


def test_values_are_escaped_for_json() -> None:
    assert stream(pinot_kafka_bootstrap='a"b\\c')["stream.kafka.broker.list"] == 'a"b\\c'


def test_overrides_change_columns_and_anything_of_the_table(tmp_path: Path) -> None:
    change = {
        "columns": {"count_view": {"kind": "dimension"}, "region": {"clean": True, "maxLength": 9}},
        "table": {"segmentsConfig": {"retentionTimeValue": "2", "replication": None}},
    }
    found = {table.name: table for table in tables(overriding(tmp_path, json.dumps(change)))}
    table, other = found["BY_REGION"], found["OTHER"]
    assert "metricFieldSpecs" not in table.schema and "metricFieldSpecs" in other.schema
    assert {"name": "region", "dataType": "STRING", "maxLength": 9} in table.schema["dimensionFieldSpecs"]
    assert table.config["ingestionConfig"] == {} != other.config["ingestionConfig"]
    segments = other.config["segmentsConfig"] | {"retentionTimeValue": "2", "schemaName": table.name}
    del segments["replication"]
    assert table.config["segmentsConfig"] == segments


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "BY_REGION.json cannot be read: "),
        ("[1]", "BY_REGION.json is no JSON object, but must be one of columns and table"),
        ('{"tables": {}}', "overrides are of tables, but must be of columns and table"),
        ('{"columns": {"nope": {}}}', "there is no column nope to change"),
        (
            '{"columns": {"count_view": {"kind": "x"}}}',
            "is of kind 'x', but must be one of dimension, metric",
        ),
    ],
)
def test_a_wrong_override_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ProvisionError, match=sentence):
        tables(overriding(tmp_path, text))


CLICK = {"user": "STRING", "tags": "ARRAY<STRING>", "place": "STRUCT<city STRING>", "at": "BIGINT"}
clicks = Stream("clicks", CLICK, key="user", time="at")


def made(relation: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    (statement,) = Application("clicks", relation, pinot=[relation]).in_pinot
    return schema_and_table(statement, "kafka:9092", "http://registry", {})


def test_a_stream_without_an_origin_has_no_key_and_arrays_are_columns_of_several_values() -> None:
    schema, config = made(clicks.select(c.user, c.tags, event_time_ms=c.ROWTIME).to("T"))
    assert "primaryKeyColumns" not in schema and "upsertConfig" not in config
    tags = {"name": "tags", "dataType": "STRING", "maxLength": 1 << 20, "singleValueField": False}
    assert tags in schema["dimensionFieldSpecs"]
    assert config["ingestionConfig"]["complexTypeConfig"]["prefixesToRename"] == {"user": "raw_user"}


def test_rows_of_several_groups_and_of_tables_have_their_keys() -> None:
    schema, _ = made(clicks.window(Tumbling(1_000)).group_by(c.user, c.at).aggregate(n=Count()).to("T"))
    assert schema["primaryKeyColumns"] == ["user", "at", "window_start_ms"]
    users = Table("users", {"id": "STRING", "age": "INT"}, key="id")
    schema, config = made(users.where(c.age > 17).to("ADULTS"))
    assert (schema["primaryKeyColumns"], config["upsertConfig"]["comparisonColumn"]) == (["id"], "version")


@pytest.mark.parametrize(
    ("relation", "sentence"),
    [
        (
            lambda: clicks.select(c.place, event_time_ms=c.ROWTIME).to("T"),
            "Pinot, topic T, column place: it holds no values of type {'type': 'record'",
        ),
        (
            lambda: clicks.group_by().aggregate(n=Count()).to("T"),
            "T: the key of its rows is none of its columns",
        ),
    ],
)
def test_what_pinot_cannot_hold_is_a_sentence(relation: Any, sentence: str) -> None:
    with pytest.raises(ProvisionError, match=re.escape(sentence)):
        made(relation())


def test_only_what_is_written_with_a_time_can_be_in_pinot() -> None:
    written = clicks.select(c.user).to("T")
    with pytest.raises(SettingError, match="pinot: T has no column event_time_ms, but must"):
        Application("clicks", written, pinot=True)
    with pytest.raises(SettingError, match="pinot: stream clicks is no topic that it writes, but must be one"):
        Application("clicks", written, pinot=[clicks])


def test_saved_queries_are_read_without_their_comment(tmp_path: Path) -> None:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "two.sql").write_text("-- What it\n--   means.\n\nSELECT 1\nFROM T LIMIT 1;\n")
    (query,) = saved_queries(tmp_path).values()
    assert (query.name, query.meaning, query.sql) == ("two", "What it means.", "SELECT 1\nFROM T LIMIT 1")


@pytest.mark.parametrize("text", ["SELECT 1", "-- only a comment", ""])
def test_a_query_without_meaning_or_sql_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "bad.sql").write_text(text)
    with pytest.raises(ProvisionError, match=r"bad\.sql must begin with a comment"):
        saved_queries(tmp_path)


def test_every_table_gets_the_further_stream_configs(tmp_path: Path) -> None:
    file = tmp_path / "streams.json"
    file.write_text('{"security.protocol": "SASL_SSL", "x": "${LEFT_ALONE}"}')
    for table in tables(load(pinot_stream_configs=file)):
        streams = table.config["tableIndexConfig"]["streamConfigs"]
        assert streams["security.protocol"] == "SASL_SSL" and streams["x"] == "${LEFT_ALONE}"
        assert streams["stream.kafka.topic.name"] == table.name


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "cannot be read: No such"), ("{", "no JSON"), ("[]", "no JSON object of"), ('{"a": 1}', "of")],
)
def test_further_stream_configs_that_are_none(tmp_path: Path, text: str | None, why: str) -> None:
    file = tmp_path / "streams.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ProvisionError, match=f"setting pinot_stream_configs is '.*streams.json', but .*{why}"):
        tables(load(pinot_stream_configs=file))


def test_a_table_does_not_show_the_password_of_the_registrys_address() -> None:
    (table, *_) = tables(load(registry_url="http://me:hunter2@registry:8081"))
    assert "http://registry:8081" in str(table.config) and "hunter2" not in str(table.config)
