"""The enriched rows held against their source records and the tables that these were joined with."""

from collections import defaultdict
from dataclasses import dataclass

from pipeline.settings import Settings
from pipeline.verify.as_of import NOTHING, UserVersions
from pipeline.verify.expected import Sources
from pipeline.verify.source_side import References, sale_amount, sale_time


@dataclass(slots=True)
class JoinReport:
    """Rows that are missing, invented or wrong; that raced with their user's row; of which it cannot be told.

    `first_raced_ms` is the earliest event time of a row that raced; none: none did.
    """

    wrong: int = 0
    raced: int = 0
    unknown: int = 0
    first_raced_ms: int | None = None


def check_views(
    settings: Settings, sources: Sources, pages: References, regions: References, *, users_removed: bool = False
) -> JoinReport:
    """Views against their enriched rows.

    A view that comes later than users' former rows are kept may have met another one: it cannot be told. Nor can it
    where retention has removed users (`users_removed`) and none is left that is old enough.
    """
    report = JoinReport(sources.enriched_views.differences)
    report.wrong += len(sources.views.keys() ^ sources.enriched_views.rows.keys())
    users = UserVersions(sources.users)
    stream_times: defaultdict[int, int] = defaultdict(int)
    table_time = max((user.time_ms for user in sources.users), default=0)
    for origin, (lies_in, row) in sources.enriched_views.rows.items():
        source = sources.views.get(origin)
        if source is None or source.value is None:
            continue
        view, time_ms = source.value, source.time_ms
        stream_times[lies_in] = max(stream_times[lies_in], time_ms)
        good = (
            all(row[name] == view[name] for name in ("userid", "pageid", "viewtime"))
            and row["event_time_ms"] == time_ms
            and pages.allows(view["pageid"], row, ("page_group", "page_name"))
            and regions.allows(row["regionid"], row, ("region_name",))
        )
        met, wanted = (row["regionid"], row["gender"]), users.as_of(view["userid"], time_ms)
        if not good:
            report.wrong += 1
        elif met == (wanted or NOTHING):
            continue
        elif wanted is None and users_removed:
            report.unknown += 1
        elif users.may_have_raced(view["userid"], time_ms, met):
            report.raced += 1
            earlier = time_ms if report.first_raced_ms is None else min(time_ms, report.first_raced_ms)
            report.first_raced_ms = earlier
        elif time_ms < max(stream_times[lies_in], table_time - settings.join_history_ms) - settings.join_history_ms:
            report.unknown += 1
        else:
            report.wrong += 1
    return report


def check_sales(sources: Sources, products: References, regions: References) -> int:
    """Differences between sales and their enriched rows."""
    wrong = sources.enriched_sales.differences + len(sources.sales.keys() ^ sources.enriched_sales.rows.keys())
    for origin, (_, row) in sources.enriched_sales.rows.items():
        source = sources.sales.get(origin)
        if source is None or source.value is None:
            continue
        sale = source.value
        amount = sale_amount(sale)
        good = (
            all(row[name] == sale[name] for name in ("sale_id", "customer_id", "product_id", "region_id", "quantity"))
            and row["event_time_ms"] == row["sale_datetime"] == sale_time(sale)
            and row["sales_amount_cents"] == (None if amount is None else int(amount * 100))
            and products.allows(sale["product_id"], row, ("product_group", "product_name"))
            and regions.allows(sale["region_id"], row, ("region_name",))
        )
        wrong += not good
    return wrong
