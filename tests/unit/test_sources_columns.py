"""Changed tables: new columns change nothing; missing ones and other types are told."""

import pytest
from shops import CARRIED
from sqlalchemy.dialects import mysql

from pipeline.sources.columns import differences, notices
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
                kind, precision, scale, *whole = changed.pop(column.name, (kind, precision, scale))
            else:
                whole = []
            if column.name not in without:
                rows.append(
                    {
                        "table_name": table.name,
                        "column_name": column.name,
                        "data_type": kind,
                        "column_type": whole[0] if whole else kind,
                        "numeric_precision": precision,
                        "numeric_scale": scale,
                    }
                )
    for name, (kind, precision, scale) in changed.items():
        new = {"table_name": "flash_sales", "column_name": name, "data_type": kind, "column_type": kind}
        rows.append({**new, "numeric_precision": precision, "numeric_scale": scale})
    return rows


def wrong(rows):
    return differences(CARRIED.values(), rows)


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


@pytest.mark.parametrize(
    ("column", "kind", "noted"),
    [
        ("sale_id", ("bigint", 20, 0, "bigint(20) unsigned"), 2**63 - 1),
        ("customer_id", ("int", 10, 0, "int(10) unsigned"), None),
        ("customer_id", ("bigint", 20, 0, "bigint unsigned"), 2**63 - 1),
        ("quantity", ("int", 10, 0, "int(10) unsigned zerofill"), 2**31 - 1),
        ("quantity", ("mediumint", 8, 0, "mediumint(8) unsigned"), None),
        ("sale_price", ("decimal", 10, 2, "decimal(10,2) unsigned"), None),
        ("quantity", ("int", 10, 0, "int(11)"), None),
    ],
)
def test_unsigned_columns_are_carried_and_what_their_type_cannot_hold_is_noted(column, kind, noted):
    rows = found(**{column: kind})
    assert wrong(rows) == []
    told = notices(CARRIED.values(), rows)
    if noted is None:
        assert told == []
    else:
        named = f"{kind[0].upper()} UNSIGNED"
        assert told == [
            f"column {column} of table flash_sales is {named}: a row with a value above {noted} becomes a dead letter"
        ]


@pytest.mark.parametrize("kind", [("bigint", 20, 0, "bigint(20) unsigned"), ("float", 12, None, "float unsigned")])
def test_an_unsigned_column_of_another_width_is_told(kind):
    (sentence,) = wrong(found(quantity=kind))
    assert sentence == (f"column quantity of table flash_sales is {kind[0].upper()} UNSIGNED, but must be INTEGER")
