"""Joins by a foreign key over two topics in between, whatever the order of everything and the crashes: brute force."""

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from joining import Crashing, keyed

from pipeline.tables.foreign_join import (
    Answer,
    ForeignJoin,
    PartitionSubscribers,
    PartitionSubscriptions,
    Subscribed,
    Subscription,
)
from pipeline.tables.joins import JoinedRow, JoinKind
from pipeline.tables.state import State

KEYS, FOREIGN = ["u", "v", "w", "x"], ["A", "B", "C"]
left_events = st.tuples(
    st.just("left"), st.sampled_from(KEYS), st.integers(0, 60), st.one_of(st.none(), st.integers(0, 9)),
    st.sampled_from([*FOREIGN, None]),
)  # fmt: skip
right_events = st.tuples(
    st.just("right"), st.sampled_from(FOREIGN), st.integers(0, 60), st.one_of(st.none(), st.integers(0, 9)), st.none()
)
events = st.lists(st.one_of(left_events, right_events), max_size=25)
kinds = st.sampled_from([JoinKind.INNER, JoinKind.LEFT])
PARTITIONS = 2
Task = tuple[str, int]
TASKS: list[Task] = [
    (name, part) for name in ("left", "right", "subscriptions", "answers") for part in range(PARTITIONS)
]
steps = st.lists(st.tuples(st.integers(0, len(TASKS) - 1), st.integers(1, 4)), max_size=40)
crashes = st.lists(
    st.tuples(
        st.integers(0, 40),  # before which step
        st.one_of(st.just(0), st.integers(0, 8)),  # changes that were not written
        st.booleans(),  # whether what the batch brought forth was sent
        st.lists(st.integers(0, 3), min_size=len(TASKS), max_size=len(TASKS)),  # records that are read again
    ),
    max_size=3,
)


class Cluster:
    """Topics of two partitions, and the tasks that read them, in whichever order, in batches, with crashes."""

    def __init__(self, kind: JoinKind) -> None:
        join = ForeignJoin("j", kind)
        self.topics: dict[Task, list[Any]] = defaultdict(list)
        self.positions = dict.fromkeys(TASKS, 0)
        self.left = [
            Crashing(lambda state, part=part: PartitionSubscriptions(join, part, state)) for part in range(PARTITIONS)
        ]
        self.right = [Crashing(lambda state: PartitionSubscribers(join, state)) for _ in range(PARTITIONS)]
        self.shown: dict[str, JoinedRow] = {}

    def produce(self, event: tuple) -> None:
        name, key, *rest = event
        place = (KEYS if name == "left" else FOREIGN).index(key) % PARTITIONS
        self.topics[name, place].append((key, *rest))

    def run(self, task: Task, count: int, crash: tuple | None = None) -> None:
        """Process the next `count` records of a task; a crash takes what it says, and tasks read some again."""
        name, part = task
        first = self.positions[task]
        records = self.topics[task][first : first + count]
        if not records:
            return
        lost = None if crash is None else crash[1]
        side = self.left if name in ("left", "answers") else self.right
        sent = side[part].run(lambda operator: self._process(operator, name, records, first), lost)
        self.positions[task] += len(records)
        if crash is None or crash[2]:
            self._deliver(sent)
        if crash is not None:
            self.positions[task] = first
            for again, back in zip(TASKS, crash[3], strict=True):
                if again[1] == part or again == task:  # the worker of these partitions
                    self.positions[again] = max(0, self.positions[again] - back)
            for crashing in (self.left[part], self.right[part]):
                crashing.crash()

    def _process(self, operator: Any, name: str, records: list[Any], first: int) -> Any:
        if name == "subscriptions":
            return operator.subscribe(records)
        if name == "answers":
            return Subscribed([], operator.answered(range(first, first + len(records)), records))
        rows = keyed([(time_ms, key, None if v is None else {"v": v}) for key, time_ms, v, _ in records], first)
        if name == "right":
            return operator.change(rows)
        return operator.take(rows, [None if v is None else foreign for _, _, v, foreign in records])

    def _deliver(self, sent: Any) -> None:
        if isinstance(sent, list):
            for answer in sent:
                assert isinstance(answer, Answer)
                self.topics["answers", answer.partition].append(answer)
            return
        for one in sent.subscriptions:
            assert isinstance(one, Subscription)
            self.topics["subscriptions", FOREIGN.index(one.foreign_key) % PARTITIONS].append(one)
        for row in sent.rows:
            known = self.shown.get(row.key)
            if known is None or row.version >= known.version:
                self.shown[row.key] = row

    def settle(self) -> None:
        """Process everything that there is and that becomes of it."""
        while any(self.positions[task] < len(self.topics[task]) for task in TASKS):
            for task in TASKS:
                self.run(task, 3)

    def table(self) -> dict[str, tuple[Any, Any]]:
        """The joined table as a consumer has it."""
        return {key: (row.left, row.right) for key, row in self.shown.items() if not row.retired}


def brute_force(made: list, kind: JoinKind) -> dict[str, tuple[Any, Any]]:
    """The join of the final tables."""
    left = {key: (v, foreign) for name, key, _, v, foreign in made if name == "left"}
    right = {key: v for name, key, _, v, _ in made if name == "right"}
    found = {}
    for key, (v, foreign) in left.items():
        partner = None if foreign is None else right.get(foreign)
        if v is not None and (partner is not None or kind is JoinKind.LEFT):
            found[key] = ({"v": v}, None if partner is None else {"v": partner})
    return found


def played(made: list, kind: JoinKind, order: list, faults: list = ()) -> Cluster:
    """All events, produced one by one while the tasks run in this order, with crashes before some of the steps."""
    cluster = Cluster(kind)
    by_step = {step: fault for step, *fault in faults}
    todo = list(made)
    for number, (task, count) in enumerate(order):
        if todo:
            cluster.produce(todo.pop(0))
        fault = by_step.get(number)
        cluster.run(TASKS[task], count, None if fault is None else (number, *fault))
    for event in todo:
        cluster.produce(event)
    cluster.settle()
    return cluster


@settings(max_examples=400)
@given(events, kinds, steps)
def test_the_joined_table_is_the_join_of_the_final_tables(made: list, kind: JoinKind, order: list) -> None:
    assert played(made, kind, order).table() == brute_force(made, kind)


@settings(max_examples=1000)
@given(events, kinds, steps, crashes)
def test_it_is_so_after_crashes_and_replays(made: list, kind: JoinKind, order: list, faults: list) -> None:
    assert played(made, kind, order, faults).table() == brute_force(made, kind)


@given(events, kinds)
def test_one_by_one_each_result_is_that_of_the_tables_as_they_are(made: list, kind: JoinKind) -> None:
    cluster = Cluster(kind)
    for number, event in enumerate(made):
        cluster.produce(event)
        cluster.settle()
        assert cluster.table() == brute_force(made[: number + 1], kind)


@given(events, kinds)
def test_one_by_one_times_are_the_larger_of_both_rows(made: list, kind: JoinKind) -> None:
    cluster = Cluster(kind)
    times: dict[tuple[str, str], int] = {}
    named: dict[str, str | None] = {}
    for event in made:
        name, key, time_ms, _, foreign = event
        times[name, key] = time_ms
        if name == "left":
            named[key] = foreign
        before = dict(cluster.shown)
        cluster.produce(event)
        cluster.settle()
        for shown, row in cluster.shown.items():
            if row is not before.get(shown) and row.right is not None:
                assert row.time_ms == max(times["left", shown], times["right", str(named[shown])])


class Counting(State):
    """A state that knows how often it was asked."""

    __slots__ = ("asked",)

    def get(self, key: Any) -> Any:
        self.asked = getattr(self, "asked", 0) + 1
        return super().get(key)


def test_subscribers_are_found_without_a_look_at_the_others() -> None:
    state = Counting()
    PartitionSubscribers(ForeignJoin("j"), state).subscribe(
        [Subscription(f"f{n % 100}", f"k{n}", 0, n) for n in range(1_000)]
    )
    operator = PartitionSubscribers(ForeignJoin("j"), state)  # as after a restart
    state.asked = 0
    answers = operator.change(keyed([(1, "f7", {"v": 1})]))
    assert {answer.key for answer in answers} == {f"k{n}" for n in range(7, 1_000, 100)}
    assert state.asked <= 2 + len(answers)
