"""The `pinot/` folder: placeholders, damaged files, saved queries."""

from pathlib import Path

import pytest

from pipeline.errors import ProvisionError
from pipeline.serving.tables import TABLES, saved_queries, tables
from pipeline.settings import load


def copy_tables(folder: Path) -> Path:
    (folder / "tables").mkdir()
    for path in (load().pinot_dir / "tables").iterdir():
        (folder / "tables" / path.name).write_text(path.read_text())
    return folder / "tables" / f"{TABLES[0]}.table.json"


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


def test_a_missing_folder_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match=r"setting pinot_dir: .* cannot be read"):
        tables(load(pinot_dir=tmp_path))


@pytest.mark.parametrize("text", ["{", '{"a": "${NOPE}"}', "[1]"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = copy_tables(tmp_path)
    path.write_text(text)
    with pytest.raises(ProvisionError, match=path.name):
        tables(load(pinot_dir=tmp_path))


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
