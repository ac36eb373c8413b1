"""What is checked of flash sales besides: the sales in MySQL, and one enriched row for each good source record."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from pipeline import topics
from pipeline.chaos.checks import Check, Marks, check_sales, compare_origins
from pipeline.chaos.ledger import SalesLedger
from pipeline.settings import Settings
from pipeline.sources.carried import unsent
from pipeline.sources.database import engine
from pipeline.sources.feed import stored_positions
from pipeline.sources.models import FlashSale
from pipeline.sources.position import Position
from pipeline.topics import Topic

ENRICHED = (
    ("pageview_rows", topics.PAGEVIEW, topics.EXTENDED_PAGEVIEWS),
    ("sale_rows", topics.FLASH_SALES, topics.EXTENDED_FLASHSALES),
)


class Shop:
    """Holds what the poller carried against the ledger of sales; keys of the topic are noted as they are read."""

    def __init__(self, settings: Settings, ledger: SalesLedger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._ids = Counter[int]()

    def note(self, topic: str, key: bytes | None) -> None:
        """A good record of a topic that the load does not write."""
        if topic == topics.FLASH_SALES.name and key is not None and key.isdigit():
            self._ids[int(key)] += 1

    async def sales(self) -> Check:
        """MySQL and topic against the ledger."""
        return check_sales(self._ledger, await _sales_in(self._settings), self._ids)

    async def rows(
        self, good: Mapping[str, Marks], origins: Callable[[Topic], Awaitable[Marks]]
    ) -> dict[str, tuple[Topic, Check]]:
        """{check: (source topic, result)}: each good record of a source must have exactly one enriched row."""
        return {
            name: (source, compare_origins(good[source.name], await origins(enriched)))
            for name, source, enriched in ENRICHED
        }


async def poller_is_through(settings: Settings) -> bool:
    """Whether the poller has sent every sale that is in MySQL."""
    stored = (await stored_positions(settings)).get(FlashSale.__tablename__)
    database = engine(settings)
    try:
        async with database.connect() as connection:
            last = (await connection.execute(select(func.max(FlashSale.sale_id)))).scalar_one() or 0
            if stored is None or not isinstance(stored.position, Position) or stored.position.last_id < last:
                return last == 0
            missing = unsent(FlashSale.__table__.c.sale_id, stored.position)
            if missing is None:
                return False
            return (await connection.execute(select(FlashSale.sale_id).where(missing).limit(1))).first() is None
    except (SQLAlchemyError, OSError):
        return False
    finally:
        await database.dispose()


async def _sales_in(settings: Settings) -> dict[int, int]:
    """{sale id: cents} of MySQL's table."""
    database = engine(settings)
    try:
        async with database.connect() as connection:
            sale = FlashSale
            rows = await connection.stream(select(sale.sale_id, sale.sale_price * sale.quantity * 100))
            return {int(row[0]): int(row[1] or 0) async for row in rows}
    finally:
        await database.dispose()
