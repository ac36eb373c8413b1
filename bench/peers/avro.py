"""Confluent's wire format with fastavro alone, for the peers: they must not import this project's package."""

import json
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro

HEADER_BYTES = 5


class Schemas:
    """The schemas that the benchmark has laid into the run's folder."""

    def __init__(self, folder: str) -> None:
        self.view, self.page, self.count, self.enriched = (
            fastavro.parse_schema(json.loads(Path(folder, f"{name}.avsc").read_text()))
            for name in ("view", "page", "count", "enriched")
        )


def decode(value: bytes, schema: Any) -> dict[str, Any]:
    """The record in a value."""
    stream = BytesIO(value)
    stream.seek(HEADER_BYTES)
    record: Any = fastavro.schemaless_reader(stream, schema, None)
    return dict(record)


def encode(record: dict[str, Any], schema: Any, schema_id: int) -> bytes:
    """A record as a value."""
    out = BytesIO()
    out.write(struct.pack(">bI", 0, schema_id))
    fastavro.schemaless_writer(out, schema, record)
    return out.getvalue()


def load_pages(folder: str) -> dict[str, dict[str, str]]:
    """The pages by id, as the reference topic holds them: for peers that join by a dict."""
    rows = json.loads(Path(folder, "pages.json").read_text())
    return {row["page_id"]: row for row in rows}
