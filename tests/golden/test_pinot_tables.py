"""Pinot's tables of flash sales are those that the files of the releases before declared: none is made anew."""

import json
from pathlib import Path

import pytest

from pipeline.serving.tables import tables
from pipeline.settings import load

FOLDER = Path(__file__).with_name("pinot")
NAMES = sorted(path.name.removesuffix(".schema.json") for path in FOLDER.glob("*.schema.json"))
TABLES = {table.name: table for table in tables(load(bootstrap_servers="${KAFKA_BOOTSTRAP}"))}


def file(name: str, kind: str) -> object:
    return json.loads((FOLDER / f"{name}.{kind}.json").read_text().replace("${SCHEMA_REGISTRY}", load().registry_url))


def test_there_is_one_for_each_of_them() -> None:
    assert sorted(TABLES) == NAMES
    assert len(NAMES) == 12


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_the_one_of_the_file(name: str) -> None:
    assert TABLES[name].schema == file(name, "schema")
    assert TABLES[name].config == file(name, "table")
