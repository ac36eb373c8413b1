"""Flash sales joined with products and regions: one enriched row out per sale in."""

from collections.abc import Collection, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import DecodingProcessor, Schemas
from pipeline.errors import BadRecord
from pipeline.formats import ValueEncoder
from pipeline.records import Outgoing, RecordBatch, outgoing
from pipeline.tables.lookup import Lookup, looked_up
from pipeline.topics import EXTENDED_FLASHSALES, FLASH_SALES

AS_THEY_ARE = ("sale_id", "customer_id", "province_id", "product_id", "region_id", "quantity")
DECIMALS = ("discount", "original_price", "sale_price")
MOST_CENTS = 10**15
"""A larger amount is an error somewhere; and sums of such ones would not fit into Avro's long."""


def amount_cents(price: Decimal | None, quantity: int | None) -> int | None:
    """sale_price * quantity in cents, exact; null when either is. A finer price is rounded half up, once."""
    if price is None or quantity is None:
        return None
    return int((price * quantity * 100).to_integral_value(ROUND_HALF_UP))


def _double(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


class SaleEnricher(DecodingProcessor):
    """Left joins of a sale with its product and region, and its amount."""

    def __init__(
        self, registry: Schemas, letters: DeadLetters, products: Lookup, regions: Lookup, encoder: ValueEncoder
    ) -> None:
        super().__init__(FLASH_SALES, registry, letters)
        self._products = products
        self._regions = regions
        self._encode = encoder

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """One enriched record per good sale, in the sale's own partition, with the timestamp of the sale's record.

        That is when it was read from the database. By the event time, which may be long ago, retention could delete it
        before anybody has read it.
        """
        out: list[Outgoing] = []
        sales, places, times_ms = self.timed(batch, out)
        cents = [amount_cents(sale["sale_price"], sale["quantity"]) for sale in sales]
        beyond = {number for number, amount in enumerate(cents) if amount is not None and abs(amount) > MOST_CENTS}
        if beyond:
            errors = {number: BadRecord(f"sales amount of {cents[number]} cents is beyond 10**15") for number in beyond}
            out += [self.dead_letter(batch, places[number], error) for number, error in errors.items()]
            sales, places, times_ms, cents = _without(beyond, sales, places, times_ms, cents)
        products = [sale["product_id"] for sale in sales]
        regions = [sale["region_id"] for sale in sales]
        columns = {
            **{name: [sale[name] for sale in sales] for name in AS_THEY_ARE},
            **{name: [_double(sale[name]) for sale in sales] for name in DECIMALS},
            "sale_datetime": times_ms,
            "product_group": looked_up(products, self._products, "product_group"),
            "product_name": looked_up(products, self._products, "product_name"),
            "region_name": looked_up(regions, self._regions, "region_name"),
            "sales_amount": [None if amount is None else amount / 100 for amount in cents],
            "sales_amount_cents": cents,
            "event_time_ms": times_ms,
            "origin_partition": [batch.partition] * len(sales),
            "origin_offset": [batch.offsets[place] for place in places],
        }
        values = self._encode.columns(columns, len(sales))
        keys = [
            str(sale["sale_id"]).encode() if (key := batch.keys[place]) is None else key
            for place, sale in zip(places, sales, strict=True)
        ]
        written_ms = [batch.timestamps[place] for place in places]
        return out + outgoing(EXTENDED_FLASHSALES.name, keys, values, written_ms, batch.partition)


def _without(left_out: Collection[int], *columns: Sequence[Any]) -> list[list[Any]]:
    return [[value for place, value in enumerate(column) if place not in left_out] for column in columns]
