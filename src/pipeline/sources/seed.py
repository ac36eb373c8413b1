"""Creates the shop's tables and fills the reference tables; repeatable.

A row that is there with other values is set back to the seed's: the ids are the application's fixed vocabulary. Rows
with other ids are left alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, inspect, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from pipeline.errors import ProvisionError
from pipeline.settings import Settings
from pipeline.sources.database import address, engine, reason
from pipeline.sources.models import Base, Page, Product, Region

REGIONS = (
    "Central",
    "North",
    "North-East",
    "Eastern",
    "South-East",
    "South",
    "South-West",
    "Western",
    "North-West",
)
"""Names of Region_1 to Region_9."""

GROUPS: Mapping[str, tuple[range, tuple[str, ...]]] = {
    "Electronics": (
        range(10, 30),
        (
            "Smartphones",
            "Smartphone Accessories",
            "Portable Chargers",
            "Laptops",
            "Laptop Accessories",
            "Tablets",
            "E-Book Readers",
            "Headphones",
            "Wireless Earphones",
            "Bluetooth Speakers",
            "Smart Watches",
            "Digital Cameras",
            "Camera Lenses",
            "Televisions",
            "Game Consoles",
            "Monitors",
            "Keyboards & Mice",
            "Printers",
            "Network Routers",
            "Memory Cards & Drives",
        ),
    ),
    "Fashion": (
        range(30, 50),
        (
            "Men's Clothing",
            "Women's Clothing",
            "Children's Clothing",
            "Baby Clothing",
            "Men's Shoes",
            "Women's Shoes",
            "Sports Shoes",
            "Sandals",
            "Handbags",
            "Backpacks",
            "Wallets",
            "Belts",
            "Hats & Caps",
            "Scarves & Gloves",
            "Sunglasses",
            "Watches",
            "Jewellery",
            "Swimwear",
            "Sportswear",
            "Socks & Underwear",
        ),
    ),
    "Furniture": (
        range(50, 70),
        (
            "Bedroom Furniture",
            "Living Room Furniture",
            "Dining Room Furniture",
            "Kitchen Furniture",
            "Office Furniture",
            "Outdoor Furniture",
            "Children's Furniture",
            "Bathroom Furniture",
            "Sofas",
            "Armchairs",
            "Beds",
            "Mattresses",
            "Wardrobes",
            "Bookcases",
            "Desks",
            "Dining Tables",
            "Chairs & Stools",
            "Shelves",
            "TV Stands",
            "Lamps & Lighting",
        ),
    ),
    "Dry Grocery": (
        range(70, 90),
        (
            "Tea & Coffee",
            "Rice & Noodles",
            "Pasta & Sauces",
            "Breakfast Cereals",
            "Biscuits & Cookies",
            "Chocolate & Sweets",
            "Crisps & Snacks",
            "Nuts & Dried Fruit",
            "Canned Fish",
            "Canned Vegetables",
            "Soups & Stocks",
            "Flour & Baking",
            "Sugar & Sweeteners",
            "Salt & Spices",
            "Cooking Oils",
            "Vinegar & Dressings",
            "Jams & Honey",
            "Soft Drinks",
            "Juices",
            "Mineral Water",
        ),
    ),
    "Other": (
        range(90, 100),
        (
            "Travel Accessories",
            "Garden & Plants",
            "Books & Magazines",
            "Toys & Games",
            "Sports Equipment",
            "Health & Beauty",
            "Pet Supplies",
            "Car Accessories",
            "Stationery",
            "Tools & Hardware",
        ),
    ),
}
"""{group: (numbers, one name per number)} of both products and pages."""

Row = dict[str, Any]


def _catalogue() -> list[tuple[int, str, str]]:
    """(number, group, name) for 10 to 99."""
    return [
        (number, group, name)
        for group, (numbers, names) in GROUPS.items()
        for number, name in zip(numbers, names, strict=True)
    ]


def product_rows() -> list[Row]:
    """The 90 rows of `product`."""
    return [{"product_id": f"P{n}", "product_group": group, "product_name": name} for n, group, name in _catalogue()]


def page_rows() -> list[Row]:
    """The 90 rows of `pages`; Page_<n> has the group and the name of P<n>."""
    return [{"page_id": f"Page_{n}", "page_group": group, "page_name": name} for n, group, name in _catalogue()]


def region_rows() -> list[Row]:
    """The 9 rows of `region`."""
    return [{"region_id": f"Region_{n}", "region_name": name} for n, name in enumerate(REGIONS, start=1)]


REFERENCE: tuple[tuple[type[Base], Sequence[Row]], ...] = (
    (Product, product_rows()),
    (Page, page_rows()),
    (Region, region_rows()),
)


async def seed(settings: Settings) -> dict[str, str]:
    """Create the tables and write the reference rows; returns {table: what was done}.

    Raises ProvisionError when the database is out of reach or refuses.
    """
    database = engine(settings)
    try:
        return await seed_engine(database)
    except (SQLAlchemyError, OSError) as error:
        raise ProvisionError(f"database {address(settings)}: {reason(error)}") from error
    finally:
        await database.dispose()


async def seed_engine(database: AsyncEngine) -> dict[str, str]:
    """As `seed`, with an engine."""
    async with database.begin() as connection:
        before = set(await connection.run_sync(_table_names))
        await connection.run_sync(Base.metadata.create_all)
        done = {name: "there" if name in before else "created" for name in sorted(Base.metadata.tables)}
        for model, rows in REFERENCE:
            table = model.metadata.tables[model.__tablename__]
            changed = await connection.run_sync(_write, table, rows)
            done[table.name] += f", {changed} of {len(rows)} rows written"
    return done


def _table_names(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


def _write(connection: Connection, table: Table, rows: Sequence[Row]) -> int:
    """Upsert the rows which are missing or differ; returns how many."""
    (key,) = table.primary_key.columns
    known = {row[key.name]: dict(row) for row in connection.execute(select(table)).mappings()}
    changed = [row for row in rows if known.get(row[key.name]) != row]
    if changed:
        statement = insert(table).values(changed)
        others = {column.name: statement.inserted[column.name] for column in table.columns if column.name != key.name}
        connection.execute(statement.on_duplicate_key_update(others))
    return len(changed)
