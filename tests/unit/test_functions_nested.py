"""Functions of nulls, arrays and maps, by what ksqlDB's sources and its own tests say of each."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from scalar_cases import FAILS, Case, listed, run

from pipeline.functions import SignatureError, find, parse_type, sql_name

A = "ARRAY<INT>"
T = "ARRAY<STRING>"
M = "MAP<STRING, INT>"
FRUIT = ["apple", "apple", None, "cherry"]
STOCK = {"apple": 10, "banana": 20}

CASES: dict[str, list[Case]] = {
    "COALESCE": [
        ((None, "b", "c"), "b"),
        ((None, None), None, ("STRING", "STRING")),
        ((1, 2.5), 1.0),
        ((None, Decimal("1.5"), 2), Decimal("1.5")),
        (([], [1]), [], (A, A)),
        ((None, 3), 3, (None, "BIGINT")),
        (("a",), "a"),
    ],
    "IFNULL": [
        ((None, 0), 0),
        ((1, None), 1),
        ((None, None), None, ("INT", "INT")),
        ((None, 0), 0.0, ("DOUBLE", "INT")),
    ],
    "NULLIF": [
        (("n/a", "n/a"), None),
        (("a", "b"), "a"),
        ((None, "b"), None),
        (("a", None), "a"),
        ((1, 1.0), None),
        (([1], [1]), None),
    ],
    "ARRAY": [
        ((1, 2, 3), [1, 2, 3]),
        ((1, None, 2.5), [1.0, None, 2.5]),
        (("a",), ["a"]),
        (([1], [2.5]), [[1.0], [2.5]]),
    ],
    "ARRAY_CONCAT": [
        (([1, 2, 3, 1, 2], [4, 1]), [1, 2, 3, 1, 2, 4, 1]),
        ((FRUIT, ["cherry"]), [*FRUIT, "cherry"]),
        ((None, [1]), [1]),
        (([1], None), [1]),
        ((None, None), None, (A, A)),
    ],
    "ARRAY_CONTAINS": [
        (([1, 2, 3], 3), True),
        (([1, 2, 3], 4), False),
        ((["a", None], None), True),
        ((["a"], None), False),
        ((None, "a"), False, (T, "STRING")),
        (([0.5, 2.0], 2), True, ("ARRAY<DOUBLE>", "INT")),
        (([Decimal("2.00")], 2), True, ("ARRAY<DECIMAL(12, 2)>", "INT")),
        (([[1], [2]], [2]), True),
        (([1], 1), True, (A, "BIGINT")),
    ],
    "ARRAY_DISTINCT": [
        (([1, 1, 2, 3, 1, 2],), [1, 2, 3]),
        ((FRUIT,), ["apple", None, "cherry"]),
        (([[1], [1], []],), [[1], []], ("ARRAY<ARRAY<INT>>",)),
        (([{"a": [1]}, {"a": [1]}],), [{"a": [1]}]),
        ((None,), None, (A,)),
    ],
    "ARRAY_EXCEPT": [
        (([1, 2, 3, 1, 2], [2, 3]), [1]),
        ((FRUIT, ["cherry"]), ["apple", None]),
        ((FRUIT, [None]), ["apple", "cherry"], (T, T)),
        ((None, [1]), None),
        (([1], None), None),
    ],
    "ARRAY_INTERSECT": [
        (([1, 2, 3, 1, 2], [2, 1]), [1, 2]),
        ((FRUIT, ["apple", None]), ["apple", None]),
        (([1], [2]), []),
        ((None, [1]), None),
    ],
    "ARRAY_UNION": [
        (([1, 2, 3, 1, 2], [4, 1]), [1, 2, 3, 4]),
        ((FRUIT, ["cherry"]), ["apple", None, "cherry"]),
        (([1], None), None),
    ],
    "ARRAY_JOIN": [
        ((["a", "b"],), "a,b"),
        ((["a", None, "c"], "-"), "a-null-c"),
        (([1.0, 1e10],), "1.0,1.0E10"),
        (([True, False], ""), "truefalse"),
        (([1, 2], None), "12", (A, "STRING")),
        (([Decimal("1.50")],), "1.50"),
        (([],), "", (A,)),
        ((None, "-"), None, (A, "STRING")),
    ],
    "ARRAY_LENGTH": [(([1, None],), 2), (([],), 0, (A,)), ((None,), None, (A,))],
    "ARRAY_MAX": [
        (([-1, 2, None, 0],), 2),
        (([False, None, True],), True),
        ((["Foo", "Bar", None, "baz"],), "baz"),
        (([1.0, math.nan, math.inf],), math.nan),
        (([None],), None, (A,)),
        (([],), None, (A,)),
        ((None,), None, (A,)),
    ],
    "ARRAY_MIN": [
        (([-1, 2, None, 0],), -1),
        (([False, None, True],), False),
        ((["Foo", "Bar", None, "baz"],), "Bar"),
        (([date(2020, 1, 2), date(2020, 1, 1)],), date(2020, 1, 1)),
        ((None,), None, (A,)),
    ],
    "ARRAY_REMOVE": [
        (([1, 2, 3, 2, 1], 2), [1, 3, 1]),
        (([False, None, True, True], False), [None, True, True]),
        ((["Foo", "Bar", None, "baz"], None), ["Foo", "Bar", "baz"]),
        (([1.0, 2.0], 2), [1.0], ("ARRAY<DOUBLE>", "INT")),
        ((None, 1), None, (A, "INT")),
    ],
    "ARRAY_SORT": [
        (([-1, 2, None, 0],), [-1, 0, 2, None]),
        (([False, None, True], "descending"), [True, False, None]),
        ((["Foo", "Bar", None, "baz"], "ASC"), ["Bar", "Foo", "baz", None]),
        (([2, 1], "UP"), None),
        (([2, 1], None), None, (A, "STRING")),
        ((None,), None, (A,)),
        (
            ([datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)],),
            [datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC)],
        ),
    ],
    "SLICE": [
        ((["a", "b", "c", "d"], 2, 3), ["b", "c"]),
        ((["a", "b"], None, 1), ["a"]),
        ((["a", "b"], 2, None), ["b"]),
        ((["a", "b"], 2, 1), []),
        ((["a", "b"], 0, 1), None),
        ((["a", "b"], 1, 3), None),
        ((["a", "b", "c"], 3, 1), FAILS),
        ((None, 1, 2), None, (A, "INT", "INT")),
    ],
    "GENERATE_SERIES": [
        ((1, 4), [1, 2, 3, 4]),
        ((1, -1), [1, 0, -1]),
        ((2, 2), [2]),
        ((1, 6, 2), [1, 3, 5]),
        ((5, 0, -2), [5, 3, 1]),
        ((1, 3), [1, 2, 3], ("BIGINT", "INT")),
        ((-(1 << 31), (1 << 31) - 1, 1 << 30), [-(1 << 31), -(1 << 30), 0, 1 << 30]),
        ((1, 6, 0), FAILS),
        ((1, 6, -1), FAILS),
        ((1, 2_000_000_000), FAILS),
        ((None, 6), None),
    ],
    "MAP": [
        (("apple", 10, "banana", 20), STOCK),
        (("a", 1, "b", None), {"a": 1, "b": None}),
        (("a", 1, "a", 2.5), {"a": 2.5}),
        ((None, 1), FAILS),
    ],
    "AS_MAP": [
        ((["apple", "banana"], [10, 20]), STOCK),
        ((["apple", "banana"], [10]), {"apple": 10, "banana": None}),
        ((["a", "a"], [1, 2]), {"a": 2}),
        ((["a"], [1, 2]), {"a": 1}),
        (([None], [1]), FAILS, (T, A)),
        ((None, [1]), None, (T, A)),
    ],
    "MAP_KEYS": [((STOCK,), ["apple", "banana"]), (({},), [], (M,)), ((None,), None, (M,))],
    "MAP_VALUES": [((STOCK,), [10, 20]), (({"a": None},), [None], (M,)), ((None,), None, (M,))],
    "MAP_UNION": [
        ((STOCK, {"cherry": 99}), {**STOCK, "cherry": 99}),
        ((STOCK, {"apple": 50}), {"apple": 50, "banana": 20}),
        ((STOCK, None), STOCK),
        ((None, STOCK), STOCK),
        ((None, None), None, (M, M)),
    ],
    "ENTRIES": [
        (({"b": 2, "a": None}, True), [{"K": "a", "V": None}, {"K": "b", "V": 2}]),
        (({"b": 2, "a": 1}, False), [{"K": "b", "V": 2}, {"K": "a", "V": 1}]),
        ((None, True), None, (M, "BOOLEAN")),
        (({"a": 1}, None), None, (M, "BOOLEAN")),
    ],
}


@pytest.mark.parametrize(("name", "arguments", "result", "names"), listed(CASES))
def test_case(name: str, arguments: tuple[Any, ...], result: Any, names: Any) -> None:
    run(name, arguments, result, names)


@pytest.mark.parametrize(
    ("name", "given", "result"),
    [
        ("COALESCE", ["INT", None, "DECIMAL(4, 2)"], "DECIMAL(12, 2)"),
        ("IFNULL", [None, "ARRAY<INT>"], "ARRAY<INT>"),
        ("ARRAY", ["INT", "BIGINT"], "ARRAY<BIGINT>"),
        ("MAP", ["STRING", "ARRAY<INT>", "STRING", "ARRAY<DOUBLE>"], "MAP<STRING, ARRAY<DOUBLE>>"),
        ("AS_MAP", [T, "ARRAY<STRUCT<A INT>>"], "MAP<STRING, STRUCT<A INT>>"),
        ("ENTRIES", [M, "BOOLEAN"], "ARRAY<STRUCT<K STRING, V INT>>"),
        ("ARRAY_MAX", ["ARRAY<DECIMAL(4, 2)>"], "DECIMAL(4, 2)"),
        ("MAP_VALUES", ["MAP<STRING, BYTES>"], "ARRAY<BYTES>"),
        ("GENERATE_SERIES", ["INT", "BIGINT"], "ARRAY<BIGINT>"),
        ("SLICE", [T, "INT", "INT"], T),
        ("ARRAY_UNION", [None, T], T),
    ],
)
def test_the_type_of_a_result(name: str, given: list[str | None], result: str) -> None:
    assert sql_name(find(name).returns([None if of is None else parse_type(of) for of in given])) == result


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        (
            "COALESCE",
            ["INT", "STRING"],
            "takes 1 or more of one type, not all of them NULL, but was given (INT, STRING)",
        ),
        ("COALESCE", [None], "takes 1 or more of one type, not all of them NULL, but was given (NULL)"),
        ("IFNULL", ["INT"], "takes 2 of one type, not all of them NULL, but was given (INT)"),
        ("ARRAY", [], "takes items of one type, not all of them NULL, but was given ()"),
        ("ARRAY_UNION", [A, T], "takes two arrays of one type, but was given (ARRAY<INT>, ARRAY<STRING>)"),
        ("ARRAY_DISTINCT", ["INT"], "takes an array, but was given (INT)"),
        (
            "ARRAY_CONTAINS",
            [A, "STRING"],
            "takes an array and what may be its item, but was given (ARRAY<INT>, STRING)",
        ),
        (
            "ARRAY_CONTAINS",
            [A, "DOUBLE"],
            "takes an array and what may be its item, but was given (ARRAY<INT>, DOUBLE)",
        ),
        (
            "ARRAY_MAX",
            ["ARRAY<BYTES>"],
            "takes an array of BOOLEAN, INT, BIGINT, DOUBLE, DECIMAL, STRING, DATE, TIME, TIMESTAMP, "
            "but was given (ARRAY<BYTES>)",
        ),
        ("AS_MAP", [A, A], "takes an array of STRING and an array, but was given (ARRAY<INT>, ARRAY<INT>)"),
        (
            "MAP_UNION",
            [M, "MAP<STRING, STRING>"],
            "takes maps of one type, but was given (MAP<STRING, INT>, MAP<STRING, STRING>)",
        ),
        (
            "MAP",
            ["STRING"],
            "takes keys of STRING, each with its value, and values of one type, not all of them NULL, "
            "but was given (STRING)",
        ),
        ("ARRAY_JOIN", [A, "STRING", "STRING"], None),
        ("SLICE", ["INT", "INT", "INT"], "takes (ARRAY, INT, INT), but was given (INT, INT, INT)"),
    ],
)
def test_types_that_do_not_fit_are_told(name: str, given: list[str | None], sentence: str | None) -> None:
    with pytest.raises(SignatureError) as caught:
        find(name).returns([None if of is None else parse_type(of) for of in given])
    assert sentence is None or str(caught.value) == sentence


def test_arguments_are_not_changed() -> None:
    items = [3, 1, 2]
    types = [parse_type(A)]
    assert find("ARRAY_SORT").evaluator(types)(items) == [1, 2, 3]
    assert items == [3, 1, 2]
