"""Flash sales, as it is verified: its topics by hand, so that a mistake in its declarations is seen."""

from importlib.resources import files
from pathlib import Path

from pipeline import topics
from pipeline.codecs import fields
from pipeline.settings import FLASH_SALES
from pipeline.topics import Topic
from pipeline.verify.subject import Checked, Source, Subject

GROUPS = (
    (topics.PAGEVIEWS_BY_PAGEGROUP, "page_group"),
    (topics.PAGEVIEWS_BY_REGION, "region_name"),
    (topics.PAGEVIEWS_TUMBLING, "page_group"),
    (topics.PAGEVIEWS_HOPPING, "page_group"),
    (topics.PAGEVIEWS_SESSION, "page_group"),
    (topics.SALES_BY_PRODUCTGROUP, "product_group"),
    (topics.SALES_BY_REGION, "region_name"),
    (topics.SALES_HOPPING, "product_group"),
    (topics.SALES_SESSION, "product_group"),
)
SALES = (topics.SALES_BY_PRODUCTGROUP, topics.SALES_BY_REGION, topics.SALES_HOPPING, topics.SALES_SESSION)
ENRICHED_FROM = (
    (topics.PAGEVIEW, topics.EXTENDED_PAGEVIEWS),
    (topics.FLASH_SALES, topics.EXTENDED_FLASHSALES),
)


def flash_sales(session_gap_ms: int) -> Subject:
    """Flash sales, by its topics."""
    oracle = Path(str(files("pipeline.applications.flash_sales") / "oracle.sql"))
    sources = (
        Source(topics.PAGEVIEW),
        Source(topics.USERS, is_table=True),
        Source(topics.FLASH_SALES),
        *(Source(topic, is_own=True) for topic in topics.ENRICHED),
        *(Source(topic, is_table=True, is_followed=True) for topic in topics.REFERENCES),
    )
    stages = (
        (topics.PAGEVIEW, topics.USERS, topics.FLASH_SALES),
        (topics.PAGEVIEW_BY_USER,),
        topics.ENRICHED,
        (topics.PAGEVIEW_PARTIALS, topics.FLASHSALE_PARTIALS),
    )
    origin = ("origin_partition", "origin_offset")
    return Subject(
        FLASH_SALES,
        oracle,
        sources,
        stages,
        (
            *(
                Checked(joined, frozenset({source.name}), origin, keeps_first=True, rising=None)
                for source, joined in ENRICHED_FROM
            ),
            Checked(topics.USER_TRANSFORMED, frozenset({topics.USERS.name}), ("userid",), in_pinot=True),
            *(_aggregate(topic, group, session_gap_ms) for topic, group in GROUPS),
        ),
    )


def _aggregate(topic: Topic, group: str, gap_ms: int) -> Checked:
    assert topic.schema is not None
    windowed = "window_start_ms" in fields(topic.schema)
    keys = (group, *(["window_start_ms"] if windowed else []))
    session = "SESSION" in topic.name
    joined = topics.EXTENDED_FLASHSALES if topic in SALES else topics.EXTENDED_PAGEVIEWS
    return Checked(
        topic,
        frozenset({joined.name}),
        keys,
        is_windowed=windowed,
        is_session=session,
        gap_ms=gap_ms if session else 0,
        rising=None,
        in_pinot=True,
    )
