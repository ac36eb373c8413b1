"""Imperfection: so many sales come late, so many records are bad, and the rest is as without."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs import Decoder, Encoder, schema
from pipeline.errors import BadRecord
from pipeline.sources.imperfect import LAG_MS, LONG_LAG_MS, PERFECT, Imperfection
from pipeline.timebase import HOUR_MS

NOW = 1_700_000_000_000


def test_by_default_everything_is_as_it_should_be():
    assert all(PERFECT.sale_ms(ms) == ms for ms in range(1_000))
    assert all(PERFECT.value(b"x") == b"x" for _ in range(1_000))


def test_the_shares_and_lags_are_kept():
    made = Imperfection(1, late=0.05, bad=0.01)
    lags = [None if (ms := made.sale_ms(NOW)) is None else NOW - ms for _ in range(50_000)]
    late = [lag for lag in lags if lag]
    assert lags.count(None) / 50_000 == pytest.approx(0.01, rel=0.2)
    assert len(late) / 50_000 == pytest.approx(0.05, rel=0.1)
    assert all(LAG_MS[0] <= lag <= LAG_MS[1] or LONG_LAG_MS[0] <= lag <= LONG_LAG_MS[1] for lag in late)
    assert sum(lag > 24 * HOUR_MS for lag in late) / len(late) == pytest.approx(0.05, rel=0.3)
    assert sorted(late)[len(late) // 2] < HOUR_MS


def test_a_bad_view_cannot_be_read():
    encode, decode = Encoder("pageview", 3), Decoder("pageview")
    decode.learn(3, schema("pageview"))
    value, made = encode({"viewtime": 1, "userid": "User_1", "pageid": "Page_10"}), Imperfection(1, bad=0.5)
    kinds = set()
    for _ in range(200):
        if (sent := made.value(value)) != value:
            with pytest.raises(BadRecord) as raised:
                decode(sent)
            kinds.add(str(raised.value).split()[0])
    assert len(kinds) == 2
    assert sum(made.value(value) != value for _ in range(2_000)) == pytest.approx(1_000, rel=0.1)


@given(st.integers(), st.floats(0, 0.5), st.floats(0, 0.5), st.lists(st.booleans(), max_size=100))
def test_the_seed_decides_and_views_and_sales_are_apart(seed, late, bad, order):
    one, other = Imperfection(seed, late, bad), Imperfection(seed, late, bad)
    sales = [one.sale_ms(NOW) for view in order if not view]
    mixed = [other.value(b"abcdef") if view else other.sale_ms(NOW) for view in order]
    assert [made for made, view in zip(mixed, order, strict=True) if not view] == sales
