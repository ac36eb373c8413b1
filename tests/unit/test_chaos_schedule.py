"""The schedule of faults: seeded, complete, weighted."""

from collections import Counter
from itertools import islice

from pipeline.chaos.faults import FAULTS, KINDS, POISON
from pipeline.chaos.schedule import Planned, pick, schedule

WEIGHTS = {"a": 1, "b": 3, "c": 1}


def first(count, weights=WEIGHTS, seed=1):
    return list(islice(schedule(weights, seed), count))


def test_the_same_seed_gives_the_same_schedule_whatever_the_order_of_the_kinds():
    assert first(50) == first(50) == first(50, dict(reversed(WEIGHTS.items())))
    assert [p.kind for p in first(50)] != [p.kind for p in first(50, seed=2)]


def test_every_kind_is_among_the_first_as_many():
    for seed in range(20):
        assert {p.kind for p in first(3, seed=seed)} == set(WEIGHTS)
        weights = {kind: fault.weight for kind, fault in FAULTS.items()}
        assert {p.kind for p in first(len(FAULTS), weights, seed)} == set(FAULTS)


def test_later_rounds_go_by_weight():
    assert Counter(p.kind for p in first(3 + 5 * 10)) == {"a": 11, "b": 31, "c": 11}


def test_faults_are_numbered_and_kinds_have_turns():
    planned = first(40)
    assert [p.number for p in planned] == list(range(1, 41))
    for kind in WEIGHTS:
        assert [p.turn for p in planned if p.kind == kind] == list(range(sum(p.kind == kind for p in planned)))
    assert all(0 <= p.chance < 1 for p in planned)
    assert len({p.chance for p in planned}) == 40


def test_no_kinds_no_faults():
    assert first(1, {}) == []


def test_the_choice_is_the_chances():
    assert [pick(["x", "y"], Planned(1, "a", 0, chance)) for chance in (0, 0.49, 0.5, 0.99)] == ["x", "x", "y", "y"]


def test_the_kinds_are_those_that_are_asked_for():
    assert set(KINDS) == {
        *(
            "worker-kill",
            "worker-term",
            "worker-freeze",
            "broker-kill",
            "broker-down",
            "controller-kill",
            "registry-down",
            "mysql-down",
        ),
        *("mysql-kill", "pinot-down", "poller-kill", "worker-disk-full", "workers-scale", "network-cut", POISON),
    }
    assert all(fault.__doc__ and fault.weight >= 1 for fault in FAULTS.values())
