"""Flash sales: prices to the cent, half up; rows within their columns; the same seed gives the same rows."""

from datetime import datetime
from decimal import Decimal
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.flash_sales import datetime_column, sale_price, sales


@pytest.mark.parametrize(
    ("original", "discount", "expected"),
    [
        ("100.00", "15.00", "85.00"),
        ("0.10", "55.00", "0.05"),  # 0.045: half goes up
        ("0.30", "50.00", "0.15"),
        ("0.99", "50.00", "0.50"),  # 0.495
        ("19.99", "33.33", "13.33"),  # 13.327333
        ("99999999.99", "0.01", "99989999.99"),
        ("10.00", "100.00", "0.00"),
        ("10.00", "0.00", "10.00"),
    ],
)
def test_the_sale_price_is_rounded_half_up_to_cents(original, discount, expected):
    price = sale_price(Decimal(original), Decimal(discount))
    assert price == Decimal(expected)
    assert price.as_tuple().exponent == -2


@given(st.integers(1, 99_999_999), st.integers(0, 10_000))
def test_the_sale_price_is_within_half_a_cent(cents, discount_cents):
    original, discount = Decimal(cents).scaleb(-2), Decimal(discount_cents).scaleb(-2)
    exact_ten_thousandths = cents * (10_000 - discount_cents)
    assert int(sale_price(original, discount).scaleb(2)) == (exact_ten_thousandths + 5_000) // 10_000


def test_rows_lie_in_their_columns():
    rows = list(islice(sales(1), 10_000))
    assert {row["product_id"] for row in rows} == {f"P{n}" for n in range(10, 100)}
    assert {row["region_id"] for row in rows} == {f"Region_{n}" for n in range(1, 10)}
    assert {row["quantity"] for row in rows} == set(range(1, 11))
    assert {row["province_id"] for row in rows} == set(range(1, 78))
    assert all(row["customer_id"] >= 1 for row in rows)
    for row in rows:
        assert row["sale_price"] == sale_price(row["original_price"], row["discount"])
        assert Decimal("0") < row["discount"] < Decimal("100")
        assert all(row[name].as_tuple().exponent == -2 for name in ("discount", "original_price", "sale_price"))


def test_the_seed_decides_the_rows():
    assert list(islice(sales(3), 100)) == list(islice(sales(3), 100))
    assert list(islice(sales(3), 100)) != list(islice(sales(4), 100))


def test_the_datetime_is_utc_cut_off_to_the_second():
    assert datetime_column(1_700_000_000_999) == datetime(2023, 11, 14, 22, 13, 20)  # noqa: DTZ001 - MySQL's DATETIME
