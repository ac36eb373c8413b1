"""Stream-table joins: the stream's row triggers, the table's is the one known then."""

import pytest
from joining import keyed

from pipeline.errors import SettingError
from pipeline.tables.joins import JoinedRow, JoinKind, Side, StreamTableJoin
from pipeline.tables.lookup import inner_join, left_join

TABLE = {"k": {"a": 1, "b": None, "c": 3}}


def test_the_columns_of_the_table_row_of_a_key() -> None:
    assert left_join("k", TABLE, ("a", "b")) == inner_join("k", TABLE, ("a", "b")) == {"a": 1, "b": None}
    assert left_join("k", TABLE, ("a", "missing")) == {"a": 1, "missing": None}


@pytest.mark.parametrize("key", ["other", None])
def test_without_a_row_left_gives_nulls_and_inner_gives_nothing(key: str | None) -> None:
    assert left_join(key, TABLE, ("a", "b")) == {"a": None, "b": None}
    assert inner_join(key, TABLE, ("a", "b")) is None


def test_the_output_has_the_time_and_offset_of_the_stream_row() -> None:
    out = StreamTableJoin().join(keyed([(100, "k", {"x": 1})], 7), TABLE)
    assert out.rows == [JoinedRow("k", {"x": 1}, TABLE["k"], 100, 7, -1)]


def test_a_row_without_a_partner_goes_out_alone_or_not_at_all() -> None:
    rows = keyed([(100, "other", {"x": 1}), (50, "k", {"x": 2})])
    assert [r.right for r in StreamTableJoin(JoinKind.LEFT).join(rows, TABLE).rows] == [None, TABLE["k"]]
    assert [r.left for r in StreamTableJoin(JoinKind.INNER).join(rows, TABLE).rows] == [{"x": 2}]


def test_null_keys_and_null_values_are_dropped_and_counted() -> None:
    rows = keyed([(1, None, {"x": 1}), (2, "k", None), (3, None, None), (4, "k", {"x": 4})])
    out = StreamTableJoin(JoinKind.INNER).join(rows, TABLE)
    assert [r.time_ms for r in out.rows] == [4]
    assert (out.null_keys, out.null_values) == (2, 1)


def test_left_a_row_without_a_key_goes_out_alone() -> None:
    """Kafka Streams since 3.7 (KIP-962); one without a value is dropped all the same."""
    rows = keyed([(1, None, {"x": 1}), (2, "k", None), (3, None, None), (4, "k", {"x": 4})], 7)
    out = StreamTableJoin(JoinKind.LEFT).join(rows, TABLE)
    assert out.rows == [JoinedRow(None, {"x": 1}, None, 1, 7, -1), JoinedRow("k", {"x": 4}, TABLE["k"], 4, 10, -1)]
    assert (out.null_keys, out.null_values) == (1, 1)


def test_the_table_row_is_the_one_known_when_the_stream_row_is_processed() -> None:
    table = {"k": {"a": 1}}
    first = StreamTableJoin().join(keyed([(1, "k", {})]), table)
    table["k"] = {"a": 2}
    second = StreamTableJoin().join(keyed([(0, "k", {})], 1), table)
    assert [r.right for r in first.rows + second.rows] == [{"a": 1}, {"a": 2}]


def test_a_table_cannot_trigger() -> None:
    for kind in (JoinKind.OUTER, JoinKind.RIGHT):
        with pytest.raises(SettingError, match=rf"^StreamTableJoin: kind is '{kind}', but must be 'inner' or 'left'"):
            StreamTableJoin(kind)


def test_columns_of_unequal_length_are_refused() -> None:
    rows = keyed([(1, "k", {})])
    rows.times_ms = []
    with pytest.raises(ValueError, match="shorter"):
        StreamTableJoin().join(rows, TABLE)


def test_which_sides_go_out_alone() -> None:
    assert [JoinKind(name) for name in ("inner", "left", "right", "outer")] == list(JoinKind)
    assert [JoinKind.INNER.keeps(side) for side in Side] == [False, False]
    assert [JoinKind.LEFT.keeps(side) for side in Side] == [True, False]
    assert [JoinKind.RIGHT.keeps(side) for side in Side] == [False, True]
    assert [JoinKind.OUTER.keeps(side) for side in Side] == [True, True]
    assert (Side.LEFT.other, Side.RIGHT.other) == (Side.RIGHT, Side.LEFT)


def test_what_is_dropped_is_added_up() -> None:
    rows = keyed([(1, "k", None), (2, "k", None), (3, None, {}), (4, None, {})])
    out = StreamTableJoin(JoinKind.INNER).join(rows, TABLE)
    assert (out.null_keys, out.null_values) == (2, 2)
