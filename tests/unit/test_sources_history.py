"""The past that generators begin with: within its hours, in order, busier in the afternoon."""

import asyncio
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.history import Past, past, pasts, rhythm
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


async def test_views_of_the_past_come_after_the_users_and_users_of_now_after_the_views():
    made = pasts(NOON, 1, {"users": 1.0, "pageviews": 1.0, "sales": 1.0}, 7)
    stop, said = asyncio.Event(), []

    async def one(kind):
        await made[kind].begin(stop)
        said.append(f"{kind} of the past")
        await asyncio.sleep(0.01)
        await made[kind].end(stop)
        said.append(f"{kind} of now")

    await asyncio.wait_for(asyncio.gather(one("pageviews"), one("users"), one("sales")), 5)
    said = [line for line in said if "sales" not in line]
    assert said[:2] == ["users of the past", "pageviews of the past"]
    assert set(said[2:]) == {"pageviews of now", "users of now"}


@pytest.mark.parametrize("kinds", [["users"], ["pageviews"], ["sales"], ["pageviews", "sales"]])
async def test_nobody_waits_for_what_is_not_generated(kinds):
    made = pasts(NOON, 1, dict.fromkeys(kinds, 1.0), 7)
    for kind in kinds:
        await asyncio.wait_for(made[kind].begin(asyncio.Event()), 1)
        await asyncio.wait_for(made[kind].end(asyncio.Event()), 1)


async def test_a_stop_ends_the_waiting():
    made, stop = pasts(NOON, 1, {"users": 1.0, "pageviews": 1.0}, 7), asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    await asyncio.wait_for(made["pageviews"].begin(stop), 1)
    await asyncio.wait_for(made["users"].end(stop), 1)


def test_first_users_are_before_every_event_of_the_past():
    users = pasts(NOON, 2, {"users": 1.0, "pageviews": 1.0}, 7)["users"]
    assert users.first_ms == NOON - 2 * HOUR_MS - 1
    assert users.first_ms < next(iter(pasts(NOON, 2, {"pageviews": 1.0}, 7)["pageviews"].times_ms))
    assert not Past()
    assert not any(pasts(NOON, 0, {"users": 1.0, "pageviews": 1.0}, 7).values())
