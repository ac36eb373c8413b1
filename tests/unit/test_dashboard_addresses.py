"""Any address gives a page: whatever stands in it, nothing fails, and what cannot be used is named."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import pytest
from dashboard_data import NEXT, shop
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dashboard.app import ASSETS, create_app
from pipeline.dashboard.callbacks import Ticks
from pipeline.dashboard.choices import IN_ADDRESS, PERIODS, Choices
from pipeline.dashboard.formats import STYLES
from pipeline.dashboard.snapshot import Poller
from pipeline.settings import load
from pipeline.shown import visible

LISTS = {"group": "groups", "region": "regions"}
ONCE = [name for name in IN_ADDRESS if name not in LISTS]

anything = st.text(max_size=30)
days = st.one_of(st.dates().map(str), st.datetimes().map(str), st.sampled_from(["0001-01-01", "9999-12-31"]))
names = st.one_of(st.sampled_from([*IN_ADDRESS, "groups", "regions", "Period"]), anything)
values = st.one_of(
    days, anything, st.sampled_from([*PERIODS, *STYLES, "Europe/Berlin", "../etc", "Fashion", "North", "PT1H", "1e9"])
)
queries = st.one_of(
    st.lists(st.tuples(names, values), max_size=8).map(urlencode),
    st.text(max_size=60).map(lambda text: quote(text, safe="=&?%+;/")),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[FlaskClient]:
    poller = Poller(shop, 60.0)
    poller.start = lambda: None  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.serving.pinot.Pinot.query", lambda *_: [{"name": "a", "n": 1}])
        yield create_app(load(), poller).server.test_client()


@pytest.fixture(scope="module")
def ticks() -> Ticks:
    poller = Poller(shop, 60.0, lambda: NEXT)
    poller.refresh()
    return Ticks(poller, load(), lambda: NEXT)


def address(query: str) -> dict[str, Any]:
    """What `assets/panels.js` makes of an address."""
    found = parse_qs(query, keep_blank_values=True)
    once = {name: found.get(name, [None])[0] for name in ONCE}
    unknown = [key for key in found if key not in LISTS and (key not in once or len(found[key]) > 1)]
    return {**once, **{many: found.get(one, []) for one, many in LISTS.items()}, "unknown": unknown}


@given(queries)
def test_every_page_answers_any_query(browser: FlaskClient, query: str) -> None:
    assert browser.get(f"/?{query}").status_code == 200
    assert browser.get(f"/queries?{query}").status_code == 200
    assert browser.get(f"/queries/best_selling_products?{query}").status_code in (200, 400)
    assert browser.get(f"/queries/best_selling_products.csv?{query}").status_code in (200, 400)
    assert browser.get(f"/healthz?{query}").status_code in (200, 503)


@given(queries)
def test_every_address_gives_a_view(ticks: Ticks, query: str) -> None:
    view = address(query)
    choices = Choices.of(view)
    answer = ticks.answer(None, choices, "light")
    told = " ".join(answer["panels"]["doubts"])
    assert answer["panels"]["kpis"].keys() == {"pageviews", "sales", "users"}
    known = {"groups": {"Electronics", "Fashion"}, "regions": {"North", "South"}}
    for kind, names_of_kind in known.items():
        for name in set(view[kind]) - names_of_kind - {""}:
            assert visible(name[:40]) in told
    for name in view["unknown"][:5]:
        assert visible(name[:40]) in told
    for key, allowed in (("period", PERIODS), ("format", STYLES)):
        named = [
            f"{key}={quote}{visible((view[key] or '')[:40])}" for quote in ("", '"')
        ]  # white space is told in quotes
        assert not view[key] or view[key] in allowed or any(name in told for name in named)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | anything, st.lists, max_leaves=4))
def test_a_view_of_any_values_is_a_view(ticks: Ticks, value: Any) -> None:
    """A view comes over HTTP, from whoever sends it."""
    view = dict.fromkeys((*IN_ADDRESS, *LISTS.values(), "unknown"), value)
    assert ticks.answer(value, Choices.of(view), "light")["panels"]["kpis"]


def test_the_browser_knows_the_same_names() -> None:
    script = (ASSETS / "panels.js").read_text()
    assert f"const ONCE = {json.dumps(ONCE)};" in script
    assert 'const LISTS = { group: "groups", region: "regions" };' in script
