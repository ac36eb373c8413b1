"""The benchmark's pure parts: its input, what must come out, statistics, the JSON's shape and the chart."""

import json
from itertools import islice
from xml.etree import ElementTree

import pytest
from recomputed import Event, sessions, time_windows

from bench import chart, check, report
from bench.inputs import Shape, encoded, generate, page_catalogue, user_id
from bench.measure import Measurement, Sample, evaluate
from bench.programs import PROGRAMS
from bench.run import Outcome, Plan, in_turn, label
from bench.workloads import ADVANCE_MS, GAP_MS, GRACE_MS, SIZE_MS, WORKLOADS, Kind, differences, expected_counts
from pipeline.codecs import Encoder
from pipeline.timebase import HOUR_MS
from pipeline.topics import PAGEVIEW

SHAPE = Shape(3_000, keys=50, hours=3, start_ms=400_000 * HOUR_MS)
VIEWS = generate(SHAPE)
GROUPS = [row["page_group"] for row in page_catalogue(SHAPE)]


def test_the_input_is_what_the_encoder_writes() -> None:
    assert PAGEVIEW.schema is not None
    encode, pages = Encoder(PAGEVIEW.schema, 7), page_catalogue(SHAPE)
    for place, (user, value) in enumerate(encoded(VIEWS, 1_500, SHAPE, 7)):
        page = pages[VIEWS.pages[place]]["page_id"]
        assert value == encode({"viewtime": 1 + 10 * place, "userid": user_id(user), "pageid": page})


def test_a_shorter_input_is_a_prefix() -> None:
    assert list(encoded(VIEWS, 10, SHAPE, 7)) == list(islice(encoded(VIEWS, 3_000, SHAPE, 7), 10))


def test_the_input_varies_within_its_shape() -> None:
    assert set(VIEWS.users) == set(range(50))
    assert set(VIEWS.pages) == set(range(len(GROUPS)))
    assert all(0 <= time - SHAPE.start_ms < 3 * HOUR_MS and time % HOUR_MS < HOUR_MS // 2 for time in VIEWS.times_ms)
    assert any(later < earlier for earlier, later in zip(VIEWS.times_ms, VIEWS.times_ms[1:], strict=False))
    assert max(VIEWS.times_ms) - min(VIEWS.times_ms) < GRACE_MS


@pytest.mark.parametrize("kind", [Kind.TUMBLING, Kind.HOPPING, Kind.SESSION])
@pytest.mark.parametrize("count", [1, 1_000, 3_000])
def test_expected_counts_are_those_of_plain_arithmetic(kind: Kind, count: int) -> None:
    rows = list(zip(VIEWS.times_ms, VIEWS.pages, strict=True))[:count]
    events = [Event(0, time_ms, GROUPS[page]) for time_ms, page in rows]
    if kind is Kind.SESSION:
        counts, late = sessions(events, GAP_MS, GRACE_MS)
    else:
        advance = SIZE_MS if kind is Kind.TUMBLING else ADVANCE_MS
        counts, late = time_windows(events, SIZE_MS, advance, GRACE_MS)
    assert late == 0
    wanted = {(group, start): (number, end) for (group, start, end), number in counts.items()}
    assert expected_counts(VIEWS, count, GROUPS, kind) == wanted


def test_differences_name_missing_invented_and_wrong_rows() -> None:
    expected = {("a", 0): (2, 10), ("b", 0): (1, 10)}
    assert differences(expected, dict(expected)) == []
    assert len(differences(expected, {("a", 0): (3, 10), ("c", 0): (1, 10)})) == 3
    assert differences(expected, {**expected, ("a", 0): (2, 11)}, ends=False) == []
    assert differences(expected, {**expected, ("a", 0): (2, 11)})


def count_row(number: int, end: int, *, retired: bool = False) -> dict[str, object]:
    return {
        "page_group": "a",
        "window_start_ms": 0,
        "window_end_ms": end,
        "total_pageview": number,
        "retired": retired,
    }


def test_final_counts_are_the_last_rows_without_those_taken_back() -> None:
    rows = [count_row(1, 5), count_row(3, 9), count_row(0, 5, retired=True)]
    assert check.final_counts(rows, by_end=True) == {("a", 0): (3, 9)}
    assert check.final_counts(rows[:2], by_end=False) == {("a", 0): (3, 9)}


def test_enriched_rows_must_be_there_once_and_right() -> None:
    pages = page_catalogue(SHAPE)
    rows = [
        {"viewtime": 1 + 10 * n, "userid": user_id(VIEWS.users[n]), "pageid": pages[VIEWS.pages[n]]["page_id"]}
        | {name: pages[VIEWS.pages[n]][name] for name in ("page_group", "page_name")}
        for n in range(10)
    ]
    assert check.wrong_rows(rows, VIEWS, 10, SHAPE) == []
    assert check.wrong_rows(rows[:9], VIEWS, 10, SHAPE)
    assert check.wrong_rows([*rows, rows[0]], VIEWS, 10, SHAPE)
    assert check.wrong_rows([*rows[:9], {**rows[9], "page_group": "?"}], VIEWS, 10, SHAPE)


SAMPLES = [
    Sample(0.0, 0, 0, 0.0, 10_000_000),
    Sample(2.0, 0, 5, 1.0, 50_000_000),
    Sample(3.0, 200, 9, 2.0, 90_000_000),
    Sample(7.0, 1_000, 20, 5.0, 70_000_000),
    Sample(8.0, 1_000, 21, 6.0, 60_000_000),
    Sample(9.0, 1_000, 21, 6.5, 99_000_000),
]


def test_a_measurement_ends_when_the_output_is_complete_and_leaves_out_the_first_tenth() -> None:
    found = evaluate(SAMPLES, 1_000)
    assert (found.seconds, found.startup_s, found.cpu_s) == (8.0, 2.0, 6.0)
    assert found.events_per_second == 800 / 5.0
    assert found.with_start_per_second == 1_000 / 8.0
    assert found.rss_mb == 90.0
    assert found.cpu_us_per_event == 6_000.0


def test_what_was_committed_at_once_counts_whole() -> None:
    found = evaluate([SAMPLES[0], Sample(4.0, 1_000, 3, 1.0, 1)], 1_000)
    assert found.events_per_second == found.with_start_per_second == 250.0


def measurement(rate: float) -> Measurement:
    return Measurement(1_000, rate, rate / 2, 1_000 / rate, 1.0, 100.0, 2.0, 2_000.0)


PLAN = Plan(("a", "c"), ("pipeline", "kafka_streams", "faust"), 1_000, 3, "both", 1_000, 1, 50, 0, 3)
OUTCOME = Outcome(
    {
        "a": {
            "pipeline_at_least_once": [measurement(rate) for rate in (300.0, 100.0, 200.0)],
            "kafka_streams_at_least_once": [measurement(100.0)],
            "kafka_streams": [measurement(50.0)],
        }
    },
    {"c": {"faust": "no session windows"}},
)


def test_the_json_has_medians_spread_ratios_and_what_was_left_out() -> None:
    result = json.loads(json.dumps(report.as_json(OUTCOME, PLAN)))
    own = result["workloads"]["a"]["pipeline_at_least_once"]
    assert [own[f"events_per_second{end}"] for end in ("", "_min", "_max")] == [200.0, 100.0, 300.0]
    assert own["repeats"] == 3 and own["records"] == 1_000
    assert {"rss_mb", "cpu_s", "seconds", "startup_s", "with_start_per_second"} <= own.keys()
    assert result["workloads"]["a"]["ratios"] == {"kafka_streams_at_least_once": 2.0}
    assert {"cpu", "cores", "memory_gb", "versions"} <= result["machine"].keys()
    assert result["left_out"]["c"]["faust"] in report.as_text(result)


def test_ratios_compare_the_same_guarantee_only() -> None:
    rates = {"pipeline": 10.0, "pipeline_at_least_once": 30.0, "kafka_streams": 5.0, "quix_streams": 3.0}
    assert report.ratios(rates) == {"kafka_streams": 2.0, "quix_streams": 10.0}


def test_the_chart_is_svg_with_a_bar_per_program() -> None:
    root = ElementTree.fromstring(chart.svg(report.as_json(OUTCOME, PLAN)))
    bars = [float(element.attrib["width"]) for element in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(bars) == 3
    assert bars[0] == pytest.approx(2 * bars[1], abs=0.2)


def test_labels_orders_and_abilities() -> None:
    assert label("pipeline", "exactly_once") == "pipeline"
    assert label("kafka_streams", "at_least_once") == "kafka_streams_at_least_once"
    assert label("faust", "at_least_once") == "faust"
    entries = [("pipeline", "x"), ("faust", "x")]
    assert in_turn(entries, 1) == entries[::-1] and in_turn(entries, 2) == entries
    assert PROGRAMS["faust"].missing(WORKLOADS["c"]) and not PROGRAMS["pipeline"].missing(WORKLOADS["e"])
