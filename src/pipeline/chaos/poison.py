"""Bad records of every kind: each must become exactly one dead letter, and must not disturb the good ones around it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import cycle
from random import Random

from pipeline.chaos.ledger import fingerprint
from pipeline.registry import Registry
from pipeline.topics import FLASH_SALES, PAGEVIEW, USERS

UNKNOWN_SCHEMA_ID = 987_654
SALE_ID = 0
"""No id that MySQL gives: a poller without a position takes the keys in the topic for what has been sent."""
VIEW = {"viewtime": 1, "userid": "User_1", "pageid": "Page_10"}
USER = {
    "registertime": 1,
    "userid": "User_1",
    "regionid": "Region_1",
    "gender": "OTHER",
    "interests": ["Game", "News"],
    "contactinfo": {},
}
LONG_USERID = "u" * 524_240
"""The view itself is below the limit; its row has the userid in its key, too, and fits into no message."""
NO_TIME = dict.fromkeys(("customer_id", "province_id", "product_id", "region_id", "discount", "original_price")) | {
    "sale_id": SALE_ID,
    "sale_price": Decimal("1.10"),
    "quantity": 2,
    "sale_datetime": None,
}
BEFORE_1970 = {"sale_datetime": -1_000}
AFTER_9998 = {"sale_datetime": datetime(9999, 12, 31, 23, 59, tzinfo=UTC)}
TOO_LARGE = {"sale_datetime": 1, "sale_price": Decimal("99999999.99"), "quantity": (1 << 31) - 1}


@dataclass(frozen=True, slots=True)
class Bad:
    """One bad record; no timestamp: the time of sending."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None = None


async def bad_records(registry: Registry, seed: int) -> Iterator[Bad]:
    """Endless bad records, every kind in turn; raises RegistryError when the registry is out of reach."""
    encode_view = await registry.encoder(PAGEVIEW)
    known_user = (await registry.encoder(USERS))(USER)
    sale = await registry.encoder(FLASH_SALES)
    sales = [NO_TIME, *(NO_TIME | columns for columns in (BEFORE_1970, AFTER_9998, TOO_LARGE))]
    views = encode_view(VIEW), encode_view({**VIEW, "userid": LONG_USERID})
    return _endless(views, known_user, [sale(columns) for columns in sales], seed)


def _endless(views: tuple[bytes, bytes], known_user: bytes, sales: list[bytes], seed: int) -> Iterator[Bad]:
    random, user, sale_id = Random(f"poison/{seed}"), b"User_1", str(SALE_ID).encode()
    view, too_large_when_joined = views
    for kind in cycle(range(9 + len(sales))):
        match kind:
            case 0:
                yield Bad(PAGEVIEW.name, user, b"\1" + random.randbytes(40))
            case 1:
                unknown = b"\0" + struct.pack(">I", UNKNOWN_SCHEMA_ID) + random.randbytes(3)
                yield Bad(PAGEVIEW.name, user, unknown)
            case 2:
                yield Bad(USERS.name, None, known_user)
            case 3:
                yield Bad(PAGEVIEW.name, user, view + b"xx")
            case 4:
                yield Bad(PAGEVIEW.name, user, None)
            case 5:
                yield Bad(PAGEVIEW.name, user, view, -5)
            case 6:
                yield Bad(USERS.name, user, b"\1" + random.randbytes(8))
            case 7:
                yield Bad(PAGEVIEW.name, None, too_large_when_joined)
            case 8:
                yield Bad(PAGEVIEW.name, user, known_user)
            case _:
                yield Bad(FLASH_SALES.name, sale_id, sales[kind - 9])


class Poisons:
    """Knows a poisoned record when it sees one, also one whose acknowledgement was lost and that was sent again."""

    def __init__(self) -> None:
        self._known: set[tuple[str, bytes | None, int, bool]] = set()

    def note(self, bad: Bad) -> None:
        """This one was sent."""
        self._known.add(self._mark(bad.topic, bad.key, bad.value, bad.timestamp_ms or 0))

    def holds(self, topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int) -> bool:
        """Whether a record of a topic is one of those that were sent."""
        return self._mark(topic, key, value, timestamp_ms) in self._known

    @staticmethod
    def _mark(
        topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int
    ) -> tuple[str, bytes | None, int, bool]:
        return topic, key, fingerprint(value), timestamp_ms < 0
