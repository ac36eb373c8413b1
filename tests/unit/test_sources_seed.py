"""The reference rows are the spec's."""

from pipeline.codecs import fields
from pipeline.sources.models import Base
from pipeline.sources.seed import REGIONS, page_rows, product_rows, region_rows


def group_of(number):
    bounds = ((30, "Electronics"), (50, "Fashion"), (70, "Furniture"), (90, "Dry Grocery"), (100, "Other"))
    return next(group for below, group in bounds if number < below)


def test_products_and_pages_share_groups_and_names():
    products = {row["product_id"]: row for row in product_rows()}
    pages = {row["page_id"]: row for row in page_rows()}
    assert set(products) == {f"P{n}" for n in range(10, 100)}
    assert set(pages) == {f"Page_{n}" for n in range(10, 100)}
    for n in range(10, 100):
        assert products[f"P{n}"]["product_group"] == pages[f"Page_{n}"]["page_group"] == group_of(n)
        assert products[f"P{n}"]["product_name"] == pages[f"Page_{n}"]["page_name"]
    assert len({row["product_name"] for row in products.values()}) == 90


def test_the_nine_regions():
    assert [row["region_id"] for row in region_rows()] == [f"Region_{n}" for n in range(1, 10)]
    assert [row["region_name"] for row in region_rows()] == list(REGIONS)
    assert REGIONS[0] == "Central"
    assert REGIONS[-1] == "North-West"


def test_tables_have_the_columns_of_their_schemas():
    for table, schema in (
        ("flash_sales", "flash_sale"),
        ("product", "product"),
        ("region", "region"),
        ("pages", "page"),
    ):
        assert tuple(column.name for column in Base.metadata.tables[table].columns) == fields(schema)
