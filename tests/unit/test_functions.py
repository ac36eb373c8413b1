"""Aggregate functions: nulls, nothing at all, exact sums, winners, declared types, and merging in any way."""

import json
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.applications.flash_sales.topology import application
from pipeline.declare.application import aggregated
from pipeline.errors import SettingError
from pipeline.settings import load
from pipeline.tables import sums
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
from pipeline.topics import BY_NAME

NAN, INF = float("nan"), float("inf")


def fold(function: Any, values: list, first_offset: int = 0) -> Any:
    state = function.zero()
    for offset, value in enumerate(values, first_offset):
        state = function.add(state, value, offset)
    return state


def result(function: Any, *values: Any) -> Any:
    """The columns after these values; a lone column's value by itself."""
    columns = function.columns(fold(function, list(values)))
    return columns["o"] if len(columns) == 1 else columns


LONGS = [
    Count("o"),
    CountValues("c", "o"),
    CountDistinct("c", "o"),
    SumLong("c", "o"),
    SumDecimal("c", "o"),
    Min("c", "o", "long"),
    Max("c", "o", "long"),
    EarliestByOffset("c", "o", "long"),
    LatestByOffset("c", "o", "long"),
    TopK("c", "o", "long", 3),
    TopKDistinct("c", "o", "long", 3),
]
DOUBLES = [
    SumDouble("c", "o"),
    Average("c", "o"),
    Min("c", "o", "double"),
    Max("c", "o", "double"),
    CountDistinct("c", "o"),
]
SUBTRACTING = [Count("o"), CountValues("c", "o"), SumLong("c", "o"), SumDecimal("c", "o")]

longs = st.lists(st.one_of(st.none(), st.integers(-5, 5)), max_size=12)
doubles = st.lists(st.one_of(st.none(), st.floats(-1e290, 1e290)), max_size=12)


def test_count_of_everything_counts_nulls_too_and_reads_no_column() -> None:
    assert result(Count("o"), None, 1, None) == 3
    assert Count("o").inputs == ()


@pytest.mark.parametrize("function", [f for f in (*LONGS, *DOUBLES) if not isinstance(f, Count)])
def test_nulls_are_skipped(function: Any) -> None:
    assert function.inputs == ("c",)
    assert result(function, 2, None, 1) == result(function, 2, 1)
    assert result(function, None) == result(function)


@pytest.mark.parametrize("function", [*DOUBLES, CountValues("c", "o"), TopK("c", "o", "double", 2)])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_what_json_cannot_hold_is_skipped(function: Any, value: float) -> None:
    assert fold(function, [1.0, value]) == fold(function, [1.0])


@pytest.mark.parametrize(
    ("function", "nothing"),
    [
        (CountValues("c", "o"), 0),
        (CountDistinct("c", "o"), 0),
        (SumLong("c", "o"), 0),
        (SumDouble("c", "o"), 0.0),
        (SumDecimal("c", "o"), {"o": 0.0, "o_cents": 0}),
        (Average("c", "o"), None),
        (Min("c", "o", "long"), None),
        (Max("c", "o", "long"), None),
        (EarliestByOffset("c", "o", "long"), None),
        (LatestByOffset("c", "o", "long"), None),
        (TopK("c", "o", "long", 1), []),
    ],
)
def test_results_of_nothing(function: Any, nothing: Any) -> None:
    assert result(function) == nothing


def test_values_are_counted_once_each_when_distinct() -> None:
    assert result(CountValues("c", "o"), "b", "a", "b") == 3
    assert result(CountDistinct("c", "o"), "b", "a", "b", "c") == 3
    assert fold(CountDistinct("c", "o"), ["b", "a", "c", "b"]) == ["a", "b", "c"]


def test_smallest_and_largest() -> None:
    assert result(Min("c", "o", "long"), 2, -1, 5) == -1
    assert result(Max("c", "o", "long"), 2, -1, 5, 0) == 5
    assert result(Max("c", "o", "string"), "b", "a") == "b"


def test_sum_of_longs_is_exact_where_doubles_are_not() -> None:
    assert result(SumLong("c", "o"), 2**53, 1, 1) == 2**53 + 2


def test_sum_of_doubles_is_the_double_nearest_to_the_true_sum() -> None:
    assert result(SumDouble("c", "o"), *[0.1] * 10) == 1.0
    assert result(SumDouble("c", "o"), 1e100, 1.0, -1e100) == 1.0


def test_doubles_beyond_what_a_sum_can_hold_are_skipped() -> None:
    assert result(SumDouble("c", "o"), 1e290, 1.1e290, -1.1e290) == 1e290
    assert result(Average("c", "o"), 2.0, 1.1e290) == 2.0


def test_sum_of_decimals_is_exact_and_finer_ones_are_rounded_half_up() -> None:
    total = SumDecimal("c", "o")
    assert result(total, Decimal("0.10"), Decimal("0.20")) == {"o": 0.3, "o_cents": 30}
    assert result(total, Decimal("0.005")) == {"o": 0.01, "o_cents": 1}
    assert result(total, Decimal("0.0049")) == {"o": 0.0, "o_cents": 0}
    assert result(total, Decimal("12345678901234567890123456789.12"))["o_cents"] == 1234567890123456789012345678912


def test_whole_numbers_are_in_units_of_the_scale() -> None:
    assert result(SumDecimal("c", "o"), 150, Decimal("1.5")) == {"o": 3.0, "o_cents": 300}
    assert result(SumDecimal("c", "o", 3), 1_500) == {"o": 1.5, "o_unscaled": 1_500}


@pytest.mark.parametrize("scale", [0, 18])
def test_scales_at_the_ends_are_allowed(scale: int) -> None:
    assert result(SumDecimal("c", "o", scale), Decimal(1))["o_unscaled"] == 10**scale


@pytest.mark.parametrize("scale", [-1, 19])
def test_other_scales_are_refused(scale: int) -> None:
    with pytest.raises(SettingError, match=rf"SumDecimal: scale is {scale}, but must be in 0 \.\. 18"):
        SumDecimal("c", "o", scale)


def test_average() -> None:
    assert result(Average("c", "o"), 1, 2, 6) == 3.0


def test_first_and_last_by_offset_not_by_arrival() -> None:
    first, last = EarliestByOffset("c", "o", "string"), LatestByOffset("c", "o", "string")
    assert result(first, None, "b", "a") == "b"
    assert result(last, "b", "a", None) == "a"
    assert first.add([5, "late"], "early", 4) == [4, "early"]
    assert last.add([5, "late"], "early", 4) == [5, "late"]


def test_equal_offsets_of_two_partitions_have_one_winner() -> None:
    assert EarliestByOffset("c", "o", "string").merge([3, "b"], [3, "a"]) == [3, "a"]
    assert LatestByOffset("c", "o", "string").merge([3, "b"], [3, "a"]) == [3, "b"]


def test_the_largest_with_and_without_repetition() -> None:
    assert result(TopK("c", "o", "long", 3), 1, 5, 5, 2) == [5, 5, 2]
    assert result(TopKDistinct("c", "o", "long", 3), 1, 5, 5, 2) == [5, 2, 1]
    assert result(TopK("c", "o", "long", 1), 1, 5) == [5]


@pytest.mark.parametrize("make", [TopK, TopKDistinct])
def test_no_largest_is_refused(make: Any) -> None:
    with pytest.raises(SettingError, match=rf"{make.__name__}: k is 0, but must be at least 1"):
        make("c", "o", "long", 0)


@pytest.mark.parametrize("make", [Min, lambda c, o, t: TopK(c, o, t, 1)])
@pytest.mark.parametrize(
    "kind", ["number", {"type": "array", "items": "long"}, ["null", "long"], {"type": "map"}, 5, None]
)
def test_types_whose_values_cannot_be_compared_are_refused(make: Any, kind: Any) -> None:
    with pytest.raises(
        SettingError, match=r"^(Min|TopK): type is .*, but must be an Avro type that is one of boolean, b"
    ):
        make("c", "o", kind)


@pytest.mark.parametrize(
    ("function", "types"),
    [
        (Count("o"), ["long"]),
        (CountValues("c", "o"), ["long"]),
        (CountDistinct("c", "o"), ["long"]),
        (SumLong("c", "o"), ["long"]),
        (SumDouble("c", "o"), ["double"]),
        (SumDecimal("c", "o"), ["double", "long"]),
        (Average("c", "o"), [["null", "double"]]),
        (Min("c", "o", "int"), [["null", "int"]]),
        (Max("c", "o", "float"), [["null", "float"]]),
        (EarliestByOffset("c", "o", "string"), [["null", "string"]]),
        (LatestByOffset("c", "o", "boolean"), [["null", "boolean"]]),
        (TopK("c", "o", "double", 2), [{"type": "array", "items": "double"}]),
        (TopKDistinct("c", "o", "long", 2), [{"type": "array", "items": "long"}]),
    ],
)
def test_fields_are_those_of_the_columns_nullable_where_the_result_may_be_null(function: Any, types: list) -> None:
    fields = function.fields()
    assert [field["type"] for field in fields] == types
    assert [field["name"] for field in fields] == list(function.columns(function.zero()))
    for field in fields:
        assert ("default" in field) == isinstance(field["type"], list)
        assert field.get("default") is None


def test_fields_are_those_of_the_application_schemas() -> None:
    for aggregate in (statement.aggregate for statement in aggregated(application(load()).statements)):
        schema = json.loads(_schema(BY_NAME[aggregate.output].schema))
        known = {field["name"]: field["type"] for field in schema["fields"]}
        for field in aggregate.function.fields():
            assert known[field["name"]] == field["type"]


def _schema(name: str | None) -> str:
    return (files("pipeline.schemas") / f"{name}.avsc").read_text()


@pytest.mark.parametrize("function", LONGS)
@given(longs, longs, longs)
def test_longs_merge_in_any_order_to_the_fold_of_all(function: Any, a: list, b: list, c: list) -> None:
    _check_merge(function, a, b, c)


@pytest.mark.parametrize("function", DOUBLES)
@given(doubles, doubles, doubles)
def test_doubles_merge_in_any_order_to_the_fold_of_all(function: Any, a: list, b: list, c: list) -> None:
    _check_merge(function, a, b, c)


def _check_merge(function: Any, a: list, b: list, c: list) -> None:
    merge = function.merge
    left, mid, right = fold(function, a), fold(function, b, len(a)), fold(function, c, len(a) + len(b))
    assert merge(left, right) == merge(right, left)
    assert merge(merge(left, mid), right) == merge(left, merge(mid, right)) == fold(function, a + b + c)
    assert merge(function.zero(), left) == left
    assert json.loads(json.dumps(left)) == left


@pytest.mark.parametrize("function", SUBTRACTING)
@given(longs, longs)
def test_longs_can_be_taken_back(function: Any, kept: list, taken: list) -> None:
    _check_subtract(function, kept, taken)


@pytest.mark.parametrize("function", [SumDouble("c", "o"), Average("c", "o")])
@given(doubles, doubles)
def test_doubles_can_be_taken_back_without_a_trace(function: Any, kept: list, taken: list) -> None:
    _check_subtract(function, kept, [*taken, NAN])


def _check_subtract(function: Any, kept: list, taken: list) -> None:
    assert function.subtract(fold(function, kept + taken), fold(function, taken)) == fold(function, kept)


@given(st.lists(st.floats(-1e15, 1e15), max_size=8))
def test_a_sum_has_one_form(terms: list[float]) -> None:
    parts = sums.exact_sum(terms)
    assert parts == sums.exact_sum(sorted(terms)) == sums.exact_sum(parts)
    assert sum(map(Fraction, parts)) == sum(map(Fraction, terms))


def test_a_state_is_never_changed_in_place() -> None:
    for function in (*LONGS, *DOUBLES):
        state = fold(function, [3, 1])
        before = json.dumps(state)
        function.add(state, 2, 2)
        function.merge(state, fold(function, [7], 9))
        assert json.dumps(state) == before


@pytest.mark.parametrize(
    ("function", "state"),
    [
        (Count("o"), 4),
        (CountValues("c", "o"), 3),
        (CountDistinct("c", "o"), [3, 5]),
        (SumLong("c", "o"), 11),
        (SumDecimal("c", "o"), 11),
        (SumDouble("c", "o"), [11.0]),
        (Average("c", "o"), [3, 11.0]),
        (Min("c", "o", "long"), [3]),
        (Max("c", "o", "long"), [5]),
        (EarliestByOffset("c", "o", "long"), [0, 5]),
        (LatestByOffset("c", "o", "long"), [3, 3]),
        (TopK("c", "o", "long", 2), [5, 3]),
        (TopKDistinct("c", "o", "long", 3), [5, 3]),
    ],
)
def test_states_stay_what_changelogs_hold(function: Any, state: Any) -> None:
    """Running applications have these states in their changelogs: a form of theirs must not change."""
    values = [5, 3, None, 3]
    assert json.dumps(fold(function, values)) == json.dumps(state)
    assert json.dumps(function.add_many(function.zero(), values, range(4))) == json.dumps(state)
