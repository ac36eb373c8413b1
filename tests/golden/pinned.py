"""What flash sales is called and what it keeps: names and bytes that a running application depends on.

`python tests/golden/pinned.py` writes them anew: only when a release is meant to begin with new topics and states.
"""

import asyncio
import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline import topics
from pipeline.access import rights
from pipeline.app import create_app
from pipeline.applications.loading import runnable
from pipeline.codecs import schema
from pipeline.runner.local import LocalApplication, flash_sales_application
from pipeline.serving.tables import tables as pinot_tables
from pipeline.settings import Settings, load
from pipeline.timebase import to_datetime

FILE = Path(__file__).with_name("pinned.json")
DAY_MS = 1_700_006_400_000
USER = {
    "registertime": DAY_MS,
    "userid": "User_1",
    "regionid": "Region_1",
    "gender": "FEMALE",
    "interests": ["Game", "News"],
    "contactinfo": {"zipcode": "95112", "state": "CA", "phone": "408-366-7586", "city": "San Jose"},
}
PRODUCT = {"product_id": "Product_1", "product_group": "Group 7", "product_name": "Cable"}
SALE = {
    "sale_id": 7,
    "customer_id": 1,
    "province_id": 2,
    "product_id": "Product_1",
    "region_id": "Region_1",
    "sale_datetime": to_datetime(DAY_MS + 5_000),
    "discount": None,
    "original_price": Decimal("10.00"),
    "sale_price": Decimal("9.50"),
    "quantity": 3,
}


def settings() -> Settings:
    """Settings that nothing of this machine changes."""
    return load(partitions=1)


def called(made: Settings) -> dict[str, Any]:
    """Every name, and a hash of every schema."""
    app, known = create_app(made), runnable(made).topics
    try:
        tables = sorted(app.tables.data)
    finally:
        app.consumer.discard()
    return {
        "group": made.app_id,
        "tables": tables,
        "topics": {topic.name: [topic.kind, topic.key, topic.kafka_config] for topic in known},
        "subjects": {
            topic.subject: hashlib.sha256(json.dumps(schema(topic.schema), sort_keys=True).encode()).hexdigest()
            for topic in known
            if topic.schema is not None
        },
        "transactional ids": sorted(
            f"{right.name} {right.pattern}"
            for right in rights(made)["worker"]
            if right.resource.name == "TRANSACTIONAL_ID"
        ),
        "pinot tables": sorted(table.name for table in pinot_tables(load())),
    }


async def fed(application: LocalApplication) -> None:
    """Feed one of everything, a view twice."""
    rows: list[tuple[topics.Topic, str, dict[str, Any]]] = [
        (topics.REGION, "Region_1", {"region_id": "Region_1", "region_name": "North"}),
        (topics.PRODUCT, "Product_1", PRODUCT),
        (topics.PAGES, "Page_1", {"page_id": "Page_1", "page_group": "Group 1", "page_name": "Home"}),
        (topics.USERS, "User_1", USER),
        (topics.PAGEVIEW, "User_1", {"viewtime": 1, "userid": "User_1", "pageid": "Page_1"}),
        (topics.PAGEVIEW, "User_1", {"viewtime": 2, "userid": "User_1", "pageid": "Page_1"}),
        (topics.FLASH_SALES, "7", SALE),
    ]
    for number, (topic, key, row) in enumerate(rows):
        await application.feed(topic.name, key.encode(), application.encode(topic.name, row), DAY_MS + 1_000 * number)


async def kept() -> dict[str, list[list[str | None]]]:
    """The changelogs after a few records, as texts: [key, value] in the order in which they were written."""
    application = flash_sales_application(settings())
    async with application.running():
        await fed(application)
        return {
            name: [[r.key.decode(), None if r.value is None else r.value.decode()] for r in records]
            for name, records in sorted(application.broker.topics.items())
            if name.endswith("-changelog")
        }


def everything() -> dict[str, Any]:
    """Names and changelogs."""
    return {"called": called(settings()), "kept": asyncio.run(kept())}


if __name__ == "__main__":
    FILE.write_text(json.dumps(everything(), indent=1, sort_keys=True) + "\n")
