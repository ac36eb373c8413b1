"""Segments that are full: Pinot stores them and goes on; they must not be the end of a table."""

import copy
import time
from typing import Any

import httpx

from pipeline.serving.pinot import client
from pipeline.serving.provision import UNJUDGED
from pipeline.serving.tables import tables
from pipeline.topics import EXTENDED_PAGEVIEWS
from running import Application

NAME = "SEGMENTS_THAT_FILL_UP"
SEGMENTS = 6
"""How often each partition fills up: storing one takes about a second. The threshold is for all partitions together."""


def test_a_table_goes_on_after_its_segments_are_full(application: Application) -> None:
    settings = application.settings
    (table,) = (table for table in tables(settings) if table.name == EXTENDED_PAGEVIEWS.name)
    schema, config = copy.deepcopy(table.schema), copy.deepcopy(table.config)
    schema["schemaName"] = NAME
    config["tableName"] = NAME
    config["segmentsConfig"]["schemaName"] = NAME
    stream: dict[str, Any] = config["tableIndexConfig"]["streamConfigs"]
    pinot = client(settings)
    ours, theirs = (f"SELECT COUNT(*) AS n FROM {name}" for name in (NAME, EXTENDED_PAGEVIEWS.name))
    before = pinot.query(theirs)[0]["n"]
    stream["realtime.segment.flush.threshold.rows"] = str(before // SEGMENTS)
    del stream["realtime.segment.flush.threshold.segment.size"]
    with httpx.Client(base_url=settings.pinot_controller_url, timeout=30, trust_env=False) as controller:
        controller.post("/schemas", json=schema).raise_for_status()
        controller.post(f"/tables{UNJUDGED}", json=config).raise_for_status()
        try:
            deadline = time.monotonic() + 90
            while stored(controller) < 3:
                assert time.monotonic() < deadline, controller.get(f"/tables/{NAME}/externalview").text
                time.sleep(1)
            while pinot.query(ours)[0]["n"] < before:
                assert time.monotonic() < deadline, f"fewer rows than the {before} of a table with one segment"
                time.sleep(1)
        finally:
            controller.delete(f"/tables/{NAME}")
            controller.delete(f"/schemas/{NAME}")


def stored(controller: httpx.Client) -> int:
    """Segments of the table that are full and stored."""
    view = controller.get(f"/tables/{NAME}/externalview").json().get("REALTIME") or {}
    return sum("ONLINE" in states.values() for states in view.values())
