"""The checks of a chaos run: right data pass, and every kind of doctored data fails."""

from collections import Counter

import pytest

from pipeline.chaos.checks import (
    Marks,
    Presence,
    check_ends,
    check_letters,
    check_none,
    check_sales,
    compare_origins,
    medians_of_quarters,
)
from pipeline.chaos.ledger import Ledger, SalesLedger, fingerprint

LOG = [(0, b"a"), (1, b"b"), (2, None), (5, b"d")]


def ledger_of(entries):
    ledger = Ledger()
    for offset, value in entries:
        ledger.note("t", 0, offset, value)
    return ledger


def presence(log, entries=LOG):
    check = Presence(ledger_of(entries))
    for offset, value in log:
        check.take(("t", 0), offset, value)
    return check


def test_what_was_acknowledged_is_there():
    check = presence(LOG)
    assert check.result().ok
    assert (check.present, check.extra, check.missing) == (4, 0, 0)


def test_entries_out_of_order_are_found_too():
    assert presence(LOG, LOG[::-1]).result().ok


def test_records_that_nobody_acknowledged_are_extra_and_no_fault():
    check = presence([*LOG[:1], *LOG[1:3], (3, b"x"), (5, b"d"), (6, b"y")])
    assert check.result().ok
    assert check.extra == 2


@pytest.mark.parametrize("lost", range(4))
def test_a_lost_record_is_noticed(lost):
    result = presence(LOG[:lost] + LOG[lost + 1 :]).result()
    assert not result.ok
    assert result.found["missing"] == 1
    assert f"t/0/{LOG[lost][0]}" in result.found["wrong"][0]


@pytest.mark.parametrize("where", range(4))
def test_another_value_is_noticed(where):
    log = [(offset, b"other" if index == where else value) for index, (offset, value) in enumerate(LOG)]
    result = presence(log).result()
    assert not result.ok
    assert len(result.found["wrong"]) == 1


def test_a_partition_that_is_gone_is_noticed():
    assert not presence([]).result().ok


def test_falling_offsets_are_noticed():
    assert presence(LOG).falling == []
    assert presence([*LOG, (5, b"d")]).falling == ["t/0: 5 after 5"]


def test_a_null_value_is_not_an_empty_one():
    assert fingerprint(None) != fingerprint(b"")


def test_the_ledger_is_compact():
    ledger = ledger_of((n, b"v") for n in range(1000))
    (offsets,), (hashes,) = ledger._offsets.values(), ledger._hashes.values()
    assert len(ledger) == 1000
    assert offsets.itemsize + hashes.itemsize == 16


def marks(*origins):
    made = Marks()
    for partition, offset in origins:
        made.add(partition, offset)
    return made


GOOD = [(0, 0), (0, 1), (0, 300), (4, 7)]


def test_one_row_for_each_origin():
    result = compare_origins(marks(*GOOD), marks(*GOOD))
    assert result.ok
    assert result.found["rows"] == 4


def test_nothing_and_nothing_agree():
    assert compare_origins(marks(), marks()).ok


@pytest.mark.parametrize("at", range(4))
def test_a_missing_row_is_noticed(at):
    result = compare_origins(marks(*GOOD), marks(*GOOD[:at], *GOOD[at + 1 :]))
    assert not result.ok
    assert (result.found["missing"], result.found["duplicates"], result.found["invented"]) == (1, 0, 0)


@pytest.mark.parametrize("at", range(4))
def test_duplicate_rows_are_noticed(at):
    result = compare_origins(marks(*GOOD), marks(*GOOD, GOOD[at], GOOD[at]))
    assert not result.ok
    assert (result.found["missing"], result.found["duplicates"], result.found["invented"]) == (0, 2, 0)


@pytest.mark.parametrize("origin", [(0, 2), (0, 3000), (3, 0)])
def test_a_row_without_source_is_noticed(origin):
    result = compare_origins(marks(*GOOD), marks(*GOOD, origin))
    assert not result.ok
    assert (result.found["missing"], result.found["duplicates"], result.found["invented"]) == (0, 0, 1)


def test_no_topic_at_all_is_noticed():
    assert compare_origins(marks(*GOOD), marks()).found["missing"] == 4


def test_more_than_255_duplicates_are_still_duplicates():
    assert not compare_origins(marks((0, 0)), marks(*[(0, 0)] * 600)).ok


def sales_ledger():
    ledger = SalesLedger()
    ledger.commit({1: 100, 2: 250})
    ledger.roll_back({3: 70})
    ledger.doubt({4: 80})
    return ledger


def sales(mysql, topic):
    return check_sales(sales_ledger(), mysql, Counter(topic))


def test_committed_sales_are_there_once():
    assert sales({1: 100, 2: 250}, [1, 2]).ok


def test_a_sale_in_doubt_may_be_there_or_not_but_in_both():
    assert sales({1: 100, 2: 250, 4: 80}, [1, 2, 4]).ok
    assert not sales({1: 100, 2: 250, 4: 80}, [1, 2]).ok
    assert not sales({1: 100, 2: 250}, [1, 2, 4]).ok


@pytest.mark.parametrize(
    ("mysql", "topic"),
    [
        ({1: 100}, [1]),
        ({1: 100, 2: 250}, [1]),
        ({1: 100}, [1, 2]),
        ({1: 100, 2: 251}, [1, 2]),
        ({1: 100, 2: 250}, [1, 2, 2]),
        ({1: 100, 2: 250, 3: 70}, [1, 2, 3]),
        ({1: 100, 2: 250}, [1, 2, 3]),
        ({1: 100, 2: 250, 9: 1}, [1, 2]),
    ],
)
def test_doctored_sales_are_noticed(mysql, topic):
    result = sales(mysql, topic)
    assert not result.ok
    assert result.found["wrong"] >= 1


def test_an_id_that_was_rolled_back_and_given_again_is_fine():
    ledger = sales_ledger()
    ledger.commit({3: 70})
    assert check_sales(ledger, {1: 100, 2: 250, 3: 70}, Counter([1, 2, 3])).ok


A, B = ("PageView", 0, 3), ("Users_", 1, 9)


def test_each_poisoned_record_has_one_letter():
    assert check_letters([A, B], Counter([A, B])).ok


@pytest.mark.parametrize("letters", [[A], [A, B, B], [A, B, ("PageView", 0, 4)], [], [A, A]])
def test_doctored_letters_are_noticed(letters):
    assert not check_letters([A, B], Counter(letters)).ok


def test_an_open_transaction_is_noticed():
    assert check_ends({("t", 0): 5, ("t", 1): 0}, {("t", 0): 5, ("t", 1): 0}).ok
    result = check_ends({("t", 0): 5, ("t", 1): 0}, {("t", 0): 5, ("t", 1): 2})
    assert not result.ok
    assert result.found["hanging"] == {"t/1": 2}


def test_anything_found_where_nothing_may_be_is_no_ok():
    assert check_none({}).ok
    assert not check_none({"t": 1}).ok


def test_quarters():
    assert medians_of_quarters([]) == []
    assert medians_of_quarters([3.0]) == [3.0]
    assert medians_of_quarters([1, 2, 3, 5, 5, 5, 9, 11.0]) == [1.5, 4, 5, 10]
