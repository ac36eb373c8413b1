"""The past that generators begin with: within its hours, in order, busier in the afternoon."""

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.history import past, rhythm
from pipeline.timebase import DAY_MS, HOUR_MS

NOON = 20_000 * DAY_MS + 12 * HOUR_MS


@given(st.integers(0, 2 * NOON), st.floats(0.1, 48), st.sampled_from([0.0, 0.01, 0.3, 1.0, 5_000.0]))
def test_times_ascend_within_the_hours(now_ms, hours, rate):
    times = list(islice(past(now_ms, hours, rate, "a"), 500))
    assert times == sorted(times)
    assert all(now_ms - hours * HOUR_MS <= ms < now_ms for ms in times)


def test_the_seed_decides_the_times():
    assert list(past(NOON, 1, 1, "a")) == list(past(NOON, 1, 1, "a"))
    assert list(past(NOON, 1, 1, "a")) != list(past(NOON, 1, 1, "b"))


def test_no_hours_no_past():
    assert list(past(NOON, 0, 1, "a")) == []


@pytest.mark.parametrize("rate", [0.2, 1.0, 100.0])
def test_the_rate_is_that_of_now_and_a_second_at_most(rate):
    times = list(past(NOON, 24, rate, "a"))
    last_hour = sum(ms >= NOON - HOUR_MS for ms in times)
    assert last_hour == pytest.approx(3_600 * min(rate, 1), rel=0.15)
    assert len(times) == pytest.approx(24 * 3_600 * min(rate, 1) / rhythm(NOON), rel=0.05)


def test_the_afternoon_is_three_times_as_busy_as_the_night():
    hours = Counter(ms // HOUR_MS % 24 for ms in past(NOON, 24, 1, "a"))
    assert hours[14] + hours[15] == pytest.approx(3 * (hours[2] + hours[3]), rel=0.15)
    assert max(hours, key=lambda hour: hours[hour]) in (13, 14, 15, 16)
