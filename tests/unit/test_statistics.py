"""Variance, deviation and correlation against exact arithmetic; COUNT_DISTINCT's sketch: error, size, merging."""

import math
import statistics
from decimal import Decimal
from fractions import Fraction
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import SettingError
from pipeline.tables.distinct import DEEPEST, EMPTY, REGISTERS, estimate, merged, sketch_of
from pipeline.tables.functions import Correlation, CountDistinct, SampleVariance, StandardDeviation
from pipeline.tables.moments import product

NAN = float("nan")
VARIANCE, DEVIATION, CORRELATION = SampleVariance("c", "o"), StandardDeviation("c", "o"), Correlation("x", "y", "o")
numbers = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20)
SUITE = [(1.5, 8.0), (-1.0, -2.0), (-4.5, -1.0), (None, -6.0), (13.1, None)]
"""Of ksqlDB's test `correlation double`: 0.7580764521133173."""


def result(function: Any, *values: Any) -> Any:
    state = function.zero()
    for offset, value in enumerate(values):
        state = function.add(state, value, offset)
    assert state == function.add_many(function.zero(), values, range(len(values)))
    return function.columns(orjson.loads(orjson.dumps(state)))["o"]


def test_stddev_samp_is_the_sample_variance_and_stddev_sample_its_root() -> None:
    assert result(VARIANCE, 2, 4, None, 4.0, Decimal("4"), 5, 5, 7, 9) == pytest.approx(32 / 7, rel=1e-15)
    assert result(DEVIATION, 2, 4, 4, 4, 5, 5, 7, 9) == math.sqrt(32 / 7)


@pytest.mark.parametrize("function", [VARIANCE, DEVIATION])
def test_less_than_two_numbers_do_not_deviate(function: Any) -> None:
    assert [result(function, *values) for values in ((), (5,), (None, 5), (5, NAN), (5, 1e146))] == [0.0] * 5


@given(numbers)
def test_the_variance_is_the_double_nearest_to_the_true_one(values: list[float]) -> None:
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    true = sum((value - mean) ** 2 for value in exact) / (len(exact) - 1)
    if true == 0 or true > 1e-250:  # below, products lose bits
        assert result(VARIANCE, *values) == float(true)
        assert result(DEVIATION, *values) == pytest.approx(statistics.stdev(values), rel=1e-12)


def test_what_lies_far_from_zero_loses_nothing() -> None:
    assert result(VARIANCE, 1e15, 1e15 + 1, 1e15 + 2) == 1.0
    assert result(CORRELATION, (1e15, 1e9), (1e15 + 1, 1e9 + 1), (1e15 + 2, 1e9 + 2)) == 1.0


def test_correlation_is_that_of_ksqldbs_tests() -> None:
    assert result(CORRELATION, *SUITE) == pytest.approx(0.7580764521133173, rel=1e-15)
    assert result(CORRELATION, (1, 3.0), (2, 2), (3, Decimal(1))) == -1.0


@pytest.mark.parametrize("values", [[], [(1, 2)], [(1, 2), (1, 3)], [(1, 2), (3, 2)], [(None, 1), (1, None), (2, NAN)]])
def test_where_nothing_varies_there_is_no_correlation(values: list) -> None:
    assert math.isnan(result(CORRELATION, *values))


@given(numbers, numbers)
@example([0.0, 1.0], [1e6, 999999.9999999999])  # the library's own correlation is -0.7 here
def test_correlation_lies_between_its_ends_and_is_the_exact_one(xs: list[float], ys: list[float]) -> None:
    pairs = list(zip(xs, ys, strict=False))
    found = result(CORRELATION, *pairs)
    expected = exact_correlation([(Fraction(x), Fraction(y)) for x, y in pairs])
    if expected is None:
        return
    assert math.isnan(found) or -1 <= found <= 1
    if max(map(abs, xs)) > 1e-3 and max(map(abs, ys)) > 1e-3 and not math.isnan(found):
        assert found == pytest.approx(expected, abs=1e-3)


def exact_correlation(pairs: list[tuple[Fraction, Fraction]]) -> float | None:
    """Pearson's correlation, rounded once at the end; None where one side does not vary."""
    if not pairs:
        return None
    middle_x, middle_y = (Fraction(sum(side), len(pairs)) for side in zip(*pairs, strict=True))
    both = sum((x - middle_x) * (y - middle_y) for x, y in pairs)
    of_x, of_y = sum((x - middle_x) ** 2 for x, _ in pairs), sum((y - middle_y) ** 2 for _, y in pairs)
    if not of_x or not of_y:
        return None
    return math.copysign(math.sqrt(both**2 / (of_x * of_y)), both)


@given(st.floats(-1e145, 1e145), st.floats(-1e145, 1e145))
def test_a_product_in_two_doubles_is_exact(x: float, y: float) -> None:
    whole, rest = product(x, y)
    if x == 0 or y == 0 or abs(whole) > 1e-250:
        assert Fraction(whole) + Fraction(rest) == Fraction(x) * Fraction(y)


@pytest.mark.parametrize("function", [VARIANCE, DEVIATION, CORRELATION])
def test_what_was_added_is_taken_back_without_a_trace(function: Any) -> None:
    pairs = [(0.1, 1e16), (1e100, 0.3), (7.0, 1e-7)]
    values = pairs if function is CORRELATION else [x for pair in pairs for x in pair]
    kept, taken = (function.add_many(function.zero(), part, range(len(part))) for part in (values[:1], values[1:]))
    assert function.subtract(function.merge(kept, taken), taken) == kept


def test_values_are_counted_exactly_up_to_a_number_and_about_beyond() -> None:
    function = CountDistinct("c", "o")
    ids = [f"id{number}" for number in range(1_001)]
    exact = function.add_many(function.zero(), [*ids[1:], ids[1], None, NAN], range(1_003))
    assert exact == sorted(ids[1:])
    assert function.add(exact, ids[1], 9) == exact
    beyond = function.add(exact, ids[0], 9)
    assert beyond == sketch_of(ids)
    assert function.columns(beyond)["o"] == pytest.approx(1_001, rel=0.03)
    assert function.add(beyond, ids[5], 10) == function.add(beyond, None, 11) == beyond


def test_the_number_up_to_which_is_counted_exactly_can_be_set() -> None:
    assert isinstance(CountDistinct("c", "o", 0).add([], 5, 0), str)
    assert CountDistinct("c", "o", 2).add_many([], [5, 6], [0, 1]) == [5, 6]
    with pytest.raises(SettingError, match="CountDistinct: exact_up_to is -1, but must be at least 0"):
        CountDistinct("c", "o", -1)


def test_a_long_list_of_before_becomes_a_sketch_when_it_is_next_touched() -> None:
    function, known = CountDistinct("c", "o"), list(range(5_000))
    assert function.columns(known) == {"o": 5_000}
    assert function.add(known, 3, 0) == function.merge(known, []) == sketch_of(known)


@pytest.mark.parametrize("count", [1_001, 10_000, 80_000])
def test_the_sketch_is_near_and_of_one_size(count: int) -> None:
    state = CountDistinct("c", "o").add_many([], [f"user-{n:08}" for n in range(count)], range(count))
    assert len(orjson.dumps(state)) == REGISTERS + 2
    assert estimate(str(state)) == pytest.approx(count, rel=0.03)  # 3.7 standard errors


def test_the_estimate_has_no_bias_where_exact_counting_stops() -> None:
    errors = [estimate(sketch_of(range(first, first + 2_000))) / 2_000 - 1 for first in range(0, 60_000, 2_000)]
    assert abs(statistics.mean(errors)) < 0.005
    assert statistics.stdev(errors) < 0.015


def test_a_sketch_of_nothing_is_0_and_no_register_needs_an_escape() -> None:
    assert estimate(sketch_of([])) == 0
    every = "".join(chr(EMPTY + depth) for depth in range(DEEPEST + 1))
    assert orjson.dumps(every) == f'"{every}"'.encode()


@given(st.sets(st.integers(0, 500)), st.sets(st.integers(0, 500)))
def test_the_larger_of_each_register(one: set[int], other: set[int]) -> None:
    left, right = sketch_of(one), sketch_of(other)
    assert merged(left, right) == merged(right, left) == sketch_of(one | other)
    assert merged(left, right) == "".join(map(max, left, right))


def test_zero_and_negative_zero_are_one_value() -> None:
    assert sketch_of([0.0]) == sketch_of([-0.0])
