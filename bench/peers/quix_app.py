"""Quix Streams, as its documentation shows it: decode, join by a dict, group, count in a window, or enrich."""

import logging

from quixstreams import Application

from bench.peers.avro import Schemas, decode, encode, load_pages
from bench.peers.configuration import configuration

config = configuration()
schemas, pages = Schemas(config.folder), load_pages(config.folder)
logging.getLogger("quixstreams").setLevel(logging.WARNING)
app = Application(
    broker_address=config.bootstrap,
    consumer_group=config.app_id,
    auto_offset_reset="earliest",
    commit_interval=config.commit_interval_ms / 1000,
    state_dir=f"{config.folder}/quix",
    processing_guarantee="exactly-once" if config.guarantee == "exactly_once" else "at-least-once",
    loglevel="WARNING",
)
views = app.topic(config.input, key_deserializer="bytes", value_deserializer="bytes")
enriching = config.kind == "enrichment"
output = app.topic(config.output, key_serializer="bytes" if enriching else "string", value_serializer="bytes")


def group_of(value: bytes) -> dict[str, str]:
    """The page group of an encoded view."""
    return {"group": pages[decode(value, schemas.view)["pageid"]]["page_group"]}


def enriched(value: bytes, key: bytes, time_ms: int, headers: object) -> bytes:
    """The encoded row of an encoded view."""
    view = decode(value, schemas.view)
    page = pages.get(view["pageid"], {})
    row = {**view, "page_group": page.get("page_group"), "page_name": page.get("page_name"), "event_time_ms": time_ms}
    return encode({**row, "origin_partition": 0, "origin_offset": 0}, schemas.enriched, config.output_schema_id)


def count_row(result: dict[str, int], key: str, time_ms: int, headers: object) -> bytes:
    """The encoded row of a window's count."""
    row = {
        "page_group": key,
        "total_pageview": result["value"],
        "window_start_ms": result["start"],
        "window_end_ms": result["end"],
        "retired": False,
    }
    return encode(row, schemas.count, config.output_schema_id)


frame = app.dataframe(views)
if enriching:
    frame.apply(enriched, metadata=True).to_topic(output)
else:
    grouped = frame.apply(group_of).group_by("group", key_serializer="string", key_deserializer="string")
    if config.kind == "tumbling":
        windows = grouped.tumbling_window(config.size_ms, config.grace_ms)
    elif config.kind == "hopping":
        windows = grouped.hopping_window(config.size_ms, config.advance_ms, config.grace_ms)
    else:
        windows = grouped.session_window(config.gap_ms, config.grace_ms)
    windows.count().current().apply(count_row, metadata=True).to_topic(output)

if __name__ == "__main__":
    app.run()
