"""Plain Faust, as its documentation shows it: an event at a time, `table[key] += 1`.

Faust would have to repartition by page group to count with several workers; with one worker the table in memory holds
all partitions, so that step is left out in its favour. Its results are read from the table's changelog.
"""

from typing import Any

import faust

from bench.peers.avro import Schemas, decode, encode, load_pages
from bench.peers.configuration import configuration

config = configuration()
schemas, pages = Schemas(config.folder), load_pages(config.folder)
app = faust.App(
    config.app_id,
    broker=[f"kafka://{address}" for address in config.bootstrap.split(",")],
    store="memory://",
    topic_partitions=config.partitions,
    topic_replication_factor=2,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    broker_commit_interval=config.commit_interval_ms / 1000,
    stream_recovery_delay=0.0,
    web_enabled=False,
    datadir=f"{config.folder}/faust",
    processing_guarantee=config.guarantee,
)
views = app.topic(config.input, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")
output = app.topic(config.output, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")

if config.kind == "enrichment":

    @app.agent(views)
    async def enrich(stream: Any) -> None:
        """One row out per view."""
        async for event in stream.events():
            view = decode(event.value, schemas.view)
            page = pages.get(view["pageid"], {})
            row = {
                **view,
                "page_group": page.get("page_group"),
                "page_name": page.get("page_name"),
                "event_time_ms": int(event.message.timestamp * 1000),
                "origin_partition": event.message.partition,
                "origin_offset": event.message.offset,
            }
            value = encode(row, schemas.enriched, config.output_schema_id)
            await output.send(key=event.key, value=value)

else:
    table = app.Table("counts", default=int, partitions=config.partitions)
    seconds = config.size_ms / 1000
    counts = table.tumbling(seconds) if config.kind == "tumbling" else table.hopping(seconds, config.advance_ms / 1000)

    @app.agent(views)
    async def count(stream: Any) -> None:
        """Count views by page group and window."""
        async for value in stream:
            view = decode(value, schemas.view)
            counts[pages[view["pageid"]]["page_group"]] += 1


if __name__ == "__main__":
    app.Worker(loglevel="warning", redirect_stdouts=False).execute_from_commandline()
