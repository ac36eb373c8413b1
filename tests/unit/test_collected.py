"""What is collected, the first and the last values: order, limits, nulls, any type, and the forms that are kept."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from declared import COLUMNS, OTHERS, VALUES, fed, stream
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from pipeline import c
from pipeline.errors import SettingError
from pipeline.tables.functions import (
    CollectList,
    CollectSet,
    EarliestByOffset,
    Histogram,
    LatestByOffset,
    TopKRows,
)
from pipeline.tables.json_forms import json_form, same_type, text

NAN, INF = float("nan"), float("inf")


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same; NaN is itself, and -0.0 is not 0.0."""
    return repr(left) == repr(right) if isinstance(left, float) else bool(left == right)


LONGS = {"type": "array", "items": "long"}


def fold(function: Any, values: list, first_offset: int = 0) -> Any:
    state = function.zero()
    for offset, value in enumerate(values, first_offset):
        state = function.add(state, value, offset)
    assert state == function.add_many(function.zero(), values, range(first_offset, first_offset + len(values)))
    return state


def result(function: Any, *values: Any) -> Any:
    return function.columns(orjson.loads(orjson.dumps(fold(function, list(values)))))["o"]


def test_a_list_has_every_value_in_order_with_nulls() -> None:
    assert result(CollectList("c", "o", "string"), "b", None, "a", "b") == ["b", None, "a", "b"]
    assert result(CollectList("c", "o", "string")) == []


def test_a_set_has_each_value_once_in_the_order_of_first_coming_with_null() -> None:
    assert result(CollectSet("c", "o", "string"), "b", None, "a", "b", None) == ["b", None, "a"]
    assert result(CollectSet("c", "o", "boolean"), True, False, True) == [True, False]


@pytest.mark.parametrize("make", [CollectList, CollectSet])
def test_what_comes_after_the_limit_is_left_out(make: Any) -> None:
    assert result(make("c", "o", "long", 2), 5, 7, 1) == [5, 7]
    assert result(make("c", "o", "long"), *range(1_003)) == list(range(1_000))
    full = fold(make("c", "o", "long", 2), [5, 7])
    assert make("c", "o", "long", 2).merge(full, [[0, 3]]) == [[0, 3], [0, 5]]


def test_over_partitions_the_smaller_offset_comes_first_then_the_smaller_text() -> None:
    one, other = [[0, "b"], [4, "x"]], [[0, "a"], [2, "x"]]
    assert CollectList("c", "o", "string").merge(one, other) == [[0, "a"], [0, "b"], [2, "x"], [4, "x"]]
    assert CollectSet("c", "o", "string").merge(one, other) == [[0, "a"], [0, "b"], [2, "x"]]


def test_a_list_gives_back_what_was_added() -> None:
    function = CollectList("c", "o", "long")
    both = function.merge(fold(function, [1, 2]), fold(function, [2, None], 5))
    assert function.subtract(both, [[5, 2], [9, 1]]) == [[0, 1], [1, 2], [6, None]]


def test_a_histogram_counts_texts_and_skips_nulls() -> None:
    assert result(Histogram("c", "o"), "b", None, "a", "b") == {"a": 1, "b": 2}
    assert result(Histogram("c", "o"), None) == {}


def test_a_histogram_keeps_the_texts_that_are_first_by_alphabet_with_exact_counts() -> None:
    function = Histogram("c", "o", 2)
    assert fold(function, ["c", "b", "c", "a", "b"]) == {"a": 1, "b": 2}
    assert len(fold(Histogram("c", "o"), [str(number) for number in range(1_500)])) == 1_000


def test_a_histogram_gives_back_what_was_added() -> None:
    assert Histogram("c", "o").subtract({"a": 2, "b": 1}, {"a": 1, "b": 1, "z": 4}) == {"a": 1}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CollectList("c", "o", "long", 0), "CollectList: limit is 0, but must be at least 1"),
        (lambda: CollectSet("c", "o", "long", 0), "CollectSet: limit is 0, but must be at least 1"),
        (lambda: Histogram("c", "o", 0), "Histogram: limit is 0, but must be at least 1"),
        (lambda: EarliestByOffset("c", "o", "long", 0), "EarliestByOffset: n is 0, but must be at least 1"),
        (lambda: TopKRows("c", "o", "long", 0, (("d", "long"),)), "TopKRows: k is 0, but must be at least 1"),
        (lambda: TopKRows("c", "o", "long", 1, ()), "TopKRows: further is empty, but must be "),
        (lambda: TopKRows("c", "o", LONGS, 1, (("d", "long"),)), "TopKRows: type is .*, but must be an Avro type that"),
        (lambda: TopKRows("c", "o", "long", 1, (("d", "what"),)), "TopKRows: type is 'what', but must be an Avro type"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, sentence: str) -> None:
    with pytest.raises(SettingError, match=f"^{sentence}"):
        make()


@pytest.mark.parametrize("make", [CollectList, CollectSet, EarliestByOffset, LatestByOffset])
@pytest.mark.parametrize(
    "kind",
    [
        "what",
        None,
        5,
        "null",
        ["null", "long"],
        {"type": "array"},
        {"type": "record", "name": "r", "fields": [{"name": "r", "type": "r"}]},
    ],
)
def test_types_that_are_none_are_refused(make: Any, kind: Any) -> None:
    with pytest.raises(SettingError, match=rf"^{make.__name__}: type is .*, but must be an Avro type, without null"):
        make("c", "o", kind)


def test_the_first_and_the_last_n_in_the_order_of_offsets() -> None:
    assert result(EarliestByOffset("c", "o", "long", 2), None, 5, 3, 9) == [5, 3]
    assert result(LatestByOffset("c", "o", "long", 2), 5, 3, None, 9, None) == [3, 9]
    assert result(LatestByOffset("c", "o", "long", 2)) == []
    assert EarliestByOffset("c", "o", "long", 1).merge([[4, 1]], [[2, 3]]) == [[2, 3]]


def test_nulls_are_kept_where_that_is_asked_for() -> None:
    for n, first, last in ((None, None, 3), (2, [None, 5], [None, 3])):
        assert result(EarliestByOffset("c", "o", "long", n, False), None, 5, None, 3) == first
        assert result(LatestByOffset("c", "o", "long", n, False), None, 5, None, 3) == last
    assert fold(LatestByOffset("c", "o", "double", ignore_nulls=False), [1.5, NAN]) == [1, None]
    assert result(LatestByOffset("c", "o", "long", ignore_nulls=False)) is None
    assert LatestByOffset("c", "o", "string", ignore_nulls=False).merge([3, None], [3, "a"]) == [3, "a"]


def test_the_first_and_the_last_of_arrays_maps_and_records() -> None:
    for make, expected in ((EarliestByOffset, [3, 1]), (LatestByOffset, [2])):
        assert result(make("c", "o", LONGS), None, [3, 1], [2]) == expected
    function = LatestByOffset("c", "o", {"type": "map", "values": "bytes"}, 2)
    assert result(function, {"b": b"\xff", "a": b""}, {}) == [{"a": b"", "b": b"\xff"}, {}]
    assert LatestByOffset("c", "o", LONGS).merge([3, [2]], [3, [10]]) == [3, [2]]  # the larger text


def test_a_single_value_keeps_the_state_that_it_had() -> None:
    assert fold(LatestByOffset("c", "o", "long"), [5, None, 7]) == [2, 7]
    assert fold(EarliestByOffset("c", "o", "long"), [None]) is None


def test_the_largest_rows_with_their_further_columns() -> None:
    """As in ksqlDB's test `topk integer struct`: of equal values the earlier one comes first."""
    function = TopKRows("v", "o", "int", 3, (("name", "string"),))
    named = [(0, "zero"), (100, "one"), (99, "two"), (7, "three"), (100, "four"), (None, "five"), (100, None)]
    found = [(row["sort_col"], row["col0"]) for row in result(function, *named[:5])]
    assert found == [(100, "one"), (100, "four"), (99, "two")]
    assert [row["col0"] for row in result(function, *named)] == ["one", "four", None]
    assert function.inputs == ("v", "name")


def test_fields_of_collected_values_take_null_where_it_may_be_among_them() -> None:
    kinds = {
        CollectList("c", "o", "long"): {"type": "array", "items": ["null", "long"]},
        CollectSet("c", "o", "string"): {"type": "array", "items": ["null", "string"]},
        Histogram("c", "o"): {"type": "map", "values": "long"},
        EarliestByOffset("c", "o", "long", 2): {"type": "array", "items": "long"},
        LatestByOffset("c", "o", "long", 2, False): {"type": "array", "items": ["null", "long"]},
        LatestByOffset("c", "o", "long", None, False): ["null", "long"],
    }
    for function, kind in kinds.items():
        assert [field["type"] for field in function.fields()] == [kind]  # type: ignore[attr-defined]
    union = LatestByOffset("c", "o", ["null", "string", "long"])
    assert union.fields()[0]["type"] == ["null", "string", "long"]


@pytest.mark.parametrize("name", COLUMNS)
@given(data=st.data())
def test_json_forms_come_back_exactly_and_equal_values_have_equal_texts(name: str, data: st.DataObject) -> None:
    form, kinds = json_form(COLUMNS[name]), {**VALUES, **OTHERS}
    left, right = data.draw(kinds[name]), data.draw(kinds[name])
    kept = orjson.loads(orjson.dumps([form.to(left), form.to(right), form.to(None)]))
    back = form.back(kept[0])
    assert kept[2] is None
    assert form.back(None) is None
    assert same(back, left)
    assert type(back) is type(left)
    assert (text(kept[0]) == text(kept[1])) == same(left, right)


def test_json_forms_of_nested_types() -> None:
    inner = {"type": "record", "name": "t.inner", "fields": [{"name": "d", "type": ["null", "double"]}]}
    kind = {
        "type": "record",
        "name": "t.outer",
        "fields": [
            {"name": "all", "type": {"type": "array", "items": ["null", inner]}},
            {"name": "one", "type": "t.inner"},
            {"name": "either", "type": ["null", "long", "string", {"type": "fixed", "name": "f", "size": 2}]},
            {"name": "amounts", "type": {"type": "map", "values": {**COLUMNS["dec"]}}},
        ],
    }
    value = {
        "all": [{"d": NAN}, None, {"d": -INF}],
        "one": {"d": None},
        "either": b"ab",
        "amounts": {"a": Decimal("-2.00"), "z": Decimal("1.50")},
    }
    form = json_form(kind)
    kept = form.to(value)
    assert kept[:3] == [[["nan"], None, ["-inf"]], [None], [2, "6162"]]
    assert list(kept[3]) == ["a", "z"]
    assert repr(form.back(json.loads(json.dumps(kept)))) == repr(value)


@pytest.mark.parametrize(
    ("branches", "value", "place"),
    [
        (["boolean", "long"], True, 0),
        (["boolean", "long"], 1, 1),
        (["int", "long"], 1 << 40, 1),
        (["double", "string"], 1.5, 0),
        ([COLUMNS["ms"], COLUMNS["day"]], VALUES["day"], 1),
        ([COLUMNS["lms"], COLUMNS["ms"]], VALUES["ms"], 1),
        ([COLUMNS["e"], "string"], "BLACK", 1),
        ([COLUMNS["x"], "bytes"], b"abcde", 1),
        ([COLUMNS["rec"], {"type": "map", "values": "string"}], {"b": "c"}, 1),
        ([COLUMNS["rec"], {"type": "map", "values": "string"}], {"a": "c"}, 0),
    ],
)
@given(data=st.data())
def test_the_branch_of_a_union_is_found(branches: list, value: Any, place: int, data: st.DataObject) -> None:
    if isinstance(value, st.SearchStrategy):
        value = data.draw(value)
    form = json_form(["null", *branches])
    kept = form.to(value)
    assert (kept[0], form.back(orjson.loads(orjson.dumps(kept)))) == (place, value)


def test_types_are_the_same_whatever_their_namespaces_and_docs() -> None:
    record = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "string"}]}
    other = {**record, "name": "n.r", "doc": "d", "fields": [{"name": "a", "type": {"type": "string"}, "default": ""}]}
    assert same_type({"type": "array", "items": record}, {"type": "array", "items": other})
    assert not same_type(record, {**record, "fields": []})
    assert not same_type({"type": "map", "values": "int"}, {"type": "map", "values": "long"})
    assert not same_type(COLUMNS["dec"], {**COLUMNS["dec"], "scale": 1})


EXAMPLES: dict[str, Any] = {
    "s": "a",
    "i": -5,
    "l": 1 << 60,
    "f": 0.5,
    "d": 0.1,
    "b": True,
    "raw": b"\xff",
    "dec": Decimal("1.50"),
    "fdec": Decimal("0.001"),
    "u": UUID(int=1),
    "day": date(2026, 2, 1),
    "tms": time(0, 0, 1),
    "tus": time(0, 0, 0, 7),
    "ms": datetime(2026, 1, 1, tzinfo=UTC),
    "us": datetime(2026, 1, 1, 0, 0, 0, 3, UTC),
    "lms": datetime(2026, 1, 1),  # noqa: DTZ001
    "lus": datetime(2026, 1, 1),  # noqa: DTZ001
    "e": "RED",
    "x": b"abcd",
    "list": ["a", ""],
    "dict": {"k": 5},
    "rec": {"a": "b"},
    "either": 5,
}


async def test_values_of_any_type_go_through_the_whole_pipeline() -> None:
    rows = stream({"g": "string", **COLUMNS})
    made = [
        rows.group_by(c.g)
        .aggregate(
            list=pipeline.CollectList(c[name]),
            set=pipeline.CollectSet(c[name]),
            first=pipeline.EarliestByOffset(c[name]),
            last=pipeline.LatestByOffset(c[name]),
        )
        .to(f"OF_{name}")
        for name in COLUMNS
    ]
    out = await fed(made, [{"g": "g", **EXAMPLES}, {"g": "g"}])
    assert out["pipeline-dead-letters"] == []
    for name in COLUMNS:
        first, second = (row["value"] for row in out[f"OF_{name}"])
        one = first["first"]
        assert one is not None, name
        assert [first[output] for output in ("list", "set", "first", "last")] == [[one], [one], one, one], name
        assert [second[output] for output in ("list", "set", "first", "last")] == [[one, None]] * 2 + [one] * 2, name
