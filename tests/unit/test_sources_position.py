"""The poller's position: whatever order transactions commit in, every id goes out exactly once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SourceError
from pipeline.sources.position import LOWEST_ID, MOST_RANGES, Position, Range, Stored, merged, without

FOREVER = 10**9


def ids_of(ranges):
    return {row_id for first, last, _ in ranges for row_id in range(first, last + 1)}


def test_a_gap_is_asked_for_again_until_it_turns_up():
    position = Position().advance([1, 2, 5], 100)
    assert position == Position(5, 1, (Range(3, 4, 100),))
    assert [row_id for row_id in range(-1, 8) if position.is_new(row_id)] == [-1, 0, 3, 4, 6, 7]
    assert position.advance([4], 101) == Position(5, 1, (Range(3, 3, 101),)), "a gap that is filled begins to wait anew"
    assert position.advance([4], 101).missing == 1


def test_a_gap_is_kept_however_large_and_however_far_below():
    position = Position().advance([1, 10_000_000], 100)
    for row_id in range(10_000_001, 10_002_000):
        position = position.advance([row_id], 100)
    assert position.gaps == (Range(2, 9_999_999, 100),)
    assert position.is_new(5)


def test_ids_below_the_first_are_new():
    position = Position().advance([7, 8], 100)
    assert position.gaps == ()
    assert position.is_new(-(2**63))
    assert position.advance([-2], 101) == Position(8, -2, (Range(-1, 6, 101),))


def test_a_gap_is_given_up_when_it_has_been_looked_for_long_enough():
    position = Position().advance([1, 3], 100).advance([6], 150)
    assert position.give_up(159, 60, 9) == (position, ())
    after, lost = position.give_up(160, 60, 9)
    assert lost == (Range(2, 2, 100),)
    assert after == Position(6, 1, (Range(4, 5, 150),), given_up=(Range(2, 2, 160),), given_up_ids=1)
    assert not after.is_new(2)


def test_the_oldest_gaps_are_given_up_before_their_time_where_there_are_too_many():
    position = Position().advance([1, 3, 5], 100).advance([7], 101)
    after, lost = position.give_up(102, FOREVER, 2)
    assert lost == (Range(2, 2, 100),)
    assert after.early_s == 102
    assert after.give_up(103, FOREVER, 0)[0].gaps == ()


def test_what_was_given_up_is_looked_for_again_once_asked():
    position, _ = Position().advance([1, 10], 100).give_up(200, 0, 9)
    assert position.given_up_ids == 8
    again = position.again(0, 4, 300)
    assert again.gaps == (Range(2, 4, 300),)
    assert again.given_up == (Range(5, 9, 200),)
    assert again.given_up_ids == 5
    assert again.again(2, 4, 301) == again, "what is looked for already is not asked for twice"
    assert position.again(20, 30, 300) == position


def test_a_dead_letter_is_not_new_until_it_is_asked_for_again():
    position = Position().advance([1, 2, 3], 100, letters=[2])
    assert position == Position(3, 1, letters=(Range(2, 2, 100),))
    assert not position.is_new(2)
    again = position.again(1, 3, 200)
    assert again == Position(3, 1, (Range(2, 2, 200),))
    assert again.advance([2], 201) == Position(3, 1)


def test_rows_known_not_to_be_sent_are_looked_for_again():
    position = Position(9, 1, (Range(4, 4, 5),))
    assert position.again(1, 9, 50, [Range(3, 5, 50)]).gaps == (Range(3, 5, 50),)


def test_nothing_sent_changes_nothing():
    position = Position(7, 1, (Range(5, 5, 1),))
    assert position.advance([], 3) is position


def test_the_stored_form_round_trips():
    position = Position(9, -3, (Range(3, 8, 1),), (Range(1, 1, 2),), (Range(2, 2, 3),), 17, 4)
    for one in (position, Position(), Position(0, 0), Position(-5, -7, (Range(-6, -6, 1),))):
        stored = Stored(one, "me", 123)
        assert Stored.from_json(stored.to_json("flash_sales")) == stored


def test_the_form_of_the_release_before_is_read():
    value = b'{"table":"flash_sales","last_id":9,"missing":[3,7,8],"owner":"me","at_ms":5000}'
    expected = Position(9, 1, (Range(3, 3, 5), Range(7, 8, 5)))
    assert Stored.from_json(value) == Stored(expected, "me", 5_000)
    assert expected.is_new(0), "it never sent those"
    nothing = b'{"table":"flash_sales","last_id":0,"missing":[],"owner":"me","at_ms":5000}'
    assert Stored.from_json(nothing).position == Position()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"{}",
        b'{"last_id":"x","missing":[],"owner":"","at_ms":0}',
        b'{"first_id":1,"last_id":2,"gaps":[[1]],"given_up":[],"letters":[],"given_up_ids":0,"early_s":0,"owner":"","at_ms":0}',
        b"\xff",
    ],
)
def test_a_stored_position_that_is_none_is_an_error(value):
    with pytest.raises(SourceError, match="position cannot be read"):
        Stored.from_json(value)


def test_the_stored_form_stays_small_in_the_worst_case():
    position = Position()
    for number in range(30):  # every other id is missing, and all are given up and letters besides
        ids = [10**15 + 4 * row_id for row_id in range(number * 1_000, (number + 1) * 1_000)]
        position = position.advance([*ids, *(row_id + 2 for row_id in ids)], number, [row_id + 2 for row_id in ids])
        position, _ = position.give_up(number, FOREVER, 1_000)
    assert len(position.gaps) == 1_000
    assert len(position.given_up) == len(position.letters) == MOST_RANGES
    assert len(Stored(position, "x" * 32, 10**13).to_json("t")) < 64 * 1024


@st.composite
def commit_orders(draw):
    """Existing ids in the order of their commits: any, ids of 0 and below among them, with holes for ever."""
    ids = draw(st.sets(st.integers(-20, 60), min_size=1, max_size=60))
    return draw(st.permutations(sorted(ids)))


@given(commit_orders(), st.data())
def test_every_id_is_sent_exactly_once_in_any_commit_order(order, data):
    visible: set[int] = set()
    sent: list[int] = []
    position = Position()
    limit = data.draw(st.integers(1, 10), label="rows in a batch")

    def poll(position: Position) -> Position:
        first = position.first_id is None
        above = sorted(row_id for row_id in visible if first or row_id > position.last_id)[:limit]
        below = [row_id for row_id in sorted(visible) if not first and row_id <= position.last_id]
        below = [row_id for row_id in below if position.is_new(row_id)][:limit]
        after, _ = position.advance([*above, *below], 7).give_up(8, FOREVER, FOREVER)
        what_happens = data.draw(st.sampled_from(["committed", "committed, then killed", "killed before the commit"]))
        if what_happens == "killed before the commit":
            return position
        sent.extend([*above, *below])
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
    assert ids_of(position.gaps) == set(range(min(order), max(order))) - set(order)
    assert len(position.gaps) <= len(order)


@given(st.lists(st.integers(-50, 200), unique=True, min_size=1, max_size=100), st.integers(0, 8), st.data())
def test_what_is_given_up_and_asked_for_again_is_sent_once_too(ids, most, data):
    """Whatever is sent, given up and asked for again: an id is new exactly until it has been sent."""
    position, rest, sent = Position(), list(ids), set()
    for now_s in range(40):
        new = [row_id for row_id in rest if position.is_new(row_id)]
        batch = new[: data.draw(st.integers(0, 9))]
        bad = {row_id for row_id in batch if data.draw(st.booleans())} if data.draw(st.booleans()) else set()
        position = position.advance(batch, now_s, bad)
        sent |= set(batch) - bad
        rest = [row_id for row_id in rest if row_id not in sent]
        position, _ = position.give_up(now_s, data.draw(st.integers(1, 30)), most)
        assert len(position.gaps) <= most
        first = data.draw(st.integers(-60, 210))
        if data.draw(st.booleans()):
            position = position.again(first, first + data.draw(st.integers(0, 300)), now_s)
        assert not any(position.is_new(row_id) for row_id in sent)
        assert position.given_up_ids == len(ids_of(position.given_up))
        known = (position.gaps, position.given_up, position.letters)
        assert not ids_of(known[0]) & ids_of(known[1])
        assert all(list(ranges) == sorted(ranges) for ranges in known)
    position = position.again(LOWEST_ID, 10**6, 50)
    position = position.advance([row_id for row_id in rest if position.is_new(row_id)], 51)
    assert not any(position.is_new(row_id) for row_id in ids)


@given(st.lists(st.integers(-100, 200), unique=True, max_size=100), st.data())
def test_rebuilding_from_the_topic_does_not_depend_on_its_batches(ids, data):
    """The keys of the topic come partition by partition: the position is the same as from all of them at once."""
    rebuilt, rest = Position(), list(ids)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        rebuilt, rest = rebuilt.advance(rest[:size], 5), rest[size:]
    assert Position(rebuilt.last_id, rebuilt.first_id, tuple(merged(rebuilt.gaps))) == Position().advance(ids, 5)


@given(
    st.lists(st.tuples(st.integers(-9, 30), st.integers(0, 9), st.integers(0, 3)), max_size=8),
    st.sets(st.integers(-9, 40)),
)
def test_ranges_hold_the_ids_that_sets_would(found, ids):
    ranges = [Range(first, first + size, at_s) for first, size, at_s in found]
    joined = merged(ranges)
    assert ids_of(joined) == ids_of(ranges)
    assert sum(one.size for one in joined) == len(ids_of(ranges))
    assert ids_of(without(joined, sorted(ids), 9)) == ids_of(ranges) - ids
    assert json.loads(json.dumps(joined)) == [list(one) for one in joined]
