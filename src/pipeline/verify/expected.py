"""All ten outputs, recomputed from the source topics up to a cut."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pipeline import topics
from pipeline.codecs import Record
from pipeline.settings import Settings
from pipeline.verify import brute_force
from pipeline.verify.brute_force import Event, Recomputed
from pipeline.verify.source_side import Cut, Enriched, Row, SourceRecord, sale_amount

Rows = dict[tuple[Any, ...], Record]

GROUP_COLUMN = {
    topics.PAGEVIEWS_BY_PAGEGROUP.name: "page_group",
    topics.PAGEVIEWS_BY_REGION.name: "region_name",
    topics.PAGEVIEWS_TUMBLING.name: "page_group",
    topics.PAGEVIEWS_HOPPING.name: "page_group",
    topics.PAGEVIEWS_SESSION.name: "page_group",
    topics.SALES_BY_PRODUCTGROUP.name: "product_group",
    topics.SALES_BY_REGION.name: "region_name",
    topics.SALES_HOPPING.name: "product_group",
    topics.SALES_SESSION.name: "product_group",
    topics.USER_TRANSFORMED.name: "userid",
}
WINDOWED = set(GROUP_COLUMN) - {
    topics.PAGEVIEWS_BY_PAGEGROUP.name,
    topics.PAGEVIEWS_BY_REGION.name,
    topics.USER_TRANSFORMED.name,
}


def row_key(topic: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """(group,) or (group, window start): what identifies a row of an output."""
    group = row[GROUP_COLUMN[topic]]
    return (group, row["window_start_ms"]) if topic in WINDOWED else (group,)


@dataclass(slots=True)
class Sources:
    """Everything that was read: good source records and their enriched rows."""

    views: dict[tuple[int, int], SourceRecord]
    sales: dict[tuple[int, int], SourceRecord]
    users: list[SourceRecord]
    enriched_views: Enriched
    enriched_sales: Enriched


def expected(settings: Settings, sources: Sources, cuts: Mapping[str, Cut]) -> tuple[dict[str, Rows], int]:
    """({topic: rows by key}, late) from source records below the cuts: {topic: {partition: offset, exclusive}}."""
    views = list(_rows(sources.enriched_views, sources.views, cuts[topics.PAGEVIEW.name]))
    sales = list(_rows(sources.enriched_sales, sources.sales, cuts[topics.FLASH_SALES.name]))
    one = Decimal(1)
    by_page = [Event(p, row["event_time_ms"], row["page_group"], one) for p, row, _ in views]
    by_viewer = [Event(p, row["event_time_ms"], row["region_name"], one) for p, row, _ in views]
    grace, size = settings.grace_ms, settings.tumbling_size_ms
    tumbling = brute_force.time_windows(by_page, size, size, grace)
    hopping = brute_force.time_windows(by_page, settings.hopping_size_ms, settings.hopping_advance_ms, grace)
    session = brute_force.sessions(by_page, settings.session_gap_ms, grace)
    sold = _sale_events(sales, "product_group")
    by_product = brute_force.time_windows(sold, size, size, grace)
    sales_hopping = brute_force.time_windows(sold, settings.hopping_size_ms, settings.hopping_advance_ms, grace)
    sales_session = brute_force.sessions(sold, settings.session_gap_ms, grace)
    by_region = brute_force.time_windows(_sale_events(sales, "region_name"), size, size, grace)
    rows = {
        topics.USER_TRANSFORMED.name: _users(sources.users, cuts[topics.USERS.name]),
        **_table(topics.PAGEVIEWS_BY_PAGEGROUP.name, brute_force.unwindowed(by_page), _count("count_view")),
        **_table(topics.PAGEVIEWS_BY_REGION.name, brute_force.unwindowed(by_viewer), _count("count_view")),
        **_table(topics.PAGEVIEWS_TUMBLING.name, tumbling, _count("total_pageview")),
        **_table(topics.PAGEVIEWS_HOPPING.name, hopping, _count("total_pageview")),
        **_table(topics.PAGEVIEWS_SESSION.name, session, _count("total_pageview")),
        **_table(topics.SALES_BY_PRODUCTGROUP.name, by_product, _money),
        **_table(topics.SALES_BY_REGION.name, by_region, _money),
        **_table(topics.SALES_HOPPING.name, sales_hopping, _money),
        **_table(topics.SALES_SESSION.name, sales_session, _money),
    }
    windowed = (tumbling, hopping, session, by_product, by_region, sales_hopping, sales_session)
    late = sum(recomputed.late for recomputed in windowed)
    return {topic.name: rows[topic.name] for topic in topics.OUTPUTS}, late


def _rows(
    enriched: Enriched, sources: Mapping[tuple[int, int], SourceRecord], cut: Cut
) -> Iterable[tuple[int, Row, Row]]:
    for (partition, offset), (lies_in, row) in enriched.rows.items():
        source = sources.get((partition, offset))
        if offset < cut.get(partition, 0) and source is not None and source.value is not None:
            yield lies_in, row, source.value


def _sale_events(sales: Iterable[tuple[int, Row, Row]], group: str) -> list[Event]:
    return [Event(p, row["event_time_ms"], row[group], sale_amount(sale) or Decimal(0)) for p, row, sale in sales]


def _count(column: str) -> Callable[[Decimal], Record]:
    return lambda amount: {column: int(amount)}


def _money(amount: Decimal) -> Record:
    return {"total_sales_cents": int(amount * 100), "total_sales": float(amount)}


def _text(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _table(topic: str, recomputed: Recomputed, columns: Callable[[Decimal], Record]) -> dict[str, Rows]:
    rows: Rows = {}
    for (group, start, end), total in recomputed.totals.items():
        row = {GROUP_COLUMN[topic]: group, **columns(total.amount), "event_time_ms": total.time_ms}
        if topic in WINDOWED:
            row |= {"window_start": _text(start), "window_end": _text(end)}
            row |= {"window_start_ms": start, "window_end_ms": end}
        rows[row_key(topic, row)] = row
    return {topic: rows}


def _users(users: Iterable[SourceRecord], cut: Cut) -> Rows:
    rows: Rows = {}
    for record in users:
        if record.offset >= cut.get(record.partition, 0):
            continue
        if record.value is None:
            rows.pop((record.key,), None)
        else:
            rows[record.key,] = user_row(record.value)
    return rows


def user_row(user: Mapping[str, Any]) -> Record:
    """A user as the output shows it."""
    interests, contact = user["interests"], user["contactinfo"]
    return {
        **{name: user[name] for name in ("userid", "gender", "regionid")},
        "registertime": _text(user["registertime"]),
        "interests_1": interests[0] if interests else None,
        "interests_2": interests[1] if len(interests) > 1 else None,
        **{name: contact.get(name) for name in ("phone", "city", "state", "zipcode")},
    }


def users_between(users: Iterable[SourceRecord], low: Cut, high: Cut) -> dict[tuple[Any, ...], list[Record]]:
    """{key: rows that a user had between two cuts}: neither rises nor falls, so each is possible."""
    rows: dict[tuple[Any, ...], list[Record]] = {}
    for record in users:
        if low.get(record.partition, 0) <= record.offset < high.get(record.partition, 0) and record.value is not None:
            rows.setdefault((record.key,), []).append(user_row(record.value))
    return rows
