"""The state of an operator: each change once, the last written last."""

from pipeline.tables.state import State


def test_a_changes_place_is_that_of_its_last_write() -> None:
    state = State()
    for key in ("x", "marker", "y", "x", "marker"):
        state.put((key,), 1)
    assert list(state.take_changes()) == [("y",), ("x",), ("marker",)]
    assert state.take_changes() == {}


def test_deleting_writes_a_tombstone_last_and_only_for_what_is_there() -> None:
    state = State({("x",): 1, ("y",): 2})
    state.put(("x",), 3)
    state.put(("y",), 4)
    state.delete(("x",))
    state.delete(("unknown",))
    assert list(state.take_changes().items()) == [(("y",), 4), (("x",), None)]
    assert (state.get(("x",)), dict(state.items())) == (None, {("y",): 4})
