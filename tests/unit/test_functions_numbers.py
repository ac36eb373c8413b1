"""Functions of numbers, by what ksqlDB's sources and its own tests (math.json) say of each."""

import math
from decimal import Decimal
from typing import Any

import pytest
from scalar_cases import FAILS, Case, listed, run

from pipeline.functions import find, parse_type, sql_name

LEAST_INT, LEAST_LONG = -(1 << 31), -(1 << 63)
DOUBLE, INT, LONG, DEC = ("DOUBLE",), ("INT",), ("BIGINT",), ("DECIMAL(2, 1)",)
LARGE = Decimal("12345678987654321.2345678987654321")
OF_LARGE = ("DECIMAL(33, 16)",)
OF_LARGE_2 = ("DECIMAL(33, 16)", "INT")


def of_one(*cases: tuple[Any, float]) -> list[Case]:
    """Cases of a function of one DOUBLE, and null."""
    return [*(((value,), result) for value, result in cases), ((None,), None, DOUBLE)]


CASES: dict[str, list[Case]] = {
    "ABS": [
        ((-1,), 1),
        ((-2,), 2, LONG),
        ((-3.1,), 3.1),
        ((Decimal("-3.2"),), Decimal("3.2")),
        ((None,), None, INT),
        ((LEAST_INT,), FAILS),
        ((LEAST_LONG,), FAILS),
        ((LEAST_INT,), -LEAST_INT, LONG),
    ],
    "CEIL": [
        ((1.1,), 2.0),
        ((-1.7,), -1.0),
        ((-0.5,), -0.0),
        ((7,), 7),
        ((7,), 7, LONG),
        ((Decimal("1.1"),), Decimal("2.0")),
        ((Decimal("9.5"),), FAILS, DEC),
        ((math.inf,), math.inf),
        ((math.nan,), math.nan),
        ((None,), None, DOUBLE),
    ],
    "FLOOR": [
        ((1.7,), 1.0),
        ((-1.1,), -2.0),
        ((-1,), -1),
        ((Decimal("-1.1"),), Decimal("-2.0")),
        ((Decimal("-9.5"),), FAILS, DEC),
        ((1e300,), 1e300),
        ((None,), None, DEC),
    ],
    "ROUND": [
        *(
            ((value,), result)
            for value, result in ((1.2, 1), (1.7, 2), (1.5, 2), (111.0, 111), (-1.1, -1), (-1.5, -1), (-1.7, -2))
        ),
        ((0.49999999999999994,), 0),
        ((-0.5,), 0),
        ((3,), 3),
        ((3,), 3, LONG),
        ((1e19,), FAILS),
        ((math.nan,), FAILS),
        ((math.inf, 2), FAILS),
        ((1.234567, 2), 1.23),
        ((1.234567, 10), 1.234567),
        ((111.0, -1), 110.0),
        ((111.0, -2), 100.0),
        ((1.2, -1), 0.0),
        ((-1.5, 0), -1.0),
        ((12345.678, -1), 12350.0),
        ((-12345.678, 2), -12345.68),
        ((5, 0), 5.0),
        ((0.1, 2_000_000_000), 0.1),
        ((0.1, -2_000_000_000), 0.0),
        ((LARGE,), Decimal("12345678987654321"), OF_LARGE),
        ((LARGE, 0), Decimal("12345678987654321.0000000000000000"), OF_LARGE_2),
        ((LARGE, 2), Decimal("12345678987654321.2300000000000000"), OF_LARGE_2),
        ((LARGE, 10), Decimal("12345678987654321.2345678988000000"), OF_LARGE_2),
        ((LARGE, 99), LARGE, OF_LARGE_2),
        ((LARGE, -2), Decimal("12345678987654300.0000000000000000"), OF_LARGE_2),
        ((Decimal("-1.5"),), Decimal("-1")),
        ((Decimal("9.5"),), FAILS),
        ((None,), None, DOUBLE),
        ((None, 1), None, ("DOUBLE", "INT")),
        ((1.5, None), None, ("DOUBLE", "INT")),
    ],
    "TRUNC": [
        ((1.9,), 1),
        ((-1.9,), -1),
        ((3,), 3),
        ((1e19,), FAILS),
        ((math.nan,), FAILS),
        ((12345.678, 1), 12345.6),
        ((-12345.678, -2), -12300.0),
        ((Decimal("1.29"), 1), Decimal("1.20"), ("DECIMAL(3, 2)", "INT")),
        ((Decimal("1.29"),), Decimal("1"), ("DECIMAL(3, 2)",)),
        ((None,), None, DOUBLE),
    ],
    "SIGN": [((-7,), -1), ((0.0,), 0), ((Decimal("0.1"),), 1), ((math.nan,), 0), ((None,), None, DOUBLE)],
    "GREATEST": [
        ((1, 3, 2), 3),
        ((1, None, 2), 2),
        ((None, None), None, ("INT", "INT")),
        (("a", "b"), "b"),
        ((1, 2.5), 2.5),
        ((1, 0.5), 1.0),
        ((Decimal("1.5"), Decimal("1.25")), Decimal("1.50")),
        ((math.nan, math.inf), math.nan),
        ((-0.0, 0.0), 0.0),
    ],
    "LEAST": [
        ((1, 3, 2), 1),
        ((None, 3), 3),
        ((None, None), None, ("STRING", "STRING")),
        (("a", "B"), "B"),
        ((Decimal("1.5"), 1), Decimal("1.0")),
        ((math.nan, 1.0), 1.0),
    ],
    "SQRT": of_one((9, 3.0), (2.0, 1.4142135623730951), (-1, math.nan), (math.inf, math.inf)),
    "CBRT": of_one((-8, -2.0), (3, 1.4422495703074083), (0, 0.0)),
    "EXP": of_one((1, 2.718281828459045), (-2, 0.1353352832366127), (1000, math.inf), (-1000, 0.0)),
    "LN": of_one((1, 0.0), (2, 0.6931471805599453), (0, -math.inf), (-1, math.nan)),
    "LOG": [
        ((13,), 2.5649493574615367),
        ((0,), -math.inf),
        ((-13,), math.nan),
        ((15, 13), 0.9471572411831843),
        ((15, 0), -math.inf),
        ((15, -13), math.nan),
        ((-15, 13), math.nan),
        ((0, 13), math.nan),
        ((1, 13), math.nan),
        ((None,), None, DOUBLE),
        ((13, None), None),
    ],
    "POWER": [
        ((15, 13), 1946195068359375.0),
        ((15, -1), 0.06666666666666667),
        ((0, 0), 1.0),
        ((-15, 2), 225.0),
        ((10, 400), math.inf),
        ((-10, 401), -math.inf),
        ((-8, 0.5), math.nan),
        ((0, -1), math.inf),
        ((-0.0, -1), -math.inf),
        ((1, math.nan), math.nan),
        ((-1, math.inf), math.nan),
        ((None, 2), None),
    ],
    "PI": [((), math.pi)] * 3,
    "SIN": of_one((0.43, 0.4168708024292108), (math.inf, math.nan)),
    "COS": of_one((0, 1.0), (math.inf, math.nan)),
    "TAN": of_one((1, 1.5574077246549023), (math.inf, math.nan)),
    "COT": of_one((7, 1.1475154224051356), (0, math.inf), (-0.0, -math.inf)),
    "ASIN": of_one((1, 1.5707963267948966), (1.1, math.nan)),
    "ACOS": of_one((-1, 3.141592653589793), (-1.1, math.nan)),
    "ATAN": of_one((1, 0.7853981633974483), (math.inf, 1.5707963267948966)),
    "ATAN2": [((1, 0), 1.5707963267948966), ((0, -1.0), math.pi), ((None, 1), None), ((0, 0), 0.0)],
    "SINH": of_one((6, 201.71315737027922), (-1000, -math.inf), (1000, math.inf)),
    "COSH": of_one((6, 201.7156361224559), (-1000, math.inf)),
    "TANH": of_one((0.43, 0.4053213086894629), (1000, 1.0)),
    "DEGREES": of_one((2, 114.59155902616465), (0, 0.0)),
    "RADIANS": of_one((114, 1.9896753472735358), (0, 0.0)),
    "GEO_DISTANCE": [
        ((37.4439, -122.1663, 51.5257, -0.1122), 8634.659796579546),
        ((37.4439, -122.1663, 51.5257, -0.1122, " Miles "), 8634.659796579546 / 6371 * 3959),
        ((0, 0, 0, 180, None), math.pi * 6371),
        ((90.1, 0, 0, 0), FAILS),
        ((0, 0, 0, -181), FAILS),
        ((math.nan, 0.0, 0.0, 0.0), FAILS),
        ((0, 0, 0, 0, "furlongs"), FAILS),
        ((None, 0, 0, 0), None),
    ],
}


@pytest.mark.parametrize(("name", "arguments", "result", "names"), listed(CASES))
def test_case(name: str, arguments: tuple[Any, ...], result: Any, names: Any) -> None:
    run(name, arguments, result, names)


@pytest.mark.parametrize(
    ("name", "given", "result"),
    [
        ("ABS", ["DECIMAL(9, 2)"], "DECIMAL(9, 2)"),
        ("CEIL", ["BIGINT"], "BIGINT"),
        ("ROUND", ["INT"], "BIGINT"),
        ("ROUND", ["DECIMAL(9, 2)"], "DECIMAL(7, 0)"),
        ("ROUND", ["DECIMAL(2, 2)"], "DECIMAL(1, 0)"),
        ("ROUND", ["DECIMAL(9, 2)", "INT"], "DECIMAL(9, 2)"),
        ("ROUND", ["INT", "INT"], "DOUBLE"),
        ("GREATEST", ["INT", "BIGINT"], "BIGINT"),
        ("GREATEST", ["DECIMAL(4, 2)", "INT"], "DECIMAL(12, 2)"),
        ("LEAST", ["DECIMAL(4, 2)", "DOUBLE"], "DOUBLE"),
        ("SQRT", ["DECIMAL(4, 2)"], "DOUBLE"),
    ],
)
def test_the_type_of_a_result(name: str, given: list[str], result: str) -> None:
    assert sql_name(find(name).returns([parse_type(of) for of in given])) == result
