"""Tables of the database as they follow from what is declared, for where there are none yet.

| Avro | column |
|---|---|
| string, uuid | TEXT; VARCHAR(255) in the primary key; CHAR(36) |
| int, long, float, double, boolean | INT, BIGINT, FLOAT, DOUBLE, TINYINT(1) |
| bytes, decimal | LONGBLOB, VARBINARY(255) in the primary key; DECIMAL |
| date, time-millis, time-micros | DATE, TIME(3), TIME(6) |
| timestamps of milliseconds, of microseconds | DATETIME(3), DATETIME(6) |
| the timestamp of its mode | TIMESTAMP(3) or (6), set by every change, whatever the session's time zone |

The primary key is the column whose values are each of one row: that of the mode, or the topic's key; of a table that
is incrementing it is AUTO_INCREMENT. Columns take nulls where the Avro schema does.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, MetaData, Numeric, Table, inspect
from sqlalchemy import text as words
from sqlalchemy.dialects.mysql import (
    CHAR,
    DATETIME,
    DOUBLE,
    FLOAT,
    LONGBLOB,
    LONGTEXT,
    TIME,
    TIMESTAMP,
    VARBINARY,
    VARCHAR,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import TypeEngine

from pipeline.codecs import schema
from pipeline.declare.database import DatabaseTable, Incrementing, TimestampIncrementing
from pipeline.errors import ProvisionError
from pipeline.settings import Settings
from pipeline.sources.database import address, engine, reason
from pipeline.tables.types import ColumnType

KEY_LENGTH = 255
PLAIN: dict[str, TypeEngine[Any]] = {
    "string": LONGTEXT(),
    "int": Integer(),
    "long": BigInteger(),
    "float": FLOAT(),
    "double": DOUBLE(),
    "boolean": Boolean(),
    "bytes": LONGBLOB(),
    "date": Date(),
    "uuid": CHAR(36),
    "time-millis": TIME(fsp=3),
    "time-micros": TIME(fsp=6),
}


async def create(settings: Settings, tables: Iterable[DatabaseTable]) -> dict[str, str]:
    """Create the tables that are not there; returns {table: what was done}.

    Raises ProvisionError when the database is out of reach or refuses.
    """
    database = engine(settings)
    try:
        async with database.begin() as connection:
            there = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
            done = {}
            for table in tables:
                done[table.name] = "there" if table.name in there else "created"
                if table.name not in there:
                    await connection.run_sync(table_of(table).create)
        return done
    except (SQLAlchemyError, OSError) as error:
        raise ProvisionError(f"database {address(settings)}: {reason(error)}") from error
    finally:
        await database.dispose()


def table_of(declared: DatabaseTable) -> Table:
    """The table that a declaration amounts to."""
    mode = declared.mode
    nullable = {field["name"]: _takes_null(field["type"]) for field in schema(declared.topic.schema or {})["fields"]}
    made = Table(declared.name, MetaData(), mysql_engine="InnoDB", mysql_charset="utf8mb4")
    for name, kind in declared.columns.items():
        if isinstance(mode, TimestampIncrementing) and name == mode.timestamp:
            places = 6 if kind.family.endswith("micros") else 3
            now = f"CURRENT_TIMESTAMP({places})"
            stamp = TIMESTAMP(fsp=places)
            made.append_column(Column(name, stamp, nullable=False, server_default=words(f"{now} ON UPDATE {now}")))
            continue
        is_key = name == declared.identity
        given = is_key and isinstance(mode, Incrementing)
        made.append_column(
            Column(
                name,
                _key_type(kind) if is_key else _type(kind),
                primary_key=is_key,
                autoincrement=given,
                nullable=nullable[name] and not is_key,
            )
        )
    if isinstance(mode, TimestampIncrementing):
        Index(f"{mode.timestamp}_{mode.column}"[:64], made.c[mode.timestamp], made.c[mode.column])
    return made


def _takes_null(avro: object) -> bool:
    return avro == "null" or (isinstance(avro, list) and "null" in avro)


def _type(kind: ColumnType) -> TypeEngine[Any]:
    if kind.family == "decimal":
        return Numeric(kind.avro["precision"], kind.scale)
    if "timestamp" in kind.family:
        return DATETIME(fsp=6 if kind.family.endswith("micros") else 3)
    return PLAIN[kind.family]


def _key_type(kind: ColumnType) -> TypeEngine[Any]:
    """Texts and bytes of a length that an index takes; texts are equal only where they are the same."""
    if kind.family == "string":
        return VARCHAR(KEY_LENGTH, collation="utf8mb4_bin")
    return VARBINARY(KEY_LENGTH) if kind.family == "bytes" else _type(kind)
