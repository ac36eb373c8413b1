"""The flash-sales application's aggregations: what is grouped by what, in which window, into which topic."""

from pipeline.settings import Settings
from pipeline.tables.aggregate import Aggregate
from pipeline.tables.functions import Count, SumDecimal
from pipeline.tables.windows import Hopping, Session, Tumbling, Unwindowed
from pipeline.topics import (
    EXTENDED_FLASHSALES,
    EXTENDED_PAGEVIEWS,
    PAGEVIEWS_BY_PAGEGROUP,
    PAGEVIEWS_BY_REGION,
    PAGEVIEWS_HOPPING,
    PAGEVIEWS_SESSION,
    PAGEVIEWS_TUMBLING,
    SALES_BY_PRODUCTGROUP,
    SALES_BY_REGION,
    SALES_HOPPING,
    SALES_SESSION,
)
from pipeline.topology import Aggregation


def pageview_aggregates(settings: Settings) -> tuple[Aggregate, ...]:
    """Aggregations over EXTENDED_PAGEVIEWS_STREAM: outputs 2, 3, 4, 7 and 8 of the specification."""
    grace = -1 if settings.grace_ms is None else settings.grace_ms
    tumbling = Tumbling(settings.tumbling_size_ms, grace_ms=grace)
    hopping = Hopping(settings.hopping_size_ms, settings.hopping_advance_ms, grace)
    session = Session(settings.session_gap_ms, grace)
    return (
        Aggregate(
            "pageviews_by_pagegroup", "page_group", Count("count_view"), PAGEVIEWS_BY_PAGEGROUP.name, Unwindowed()
        ),
        Aggregate("pageviews_by_region", "region_name", Count("count_view"), PAGEVIEWS_BY_REGION.name, Unwindowed()),
        Aggregate("pageviews_tumbling", "page_group", Count("total_pageview"), PAGEVIEWS_TUMBLING.name, tumbling),
        Aggregate("pageviews_hopping", "page_group", Count("total_pageview"), PAGEVIEWS_HOPPING.name, hopping),
        Aggregate("pageviews_session", "page_group", Count("total_pageview"), PAGEVIEWS_SESSION.name, session),
    )


def sale_aggregates(settings: Settings) -> tuple[Aggregate, ...]:
    """Aggregations over EXTENDED_FLASHSALES_STREAM: outputs 5 and 6 of the specification, and two more of ksqlDB's."""
    grace = -1 if settings.grace_ms is None else settings.grace_ms
    tumbling = Tumbling(settings.tumbling_size_ms, grace_ms=grace)
    hopping = Hopping(settings.hopping_size_ms, settings.hopping_advance_ms, grace)
    session = Session(settings.session_gap_ms, grace)
    total = SumDecimal("sales_amount_cents", "total_sales")
    return (
        Aggregate("sales_by_productgroup", "product_group", total, SALES_BY_PRODUCTGROUP.name, tumbling),
        Aggregate("sales_by_region", "region_name", total, SALES_BY_REGION.name, tumbling),
        Aggregate("sales_hopping", "product_group", total, SALES_HOPPING.name, hopping),
        Aggregate("sales_session", "product_group", total, SALES_SESSION.name, session),
    )


def aggregations(settings: Settings) -> tuple[Aggregation, ...]:
    """Everything that the application aggregates."""
    return (
        Aggregation(EXTENDED_PAGEVIEWS, *pageview_aggregates(settings), name="pageview"),
        Aggregation(EXTENDED_FLASHSALES, *sale_aggregates(settings), name="flashsale"),
    )
