"""An application whose rows come from tables of a database, in each of the ways there are."""

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
    one_of,
)

MICROS = {"type": "long", "logicalType": "timestamp-micros"}
PEOPLE = {"id": "BIGINT", "age": "INT", "country": "STRING", "balance": "DECIMAL(12, 2)", "updated_at": "TIMESTAMP"}
KINDS = {
    "name": "STRING",
    "choice": "STRING",
    "several": "STRING",
    "document": "STRING",
    "large": "DECIMAL(20, 0)",
    "count": "BIGINT",
    "small": "INT",
    "year": "INT",
    "ratio": "DOUBLE",
    "single": "float",
    "flag": "BOOLEAN",
    "truth": "BOOLEAN",
    "raw": "BYTES",
    "price": "DECIMAL(20, 4)",
    "day": "DATE",
    "clock": "TIME",
    "at": MICROS,
    "stamp": "TIMESTAMP",
    "since": "BIGINT",
    "changed": MICROS,
}
people = Table("people", PEOPLE, key="id")
orders = Stream("orders", {"order_id": "BIGINT", "person": "BIGINT", "price": "DOUBLE"}, key="person")
kinds = Table("kinds", KINDS, key="name")
labels = Table("labels", {"n": "INT", "label": "STRING"}, key="n", value_format="json", key_format="kafka")

APPLICATION = Application(
    "tables_app",
    people.group_by(c.country).aggregate(people=Count()).to("PEOPLE_BY_COUNTRY"),
    orders.group_by(c.person).aggregate(orders=Count()).to("ORDERS_BY_PERSON"),
    kinds.where(c.flag).to("FLAGGED"),
    labels.where(c.n > 0).to("LABELS"),
    sources=[
        DatabaseTable(people, "people", TimestampIncrementing("updated_at", "id")),
        DatabaseTable(orders, "orders", Incrementing("order_id"), where="price > 0"),
        DatabaseTable(kinds, "kinds", TimestampIncrementing("changed", "name")),
        DatabaseTable(labels, "labels", Bulk()),
    ],
    data=[
        Generator(people, per_s=5, id=numbers(1, 200), country=one_of("de", "fr", None)),
        Generator(orders, per_s=5, price=one_of(-1.0, 0.1, 2.5)),
        Rows(labels, [{"n": 1, "label": "one"}, {"n": 2, "label": None}]),
    ],
)
