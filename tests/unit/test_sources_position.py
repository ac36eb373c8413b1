"""The poller's position: whatever order transactions commit in, every id goes out exactly once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SourceError
from pipeline.sources.position import Position, Stored


def test_a_gap_is_asked_for_again_until_it_turns_up():
    position = Position().advance([1, 2, 5], overlap=10)
    assert position == Position(5, frozenset({3, 4}))
    assert [row_id for row_id in range(1, 8) if position.is_new(row_id)] == [3, 4, 6, 7]
    assert position.advance([4], overlap=10) == Position(5, frozenset({3}))


def test_an_id_that_leaves_the_overlap_is_given_up():
    position = Position().advance([1, 3], overlap=5)
    assert position.missing == {2}
    assert position.advance([4, 5, 6], overlap=5).missing == {2}
    assert position.advance([4, 5, 6, 7], overlap=5).missing == frozenset()


def test_the_first_id_may_be_large():
    assert Position().advance([1_000_000], overlap=3) == Position(1_000_000, frozenset({999_998, 999_999}))


def test_nothing_sent_changes_nothing():
    position = Position(7, frozenset({5}))
    assert position.advance([], overlap=3) is position


def test_without_overlap_only_larger_ids_are_new():
    position = Position().advance([1, 5], overlap=0)
    assert position == Position(5)
    assert not position.is_new(3)


def test_the_stored_form_round_trips():
    stored = Stored(Position(9, frozenset({8, 3})), "me", 123)
    assert Stored.from_json(stored.to_json("flash_sales")) == stored


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"last_id":"x","missing":[],"owner":"","at_ms":0}', b"\xff"])
def test_a_stored_position_that_is_none_is_an_error(value):
    with pytest.raises(SourceError, match="position cannot be read"):
        Stored.from_json(value)


@st.composite
def commit_orders(draw):
    """(overlap, existing ids in the order of their commits): none comes `overlap` or more below an earlier one."""
    overlap = draw(st.integers(1, 12))
    ids = [row_id for row_id in range(1, draw(st.integers(1, 80))) if draw(st.integers(0, 9)) > 0]
    order = []
    while ids:
        # the oldest uncommitted id bounds what may commit before it
        ready = [row_id for row_id in ids if row_id - ids[0] < overlap]
        order.append(draw(st.sampled_from(ready)))
        ids.remove(order[-1])
    return overlap, order


@given(commit_orders(), st.data())
def test_every_id_is_sent_exactly_once_in_any_commit_order(case, data):
    overlap, order = case
    visible: set[int] = set()
    sent: list[int] = []
    position = Position()
    limit = data.draw(st.integers(1, 10), label="rows in a batch")

    def poll(position: Position) -> Position:
        above = sorted(row_id for row_id in visible if row_id > position.last_id)[:limit]
        below = sorted(visible & position.missing)
        new = [row_id for row_id in [*above, *below] if position.is_new(row_id)]
        after = position.advance(new, overlap)
        assert all(after.last_id - overlap < row_id < after.last_id for row_id in after.missing)
        what_happens = data.draw(st.sampled_from(["committed", "committed, then killed", "killed before the commit"]))
        if what_happens == "killed before the commit":
            return position
        sent.extend(new)
        if what_happens == "committed":
            return after
        return Stored.from_json(Stored(after, "x", 0).to_json("t")).position

    for row_id in order:
        visible.add(row_id)
        if data.draw(st.booleans(), label="poll now"):
            position = poll(position)
    for _ in range(1_000):
        if len(sent) >= len(order):
            break
        position = poll(position)
    position = poll(poll(position))
    assert sorted(sent) == sorted(order)


@given(st.lists(st.integers(1, 200), unique=True, max_size=100), st.integers(0, 30), st.data())
def test_rebuilding_from_the_topic_does_not_depend_on_its_batches(ids, overlap, data):
    """The keys of the topic come partition by partition: the position is the same as from all of them at once."""
    rebuilt, rest = Position(), list(ids)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        rebuilt, rest = rebuilt.advance(rest[:size], overlap), rest[size:]
    assert rebuilt == Position().advance(ids, overlap)
