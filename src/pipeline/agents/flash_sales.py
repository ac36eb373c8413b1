"""Flash sales joined with products and regions: one enriched row out per sale in."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pipeline.agents.letters import DeadLetters
from pipeline.agents.processor import AvroProcessor, Schemas
from pipeline.codecs import Encoder, Record
from pipeline.errors import BadRecord
from pipeline.records import Outgoing, RecordBatch
from pipeline.tables.joins import Lookup, left_join
from pipeline.topics import EXTENDED_FLASHSALES, FLASH_SALES


def amount_cents(price: Decimal | None, quantity: int | None) -> int | None:
    """sale_price * quantity in cents, exact; null when either is. A finer price is rounded half up, once."""
    if price is None or quantity is None:
        return None
    return int((price * quantity * 100).to_integral_value(ROUND_HALF_UP))


def _double(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


class SaleEnricher(AvroProcessor):
    """Left joins of a sale with its product and region, and its amount."""

    def __init__(
        self, registry: Schemas, letters: DeadLetters, products: Lookup, regions: Lookup, encoder: Encoder
    ) -> None:
        super().__init__(FLASH_SALES, registry, letters)
        self._products = products
        self._regions = regions
        self._encode = encoder

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        """One enriched record per good sale, in the sale's own partition."""
        out: list[Outgoing] = []
        for index, sale in zip(*self.decoded(batch, out), strict=True):
            try:
                row = self._row(sale, batch, index)
            except BadRecord as error:
                out.append(self.dead_letter(batch, index, error))
                continue
            key = batch.keys[index] or b""
            out.append(
                Outgoing(EXTENDED_FLASHSALES.name, key, self._encode(row), row["event_time_ms"], batch.partition)
            )
        return out

    def _row(self, sale: Record, batch: RecordBatch, index: int) -> dict[str, Any]:
        time_ms = self.event_time_ms(batch, index, sale)
        cents = amount_cents(sale["sale_price"], sale["quantity"])
        return {
            **sale,
            "discount": _double(sale["discount"]),
            "original_price": _double(sale["original_price"]),
            "sale_price": _double(sale["sale_price"]),
            "sale_datetime": time_ms,
            **left_join(sale["product_id"], self._products, ("product_group", "product_name")),
            **left_join(sale["region_id"], self._regions, ("region_name",)),
            "sales_amount": None if cents is None else cents / 100,
            "sales_amount_cents": cents,
            "event_time_ms": time_ms,
            "origin_partition": batch.partition,
            "origin_offset": batch.offsets[index],
        }
