"""The topics of a run, and the rows in them."""

from typing import Any

from pipeline import topics
from pipeline.topics import Kind, Topic

KEPT = {"retention.ms": "-1"}

COUNT_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "PageviewCount",
    "namespace": "bench",
    "fields": [
        {"name": "page_group", "type": "string"},
        {"name": "total_pageview", "type": "long"},
        {"name": "window_start_ms", "type": "long"},
        {"name": "window_end_ms", "type": "long"},
        {"name": "retired", "type": "boolean"},
    ],
}
ENRICHED_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "ViewWithPage",
    "namespace": "bench",
    "fields": [
        {"name": "viewtime", "type": "long"},
        {"name": "userid", "type": "string"},
        {"name": "pageid", "type": "string"},
        {"name": "page_group", "type": ["null", "string"], "default": None},
        {"name": "page_name", "type": ["null", "string"], "default": None},
        {"name": "event_time_ms", "type": "long"},
        {"name": "origin_partition", "type": "int"},
        {"name": "origin_offset", "type": "long"},
    ],
}


def views_topic(count: int) -> Topic:
    """The input that holds the first `count` views."""
    return Topic(f"bench-views-{count}", Kind.EVENT, key="userid", schema="pageview", config=KEPT)


def counts_topic(app_id: str) -> Topic:
    """Where a program of this id sends its counts."""
    return Topic(f"{app_id}_counts", Kind.OUTPUT, key="page_group", schema=COUNT_SCHEMA)


def enriched_topic(app_id: str) -> Topic:
    """Where a program of this id sends its enriched rows."""
    return Topic(f"{app_id}_enriched", Kind.ENRICHED, key="userid", schema=ENRICHED_SCHEMA, event_time="event_time_ms")


LETTERS = (topics.DEAD_LETTERS, topics.LATE_RECORDS)
