"""What is in flight, pauses, recovery; and the report that is made of them."""

import pytest
from aiokafka import TopicPartition

from pipeline.chaos import progress as module
from pipeline.chaos.checks import Check
from pipeline.chaos.progress import Monitor, Timeline, behind
from pipeline.chaos.report import ChaosReport, Struck, by_kind, markdown
from pipeline.errors import ChaosError
from pipeline.settings import Settings

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def moving(until_acknowledged_s, until_moved_s):
    timeline = Timeline()
    for second in range(until_acknowledged_s + 1):
        timeline.note_acknowledged(second, 10 * second)
    for second in range(until_moved_s + 1):
        timeline.note_position(second, 10 * second)
    return timeline


def test_work_is_in_flight_when_both_move():
    assert moving(20, 20).missing(21) == ""


def test_what_does_not_move_is_told():
    assert moving(20, 10).missing(21) == "the workers committed nothing in the last 5 s"
    assert moving(10, 20).missing(21) == "no source record was acknowledged in the last 5 s"
    assert "no source record was acknowledged and the workers committed nothing" in Timeline().missing(1)


def test_the_same_count_again_is_no_move():
    timeline = moving(20, 20)
    for second in range(21, 40):
        timeline.note_acknowledged(second, 200)
        timeline.note_position(second, 200)
    assert timeline.missing(39)


def test_the_longest_pause_counts_the_ends():
    timeline = Timeline()
    for at_s, position in [(0, 0), (1, 1), (2, 2), (7, 3), (8, 4)]:
        timeline.note_position(at_s, position)
    assert timeline.longest_pause_s(1.5, 8.5) == 5
    assert timeline.longest_pause_s(7.5, 20) == 12
    assert timeline.longest_pause_s(3, 4) == 1


def test_a_partition_that_stands_still_is_seen_though_the_others_move():
    timeline = Timeline()
    for second in range(20):
        timeline.note_position(second, second)
        timeline.note_partition(second, 0, second)
        timeline.note_partition(second, 1, second if second < 5 or second > 12 else 4)
    assert timeline.longest_pause_s(0, 19) == 1
    assert timeline.longest_partition_pause_s(0, 19) == 9
    assert Timeline().longest_partition_pause_s(0, 19) == 0


def test_behind_is_what_lies_below_the_goal():
    assert behind({A: 5, B: 5}, {A: 5, B: 9}) == {}
    assert behind({A: 5, B: 5}, {A: 3}) == {A: 2, B: 5}


@pytest.fixture
def monitor(monkeypatch):
    monkeypatch.setattr(module, "SAMPLE_S", 0.001)
    return Monitor(Settings(), ["PageView", "t"], "PageView", lambda: 0)


async def test_consumed_is_when_the_goal_is_committed(monitor):
    monitor.committed = {A: 5, B: 7}
    assert await monitor.consumed({A: 5, B: 7}, 1) is not None
    assert await monitor.consumed({A: 5, B: 5_000}, 0.05) is None


async def test_a_marker_at_the_end_is_no_record(monitor, monkeypatch):
    left = []

    async def read_between(settings, bounds):
        assert bounds == {A: (4, 5)}
        for records in left:
            yield records

    monkeypatch.setattr(module.reading, "read_between", read_between)
    monitor.committed = {A: 4}
    assert await monitor.consumed({A: 5}, 1) is not None
    left.append(["a record"])
    assert await monitor.consumed({A: 5}, 0.05) is None


async def test_a_fault_with_nothing_in_flight_is_an_error(monitor, monkeypatch):
    monkeypatch.setattr(module, "READY_WAIT_S", 0.01)
    with pytest.raises(ChaosError, match="no fault can strike work in flight: no source record was acknowledged"):
        await monitor.require_in_flight()


FAULTS = [
    Struck("worker-kill", 1, "worker-1", 0, 3.0, None, 2.0, 9.5),
    Struck("worker-kill", 9, "worker-2", 0, 5.0, None, 4.0, 9.5),
    Struck("mysql-down", 20, "mysql for 20 s", 20, 1.0, 2.0, 0.5, 9.5),
    Struck("worker-kill", 50, "worker-2", 0, 4.0, None, 1.0, 9.5),
    Struck("broker-kill", 60, "kafka-1", 0, None, None, 180.0, 9.5),
]


def test_figures_by_kind():
    kinds = by_kind(FAULTS)
    assert kinds["worker-kill"] == {
        "count": 3,
        "recovery_median_s": 4.0,
        "recovery_max_s": 5.0,
        "heal_recovery_max_s": None,
        "partition_pause_max_s": 9.5,
        "pause_max_s": 4.0,
    }
    assert kinds["mysql-down"]["heal_recovery_max_s"] == 2.0
    assert kinds["broker-kill"]["recovery_max_s"] is None


LIVES = [[(0.0, 90.0), (6.0, 190.0)], [(float(10 + n), mb) for n, mb in enumerate([100.0] * 4 + [150.0] * 4)]]


def report(**checks):
    made = ChaosReport(7, "exactly_once", faults=FAULTS, rss_mb={"worker-1": LIVES})
    made.checks = {name: Check(ok, {}) for name, ok in checks.items()}
    return made


def test_a_report_is_ok_when_every_check_is_and_there_are_any():
    assert report(a=True, b=True).as_json()["ok"] is True
    assert report(a=True, b=False).as_json()["ok"] is False
    assert report().as_json()["ok"] is False


def test_the_json_has_what_was_promised():
    made = report(a=True).as_json()
    assert made["faults"][0]["kind"] == "worker-kill"
    assert {"kind", "at_s", "detail", "lasted_s", "recovery_s", "pause_s"} <= made["faults"][0].keys()
    assert made["rss_mb"]["worker-1"] == {
        "lives": 2,
        "longest_life_s": 7,
        "quarters": [100, 100, 150, 150],
        "max": 190,
    }
    assert {"seed", "by_kind", "checks", "events"} <= made.keys()


def test_the_markdown_has_the_table():
    text = markdown(report(a=True, b=False))
    assert "| worker-kill | 3 | 4.0 s | 5.0 s | - | 9.5 s | 4.0 s |" in text
    assert "| b | FAILED |" in text
    assert "| worker-1 | 7 s | 100.0, 100.0, 150.0, 150.0 | 190.0 MB |" in text
    assert "THERE ARE DIFFERENCES" in text
