"""What a topology declares works for every type, or is refused when it is built, in a sentence."""

import dataclasses
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from declared import COLUMNS, COMPOUND, DECIMAL, SCALARS, by, fed, results, topic

from pipeline.codecs import Encoder, schema
from pipeline.errors import CaseError, SettingError
from pipeline.runner.cases import Input, to_record
from pipeline.runner.local import topology_application
from pipeline.settings import load
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.functions import (
    Average,
    Count,
    CountDistinct,
    CountValues,
    EarliestByOffset,
    LatestByOffset,
    Max,
    Min,
    SumDecimal,
    SumDouble,
    SumLong,
    TopK,
    TopKDistinct,
)
from pipeline.tables.windows import Session, Tumbling, Unwindowed
from pipeline.topics import PAGES, Kind, Topic
from pipeline.topology import Aggregation, TableJoin, Topology

TWO: dict[str, tuple[Any, Any, str]] = {
    "s": ("a", "b", "a"),
    "i": (-5, 7, "-5"),
    "l": (-(1 << 60), 1 << 60, str(-(1 << 60))),
    "f": (-0.5, 1.25, "-0.5"),
    "d": (-1e300, 0.1, "-1e+300"),
    "b": (False, True, "false"),
    "raw": (b"\x00\xff", b"\x01", "AP8="),
    "dec": (Decimal("-1.50"), Decimal("9999.99"), "-1.50"),
    "fdec": (Decimal("0.001"), Decimal("2"), "0.001"),
    "u": (UUID(int=1), UUID(int=2), "00000000-0000-0000-0000-000000000001"),
    "day": (date(1969, 12, 31), date(2026, 2, 1), "-1"),
    "tms": (time(0, 0, 1), time(23, 59, 59, 999_000), "1000"),
    "tus": (time(0, 0, 0, 7), time(12), "7"),
    "ms": (datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC), datetime(2026, 1, 1, tzinfo=UTC), "-1"),
    "us": (datetime(1970, 1, 1, 0, 0, 0, 3, UTC), datetime(2026, 1, 1, tzinfo=UTC), "3"),
    "lms": (datetime(1970, 1, 1, 0, 0, 1), datetime(2026, 1, 1), "1000"),  # noqa: DTZ001
    "lus": (datetime(1970, 1, 1, 0, 0, 1), datetime(2026, 1, 1), "1000000"),  # noqa: DTZ001
    "e": ("GREEN", "RED", "GREEN"),
    "x": (b"\0\0\0\1", b"\0\0\0\2", "AAAAAQ=="),
}
"""Of each column a smaller and a larger value, and the smaller one's text as a group."""
TYPED = {name: {"e": "string", "x": "bytes"}.get(name, kind) for name, kind in SCALARS.items()}
TYPED["fdec"] = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 3}


def rows(name: str) -> list[dict[str, Any]]:
    small, large, _ = TWO[name]
    return [{name: large}, {name: small}, {name: None}, {name: large}]


def json_of(name: str) -> list[Any]:
    """Both values as ksqlDB's JSON has them."""
    texts = {"raw": ["AP8=", "AQ=="], "x": ["AAAAAQ==", "AAAAAg=="]}
    if name in texts:
        return texts[name]
    numbers = {
        "day": [-1, 20485],
        "tms": [1000, 86_399_999],
        "tus": [7, 43_200_000_000],
        "ms": [-1, 1_767_225_600_000],
        "us": [3, 1_767_225_600_000_000],
        "lms": [1000, 1_767_225_600_000],
        "lus": [1_000_000, 1_767_225_600_000_000],
    }
    return numbers.get(name) or [str(v) if name == "u" else v for v in TWO[name][:2]]


@pytest.mark.parametrize("name", SCALARS)
async def test_group_by_any_scalar_type(name: str) -> None:
    small, large = json_of(name)
    text = TWO[name][2]
    found = await results(by(name), *rows(name))
    assert [(group, n) for _, group, n in found] == [(large, 1), (small, 1), (large, 2)]
    assert (found[1][0], found[0][0] == found[2][0]) == (text, True)


@pytest.mark.parametrize("name", SCALARS)
def test_the_output_has_the_type_of_the_group(name: str) -> None:
    (output,) = Topology("test", Aggregation(topic(), by(name))).outputs
    assert output.schema is not None
    assert schema(output.schema)["fields"][0] == {"name": name, "type": TYPED[name]}


@pytest.mark.parametrize("window", [Tumbling(1_000), Session(1_000)])
@pytest.mark.parametrize("name", ["l", "dec", "ms", "u", "b"])
async def test_groups_of_any_type_in_windows_and_in_batches(name: str, window: Any) -> None:
    source = topic()
    topology = Topology("test", Aggregation(source, by(name, window=window)))
    single = await fed(topology, rows(name) * 5)
    large, small = (single["OUT_agg"][at]["key"] for at in (0, 1))
    assert [row["value"]["n"] for row in single["OUT_agg"] if row["value"] and row["key"] == large][-1] == 10
    assert [row["value"]["n"] for row in single["OUT_agg"] if row["value"] and row["key"] == small][-1] == 5


async def test_a_decimal_group_is_one_whatever_the_writers_scale() -> None:
    finer = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 4}
    topology = Topology("test", Aggregation(topic({"dec": DECIMAL}), by("dec")))
    app = topology_application(load(), topology)
    app.schemas._known.append(schema(topic({"dec": finer}).schema or {}))
    async with app.running():
        writers = [Encoder(topic({"dec": kind}).schema or {}) for kind in (DECIMAL, finer)]
        for writer, number in zip(writers, (1, len(app.schemas._known)), strict=True):
            writer.registered(number)
            for value in ("1.0", "1.00"):
                await app.feed("rows", b"k", writer({"dec": Decimal(value)}), 0)
        out = await app.rows("OUT_agg")
    assert [(record.key, row["n"]) for record, row in out if row is not None] == [(b"1.00", n) for n in (1, 2, 3, 4)]


async def test_a_negative_zero_is_zero_and_nan_is_a_group() -> None:
    found = await results(
        by("d"), {"d": 0.0}, {"d": -0.0}, {"d": float("nan")}, {"d": float("nan")}, {"d": float("inf")}
    )
    assert [(key, n) for key, _, n in found] == [("0.0", 1), ("0.0", 2), ("nan", 1), ("nan", 2), ("inf", 1)]


@pytest.mark.parametrize("name", SCALARS)
async def test_values_of_every_ordered_type_are_chosen_and_counted(name: str) -> None:
    small, large = json_of(name)
    data = [{"s": "g", **row} for row in rows(name)] if name != "s" else rows(name)
    group = "s" if name != "s" else "i"
    if name == "s":
        data = [{"i": 1, **row} for row in data]
    for function, expected in [
        (Min(name, "o", SCALARS[name]), [large, small, small, small]),
        (Max(name, "o", SCALARS[name]), [large] * 4),
        (EarliestByOffset(name, "o", SCALARS[name]), [large] * 4),
        (LatestByOffset(name, "o", SCALARS[name]), [large, small, small, large]),
        (TopK(name, "o", SCALARS[name], 2), [[large], [large, small], [large, small], [large, large]]),
        (TopKDistinct(name, "o", SCALARS[name], 2), [[large], [large, small], [large, small], [large, small]]),
        (CountDistinct(name, "o"), [1, 2, 2, 2]),
        (CountValues(name, "o"), [1, 2, 2, 3]),
    ]:
        assert [row[2] for row in await results(by(group, function), *data)] == expected, function


@pytest.mark.parametrize("name", SCALARS)
async def test_the_result_has_the_columns_type(name: str) -> None:
    (output,) = Topology("test", Aggregation(topic(), by("s", Max(name, "o", SCALARS[name])))).outputs
    assert schema(output.schema or {})["fields"][1]["type"] == ["null", TYPED[name]]


@pytest.mark.parametrize("name", ["i", "l", "f", "d", "dec"])
async def test_averages_take_all_numbers(name: str) -> None:
    values = [Decimal("1.5"), Decimal("2.5")] if name == "dec" else [1, 3]
    assert (await results(by("s", Average(name, "o")), *({"s": "g", name: v} for v in values)))[-1][2] == 2.0


def refused(*aggregates: Aggregate, source: Topic | None = None, **settings: Any) -> str:
    """The sentence with which a topology of one aggregation is refused."""
    with pytest.raises(SettingError) as found:
        Topology("test", Aggregation(source or topic(), *aggregates, **settings))
    return str(found.value)


@pytest.mark.parametrize("name", COMPOUND)
def test_groups_that_are_no_scalars_are_refused(name: str) -> None:
    assert re.fullmatch(
        rf"topology test, aggregation rows, aggregate agg: group_by {name} is of type .*, but must be a scalar: .*",
        refused(by(name)),
    )


@pytest.mark.parametrize("name", COMPOUND)
@pytest.mark.parametrize("make", [CountDistinct, lambda c, o: Max(c, o, "string"), lambda c, o: TopK(c, o, "long", 2)])
def test_values_that_cannot_be_compared_are_refused(make: Any, name: str) -> None:
    sentence = refused(by("s", make(name, "o")))
    assert re.match(
        rf"topology test, aggregation rows, aggregate agg: \w+ is of column {name}, which is of type .*, but must be",
        sentence,
    )


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (
            SumLong("dec", "o"),
            "SumLong is of column dec, which is of type decimal(6, 2), but must be of type int, long",
        ),
        (SumLong("ms", "o"), "which is of type timestamp-millis, but must be of type int, long"),
        (SumLong("d", "o"), "which is of type double, but must be of type int, long"),
        (SumDecimal("d", "o"), "which is of type double, but must be of type decimal, int, long"),
        (SumDouble("dec", "o"), "which is of type decimal(6, 2), but must be of type float, double, int, long"),
        (Average("s", "o"), "which is of type string, but must be of type int, long, float, double, decimal"),
        (SumLong("list", "o"), "which is of type array of string, but must be"),
        (SumLong("dict", "o"), "which is of type map of long, but must be"),
        (SumLong("rec", "o"), "which is of type record tests.inner, but must be"),
        (SumLong("either", "o"), "which is of type union of null, string, long, but must be"),
        (
            Max("dec", "o", "string"),
            "Max says that column dec is of type string, but it is of type decimal(6, 2): type",
        ),
        (Max("dec", "o", {**DECIMAL, "scale": 1}), "is of type decimal(6, 1), but it is of type decimal(6, 2)"),
        (Max("l", "o", "double"), "Max says that column l is of type double, but it is of type long"),
        (TopK("ms", "o", "long", 3), "TopK says that column ms is of type long, but it is of type timestamp-millis"),
        (Count("s"), "output OUT_agg: column s is there twice, but must be a name of its own for each"),
        (Count("version"), "output OUT_agg: column version is there twice"),
        (Count("a b"), "'a b' is no name for a column, but must be letters, digits and _"),
    ],
)
def test_functions_on_types_they_cannot_hold_are_refused(function: Any, sentence: str) -> None:
    found = refused(by("s", function))
    assert found.startswith("topology test, aggregation rows, aggregate agg")
    assert sentence in found


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (by("region"), "group_by is 'region', but must be one of the columns s, i, l"),
        (by("s", SumLong("prise", "o")), "SumLong is 'prise', but must be one of the columns s, i, l"),
        (by("s", CountValues("prise", "o")), "CountValues is 'prise', but must be"),
    ],
)
def test_a_misspelt_column_is_refused(function: Aggregate, sentence: str) -> None:
    assert f"topology test, aggregation rows, aggregate agg: {sentence}" in refused(function)


@pytest.mark.parametrize("name", [*SCALARS, *COMPOUND, "missing"])
def test_an_event_time_is_a_long_or_a_timestamp_or_refused(name: str) -> None:
    source = topic(event_time=name)
    if name in ("l", "ms", "us", "lms", "lus"):
        Topology("test", Aggregation(source, by("s")))
        return
    sentence = refused(by("s"), source=source)
    assert sentence.startswith("topology test, aggregation rows: event_time")
    assert "topic rows" in sentence
    assert ("event_time_format must say" if name == "s" else "but must be") in sentence


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"event_time": "l", "event_time_format": "yyyyMMdd"},
            "event_time l of topic rows is of type long, but must be s",
        ),
        ({"event_time": "u", "event_time_format": "yyyyMMdd"}, "is of type uuid, but must be string"),
        (
            {"event_time": "s", "event_time_format": "yyyy-QQ"},
            "event time format 'yyyy-QQ' has QQ, but must be made of",
        ),
        ({"event_time_format": "yyyyMMdd"}, "has an event_time_format, so event_time must name its column"),
    ],
)
def test_a_format_of_event_times_needs_a_text(settings: dict[str, str], sentence: str) -> None:
    assert sentence in refused(by("s"), source=topic(**settings))  # type: ignore[arg-type]


async def test_an_event_time_in_text_is_read_by_its_format() -> None:
    source = topic(event_time="s", event_time_format="yyyy-MM-dd HH:mm:ss.SSS")
    topology = Topology("test", Aggregation(source, by("i", window=Tumbling(1_000))))
    records = [
        {"s": text, "i": 1} for text in ("1970-01-01 00:00:01.500", "01.01.1970", None, "1969-12-31 23:59:59.999")
    ]
    out = await fed(topology, records, first_ms=99_000)
    assert [(row["timestamp"], row["window"]["start"]) for row in out["OUT_agg"]] == [(1_500, 1_000)]
    assert [row["value"]["reason"] for row in out["pipeline-dead-letters"]] == [
        "s '01.01.1970' is not in the format 'yyyy-MM-dd HH:mm:ss.SSS'",
        "s is null: a record without event time belongs to no window",
        "s -1 ms is before 1970",
    ]


async def test_event_times_in_timestamps_of_all_kinds() -> None:
    for name in ("ms", "us", "lms", "lus"):
        topology = Topology("test", Aggregation(topic(event_time=name), by("i", window=Tumbling(1_000))))
        record = {name: datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), "i": 1}
        out = await fed(topology, [record])
        assert [(row["timestamp"], row["window"]["start"]) for row in out["OUT_agg"]] == [(1_500, 1_000)], name


def test_names_are_of_their_own() -> None:
    assert "aggregate one is there twice" in refused(by("s", name="one"), by("l", name="one"))
    other = dataclasses.replace(by("l", name="two"), output="OUT_one")
    assert "topology test: topic OUT_one is there twice" in refused(by("s", name="one"), other)
    assert "topic rows is a source and an output" in refused(dataclasses.replace(by("s"), output="rows"))
    assert "topic pipeline-dead-letters is there twice" in refused(
        dataclasses.replace(by("s"), output="pipeline-dead-letters")
    )
    assert "there is no aggregate, but must be at least one" in refused()
    assert "'a b' is no name for a topic" in refused(dataclasses.replace(by("s"), output="a b"))
    for name in ("", "marker", "row"):
        with pytest.raises(SettingError, match=f"an aggregate's name is '{name}', but must be another"):
            by("s", name=name)


def test_aggregations_of_one_topology_do_not_share_a_topic_or_a_name() -> None:
    parts = [Aggregation(topic(), by("s", name=name), name=name) for name in ("one", "two")]
    with pytest.raises(SettingError, match=r"^topology test: topic rows has two agents: put all its aggregates in one"):
        Topology("test", *parts)
    other = dataclasses.replace(topic(), name="others")
    parts[1] = Aggregation(other, by("s", name="two"), name="one")
    with pytest.raises(SettingError, match=r"^topology test: aggregation one is there twice"):
        Topology("test", *parts)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("string", "there is no packaged schema 'string'"),
        ({"type": "string"}, "its schema is not one of an Avro record (KeyError: 'fields')"),
        ({"type": "record", "name": "r", "fields": [{"name": "s", "type": "nothing"}]}, "its schema is not one of an"),
    ],
)
def test_a_schema_that_is_no_record_is_refused(given: Any, sentence: str) -> None:
    found = refused(by("s"), source=Topic("rows", Kind.EVENT, key="s", schema=given))
    assert found.startswith(f"topology test, aggregation rows: the columns of topic rows are not known: {sentence}")


@pytest.mark.parametrize(
    ("join", "sentence"),
    [
        (
            TableJoin("page", PAGES, ("page_group",)),
            "key of the join with MysqlSource-pages is 'page', but must be one",
        ),
        (
            TableJoin("l", PAGES, ("page_group",)),
            "column l is of type long, but must be string, since MysqlSource-pages",
        ),
        (TableJoin("u", PAGES, ("page_group",)), "column u is of type uuid, but must be string"),
        (
            TableJoin("s", PAGES, ("group",)),
            "join with MysqlSource-pages is 'group', but must be one of the columns page_",
        ),
        (TableJoin("s", Topic("t", Kind.INTERNAL, key="k"), ("a",)), "topic t has no schema, but must have one"),
        (
            TableJoin("s", dataclasses.replace(topic(), name="t"), ("i",)),
            "column i is in t and in rows or another table",
        ),
    ],
)
def test_a_join_that_cannot_find_anything_is_refused(join: TableJoin, sentence: str) -> None:
    assert f"topology test, aggregation rows: {sentence}" in refused(by("s"), joins=[join])


def test_a_join_by_what_another_join_has_brought() -> None:
    joins = [
        TableJoin("s", PAGES, ("page_group",)),
        TableJoin("page_group", dataclasses.replace(PAGES, name="p"), ("page_name",)),
    ]
    Topology("test", Aggregation(topic(), by("page_name"), joins=joins))
    assert "key of the join with p is 'page_group'" in refused(by("page_name"), joins=joins[::-1])


async def test_a_topic_whose_name_avro_would_not_take() -> None:
    aggregate = dataclasses.replace(by("l"), output="2-rows.by-l")
    assert [(key, n) for key, _, n in await results(aggregate, {"l": 1})] == [("1", 1)]


def test_a_named_type_that_is_referred_to_is_found() -> None:
    fields = [
        {"name": "s", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
        {"name": "again", "type": ["null", "E"]},
        {"name": "own", "type": {"type": "array", "items": "row"}},
    ]
    source = Topic("rows", Kind.EVENT, key="s", schema={"type": "record", "name": "row", "fields": fields})
    aggregates = [by("again", Max("s", "o", "string"), name="a"), by("s", Min("again", "o", "string"), name="b")]
    assert len(Topology("test", Aggregation(source, *aggregates)).outputs) == 2
    assert "group_by own is of type array of row" in refused(by("own"), source=source)


def test_bytes_in_a_case_are_base64() -> None:
    declared = {"type": "record", "name": "r", "fields": [{"name": "raw", "type": "bytes"}]}
    assert to_record(declared, Input("t", None, {"raw": "AP8="}, 0)) == {"raw": b"\x00\xff"}
    for wrong in ("AP8", 5, "ä"):
        with pytest.raises(CaseError, match="is no base64, as which bytes are given"):
            to_record(declared, Input("t", None, {"raw": wrong}, 0))


def test_every_column_of_the_tests_is_used() -> None:
    assert TWO.keys() | COMPOUND.keys() == COLUMNS.keys()
    assert isinstance(by("s").window, Unwindowed)
