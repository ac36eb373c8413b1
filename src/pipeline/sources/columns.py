"""Whether the shop's tables still have the columns that the poller carries.

A column that is new is not read: it may be added at any time, nullable or not. One that is missing, or that has
another type, cannot be carried without loss: the poller has to stop before it sends anything of it.

UNSIGNED columns are taken where their SIGNED kind is, since ids are mostly declared like that and hardly ever use the
upper half. Where the Avro type does not hold all of their values this is noted, and a row with one that it does not
hold becomes a dead letter (`rows.py`): nothing is cut or wrapped around.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import BigInteger, DateTime, Integer, Numeric, String, Table, text
from sqlalchemy.types import TypeEngine

COLUMNS = text(
    "SELECT table_name AS table_name, column_name AS column_name, data_type AS data_type, "
    "column_type AS column_type, numeric_precision AS numeric_precision, numeric_scale AS numeric_scale "
    "FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"
)
"""What `differences` takes."""

HALVES = {"INT UNSIGNED": False, "BIGINT UNSIGNED": True}
"""Kinds of which a signed Avro type of the same width holds the lower half, by whether that type is a long."""
INTEGERS = ("tinyint", "smallint", "mediumint", "int")
TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum")
MOMENTS = ("datetime", "timestamp")


def differences(tables: Iterable[Table], found: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each declared column that is missing or has another type; `found` are the rows of COLUMNS."""
    known = {(row["table_name"], row["column_name"]): row for row in found}
    wrong = []
    for table in tables:
        for column in table.columns:
            row = known.get((table.name, column.name))
            if row is None:
                wrong.append(f"table {table.name} has no column {column.name}")
            elif not _fits(column.type, row):
                wrong.append(f"column {column.name} of table {table.name} is {_named(row)}, but must be {column.type}")
    return wrong


def notices(tables: Iterable[Table], found: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each declared column whose values are carried only as far as the Avro type holds them."""
    known = {(row["table_name"], row["column_name"]): row for row in found}
    told = []
    for table in tables:
        for column in table.columns:
            row = known.get((table.name, column.name))
            if row is None or not isinstance(column.type, Integer):
                continue
            long = isinstance(column.type, BigInteger)
            if HALVES.get(_named(row)) is long:
                limit = (1 << (63 if long else 31)) - 1
                told.append(
                    f"column {column.name} of table {table.name} is {_named(row)}: a row with a value above {limit} "
                    "becomes a dead letter"
                )
    return told


def _fits(declared: TypeEngine[Any], row: Mapping[str, Any]) -> bool:
    """Whether every value of the column as it is can be carried as what is declared."""
    kind = str(row["data_type"]).lower()
    match declared:
        case BigInteger():
            return kind in (*INTEGERS, "bigint")
        case Integer():
            return kind in INTEGERS
        case Numeric():
            if kind != "decimal":
                return False
            precision, scale = int(row["numeric_precision"]), int(row["numeric_scale"])
            most, places = declared.precision or 0, declared.scale or 0
            return scale <= places and precision - scale <= most - places
        case DateTime():
            return kind in MOMENTS
        case String():
            return kind in TEXTS
    return False


def _named(row: Mapping[str, Any]) -> str:
    kind = str(row["data_type"]).upper()
    if "unsigned" in str(row["column_type"]).lower() and kind != "DECIMAL":
        kind += " UNSIGNED"
    return f"{kind}({row['numeric_precision']}, {row['numeric_scale']})" if kind == "DECIMAL" else kind
