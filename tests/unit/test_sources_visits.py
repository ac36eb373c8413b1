"""Visits: users come, look at one group and pause; every page group has many sessions a day, and the rhythm stays."""

import itertools
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.datagen import VISIT_GENERATOR
from pipeline.sources.history import past
from pipeline.sources.seed import GROUPS, page_rows
from pipeline.sources.visits import PAGES, STEP_MS, USER_IDS, visitors
from pipeline.timebase import DAY_MS, HOUR_MS, MINUTE_MS

NOW = 20_000 * DAY_MS + 9 * HOUR_MS
GROUP_OF = {row["page_id"]: row["page_group"] for row in page_rows()}
GAP_MS = 15 * MINUTE_MS


def day(seed, rate=1.0):
    """(time, view) of a day of the past."""
    make = VISIT_GENERATOR.maker(seed)
    return [(at_ms, make(at_ms)) for at_ms in past(NOW, 24, rate, f"pageviews/{seed}")]


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_day_has_many_sessions_in_every_page_group(seed):
    times = defaultdict(list)
    for at_ms, view in day(seed, 0.5):
        times[GROUP_OF[view["pageid"]]].append(at_ms)
    sessions = {group: 1 + sum(b - a > GAP_MS for a, b in itertools.pairwise(found)) for group, found in times.items()}
    assert set(sessions) == set(GROUPS)
    assert min(sessions.values()) >= 5, sessions
    assert sum(sessions.values()) >= 50


def test_every_user_visits_and_pauses():
    steps = range(NOW - DAY_MS, NOW, STEP_MS)
    there = Counter(userid for at_ms in steps for userid, _ in visitors(1, at_ms))
    assert set(there) == set(USER_IDS)
    assert max(there.values()) < 0.7 * len(steps)


@given(st.integers(0, 10**6), st.integers(0, 2 * NOW))
def test_somebody_always_visits_one_group(seed, at_ms):
    found = visitors(seed, at_ms)
    assert found == visitors(seed, at_ms - at_ms % STEP_MS)
    assert found
    assert len({userid for userid, _ in found}) == len(found)
    assert all(pages in PAGES.values() for _, pages in found)


def test_the_seed_decides_the_views():
    assert day(3) == day(3)
    assert day(3) != day(4)
    assert [view["viewtime"] for _, view in day(3)[:3]] == [1, 11, 21]


def test_all_pages_are_looked_at():
    assert {view["pageid"] for _, view in day(1)} == set(GROUP_OF)
