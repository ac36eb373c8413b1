"""Texts in Pinot: none is cut, no two become one, and readers get back what was sent."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import topics
from pipeline.agents.processor import MAX_VALUE_BYTES
from pipeline.codecs import schema
from pipeline.serving.tables import tables
from pipeline.serving.texts import NUL, SYMBOL, stored, told
from pipeline.settings import load

BY_NAME = {table.name: table for table in tables(load())}
TABLES = tuple(BY_NAME)
WRITTEN_HERE = {"window_start", "window_end", "registertime"}
"""Texts that are times: the application makes them, and no NUL comes into them."""

special, other = st.sampled_from([NUL, SYMBOL, "0"]), st.characters(exclude_categories=["Cs"])
texts = st.lists(st.one_of(special, other), max_size=12).map("".join)


@given(texts, texts)
def test_every_text_comes_back_and_no_two_are_one(one: str, other: str) -> None:
    assert told(stored(one)) == one
    assert NUL not in stored(one)
    assert (stored(one) == stored(other)) == (one == other)


def test_ordinary_texts_are_as_they_were() -> None:
    for text in ("", "User_1", "0", "\\0", "a\nb", "\N{EURO SIGN}"):
        assert stored(text) == told(text) == text


def test_what_was_never_stored_stays() -> None:
    assert told(f"{SYMBOL}x{SYMBOL}") == f"{SYMBOL}x{SYMBOL}"


@pytest.mark.parametrize("name", TABLES)
def test_every_text_has_room_for_the_longest(name: str) -> None:
    """NUL becomes two characters, so a text of the largest input may be twice as long in Pinot."""
    index = BY_NAME[name].config["tableIndexConfig"]
    found = [spec for spec in BY_NAME[name].schema["dimensionFieldSpecs"] if spec["dataType"] == "STRING"]
    assert found
    assert {spec.get("maxLength", 512) for spec in found} == {1 << 20}
    assert 2 * MAX_VALUE_BYTES <= 1 << 20
    # a dictionary with entries as long as the longest of them would take gigabytes for one long text
    assert index["varLengthDictionaryColumns"] == [spec["name"] for spec in found]


@pytest.mark.parametrize("name", TABLES)
def test_every_text_from_elsewhere_keeps_nul(name: str) -> None:
    """What the table does to a column, done here in its stead, is `stored`."""
    topic = topics.BY_NAME[name]
    assert topic.schema is not None
    foreign = {f["name"] for f in schema(topic.schema)["fields"] if "string" in (f["type"], *f["type"])} - WRITTEN_HERE
    ingestion = BY_NAME[name].config["ingestionConfig"]
    renamed = ingestion["complexTypeConfig"]["prefixesToRename"]
    assert renamed == {column: f"raw_{column}" for column in foreign}
    assert {spec["columnName"] for spec in ingestion["transformConfigs"]} == foreign
    for spec in ingestion["transformConfigs"]:
        inner = f"replace(raw_{spec['columnName']}, '{SYMBOL}', '{SYMBOL}{SYMBOL}')"
        assert spec["transformFunction"] == f"replace({inner}, chr(0), '{SYMBOL}0')"


@pytest.mark.parametrize("name", TABLES)
def test_a_renamed_column_takes_no_other_with_it(name: str) -> None:
    """Pinot renames by prefix: "region" would take "region_name" along."""
    columns = BY_NAME[name].columns
    for prefix in BY_NAME[name].config["ingestionConfig"]["complexTypeConfig"]["prefixesToRename"]:
        assert [column for column in columns if column.startswith(prefix)] == [prefix]
        assert not any(re.match("raw_", column) for column in columns)
