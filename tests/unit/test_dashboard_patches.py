"""A patch applied to the old figure is the new figure."""

import copy
import json
from typing import Any

import pytest
from dash import Patch
from dashboard_data import NEXT, numbers_of, shop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.dashboard.choices import Filters
from pipeline.dashboard.figures import figures
from pipeline.dashboard.formats import Formats
from pipeline.dashboard.numbers import FIGURES as PANELS
from pipeline.dashboard.patches import changes, patch
from pipeline.dashboard.snapshot import Data
from pipeline.dashboard.theme import LIGHT
from pipeline.timebase import HOUR_MS

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # busy machines are slow
FIGURES = st.dictionaries(st.sampled_from(["data", "layout"]), VALUES, max_size=2)


def applied(old: Any, change: Patch | dict[str, Any] | None) -> Any:
    """What Dash's renderer makes of an update."""
    if change is None:
        return old
    if not isinstance(change, Patch):
        return change
    result = copy.deepcopy(old)
    for operation in json.loads(json.dumps(change.to_plotly_json()))["operations"]:
        assert operation["operation"] == "Assign"
        *path, last = operation["location"]
        target = result
        for key in path:
            target = target[key]
        target[last] = operation["params"]["value"]
    return result


@CALM
@given(FIGURES, FIGURES)
def test_applied_to_the_old_it_is_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    result = applied(old, patch(old, new))
    assert json.dumps(result, sort_keys=True) == json.dumps(new, sort_keys=True)


@CALM
@given(FIGURES)
def test_nothing_is_sent_for_nothing(figure: dict[str, Any]) -> None:
    assert patch(figure, copy.deepcopy(figure)) is None


def drawn(data: Data, open_ms: int = NEXT) -> dict[str, Any]:
    return figures(numbers_of(data, Filters()), LIGHT, Formats(), HOUR_MS, open_ms, "", HOUR_MS, 900_000)


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("extra_cents", [0, 1, 500_000])
@pytest.mark.parametrize("hours_later", [0, 1, 30])
def test_real_figures_follow_the_data(panel: str, extra_cents: int, hours_later: int) -> None:
    old, new = drawn(shop())[panel], drawn(shop(extra_cents), NEXT + hours_later * HOUR_MS)[panel]
    assert applied(old, patch(old, new)) == new
    empty = drawn(Data())[panel]
    assert applied(empty, patch(empty, new)) == new


def test_one_more_sale_changes_only_the_open_column() -> None:
    old, new = drawn(shop())["trend"], drawn(shop(100))["trend"]
    assert [path for path, _ in changes(old, new)] == [("data", 1, "y", 0), ("data", 1, "customdata", 0)]


def test_a_figure_that_changed_everywhere_goes_whole() -> None:
    old = {"data": [{"y": [0] * 200}], "layout": {}}
    new = {"data": [{"y": [1] * 200}], "layout": {}}
    assert patch(old, new) is new
