"""No name and no value of the shop's database becomes SQL: names are declared and quoted, values are bound."""

import pytest
from shops import CARRIED
from sqlalchemy import Column as Declared
from sqlalchemy import Integer, MetaData, Table, column, select
from sqlalchemy.dialects import mysql

from pipeline.sources.columns import COLUMNS, differences, notices
from pipeline.sources.models import Base
from pipeline.sources.position import Position, Range

NAMES = ("a`b", "x; DROP TABLE flash_sales; --", "a'b", 'a"b', "a``b`", "select", "a\\`b", "a\nb", "a/*b*/", "a b")


def sql(statement: object) -> str:
    """The statement as MySQL gets it."""
    return str(statement.compile(dialect=mysql.dialect()))  # type: ignore[attr-defined]


def unquoted(text: str) -> str:
    """What is left of a statement without what stands in backticks."""
    return "".join(part for n, part in enumerate(text.replace("``", "").split("`")) if n % 2 == 0)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_quoted(name: str) -> None:
    table = Table(name, MetaData(), Declared(name, Integer, primary_key=True))
    for statement in (
        select(table),
        select(column(name)),
        select(table).where(table.c[name] > 1).order_by(table.c[name]),
    ):
        text = sql(statement)
        assert f"`{name.replace('`', '``')}`" in text
        assert "DROP" not in unquoted(text)
        assert text.replace("``", "").count("`") % 2 == 0


@pytest.mark.parametrize("name", NAMES)
def test_names_that_the_database_tells_are_compared_and_not_used(name: str) -> None:
    tables = list(CARRIED.values())
    row = {
        "table_name": name,
        "column_name": name,
        "data_type": name,
        "column_type": name,
        "numeric_precision": None,
        "numeric_scale": None,
    }
    wrong = differences(tables, [row, {**row, "table_name": "region", "column_name": "region_id"}])
    assert len(wrong) == sum(len(table.columns) for table in tables), "it stands for none of ours"
    assert notices(tables, [row]) == []
    assert COLUMNS.compile().params == {}, "nothing is put into the question"


def test_the_poller_s_statements_have_declared_names_and_bound_values() -> None:
    position = Position(9, 1, (Range(2, 2, 0), Range(4, 7, 0)))
    names = {name for table in Base.metadata.tables.values() for name in (table.name, *table.columns.keys())}
    assert all(name.isidentifier() for name in names)
    statements = [table.every() for table in CARRIED.values() if table.is_bulk]
    for statement in (*CARRIED["flash_sales"].new_rows(position, 10), *statements):
        text = sql(statement)
        assert not [digit for digit in "0123456789" if f" {digit}" in text], "values are bound"
        assert ";" not in text
