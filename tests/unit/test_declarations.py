"""What is declared works for every type, or is refused when it is built, in a sentence."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import pytest
from declared import COLUMNS, COMPOUND, DECIMAL, SCALARS, by, fed, running, schema_of, stream

from pipeline import (
    Application,
    Average,
    Count,
    CountDistinct,
    EarliestByOffset,
    Histogram,
    LatestByOffset,
    Max,
    Min,
    Session,
    Stream,
    Sum,
    SumDecimal,
    Table,
    TopK,
    TopKDistinct,
    Tumbling,
    c,
)
from pipeline.codecs import Encoder, schema
from pipeline.declare.aggregates import Aggregated
from pipeline.errors import CaseError, SettingError
from pipeline.plan.plan import Plan
from pipeline.records import RecordBatch
from pipeline.runner.cases import Input, to_record

TWO: dict[str, tuple[Any, Any, str]] = {
    "s": ("a", "b", "a"),
    "i": (-5, 7, "-5"),
    "l": (-(1 << 60), 1 << 60, str(-(1 << 60))),
    "f": (-0.5, 1.25, "-0.5"),
    "d": (-1e250, 0.1, "-1e+250"),
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


GROUPED = {**COLUMNS, "g": "string"}
ROWS = [
    {"g": "g", **{name: values[place] for name, values in TWO.items()}} if place is not None else {"g": "g"}
    for place in (1, 0, None, 1)
]
"""Rows that have in every column the larger value, the smaller one, none, and the larger one."""
WINDOWS = {"TUMBLING": Tumbling(1_000), "SESSION": Session(1_000)}
WINDOWED = ("l", "dec", "ms", "u", "b")
NUMBERS = ("i", "l", "f", "d", "dec")
FUNCTIONS: dict[str, Callable[[Any], Aggregated]] = {
    "min": Min,
    "max": Max,
    "first": EarliestByOffset,
    "last": LatestByOffset,
    "top": lambda column: TopK(column, 2),
    "top_distinct": lambda column: TopKDistinct(column, 2),
    "different": CountDistinct,
    "n": Count,
}


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


@cache
def outputs() -> dict[str, Any]:
    """What one application with groups, functions and windows of every type makes of the rows, by output topic."""
    rows = stream(GROUPED)
    made = [rows.group_by(c[name]).aggregate(o=Count()).to(f"BY_{name}") for name in SCALARS]
    for name in SCALARS:
        functions = {output: function(c[name]) for output, function in FUNCTIONS.items()}
        made.append(rows.group_by(c.g).aggregate(**functions).to(f"OF_{name}"))
    for name in NUMBERS:
        made.append(rows.group_by(c.g).aggregate(o=Average(c[name])).to(f"AVERAGE_{name}"))
    for kind, window in WINDOWS.items():
        for name in WINDOWED:
            made.append(rows.window(window).group_by(c[name]).aggregate(o=Count()).to(f"{kind}_{name}"))
    found: dict[str, Any] = asyncio.run(fed(made, ROWS * 5))
    assert found["pipeline-dead-letters"] == []
    return {**found, **{f"{one.name} type": schema(one.topic.schema or {})["fields"] for one in made}}


@pytest.mark.parametrize("name", SCALARS)
def test_group_by_any_scalar_type(name: str) -> None:
    small, large = json_of(name)
    first, second, third, *_ = outputs()[f"BY_{name}"]
    assert [(row["value"][name], row["value"]["o"]) for row in (first, second, third)] == [
        (large, 1),
        (small, 1),
        (large, 2),
    ]
    assert (second["key"], first["key"] == third["key"]) == (TWO[name][2], True)
    assert outputs()[f"BY_{name} type"][0] == {"name": name, "type": TYPED[name]}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", WINDOWED)
def test_groups_of_any_type_in_windows(name: str, window: str) -> None:
    rows = outputs()[f"{window}_{name}"]
    large, small = (rows[at]["key"] for at in (0, 1))
    last = {row["key"]: row["value"]["o"] for row in rows if row["value"]}
    assert last == {large: 10, small: 5}


@pytest.mark.parametrize("name", SCALARS)
def test_values_of_every_ordered_type_are_chosen_and_counted(name: str) -> None:
    small, large = json_of(name)
    expected = {
        "min": [large, small, small, small],
        "max": [large] * 4,
        "first": [large] * 4,
        "last": [large, small, small, large],
        "top": [[large], [large, small], [large, small], [large, large]],
        "top_distinct": [[large], [large, small], [large, small], [large, small]],
        "different": [1, 2, 2, 2],
        "n": [1, 2, 2, 3],
    }
    rows = [row["value"] for row in outputs()[f"OF_{name}"][:4]]
    assert {output: [row[output] for row in rows] for output in FUNCTIONS} == expected
    types = {field["name"]: field["type"] for field in outputs()[f"OF_{name} type"]}
    assert types["max"] == ["null", TYPED[name]]


@pytest.mark.parametrize("name", NUMBERS)
def test_averages_take_all_numbers(name: str) -> None:
    small, large = (float(value) for value in TWO[name][:2])
    found = [row["value"]["o"] for row in outputs()[f"AVERAGE_{name}"][:4]]
    assert found == pytest.approx([large, (large + small) / 2, (large + small) / 2, (2 * large + small) / 3])


async def test_what_is_kept_of_many_values_has_a_limit() -> None:
    rows = stream({"s": "string", "i": "int"})
    some = {"few": CountDistinct(c.i, exact_up_to=100), "about": CountDistinct(c.i, 1), "texts": Histogram(c.s, 1)}
    out = await fed([rows.group_by().aggregate(**some).to("OUT")], [{"s": s, "i": i} for i, s in enumerate("baa")])
    last = out["OUT"][-1]["value"]
    assert (last["few"], last["about"], last["texts"]) == (3, 3, {"a": 2})
    state = rows.group_by().aggregate(**some).to("OUT").statements[0].aggregate.function  # type: ignore[union-attr]
    exact, about, _ = state.add_many(state.zero(), [(1, 1, "a"), (2, 2, "b")], [0, 1])
    assert (exact, type(about)) == ([1, 2], str)


async def test_a_decimal_group_is_one_whatever_the_writers_scale() -> None:
    finer = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 4}
    app = running(by("dec", source=stream({"dec": DECIMAL})))
    app.schemas._known.append(schema_of({"dec": finer}))
    async with app.running():
        writers = [Encoder(schema_of({"dec": kind})) for kind in (DECIMAL, finer)]
        for writer, number in zip(writers, (1, len(app.schemas._known)), strict=True):
            writer.registered(number)
            for value in ("1.0", "1.00"):
                await app.feed("rows", b"k", writer({"dec": Decimal(value)}), 0)
        out = await app.rows("OUT")
    assert [(record.key, row["o"]) for record, row in out if row is not None] == [(b"1.00", n) for n in (1, 2, 3, 4)]


async def test_a_negative_zero_is_zero_and_nan_is_a_group() -> None:
    values = (0.0, -0.0, float("nan"), float("nan"), float("inf"))
    out = await fed([by("d")], [{"d": value} for value in values])
    found = [(row["key"], row["value"]["o"]) for row in out["OUT"]]
    assert found == [("0.0", 1), ("0.0", 2), ("nan", 1), ("nan", 2), ("inf", 1)]


def refused(build: Callable[[], object]) -> str:
    """The sentence with which a declaration is refused."""
    with pytest.raises(SettingError) as found:
        build()
    return str(found.value)


@pytest.mark.parametrize("name", COMPOUND)
def test_groups_that_are_no_scalars_are_refused(name: str) -> None:
    sentence = rf"stream rows, group_by: {name} is of type .*, but must be a scalar: it is the key of the result"
    assert re.fullmatch(sentence, refused(lambda: by(name)))


@pytest.mark.parametrize("name", COMPOUND)
@pytest.mark.parametrize("make", [CountDistinct, Max, lambda column: TopK(column, 2)])
def test_values_that_cannot_be_compared_are_refused(make: Callable[[Any], Aggregated], name: str) -> None:
    sentence = refused(lambda: by("s", function=make(c[name])))
    assert re.match(rf"stream rows, to OUT, .*: \w+ is of column {name}, which is of type .*, but must be", sentence)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (Sum(c.ms), "is of column ms, which is of type timestamp-millis, but must be of type float, double, int, long"),
        (SumDecimal(c.d), "which is of type double, but must be of type decimal, int, long"),
        (Average(c.s), "which is of type string, but must be of type int, long, float, double, decimal"),
        (Sum(c.list), "which is of type array of string, but must be"),
        (Sum(c.dict), "which is of type map of long, but must be"),
        (Sum(c.rec), "which is of type record tests.inner, but must be"),
        (Sum(c.either), "which is of type union of null, string, long, but must be"),
    ],
)
def test_functions_on_types_they_cannot_hold_are_refused(function: Aggregated, sentence: str) -> None:
    found = refused(lambda: by("s", function=function))
    assert found.startswith("stream rows, to OUT, aggregate OUT: ")
    assert sentence in found


def results(**functions: Aggregated) -> object:
    return stream().group_by(c.s).aggregate(**functions).to("OUT")


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: results(version=Count()), "output OUT: column version is there twice, but must be a name of its own"),
        (lambda: results(**{"a b": Count()}), "aggregate OUT: 'a b' is no name for a column, but must be letters, dig"),
        (lambda: results(t=SumDecimal(c.dec), t_cents=Count()), "column t_cents is there twice"),
        (lambda: results(o=Histogram(c.s, 0)), "to OUT, column o: Histogram: limit is 0, but must be at least 1"),
        (lambda: by("s", "s"), "stream rows, group_by: column s is there twice, but must be a name of its own"),
        (lambda: stream().group_by(c.s, s=c.l), "stream rows, group_by: column s is there twice"),
        (lambda: by("region"), "stream rows, group_by: there is no column region, only ROWTIME, "),
        (lambda: results(o=Sum(c.prise)), "stream rows, aggregate o: there is no column prise, only ROWTIME, "),
        (lambda: stream().group_by(c.s).aggregate(o=Count()).to("a b"), "'a b' is no name for a topic"),
        (
            lambda: Application("test", stream().group_by(c.s).aggregate(o=Count()).to("pipeline-dead-letters")),
            "application test: output topic pipeline-dead-letters is there twice",
        ),
    ],
)
def test_names_that_are_none_or_another_s_are_refused(build: Callable[[], object], sentence: str) -> None:
    assert sentence in refused(build)


@pytest.mark.parametrize("name", ["", "marker", "row", "having"])
def test_an_aggregate_is_not_called_as_other_keys_of_states_are(name: str) -> None:
    grouped = stream().group_by(c.s).aggregate(o=Count())
    sentence = refused(lambda: grouped.to("OUT", name=name) if name else grouped.to(name))
    assert sentence.startswith(f"an aggregate's name is {name!r}, but must be another")


def counted(rows: Any, topic: str, **names: str) -> Any:
    return rows.group_by(c.s).aggregate(o=Count()).to(topic, **names)


KEPT = stream().named("kept")


@pytest.mark.parametrize(
    ("name", "made", "sentence"),
    [
        (
            "test",
            [counted(KEPT, "A", name="one"), counted(KEPT, "B", name="one")],
            "application test, state kept: aggregate one is there twice, but must be a name of its own for each",
        ),
        (
            "test",
            [counted(KEPT, "A"), counted(stream().where(c.i > 1).named("kept"), "B")],
            "application test: topic test-kept-partials is there twice",
        ),
        (
            "test",
            [counted(stream(), "A"), counted(stream(), "test-A-partials")],
            "application test: topic test-A-partials is there twice",
        ),
        ("t" * 100, [counted(stream(), "A" * 150)], "is no name for a topic, but must be letters"),
    ],
)
def test_what_is_between_agents_has_names_of_its_own(name: str, made: list[Any], sentence: str) -> None:
    assert sentence in refused(lambda: Plan(Application(name, *made)))


@pytest.mark.parametrize("name", [*SCALARS, *COMPOUND, "missing"])
def test_an_event_time_is_a_long_or_a_timestamp_or_refused(name: str) -> None:
    if name in ("l", "ms", "us", "lms", "lus"):
        assert stream(time=name).topic.event_time == name
        return
    sentence = refused(lambda: stream(time=name))
    assert sentence.startswith("stream rows: event_time")
    assert "topic rows" in sentence
    assert ("event_time_format must say" if name == "s" else "but must be") in sentence


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"time": "l", "time_format": "yyyyMMdd"}, "event_time l of topic rows is of type long, but must be s"),
        ({"time": "u", "time_format": "yyyyMMdd"}, "is of type uuid, but must be string"),
        ({"time": "s", "time_format": "yyyy-QQ"}, "event time format 'yyyy-QQ' has QQ, but must be made of"),
        ({"time_format": "yyyyMMdd"}, "has an event_time_format, so event_time must name its column"),
    ],
)
def test_a_format_of_event_times_needs_a_text(settings: dict[str, str], sentence: str) -> None:
    assert sentence in refused(lambda: stream(**settings))


async def test_an_event_time_in_text_is_read_by_its_format() -> None:
    source = stream(time="s", time_format="yyyy-MM-dd HH:mm:ss.SSS")
    records = [
        {"s": text, "i": 1} for text in ("1970-01-01 00:00:01.500", "01.01.1970", None, "1969-12-31 23:59:59.999")
    ]
    out = await fed([by("i", window=Tumbling(1_000), source=source)], records, first_ms=99_000)
    assert [(row["timestamp"], row["window"]["start"]) for row in out["OUT"]] == [(1_500, 1_000)]
    assert [row["value"]["reason"] for row in out["pipeline-dead-letters"]] == [
        "s '01.01.1970' is not in the format 'yyyy-MM-dd HH:mm:ss.SSS'",
        "s is null: a record without event time belongs to no window",
        "s -1 ms is before 1970",
    ]


@pytest.mark.parametrize("name", ["ms", "us", "lms", "lus"])
async def test_event_times_in_timestamps_of_all_kinds(name: str) -> None:
    record = {name: datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), "i": 1}
    out = await fed([by("i", window=Tumbling(1_000), source=stream(time=name))], [record])
    assert [(row["timestamp"], row["window"]["start"]) for row in out["OUT"]] == [(1_500, 1_000)]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("string", "there is no packaged schema 'string'"),
        ({"type": "array", "items": "string"}, "its schema is not one of an Avro record"),
        ({"type": "record", "name": "r", "fields": [{"name": "s", "type": "nothing"}]}, "its schema is not one of an"),
    ],
)
def test_a_schema_that_is_no_record_is_refused(given: Any, sentence: str) -> None:
    found = refused(lambda: Stream("rows", given, key="s"))
    assert found.startswith(f"stream rows: the columns of topic rows are not known: {sentence}")


PAGES = Table("pages", {"page": "STRING", "part": "STRING"}, key="page", everywhere=True)
PARTS = Table("parts", {"part": "STRING", "owner": "STRING"}, key="part", everywhere=True)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: stream().join("page", PAGES, on=c.url), "stream rows, join page: there is no column url, only"),
        (lambda: stream().join("page", PAGES, on=c.u), "u is of type uuid, but must be string as page, the key of"),
        (lambda: stream().join("page", PAGES, on=c.s).group_by(c.page.group), "group_by: page->group needs a name"),
        (
            lambda: stream().join("page", PAGES, on=c.s).group_by(part=c.page.group),
            "group_by, column part: page has no field group, only page, part",
        ),
        (
            lambda: stream().join("owner", PARTS, on=c.page.part).join("page", PAGES, on=c.s),
            "stream rows, join owner: there is no column page, only",
        ),
    ],
)
def test_a_join_that_cannot_find_anything_is_refused(build: Callable[[], object], sentence: str) -> None:
    assert sentence in refused(build)


async def test_a_row_counts_in_the_group_that_its_tables_have_for_it_when_it_is_processed() -> None:
    """The second join is by what the first one has brought; one by one as in a batch."""
    joined = stream({"s": "string"}).join("page", PAGES, on=c.s).join("part", PARTS, on=c.page.part)
    counts = joined.window(Tumbling(1_000)).group_by(owner=c.part.owner).aggregate(n=Count()).to("OUT")
    async with running(counts).running() as app:

        async def put(topic: str, key: str, row: dict[str, Any], time_ms: int) -> None:
            await app.feed(topic, key.encode(), app.encode(topic, row), time_ms)

        for part, owner in (("home", "G"), ("shop", "H")):
            await put("parts", part, {"part": part, "owner": owner}, 0)
        await put("pages", "p1", {"page": "p1", "part": "home"}, 0)
        await put("rows", "u", {"s": "p1"}, 5)
        await put("pages", "p1", {"page": "p1", "part": "shop"}, 0)
        await put("rows", "u", {"s": "p1"}, 1_005)
        await put("rows", "u", {"s": "p2"}, 1_006)  # no such page: a group of null counts nowhere
        await put("pages", "p3", {"page": "p3", "part": "home"}, 0)
        values = [app.encode("rows", {"s": page}) for page in ("p1", "p2", "p3") * 10]
        await app.feed_batch(RecordBatch("rows", 0, range(3, 33), range(2_000, 2_030), [b"u"] * 30, values))
        found = [row for _, row in await app.rows("OUT") if row]
    assert [(row["owner"], row["window_start_ms"], row["n"]) for row in found] == [
        ("G", 0, 1),
        ("H", 1_000, 1),
        ("H", 2_000, 10),
        ("G", 2_000, 10),
    ]


async def test_a_topic_whose_name_avro_would_not_take() -> None:
    out = await fed([stream().group_by(c.l).aggregate(n=Count()).to("2-rows.by-l")], [{"l": 1}])
    assert [(row["key"], row["value"]["n"]) for row in out["2-rows.by-l"]] == [("1", 1)]


def test_a_named_type_that_is_referred_to_is_found() -> None:
    fields = [
        {"name": "s", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
        {"name": "again", "type": ["null", "E"]},
        {"name": "own", "type": {"type": "array", "items": "row"}},
    ]
    source = Stream("rows", {"type": "record", "name": "row", "fields": fields}, key="s")
    one = source.group_by(c.again).aggregate(o=Max(c.s)).to("A")
    other = source.group_by(c.s).aggregate(o=Min(c.again)).to("B")
    assert len(Application("test", one, other).outputs) == 2
    assert "group_by: own is of type array of row" in refused(lambda: by("own", source=source))


def test_a_type_that_has_the_output_s_name_is_refused() -> None:
    inner = {"type": "record", "name": "pipeline.OUT", "fields": []}
    source = stream({"s": "string", "rec": inner})
    found = refused(lambda: by("s", function=LatestByOffset(c.rec), source=source))
    assert "the fields of its function make no Avro schema: redefined named type: pipeline.OUT" in found


def test_bytes_in_a_case_are_base64() -> None:
    declared = {"type": "record", "name": "r", "fields": [{"name": "raw", "type": "bytes"}]}
    assert to_record(declared, Input("t", None, {"raw": "AP8="}, 0)) == {"raw": b"\x00\xff"}
    for wrong in ("AP8", 5, "ä"):
        with pytest.raises(CaseError, match="is no base64, as which bytes are given"):
            to_record(declared, Input("t", None, {"raw": wrong}, 0))


def test_every_column_of_the_tests_is_used() -> None:
    assert TWO.keys() | COMPOUND.keys() == COLUMNS.keys()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda s: s.window(60_000), "window: 60000 is no window, but must be Tumbling"),
        (lambda s: s.window(Tumbling("1 minute")), "Tumbling: size_ms is '1 minute', but must be a whole number of ms"),
        (lambda s: Application("x", s.aggregate(n=Count()).to("T")), "there is no group_by, but must be one"),
        (lambda s: Stream("rows", {"a": "STRING"}), "key is missing, but must say which of the columns a is the key"),
        (lambda s: Stream("rows", {"a": str}, key="a"), "column a: its type is <class 'str'>, but must be like"),
        (lambda s: s.group_by("a"), "'a' is a text, but must be a column: write c.a"),
        (lambda s: s.group_by(c.a).aggregate(Count()), "needs the name of its column: aggregate"),
        (lambda s: Application("x", s.group_by(c.a).aggregate(n=Count())), "Grouped is no result: end it with"),
    ],
)
def test_what_beginners_write_is_told_in_a_sentence(make, sentence):
    with pytest.raises(SettingError, match=sentence):
        make(Stream("rows", {"a": "STRING"}, key="a"))
