"""Changed tables: new columns change nothing; missing ones and other types are told."""

import pytest
from sqlalchemy.dialects import mysql

from pipeline.sources.columns import differences
from pipeline.sources.models import Base, FlashSale

SALES = FlashSale.metadata.tables["flash_sales"]
TYPES = {
    "BIGINT": ("bigint", 19, 0),
    "INTEGER": ("int", 10, 0),
    "VARCHAR": ("varchar", None, None),
    "NUMERIC": ("decimal", None, None),
    "DATETIME": ("datetime", None, None),
}


def found(*, without=(), **changed):
    """The rows that information_schema has for the declared tables, with some columns left out or changed."""
    rows = []
    for table in Base.metadata.tables.values():
        for column in table.columns:
            kind, precision, scale = TYPES[column.type.compile(mysql.dialect()).partition("(")[0]]
            if kind == "decimal":
                precision, scale = column.type.precision, column.type.scale
            if table is SALES:
                kind, precision, scale = changed.pop(column.name, (kind, precision, scale))
            if column.name not in without:
                rows.append(
                    {
                        "table_name": table.name,
                        "column_name": column.name,
                        "data_type": kind,
                        "numeric_precision": precision,
                        "numeric_scale": scale,
                    }
                )
    for name, (kind, precision, scale) in changed.items():
        new = {"table_name": "flash_sales", "column_name": name, "data_type": kind}
        rows.append({**new, "numeric_precision": precision, "numeric_scale": scale})
    return rows


def wrong(rows):
    return differences(Base.metadata.tables.values(), rows)


def test_the_declared_tables_are_right():
    assert wrong(found()) == []


def test_new_columns_change_nothing():
    assert wrong(found(note=("varchar", None, None), extra=("json", None, None))) == []


def test_a_narrower_type_is_carried():
    narrower = {"quantity": ("smallint", 5, 0), "sale_price": ("decimal", 8, 1), "product_id": ("char", None, None)}
    assert wrong(found(**narrower, sale_datetime=("timestamp", None, None))) == []


def test_a_dropped_column_is_told():
    assert wrong(found(without=("quantity",))) == ["table flash_sales has no column quantity"]


def test_a_dropped_table_is_told():
    assert len(wrong([row for row in found() if row["table_name"] != "region"])) == 2


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("quantity", ("varchar", None, None)),
        ("quantity", ("bigint", 19, 0)),
        ("sale_id", ("varchar", None, None)),
        ("product_id", ("int", 10, 0)),
        ("sale_price", ("double", 22, None)),
        ("sale_price", ("decimal", 10, 4)),
        ("sale_price", ("decimal", 12, 2)),
        ("sale_datetime", ("bigint", 19, 0)),
        ("sale_datetime", ("date", None, None)),
    ],
)
def test_another_type_is_told(column, kind):
    (sentence,) = wrong(found(**{column: kind}))
    assert sentence.startswith(f"column {column} of table flash_sales is {kind[0].upper()}")
    assert "must be" in sentence
