"""A declared table as SQL: the queries by which its rows are found. Names are quoted, and values are bound."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, or_, select
from sqlalchemy import column as column_of
from sqlalchemy import table as table_of
from sqlalchemy.sql.expression import TableClause

from pipeline.declare.database import Bulk, DatabaseTable, Incrementing, TimestampIncrementing
from pipeline.sources.position import Position
from pipeline.tables.types import ColumnType
from pipeline.timebase import EPOCH, to_us
from pipeline.topics import Topic

WANTED = "__wanted"
"""The column that says whether a row meets `where`."""
APPROXIMATE = ("float", "double")
MICRO = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """A table that is carried, and what the database says of the kinds of its columns (`learn`)."""

    declared: DatabaseTable
    sql: TableClause
    kinds: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, declared: DatabaseTable) -> "Carried":
        """Of what an application declares."""
        return cls(declared, table_of(declared.name, *(column_of(name) for name in declared.columns)))

    def learn(self, kinds: Mapping[str, str]) -> None:
        """The kinds of its columns, as MySQL's information_schema calls them, by their names."""
        self.kinds.clear()
        self.kinds.update(kinds)

    @property
    def name(self) -> str:
        """The table's name."""
        return self.declared.name

    @property
    def label(self) -> str:
        """What lines of the log call its rows: words."""
        return self.declared.label

    @property
    def topic(self) -> Topic:
        """Where its rows go."""
        return self.declared.topic

    @property
    def columns(self) -> Mapping[str, ColumnType]:
        """The columns that are carried."""
        return self.declared.columns

    @property
    def is_bulk(self) -> bool:
        """Whether it is read whole."""
        return isinstance(self.declared.mode, Bulk)

    @property
    def identity(self) -> str:
        """The column whose values are each of one row."""
        return self.declared.identity

    @property
    def condition(self) -> ColumnElement[bool] | None:
        """`where`, as it was declared."""
        where = self.declared.where
        return None if where is None else literal_column(f"({where})")

    def every(self) -> Select[Any]:
        """All rows that meet `where`."""
        rows: Select[Any] = select(*self._read()).select_from(self.sql)
        return rows.where(self.condition) if self.condition is not None else rows

    def check(self) -> Select[Any]:
        """A question without an answer, which the database refuses where it cannot understand `where`."""
        assert self.condition is not None
        return select(self.condition).select_from(self.sql).limit(0)

    def _read(self) -> list[ColumnElement[Any]]:
        """The columns; approximate numbers are read as doubles, since MySQL gives but six digits of a FLOAT."""
        return [
            (self.sql.c[name] + literal_column("0e0")).label(name) if kind.family in APPROXIMATE else self.sql.c[name]
            for name, kind in self.columns.items()
        ]

    def largest(self) -> Select[Any]:
        """The largest id, as `last`, or the largest timestamp, as `largest`, with the database's clock as `now`."""
        mode = self.declared.mode
        if isinstance(mode, TimestampIncrementing):
            largest = func.max(self.sql.c[mode.timestamp])
            found: Any = select(largest.label("largest"), literal_column("UTC_TIMESTAMP(6)").label("now"))
            return cast(Select[Any], found)
        assert isinstance(mode, Incrementing)
        return select(func.max(self.sql.c[mode.column]).label("last"))

    def unseen(self) -> Select[Any]:
        """How many rows have no timestamp, as `rows`: they are never read."""
        assert isinstance(self.declared.mode, TimestampIncrementing)
        timestamp = self.sql.c[self.declared.mode.timestamp]
        return select(func.count().label("rows")).select_from(self.sql).where(timestamp.is_(None))

    def new_rows(self, position: Position, limit: int) -> list[Select[Any]]:
        """What is new by id: above the largest one sent, and what is missing below; `limit` rows each, by id.

        Where there is a `where`, WANTED says whether a row meets it: the others leave no gap, but are not sent.
        """
        column = self.sql.c[self.identity]
        judged = () if self.condition is None else (self.condition.label(WANTED),)
        every = select(*self._read(), *judged).select_from(self.sql).order_by(column).limit(limit)
        below = unsent(column, position)
        return [every] if below is None else [every.where(column > position.last_id), every.where(below)]

    def changed_rows(
        self, lowest_us: int | None, largest: Any, after: tuple[Any, Any] | None, limit: int
    ) -> Select[Any]:
        """Rows from a timestamp on (microseconds; None: all) up to the `largest` one, by timestamp and id.

        `after` are the values of the last row of the page before; both are as the database gave them.
        """
        mode = self.declared.mode
        assert isinstance(mode, TimestampIncrementing)
        timestamp, row_id = self.sql.c[mode.timestamp], self.sql.c[mode.column]
        rows = self.every().where(timestamp <= largest).order_by(timestamp, row_id).limit(limit)
        if after is not None:
            at, last = after
            return rows.where(or_(timestamp > at, and_(timestamp == at, row_id > last)), timestamp >= at)
        if lowest_us is not None:
            return rows.where(timestamp >= like(largest, lowest_us))
        return rows


def unsent(column: ColumnElement[Any], position: Position) -> ColumnElement[bool] | None:
    """The condition for ids below the largest one sent that have not been sent; None where there can be none."""
    if position.first_id is None:
        return None
    single = [gap.first for gap in position.gaps if gap.size == 1]
    ranges = [column.between(gap.first, gap.last) for gap in position.gaps if gap.size > 1]
    return or_(column < position.first_id, *ranges, *([column.in_(single)] if single else []))


def micros(moment: Any) -> int | None:
    """Microseconds since 1970 of a DATETIME (naive, UTC) or of epoch milliseconds; None for what is neither."""
    if isinstance(moment, datetime):
        return to_us(moment)
    return moment * 1_000 if isinstance(moment, int) else None


def like(example: Any, at_us: int) -> Any:
    """A moment in the form of another one, DATETIME or epoch milliseconds, which are rounded up."""
    if isinstance(example, datetime):
        return (EPOCH + at_us * MICRO).replace(tzinfo=None)
    return -(-at_us // 1_000)
