"""Whether tables still have the columns that the poller carries.

A column that is new is not read: it may be added at any time, nullable or not. One that is missing, or that has
another type, cannot be carried without loss: the poller has to stop before it sends anything of it.

UNSIGNED columns are taken where their SIGNED kind is, since ids are mostly declared like that and hardly ever use the
upper half. Where the Avro type does not hold all of their values this is noted, and a row with one that it does not
hold becomes a dead letter (`rows.py`): nothing is cut or wrapped around. So it is with whole numbers as booleans.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import text

from pipeline.sources.carried import Carried
from pipeline.sources.values import MOMENTS
from pipeline.tables.types import ColumnType

COLUMNS = text(
    "SELECT table_name AS table_name, column_name AS column_name, data_type AS data_type, "
    "column_type AS column_type, numeric_precision AS numeric_precision, numeric_scale AS numeric_scale, "
    "datetime_precision AS datetime_precision "
    "FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"
)
"""What `differences` takes."""

HALVES = {"INT UNSIGNED": "int", "BIGINT UNSIGNED": "long"}
"""Kinds of which a signed Avro type of the same width holds the lower half, and that type."""
LIMITS = {"int": (1 << 31) - 1, "long": (1 << 63) - 1}
INTEGERS = ("tinyint", "smallint", "mediumint", "int", "year")
TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json", "uuid")
BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "bit")
MILLIS, MICROS = 3, 6
"""Digits of a second after the point."""
TAKES: Mapping[str, tuple[str, ...]] = {
    "string": TEXTS,
    "int": INTEGERS,
    "long": (*INTEGERS, "bigint", *MOMENTS),
    "float": ("float",),
    "double": ("float", "double"),
    "boolean": ("tinyint", "bit"),
    "bytes": BYTES,
    "decimal": ("decimal", *INTEGERS, "bigint"),
    "date": ("date",),
    "uuid": ("char", "varchar", "uuid"),
    "time-millis": ("time",),
    "time-micros": ("time",),
    "timestamp-millis": MOMENTS,
    "timestamp-micros": MOMENTS,
    "local-timestamp-millis": MOMENTS,
    "local-timestamp-micros": MOMENTS,
}
"""{family of Avro types: kinds of SQL columns, as information_schema calls them}."""
CALLED = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "TINYINT(1) or BIT(1)",
    "bytes": "BLOB",
    "date": "DATE",
    "uuid": "CHAR(36)",
    "time-millis": "TIME(3)",
    "time-micros": "TIME(6)",
    "timestamp-millis": "DATETIME(3)",
    "timestamp-micros": "DATETIME(6)",
    "local-timestamp-millis": "DATETIME(3)",
    "local-timestamp-micros": "DATETIME(6)",
}
"""What a column has to be, for sentences: the largest kind that is carried."""

Found = Iterable[Mapping[str, Any]]


def differences(tables: Iterable[Carried], found: Found) -> list[str]:
    """A sentence for each declared column that is missing or has another type; `found` are the rows of COLUMNS."""
    wrong = []
    for table, name, kind, row in _pairs(tables, found):
        if row is None:
            wrong.append(f"table {table.name} has no column {name}")
        elif not _fits(kind, row):
            wrong.append(f"column {name} of table {table.name} is {_named(row)}, but must be {_called(kind)}")
    return wrong


def notices(tables: Iterable[Carried], found: Found) -> list[str]:
    """A sentence for each declared column whose values are carried only as far as the Avro type holds them."""
    told = []
    for table, name, kind, row in _pairs(tables, found):
        if row is not None and HALVES.get(_named(row)) == kind.family:
            told.append(
                f"column {name} of table {table.name} is {_named(row)}: a row with a value above "
                f"{LIMITS[kind.family]} becomes a dead letter"
            )
    return told


def kinds(table: Carried, found: Found) -> dict[str, str]:
    """{column of a table: its kind}, of all that there are."""
    return {row["column_name"]: _kind(row) for row in found if row["table_name"] == table.name}


def _pairs(
    tables: Iterable[Carried], found: Found
) -> Iterator[tuple[Carried, str, ColumnType, Mapping[str, Any] | None]]:
    known = {(row["table_name"], row["column_name"]): row for row in found}
    for table in tables:
        for name, kind in table.columns.items():
            yield table, name, kind, known.get((table.name, name))


def _kind(row: Mapping[str, Any]) -> str:
    return str(row["data_type"]).lower()


def _fits(declared: ColumnType, row: Mapping[str, Any]) -> bool:
    """Whether every value of the column as it is can be carried as what is declared."""
    kind, family = _kind(row), declared.family
    if kind not in TAKES.get(family, ()):
        return False
    if family == "decimal":
        precision, scale = int(row["numeric_precision"] or 0), int(row["numeric_scale"] or 0)
        most, places = declared.avro["precision"], declared.scale
        return bool(scale <= places and precision - scale <= most - places)
    if kind == "bit" and family == "boolean":
        return int(row["numeric_precision"]) == 1
    if kind in MOMENTS or kind == "time":
        return int(row.get("datetime_precision") or 0) <= (MICROS if family.endswith("micros") else MILLIS)
    return True


def _called(kind: ColumnType) -> str:
    if kind.family == "decimal":
        return f"NUMERIC({kind.avro['precision']}, {kind.scale})"
    return CALLED[kind.family]


def _named(row: Mapping[str, Any]) -> str:
    kind = _kind(row).upper()
    if kind == "DECIMAL":
        return f"{kind}({row['numeric_precision']}, {row['numeric_scale']})"
    if "unsigned" in str(row["column_type"]).lower():
        kind += " UNSIGNED"
    places = row.get("datetime_precision")
    return f"{kind}({places})" if places else kind
