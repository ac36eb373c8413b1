"""Declarations: what cannot work is one sentence that says where, what and what would be right."""

from collections.abc import Callable

import pytest

from pipeline import (
    INNER,
    OUTER,
    Application,
    Count,
    Generator,
    Hopping,
    Max,
    Rows,
    Session,
    Stream,
    Sum,
    Table,
    TopK,
    Tumbling,
    c,
    case,
    cast,
    f,
    minutes,
    one_of,
    seconds,
)
from pipeline.declare.fluent import Stream as StreamType
from pipeline.errors import SettingError

COLUMNS = {
    "id": "STRING",
    "price": "BIGINT",
    "paid": "BOOLEAN",
    "tags": "ARRAY<STRING>",
    "at": "TIMESTAMP",
    "when": "STRING",
}


def orders() -> StreamType:
    return Stream("orders", COLUMNS, key="id")


def products(**changed: object) -> Table:
    return Table("products", {"id": "STRING", "name": "STRING"}, key="id", **changed)  # type: ignore[arg-type]


def lines() -> Table:
    return Table("lines", {"id": "STRING", "ware": "STRING", "n": "INT"}, key="id")


def counted(stream: StreamType, topic: str = "COUNTS") -> StreamType:
    return stream.group_by(c.id).aggregate(n=Count()).to(topic)


WRONG: list[tuple[str, Callable[[], object], str]] = [
    ("a column that is not there", lambda: orders().where(c.prize > 0), "there is no column prize"),
    ("a type that has no order", lambda: orders().where(c.tags > 1), "tags > 1 compares array of string with int"),
    ("a condition that is none", lambda: orders().where(c.price + 1), "is of type long, but must be boolean"),
    ("arithmetic of texts", lambda: orders().select(x=c.id * 2), "column x: id * 2 is of string and int"),
    ("a column without a name", lambda: orders().select(c.price + 1), "price + 1 needs a name: write name="),
    ("a name that is there", lambda: orders().select(c.id, id=c.price), "there is a column id already"),
    ("nothing selected", lambda: orders().select(), "there is no column, but must be at least one"),
    ("null without a type", lambda: orders().select(x=None), "NULL has no type"),
    ("a field of no record", lambda: orders().select(x=c.price.euros), "must be a record"),
    (
        "a function that is not there",
        lambda: orders().select(x=f.ukase(c.id)),
        "UKASE(id): is no function, but UCASE and LCASE are",
    ),
    ("a function of another type", lambda: orders().select(x=f.ucase(c.price)), "UCASE"),
    ("a type that is none", lambda: orders().select(x=cast(c.id, "TEXT")), "TEXT"),
    ("a comparison with null", lambda: orders().where(c.id == None), "id = NULL is never true: is_null()"),  # noqa: E711
    ("branches of two types", lambda: orders().select(x=case((c.paid, 1), otherwise="no")), "is of type string"),
    ("and, not &", lambda: orders().where(c.paid and c.price > 1), "use &, | and ~"),
    ("exploded, but no array", lambda: orders().explode(c.price, "x"), "is of type long, but must be an array"),
    ("exploded into a column that is there", lambda: orders().explode(c.tags, "id"), "there is a column id already"),
    ("one of several exploded, but no array", lambda: orders().explode(t=c.tags, x=c.price), "price is of type long"),
    ("several exploded into one column", lambda: orders().explode(id=c.tags, t=c.tags), "there is a column id already"),
    ("exploded without a column", lambda: orders().explode(c.tags), "either an array and the name of its column, or"),
    ("exploded in both ways", lambda: orders().explode(c.tags, "tag", t=c.tags), "either an array and the name"),
    (
        "inserted into a source",
        lambda: orders().into(Stream("all", COLUMNS, key="id")),
        "stream orders, into all: stream all is not what the rows of a stream were written to with .to(topic)",
    ),
    ("inserted into an aggregate", lambda: orders().into(counted(orders())), "is not what the rows of a stream were"),
    (
        "inserted into its own source",
        lambda: (all_orders := orders().to("ALL")).where(c.paid).into(all_orders),
        "rows of ALL would go into it again, and so on without an end",
    ),
    (
        "inserted with another column",
        lambda: orders().select(c.id, c.price).into(orders().select(c.id, n=c.price).to("ALL")),
        "stream ALL has a column n, but stream orders has none: select equal columns",
    ),
    (
        "inserted with a column more",
        lambda: orders().select(c.id, c.price).into(orders().select(c.id).to("ALL")),
        "stream orders has a column price, but stream ALL has none: select equal columns",
    ),
    (
        "inserted with another type",
        lambda: orders().select(c.id, x=c.price).into(orders().select(c.id, x=c.when).to("ALL")),
        "column x is of type long, but must be string as in stream ALL",
    ),
    (
        "inserted under another key",
        lambda: orders().into(orders().to("ALL", key=c.when)),
        "rows are keyed by id, but those in it are by when",
    ),
    (
        "inserted from where other keys lie",
        lambda: Stream("json", COLUMNS, key="id", key_format="json").into(orders().to("ALL")),
        "rows lie by keys in the format json, but those in it by keys in text: call repartition(name, key=id) first",
    ),
    (
        "a lambda over no array",
        lambda: orders().select(x=f.transform(c.price, lambda x: x)),
        "TRANSFORM(price, (x) => x) is of price, which is of type long, but must be an array or a map",
    ),
    (
        "a lambda of too many arguments",
        lambda: orders().select(x=f.transform(c.tags, lambda k, v: v)),
        "must have a lambda of 1 argument behind tags",
    ),
    (
        "one lambda for a map",
        lambda: orders().select(x=f.transform(f.as_map(c.tags, c.tags), lambda k, v: v)),
        "must have 2 lambdas, one for keys and one for values, each of 2 arguments behind",
    ),
    (
        "keys that are no texts",
        lambda: orders().select(x=f.transform(f.as_map(c.tags, c.tags), lambda k, v: 1, lambda k, v: v)),
        "(k, v) => 1 is of type int, but keys must be string",
    ),
    (
        "a lambda without a type",
        lambda: orders().select(x=f.transform(c.tags, lambda x: None)),
        "(x) => NULL gives NULL, which has no type",
    ),
    ("no lambda", lambda: orders().select(x=f.filter(c.tags, True)), "must have a lambda of 1 argument behind tags"),
    (
        "a filter that is no condition",
        lambda: orders().select(x=f.filter(c.tags, lambda x: f.len(x))),
        "(x) => LEN(x) is of type int, but must be boolean",
    ),
    (
        "reduced to another type",
        lambda: orders().select(x=f.reduce(c.tags, 0, lambda s, x: f.concat(x, "!"))),
        "is of type string, but must be int as the initial value: cast one of them",
    ),
    (
        "reduced to a wider type",
        lambda: orders().select(x=f.reduce(c.tags, 0, lambda s, x: s + c.price)),
        "(s, x) => s + price is of type long, but must be int as the initial value: cast one of them",
    ),
    (
        "reduced from nothing",
        lambda: orders().select(x=f.reduce(c.tags, None, lambda s, x: s)),
        "the initial value is NULL, which has no type",
    ),
    (
        "a lambda where there is none",
        lambda: orders().select(x=f.ucase(lambda x: x)),
        "(x) => x is a lambda, which only TRANSFORM, FILTER, REDUCE take",
    ),
    ("lambda of nothing", lambda: orders().select(x=f.reduce()), "REDUCE() has no argument, but must have an array"),
    (
        "a lambda's column that is not there",
        lambda: orders().select(x=f.transform(c.tags, lambda x: f.concat(x, c.prize))),
        "there is no column prize",
    ),
    (
        "a header column that is there",
        lambda: Stream("s", COLUMNS, key="id", headers={"price": "p"}),
        "stream s: header column price is in the schema, too, but must be a name of its own",
    ),
    (
        "a header column with no name",
        lambda: Stream("s", COLUMNS, key="id", headers="all headers"),
        "but must be letters",
    ),
    ("a header that is none", lambda: Stream("s", COLUMNS, key="id", headers={"h": None}), "must be of the name of a"),
    (
        "a header twice",
        lambda: Stream("s", COLUMNS, key="id", headers={"h": "x", "i": "x"}),
        "two columns are of one header, but must be of one each",
    ),
    (
        "headers that are written",
        lambda: orders().to("X", headers="h"),
        "headers are columns of what is read, and cannot",
    ),
    ("headers everywhere", lambda: products(everywhere=True, headers="h"), "held everywhere has no headers"),
    (
        "a foreign key of another type",
        lambda: lines().join("what", products(), on=c.n),
        "table lines, join what: n is of type int, but must be string as id, the key of table products",
    ),
    (
        "a foreign key that is no column",
        lambda: lines().join("what", products(), on=c.wares),
        "there is no column wares, only ROWTIME, ",
    ),
    (
        "an outer join by a foreign key",
        lambda: lines().join("what", products(), on=c.ware, kind=OUTER),
        "kind is 'outer', but must be 'inner' or 'left' where on is not the key",
    ),
    (
        "a foreign key to keys in JSON",
        lambda: lines().join("what", products(key_format="json"), on=c.ware),
        "keys of table products are in the format json, but must be in text or kafka",
    ),
    (
        "a foreign key to a table that is everywhere",
        lambda: lines().join("what", products(everywhere=True), on=c.ware),
        "table products is held everywhere, but must lie in partitions to be joined here",
    ),
    (
        "a join by a foreign key, grouped",
        lambda: lines().join("what", products(), on=c.ware).group_by(c.what.name),
        "joined rows are grouped from a topic: call .to(...) first",
    ),
    (
        "two joins of one name by foreign keys",
        lambda: Application(
            "a",
            lines().join("what", products(), on=c.ware).select(c.id).to("A"),
            lines().join("what", products(), on=c.ware).select(c.id).to("B"),
        ),
        "join what is there twice",
    ),
    ("a key that is no column", lambda: Stream("s", COLUMNS, key="nr"), "key is 'nr', but must be one of the columns"),
    ("a key that is no scalar", lambda: Stream("s", COLUMNS, key="tags"), "but must be a scalar"),
    (
        "a time that is no column",
        lambda: Stream("s", COLUMNS, key="id", time="date"),
        "event_time of topic s is 'date'",
    ),
    ("a time that is a text", lambda: Stream("s", COLUMNS, key="id", time="when"), "event_time_format must say how"),
    (
        "a time format that is none",
        lambda: Stream("s", COLUMNS, key="id", time="when", time_format="yyyy-QQ"),
        "has QQ, but must be made of",
    ),
    ("a name that Kafka does not take", lambda: orders().to("all orders"), "'all orders' is no name for a topic"),
    ("a join without within", lambda: orders().join("p", Stream("p", COLUMNS, key="id")), "within is missing"),
    (
        "a join of rows that lie elsewhere",
        lambda: orders().join("product", products(), on=c.when),
        "rows lie by id, but products is joined by when: call repartition",
    ),
    (
        "a lookup of another type",
        lambda: orders().join("product", products(everywhere=True), on=c.price),
        "price is of type long, but must be string as id, the key of products",
    ),
    ("a lookup without on", lambda: orders().join("p", products(everywhere=True)), "on is missing"),
    ("a table that triggers", lambda: orders().join("p", products(), kind=OUTER), "must be 'inner' or 'left'"),
    ("within of a table", lambda: orders().join("p", products(), within=1), "are for joins of two streams"),
    (
        "keys of two formats",
        lambda: orders().join("p", products(key_format="json")),
        "keys of stream orders are in the format text, and those of table products in json",
    ),
    (
        "keys of two scales, whose texts differ",
        lambda: Stream("s", {"k": "DECIMAL(4, 2)"}, key="k").join("t", Table("t", {"k": "DECIMAL(4, 1)"}, key="k")),
        "key k is of type decimal(4, 2), but that of t is decimal(4, 1)",
    ),
    (
        "a stream with a table that was filtered on the way",
        lambda: orders().join("p", products().where(c.name == "tea")),
        "table products is not as it lies in its topic: write it with .to(topic) first",
    ),
    (
        "a join with columns of which each may be null",
        lambda: orders().join("p", products().select(c.name)),
        "table products, select: select its key, too, or another column that is never null",
    ),
    (
        "a join with a table that is renamed on the way",
        lambda: orders().join("p", products().select(nr=c.id)),
        "table products is not as it lies in its topic",
    ),
    (
        "one table with two sets of columns",
        lambda: Application(
            "twice",
            orders().join("p", products()).to("A"),
            orders().join("p", products().select(c.id, c.name)).to("B"),
        ),
        "table products is joined in two places, but with other columns or by another name",
    ),
    (
        "a requirement of a table after a step",
        lambda: products().where(c.name == "tea").require(c.name.is_not_null(), "no name"),
        "table products, require: it must come first",
    ),
    ("a requirement that is no condition", lambda: orders().require(c.price, "no"), "must be boolean"),
    (
        "a table that requires two things",
        lambda: Application(
            "two", orders().join("p", products().require(c.name == "a", "no")).to("A"), products().to("B")
        ),
        "table products requires one thing here and another there",
    ),
    (
        "a result's time that is no column",
        lambda: orders().to("T", time="date"),
        "time is 'date', but must be a column",
    ),
    ("a result's time that is no long", lambda: orders().to("T", time="when"), "must be a column of type long"),
    (
        "a schema of other columns",
        lambda: orders().select(c.id).to("T", schema={"name": "STRING"}),
        "stream orders, to T: the schema has columns name, but the rows id",
    ),
    (
        "a schema of another type",
        lambda: orders().select(c.id).to("T", schema={"id": "BIGINT"}),
        "column id is of type string, but long in the schema",
    ),
    (
        "a stream with a table that has no key",
        lambda: orders().join("p", products().select(c.name).to("NAMES")),
        "the key of table NAMES is none of its columns, but must be one",
    ),
    (
        "a table that has no key with another",
        lambda: products().select(c.name).to("NAMES").join("p", products()),
        "the key of table NAMES is none of its columns, but must be one",
    ),
    (
        "windows as a table",
        lambda: orders().window(Tumbling(minutes(1))).group_by(c.id).aggregate(n=Count()).to("COUNTS").table(),
        "each window of a group is a row of its own, but a table has one a key",
    ),
    (
        "a function of a table that cannot take a row back",
        lambda: products().group_by(c.name).aggregate(n=Count(), last=Max(c.id)).to("T"),
        "table products, to T: last is MAX(id), but must be one that can take a row back: COUNT, SUM, AVG",
    ),
    ("a format that is none", lambda: orders().to("T", value_format="xml"), "value_format is 'xml', but must be avro"),
    (
        "a format that cannot hold a column",
        lambda: orders().to("T", value_format="delimited"),
        "tags",
    ),
    ("a join into a column that is there", lambda: orders().join("price", products()), "a column price already"),
    ("a group that is no scalar", lambda: orders().group_by(c.tags), "tags is of type array of string"),
    ("no group_by", lambda: orders().window(Tumbling(1)).aggregate(n=Count()).to("T"), "there is no group_by"),
    ("no aggregate", lambda: orders().group_by(c.id).to("T"), "there is no aggregate"),
    ("no function", lambda: orders().group_by(c.id).aggregate(n=3), "must be an aggregate function"),
    ("a sum of texts", lambda: orders().group_by(c.id).aggregate(n=Sum(c.when)).to("T"), "which is of type string"),
    ("top 0", lambda: orders().group_by(c.id).aggregate(n=TopK(c.price, 0)), "k is 0, but must be at least 1"),
    (
        "a name of the result twice",
        lambda: orders().group_by(c.id).aggregate(id=Count()).to("T"),
        "column id is there twice",
    ),
    (
        "having of a column that is not in the result",
        lambda: orders().group_by(c.id).aggregate(n=Count()).having(c.price > 1).to("T"),
        "there is no column price",
    ),
    ("final without a window", lambda: orders().group_by(c.id).aggregate(n=Count()).final().to("T"), "need a window"),
    ("an advance above the size", lambda: Hopping(minutes(1), minutes(2)), "must not exceed size_ms"),
    ("a gap of 0", lambda: Session(0), "gap_ms is 0"),
    ("a part of a millisecond", lambda: seconds(0.0001), "but must be whole milliseconds"),
    ("a stream that is not written", lambda: Application("a", orders().where(c.paid)), "is not written to a topic"),
    ("nothing at all", lambda: Application("a"), "there is no statement"),
    (
        "two writers of one topic",
        lambda: Application("a", counted(orders()), counted(orders().where(c.paid))),
        "output topic COUNTS is there twice",
    ),
    ("a topic that is read and written", lambda: Application("a", counted(orders(), "orders")), "is a source and an"),
    (
        "one topic, two schemas",
        lambda: Application("a", counted(orders()), counted(Stream("orders", {"id": "STRING"}, key="id"), "OTHER")),
        "topic orders is declared twice, but differently",
    ),
    ("a name that is none", lambda: Application("my app", counted(orders())), "its name must be 1 to 100 letters"),
    ("data for no column", lambda: Generator(orders(), nr=1), "there is no column nr"),
    ("data at no rate", lambda: Generator(orders(), per_s=0), "per_s is 0, but must be above 0"),
    ("rows of no column", lambda: Rows(products(), [{"nr": 1}]), "there is no column nr"),
    ("one of nothing", lambda: one_of(), "there are 0 values"),
]


@pytest.mark.parametrize(("build", "sentence"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_what_cannot_work_is_refused_in_one_sentence(build: Callable[[], object], sentence: str) -> None:
    with pytest.raises(SettingError) as refused:
        build()
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_there_are_at_least_thirty_of_them() -> None:
    assert len(WRONG) >= 30


def test_expressions_print_as_sql() -> None:
    assert str((c.price * 2 > 10) & ~c.paid) == "((price * 2) > 10) AND NOT paid"
    assert str(c.id.is_null() | c.when.is_in("a", "b'c")) == "id IS NULL OR when IN ('a', 'b''c')"
    assert str(c.product.name) == "product->name"
    assert str(case((c.paid, "yes"), otherwise=None)) == "CASE WHEN paid THEN 'yes' ELSE NULL END"
    assert str(cast(c.price, "DOUBLE")) == "CAST(price AS DOUBLE)"
    assert str(f.transform(c.prices, lambda x: x * 2)) == "TRANSFORM(prices, (x) => x * 2)"
    assert str(f.reduce(c.stock, 0, lambda s, k, v: s + v)) == "REDUCE(stock, 0, (s, k, v) => s + v)"


def test_an_argument_means_nothing_outside_of_its_lambda() -> None:
    arguments = []
    f.transform(c.tags, lambda tag: arguments.append(tag))
    with pytest.raises(SettingError, match="tag stands outside of its lambda, but must be within"):
        orders().select(x=arguments[0])


def test_a_lambda_of_equal_names_within_another_means_the_inner_one() -> None:
    rows = Stream("s", {"id": "STRING", "rows": "ARRAY<ARRAY<BIGINT>>"}, key="id")
    sums = f.transform(c.rows, lambda x: f.reduce(x, cast(x[1], "DOUBLE"), lambda s, x: s + x))
    made = rows.select(x=sums).steps[0].columns[0][1]
    assert made.column({"rows": [[[1, 2], [None], []], None]}.__getitem__, 2) == ([[4.0, None, None], None], {})
    assert made.kind.name == "array of double"


def test_fields_of_a_struct_are_in_capitals_unless_in_backticks() -> None:
    stream = Stream("s", {"id": "STRING", "at": "STRUCT<lat DOUBLE, `lon` DOUBLE>"}, key="id")
    assert stream.select(lat=c.at.LAT, lon=c.at.lon).columns.keys() == {"lat", "lon"}
    with pytest.raises(SettingError, match="column at"):
        Stream("s", {"id": "STRING", "at": "STRUCT<lat DUBLE>"}, key="id")


def test_steps_keep_the_key_where_it_is_selected() -> None:
    assert orders().select(nr=c.id).key == "nr"
    assert orders().select(c.price).key is None
    assert orders().repartition("by-when", key=c.when).key == "when"


def test_an_inner_join_is_one_column_more() -> None:
    joined = orders().join("product", products(), kind=INNER)
    assert list(joined.columns) == [*COLUMNS, "product"]
    assert joined.select(name=c.product.name).columns["name"].family == "string"


def test_a_header_of_a_table_may_be_all_that_a_join_keeps_beside_the_key() -> None:
    users = Table("users", {"id": "STRING", "name": "STRING"}, key="id", headers={"origin": "origin"})
    joined = orders().join("user", users.select(c.id, c.origin))
    assert joined.select(origin=c.user.origin).columns["origin"].name == "bytes"
