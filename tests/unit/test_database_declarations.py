"""Tables of a database as sources: what is refused when they are declared, and what follows from them."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from pipeline import (
    Application,
    Bulk,
    Count,
    DatabaseTable,
    Generator,
    Incrementing,
    Rows,
    Stream,
    Table,
    TimestampIncrementing,
    c,
    numbers,
)
from pipeline.access import rights
from pipeline.applications.loading import declared, runnable
from pipeline.codecs import Decoder, Encoder, schema
from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.sources import commands
from pipeline.sources.carried import WANTED, Carried, like, micros
from pipeline.sources.columns import differences, kinds, notices
from pipeline.sources.created import table_of
from pipeline.sources.grants import grants
from pipeline.sources.position import Position, Range
from pipeline.sources.rows import Carrier
from pipeline.sources.topic_positions import moment_us
from pipeline.sources.upserts import Upserts
from pipeline.topics import DEAD_LETTERS, POLLER_POSITION

COLUMNS = {"user_id": "BIGINT", "age": "INT", "name": "STRING", "updated_at": "TIMESTAMP"}
users = Table("web.users", COLUMNS, key="user_id")
orders = Stream("orders", {"order_id": "BIGINT", "user_id": "BIGINT"}, key="user_id")
by_user = orders.group_by(c.user_id).aggregate(n=Count()).to("N")
by_name = users.group_by(c.name).aggregate(n=Count()).to("NAMES")
BY_TIME = TimestampIncrementing("updated_at", "user_id")


def people(*sources, data=()):
    return Application("people", by_user, by_name, sources=sources, data=data)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: DatabaseTable(by_user, "orders", Bulk()),
            "database table orders: stream N is the result of a statement, but must be a source",
        ),
        (
            lambda: DatabaseTable(users.where(c.age > 1), "users", Bulk()),
            "database table users: table web.users is the result of a statement, but must be a source",
        ),
        (
            lambda: DatabaseTable("web.users", "users", Bulk()),
            "database table users: it is carried into 'web.users', but must be into a Stream or a Table",
        ),
        (
            lambda: DatabaseTable(users, "users", Bulk),
            f"database table users: its mode is {Bulk!r}, but must be Bulk(), Incrementing(column) or "
            "TimestampIncrementing(timestamp, column)",
        ),
        (lambda: DatabaseTable(users, "", Bulk()), "database table : its name must be 1 to 64 characters"),
        (
            lambda: DatabaseTable(users, "users", Bulk(), where=" "),
            "database table users: where is ' ', but must be a condition in SQL",
        ),
        (
            lambda: DatabaseTable(users, "users", Incrementing("id")),
            "database table users, Incrementing: there is no column id, only user_id, age, name, updated_at",
        ),
        (
            lambda: DatabaseTable(users, "users", Incrementing("name")),
            "database table users, Incrementing: column name is of type string, but must be int or long",
        ),
        (
            lambda: DatabaseTable(users, "users", TimestampIncrementing("age", "user_id")),
            "database table users, TimestampIncrementing: column age is of type int, but must be a timestamp, or long "
            "with epoch milliseconds",
        ),
        (
            lambda: DatabaseTable(users, "users", TimestampIncrementing("updated_at", "updated_at")),
            "database table users, TimestampIncrementing: updated_at is timestamp and id, but the id must be a column "
            "whose values are each of one row",
        ),
        (
            lambda: DatabaseTable(Table("t", {"id": "INT", "tags": "ARRAY<STRING>"}, key="id"), "t", Bulk()),
            "database table t: column tags is of type array of string, which no column of a database can be",
        ),
        (
            lambda: DatabaseTable(Table("t", {"id": "INT", "sum": "DECIMAL(70, 2)"}, key="id"), "t", Bulk()),
            "database table t: column sum is of type decimal(70, 2), but a DECIMAL has at most 65 digits, 30 of them "
            "after the point",
        ),
        (
            lambda: DatabaseTable(Stream("s", {"id": "INT"}, key="id", headers="h"), "s", Bulk()),
            "database table s: stream s has columns of headers, but a row of a database has none",
        ),
        (
            lambda: people(DatabaseTable(users, "users", BY_TIME), DatabaseTable(orders, "users", Bulk())),
            "application people: database table users is carried twice, but must be into one topic",
        ),
        (
            lambda: people(DatabaseTable(users, "users", BY_TIME), DatabaseTable(users, "old_users", Bulk())),
            "application people: topic web.users is filled from two tables, but must be from one",
        ),
        (
            lambda: Application("people", by_user, sources=[DatabaseTable(users, "users", BY_TIME)]),
            "application people: database table users is carried into web.users, which no statement reads",
        ),
        (
            lambda: people(users),
            f"application people, sources: {users!r} is none, but must be a DatabaseTable",
        ),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_declared(make, sentence):
    with pytest.raises(SettingError) as error:
        make()
    assert str(error.value) == sentence


def test_an_application_with_sources_has_a_database_and_one_without_has_none():
    found = declared(people(DatabaseTable(users, "users", BY_TIME)))
    assert found.hooks.database
    assert "people-poller-position" in {topic.name for topic in found.topics}
    without = declared(people())
    assert not without.hooks.database
    assert not [topic for topic in without.topics if "poller" in topic.name]


def test_flash_sales_has_the_position_that_it_had():
    assert runnable(Settings()).application.position == POLLER_POSITION


@pytest.fixture
def app(monkeypatch):
    """Make an application the one that is set."""

    def choose(application):
        found = declared(application)
        for module in ("access", "provision"):
            monkeypatch.setattr(f"pipeline.{module}.runnable", lambda settings: found, raising=False)
        return found

    return choose


def test_rights_and_grants_are_of_the_tables_that_are_declared(app):
    sources = DatabaseTable(users, "users", BY_TIME), DatabaseTable(orders, "orders", Bulk())
    found = app(people(*sources, data=[Generator(users)]))
    given = rights(Settings(app="people", app_id="people"))
    names = {right.operation.name: set() for right in given["poller"]}
    for right in given["poller"]:
        names[right.operation.name].add(right.name)
    assert names["WRITE"] == {
        "web.users",
        "orders",
        "people-poller-position",
        "pipeline-dead-letters",
        "people-poller",
    }
    assert names["READ"] == {"web.users", "people-poller-position"}
    assert given["generator"] == (), "it writes into the database alone"
    assert grants(found) == {
        "poller": {"users": "SELECT", "orders": "SELECT"},
        "generator": {"users": "SELECT, INSERT, UPDATE"},
    }


def test_again_is_for_a_table_with_ids_and_names_it_where_there_are_several():
    other = Stream("others", {"id": "INT"}, key="id")
    statement = other.group_by(c.id).aggregate(n=Count()).to("OTHERS")
    one = DatabaseTable(orders, "orders", Incrementing("order_id"))
    assert commands.incrementing(people(one), None) is one
    with pytest.raises(SettingError, match="application people has no incrementing table, but --again is for ids"):
        commands.incrementing(people(DatabaseTable(users, "users", BY_TIME)), None)
    two = Application("two", by_user, statement, sources=[one, DatabaseTable(other, "others", Incrementing("id"))])
    with pytest.raises(SettingError, match="several incrementing tables: --table must be orders or others"):
        commands.incrementing(two, None)
    assert commands.incrementing(two, "others").name == "others"
    with pytest.raises(SettingError, match="--table is 'users', but must be orders or others"):
        commands.incrementing(two, "users")


def sql(statement):
    made = statement.compile(dialect=mysql.dialect(), compile_kwargs={"literal_binds": True})
    return " ".join(str(made).split())


def test_the_queries_of_an_incrementing_table_judge_its_condition():
    table = Carried.of(DatabaseTable(orders, "orders", Incrementing("order_id"), where="user_id % 2 = 0"))
    first, below = table.new_rows(Position(9, 1, (Range(3, 3, 0), Range(5, 7, 0))), 10)
    head = f"SELECT orders.order_id, orders.user_id, (user_id %% 2 = 0) AS {WANTED} FROM orders WHERE "
    tail = " ORDER BY orders.order_id LIMIT 10"
    assert sql(first) == f"{head}orders.order_id > 9{tail}"
    assert sql(below) == (
        f"{head}orders.order_id < 1 OR orders.order_id BETWEEN 5 AND 7 OR orders.order_id IN (3){tail}"
    )


def test_the_pages_of_a_timestamp_table():
    table = Carried.of(DatabaseTable(users, "users", BY_TIME, where="age > 1"))
    at = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - MySQL's DATETIME is naive
    page = sql(table.changed_rows(micros(at) - 1_500_000, at, None, 10))
    assert "WHERE (age > 1) AND users.updated_at <= '2026-01-02 03:04:05'" in page
    assert "users.updated_at >= '2026-01-02 03:04:03.500000' ORDER BY users.updated_at, users.user_id LIMIT 10" in page
    following = sql(table.changed_rows(0, at, (at, 7), 10))
    assert "(users.updated_at > '2026-01-02 03:04:05' OR users.updated_at = '2026-01-02 03:04:05'" in following
    assert "AND users.user_id > 7)" in following
    assert like(5, 1_001) == 2
    assert micros("0000-00-00") is None


KINDS = {
    "name": "STRING",
    "count": "BIGINT",
    "small": "INT",
    "ratio": "DOUBLE",
    "single": "float",
    "flag": "BOOLEAN",
    "raw": "BYTES",
    "price": "DECIMAL(20, 4)",
    "day": "DATE",
    "clock": "TIME",
    "at": "TIMESTAMP",
    "fine": {"type": "long", "logicalType": "timestamp-micros"},
    "id": {"type": "string", "logicalType": "uuid"},
    "since": "BIGINT",
}
ALL = DatabaseTable(Table("all", KINDS, key="name"), "kinds", Bulk())
SQL = {
    "name": "enum",
    "count": "bigint",
    "small": "year",
    "ratio": "double",
    "single": "float",
    "flag": "bit",
    "raw": "varbinary",
    "price": "decimal",
    "day": "date",
    "clock": "time",
    "at": "timestamp",
    "fine": "datetime",
    "id": "char",
    "since": "datetime",
}


def found(**changed):
    """Rows of information_schema; a changed column is (kind, precision, scale, digits of a second)."""
    rows = []
    for name, kind in (SQL | {n: one[0] for n, one in changed.items()}).items():
        precision, scale, digits = changed.get(name, (kind, None, None, None))[1:]
        defaults = {"decimal": (20, 4), "bit": (1, None)}.get(kind, (None, None))
        rows.append(
            {
                "table_name": "kinds",
                "column_name": name,
                "data_type": kind.split()[0],
                "column_type": kind,
                "numeric_precision": defaults[0] if precision is None else precision,
                "numeric_scale": defaults[1] if scale is None else scale,
                "datetime_precision": digits,
            }
        )
    return rows


def test_every_kind_is_carried():
    assert differences([Carried.of(ALL)], found()) == []
    assert kinds(Carried.of(ALL), found()) == SQL


@pytest.mark.parametrize(
    ("column", "kind", "called"),
    [
        ("name", ("geometry", None, None, None), "GEOMETRY, but must be VARCHAR"),
        ("name", ("blob", None, None, None), "BLOB, but must be VARCHAR"),
        ("raw", ("text", None, None, None), "TEXT, but must be BLOB"),
        ("flag", ("bit", 8, None, None), "BIT, but must be TINYINT(1) or BIT(1)"),
        ("at", ("datetime", None, None, 6), "DATETIME(6), but must be DATETIME(3)"),
        ("since", ("datetime", None, None, 6), "DATETIME(6), but must be BIGINT"),
        ("clock", ("time", None, None, 4), "TIME(4), but must be TIME(3)"),
        ("ratio", ("decimal", 5, 2, None), "DECIMAL(5, 2), but must be DOUBLE"),
        ("single", ("double", None, None, None), "DOUBLE, but must be FLOAT"),
        ("price", ("decimal", 21, 4, None), "DECIMAL(21, 4), but must be NUMERIC(20, 4)"),
        ("price", ("bigint unsigned", 20, 0, None), "BIGINT UNSIGNED, but must be NUMERIC(20, 4)"),
        ("day", ("datetime", None, None, None), "DATETIME, but must be DATE"),
    ],
)
def test_what_would_lose_something_is_refused(column, kind, called):
    assert differences([Carried.of(ALL)], found(**{column: kind})) == [f"column {column} of table kinds is {called}"]


def test_an_unsigned_id_fits_into_a_decimal_and_is_noted_in_a_long():
    table = Table("t", {"id": "BIGINT", "exact": "DECIMAL(20, 0)"}, key="id")
    carried = Carried.of(DatabaseTable(table, "t", Bulk()))
    kind = {"data_type": "bigint", "column_type": "bigint unsigned", "numeric_precision": 20, "numeric_scale": 0}
    rows = [{"table_name": "t", "column_name": name, **kind} for name in ("id", "exact")]
    assert differences([carried], rows) == []
    assert notices([carried], rows) == [
        f"column id of table t is BIGINT UNSIGNED: a row with a value above {2**63 - 1} becomes a dead letter"
    ]


AT = datetime(2026, 1, 2, 3, 4, 5, 678_000)  # noqa: DTZ001
ROW = {
    "name": "b",
    "count": 2**63 - 1,
    "small": 2026,
    "ratio": 0.1,
    "single": 0.10000000149011612,
    "flag": b"\1",
    "raw": b"\0\xff",
    "price": Decimal("12345.6789"),
    "day": date(2026, 1, 2),
    "clock": timedelta(hours=23, milliseconds=7),
    "at": AT,
    "fine": AT + timedelta(microseconds=9),
    "id": "00000000-0000-0000-0000-00000000002a",
    "since": AT,
}


def carrier(table=ALL):
    carried = Carried.of(table)
    carried.learn(SQL)
    return Carrier(carried, Encoder(table.topic.schema, 1), Encoder(DEAD_LETTERS.schema, 2))


def decoded(record, table=ALL):
    name, number = (DEAD_LETTERS.schema, 2) if record.topic == DEAD_LETTERS.name else (table.topic.schema, 1)
    decode = Decoder(name)
    decode.learn(number, schema(name))
    return decode(record.value)


def test_every_value_survives():
    value = decoded(carrier().record(ROW, 1))
    at = AT.replace(tzinfo=UTC)
    assert value == ROW | {
        "flag": True,
        "clock": time(23, 0, 0, 7_000),
        "at": at,
        "fine": at + timedelta(microseconds=9),
        "id": UUID(int=42),
        "since": 1_767_323_045_678,
    }


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("flag", 2),
        ("clock", timedelta(hours=24)),
        ("clock", timedelta(seconds=-1)),
        ("price", Decimal("1.00001")),
        ("small", 2**31),
        ("raw", "text"),
    ],
)
def test_what_does_not_fit_is_a_letter_that_names_the_column(column, value):
    letter = decoded(carrier().record(ROW | {column: value}, 1))
    assert letter["reason"].startswith(f"table kinds, name b: column {column} is ")
    assert letter["reason"].endswith("which its Avro type cannot hold")


def test_null_where_the_schema_has_none_is_a_letter():
    given = {
        "type": "record",
        "name": "t",
        "fields": [{"name": "id", "type": "int"}, {"name": "n", "type": "long"}],
    }
    table = DatabaseTable(Table("t", given, key="id"), "t", Bulk())
    letter = decoded(carrier(table).record({"id": 4, "n": None}, 1), table)
    assert letter["reason"] == "table t, id 4: column n is None, which its Avro type cannot hold"


def ddl(declared_table):
    made = table_of(declared_table)
    text = str(CreateTable(made).compile(dialect=mysql.dialect()))
    return [line.strip().rstrip(",") for line in text.splitlines() if line.strip()], made


def test_a_table_follows_from_its_declaration():
    lines, made = ddl(DatabaseTable(users, "users", BY_TIME))
    assert lines == [
        "CREATE TABLE users (",
        "user_id BIGINT NOT NULL",
        "age INTEGER",
        "name LONGTEXT",
        "updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)",
        "PRIMARY KEY (user_id)",
        ")ENGINE=InnoDB CHARSET=utf8mb4",
    ]
    (index,) = made.indexes
    assert [column.name for column in index.columns] == ["updated_at", "user_id"]


def test_the_id_of_an_incrementing_table_is_the_databases_to_give():
    table = DatabaseTable(orders, "orders", Incrementing("order_id"))
    lines, _ = ddl(table)
    assert lines[1:3] == ["order_id BIGINT NOT NULL AUTO_INCREMENT", "user_id BIGINT"]
    assert "PRIMARY KEY (order_id)" in lines
    written = str(Upserts(table, (), {}).statement([{"order_id": 1, "user_id": 2}]).compile(dialect=mysql.dialect()))
    assert written.startswith("INSERT INTO orders (user_id) VALUES")
    assert "DUPLICATE" not in written
    asked = str(
        Upserts(table, ["order_id"], {}).statement([{"order_id": 1, "user_id": 2}]).compile(dialect=mysql.dialect())
    )
    assert "(order_id, user_id)" in asked
    assert "ON DUPLICATE KEY UPDATE user_id" in asked


def test_every_kind_can_be_created_and_written_again():
    lines, _ = ddl(ALL)
    assert "name VARCHAR(255) COLLATE utf8mb4_bin NOT NULL" in lines
    assert "price NUMERIC(20, 4)" in lines
    assert "fine DATETIME(6)" in lines
    value = decoded(carrier().record(ROW, 1))
    written = Upserts(ALL, (), SQL).values(value)
    assert written == ROW | {"flag": True, "clock": time(23, 0, 0, 7_000)}


def test_generators_and_rows_say_what_was_asked_for():
    assert Generator(users, age=numbers(1, 9)).given == {"age"}
    rows = Rows(users, [{"user_id": 1}])
    assert people(DatabaseTable(users, "users", BY_TIME), data=[rows]).carried_into(rows.topic).name == "users"


def test_a_condition_is_asked_of_the_database():
    table = Carried.of(DatabaseTable(users, "users", BY_TIME, where="age >"))
    assert sql(table.check()) == "SELECT (age >) FROM users LIMIT 0"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("BIGINT", 1_795_869_112_093),
        ("TIMESTAMP", datetime(2026, 11, 28, 12, 31, 52, 93_000, UTC)),
        ({"type": "long", "logicalType": "timestamp-micros"}, datetime(2026, 11, 28, 12, 31, 52, 93_000, UTC)),
    ],
)
def test_what_a_topic_says_of_a_timestamp_is_what_the_table_says(kind, value):
    """A long without a logical type is epoch milliseconds: after a kill the poller could not read it."""
    into = Table("web.users", {**COLUMNS, "updated_at": kind}, key="user_id")
    table = DatabaseTable(into, "users", BY_TIME)
    assert moment_us(table, value) == 1_795_869_112_093_000
    assert moment_us(table, None) is None
