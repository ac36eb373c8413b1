"""Workload e: the application as it is, with page views, users and sales in its own topics."""

import random
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from bench.cluster import recreate
from bench.inputs import Shape, Views, page_catalogue, produce, user_id
from pipeline import kafka, topics
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.sources import datagen
from pipeline.sources.seed import product_rows, region_rows
from pipeline.timebase import to_datetime
from pipeline.topics import Topic
from pipeline.verify.flash_sales import flash_sales
from pipeline.verify.verification import differences

SALES_SHARE = 0.1


class Whole:
    """Inputs of the whole application, and the judgement of its outputs by the application's oracle."""

    def __init__(self, settings: Settings, shape: Shape, views: Views) -> None:
        self._settings, self._shape, self._views = settings, shape, views
        self._registry = Registry(settings)

    async def references(self, pages: Sequence[dict[str, Any]]) -> None:
        """The pages, keyed by their ids."""
        await self._send(topics.PAGES, ((row["page_id"], row, 0) for row in pages))

    async def _send(self, topic: Topic, rows: Iterable[tuple[str, dict[str, Any], int]]) -> int:
        encode, number = await self._registry.encoder(topic), 0
        async with kafka.producer(self._settings) as producer:
            for key, row, time_ms in rows:
                time_ms = time_ms or self._shape.start_ms
                sent = await producer.send(topic.name, encode(row), key.encode(), timestamp_ms=time_ms)
                number += 1
            await producer.flush()
            await sent
        return number

    async def provide(self, count: int, kept: list[str]) -> int:
        """Fresh topics with views, users and sales; returns how many records there are in all."""
        kept = [name for name in kept if name != topics.PAGES.name]
        await recreate(self._settings, topics.ALL, kept)
        ids = await self._registry.register()
        await self.references(page_catalogue(self._shape))
        await self._send(topics.REGION, ((row["region_id"], row, 0) for row in region_rows()))
        await self._send(topics.PRODUCT, ((row["product_id"], row, 0) for row in product_rows()))
        users = await self._send(topics.USERS, self._users())
        sales = await self._send(topics.FLASH_SALES, self._sales(int(count * SALES_SHARE)))
        async with kafka.producer(self._settings) as producer:
            number = ids[topics.PAGEVIEW.subject]
            args = (self._settings.partitions, self._views, count, self._shape, number)
            await produce(producer, topics.PAGEVIEW.name, *args)
        return count + users + sales

    def _users(self) -> Iterable[tuple[str, dict[str, Any], int]]:
        rows = islice(datagen.users(self._shape.seed), self._shape.keys)
        for number, row in enumerate(rows):
            userid = user_id(number)
            yield userid, {**row, "userid": userid}, 0

    def _sales(self, count: int) -> Iterable[tuple[str, dict[str, Any], int]]:
        rng = random.Random(f"bench/sales/{self._shape.seed}")
        products, regions = product_rows(), region_rows()
        for number in range(1, count + 1):
            time_ms = self._views.times_ms[number * len(self._views) // (count + 1)]
            row = {
                "sale_id": number,
                "customer_id": rng.randint(1, 999),
                "product_id": rng.choice(products)["product_id"],
                "region_id": rng.choice(regions)["region_id"],
                "sale_price": Decimal(rng.randint(100, 99_999)) / 100,
                "quantity": rng.randint(1, 9),
                "sale_datetime": to_datetime(time_ms),
            }
            yield str(number), row, time_ms

    async def wrong(self) -> list[str]:
        """What differs between the output topics and what the application's oracle expects of them."""
        return (await differences(self._settings, flash_sales(self._settings.session_gap_ms)))[:5]
