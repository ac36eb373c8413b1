"""Bad records of every kind: each must become exactly one dead letter, and must not disturb the good ones around it."""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import cycle
from random import Random
from typing import Any

from pipeline.applications.loading import Runnable
from pipeline.chaos.ledger import fingerprint
from pipeline.codecs import Record
from pipeline.formats import ValueEncoder
from pipeline.registry import Registry
from pipeline.timebase import now_ms
from pipeline.topics import FLASH_SALES, FRAMED, PAGEVIEW, USERS, Topic, ValueFormat

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


async def bad_records_of(
    registry: Registry, found: Runnable, makers: Mapping[str, Callable[[int], Record]], seed: int
) -> Iterator[Bad]:
    """Endless bad records for the topics that others write, every kind in turn; none where nothing is known to be bad.

    `makers` give good rows of a topic, which bad ones are made from. Topics that are compacted get none: what a key had
    before may be gone when letters are counted. Nor do those that the poller fills: a record there is a row of the
    database. Raises RegistryError when the registry is out of reach.
    """
    tables = {table.topic.name for table in found.plan.as_of_tables}
    tables |= {name for name, root in found.plan.roots.items() if root.table is not None}
    random, kinds = Random(f"poison/{seed}"), list[Callable[[], Bad]]()
    for topic in found.sources:
        if topic.retention_ms is not None and found.application.carried_into(topic) is None:
            encode, make = await registry.encoder(topic), makers.get(topic.name)
            kinds += _kinds(topic, random, encode, make, is_table=topic.name in tables)
    return (kind() for kind in cycle(kinds))


def _kinds(
    topic: Topic, random: Random, encode: ValueEncoder, make: Callable[[int], Record] | None, *, is_table: bool
) -> Iterator[Callable[[], Bad]]:
    """What makes a bad record of a topic, one function for each kind; `make` gives good rows, None: nobody does."""
    name, key = topic.name, b"poison"
    if topic.value_format in FRAMED:
        yield lambda: Bad(name, key, b"\1" + random.randbytes(40))
        yield lambda: Bad(name, key, b"\0" + struct.pack(">I", UNKNOWN_SCHEMA_ID) + random.randbytes(3))
    if not is_table:
        yield lambda: Bad(name, key, None)
    if make is None:
        return

    def good(**columns: Any) -> bytes | None:
        return encode(make(now_ms()) | columns)

    yield lambda: Bad(name, key, good(), -5)
    if topic.value_format == ValueFormat.AVRO:
        yield lambda: Bad(name, key, (good() or b"") + b"xx")
    if is_table:
        yield lambda: Bad(name, None, good())
    elif topic.event_time is not None and topic.event_time_format is None:
        column = topic.event_time
        yield lambda: Bad(name, key, good(**{column: -1_000}))


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
