"""Tables of a database that an application reads: into which topic, and how new and changed rows are found.

    users = Table("web.users", {"user_id": "BIGINT", "age": "INT", "updated_at": "TIMESTAMP"}, key="user_id")
    DatabaseTable(users, "users", TimestampIncrementing("updated_at", "user_id"))

The modes are those of Kafka Connect's JDBC source connector.
"""

from dataclasses import dataclass
from typing import Any

from pipeline.declare.kinds import Scope
from pipeline.declare.relations import Relation
from pipeline.errors import SettingError
from pipeline.tables.types import ColumnType
from pipeline.topics import Topic

LONGEST_NAME = 64
"""Of a table or column, in MySQL and MariaDB."""
WHOLE = ("int", "long")
MOMENTS = ("long", "timestamp-millis", "timestamp-micros", "local-timestamp-millis", "local-timestamp-micros")
CARRIED = frozenset(
    {
        *("string", "int", "long", "float", "double", "boolean", "bytes", "decimal", "date", "uuid"),
        *("time-millis", "time-micros", *MOMENTS),
    }
)
"""Families of Avro types that a column of a database can be."""
DECIMAL = (65, 30)
"""Most digits, and most of them after the point, of MySQL's DECIMAL."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """The whole table, whenever PIPELINE_BULK_INTERVAL_S is over: for small tables."""

    def __str__(self) -> str:
        return "Bulk"


@dataclass(frozen=True, slots=True)
class Incrementing:
    """New rows, by a whole number that grows: an AUTO_INCREMENT. Changes of rows are not seen."""

    column: str

    def __str__(self) -> str:
        return f"Incrementing {self.column}"


@dataclass(frozen=True, slots=True)
class TimestampIncrementing:
    """New and changed rows: by a timestamp that each change sets, and a column whose values are each of one row."""

    timestamp: str
    column: str

    def __str__(self) -> str:
        return f"TimestampIncrementing {self.timestamp}, {self.column}"


Mode = Bulk | Incrementing | TimestampIncrementing


@dataclass(frozen=True, slots=True, eq=False)
class DatabaseTable:
    """The table `name` of the application's database, carried into the topic of a source.

    `mode` says how its rows are found; `where` is a condition in SQL, and only rows that meet it are carried. The
    columns of the topic's schema are read, others are left out. Raises SettingError where this cannot work.
    """

    into: Relation
    name: str
    mode: Mode
    where: str | None = None

    def __post_init__(self) -> None:
        where, into, mode = str(self), self.into, self.mode
        if not isinstance(self.name, str) or not 0 < len(self.name) <= LONGEST_NAME:
            raise SettingError(f"{where}: its name must be 1 to {LONGEST_NAME} characters")
        if not isinstance(into, Relation):
            raise SettingError(f"{where}: it is carried into {into!r}, but must be into a Stream or a Table")
        if into.steps or into.statements:
            raise SettingError(f"{where}: {into} is the result of a statement, but must be a source")
        if not isinstance(mode, Mode):
            raise SettingError(
                f"{where}: its mode is {mode!r}, but must be Bulk(), Incrementing(column) or "
                "TimestampIncrementing(timestamp, column)"
            )
        if into.topic.headers:
            raise SettingError(f"{where}: {into} has columns of headers, but a row of a database has none")
        if self.where is not None and not self.where.strip():
            raise SettingError(f"{where}: where is {self.where!r}, but must be a condition in SQL")
        for column, kind in into.columns.items():
            _check_type(f"{where}: column {column}", kind)
        self._check_mode(where)

    @property
    def label(self) -> str:
        """What lines for users call its rows: words."""
        return self.name.replace("_", " ")

    def _check_mode(self, where: str) -> None:
        match self.mode:
            case Incrementing(column):
                self._require(f"{where}, Incrementing", column, WHOLE, "int or long")
            case TimestampIncrementing(timestamp, column):
                where = f"{where}, TimestampIncrementing"
                self._require(where, timestamp, MOMENTS, "a timestamp, or long with epoch milliseconds")
                self._require(where, column, None, "")
                if timestamp == column:
                    raise SettingError(
                        f"{where}: {column} is timestamp and id, but the id must be a column whose values are each of "
                        "one row"
                    )

    def _require(self, where: str, column: str, families: tuple[str, ...] | None, wanted: str) -> None:
        known: Scope = self.into.columns
        if column not in known:
            raise SettingError(f"{where}: there is no column {column}, only {', '.join(known)}")
        if families is not None and known[column].family not in families:
            raise SettingError(f"{where}: column {column} is of type {known[column].name}, but must be {wanted}")

    @property
    def topic(self) -> Topic:
        """The topic that it fills."""
        return self.into.topic

    @property
    def columns(self) -> Scope:
        """The columns that are carried."""
        return self.into.columns

    @property
    def identity(self) -> str:
        """The column whose values are each of one row: that of its mode, or else the topic's key."""
        return self.topic.key if isinstance(self.mode, Bulk) else self.mode.column

    def __str__(self) -> str:
        return f"database table {self.name}"


def _check_type(where: str, kind: ColumnType) -> None:
    if kind.family not in CARRIED:
        raise SettingError(f"{where} is of type {kind.name}, which no column of a database can be")
    if kind.family != "decimal":
        return
    avro: Any = kind.avro
    digits, places = DECIMAL
    if avro["precision"] > digits or kind.scale > places:
        raise SettingError(
            f"{where} is of type {kind.name}, but a DECIMAL has at most {digits} digits, {places} of them after the "
            "point"
        )
