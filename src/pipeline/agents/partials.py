"""How partials and watermarks travel between the two stages of an aggregation."""

import orjson

from pipeline.tables.partials import Partial, Sent, SessionPartial, Watermark

KINDS: dict[str, type[Sent]] = {kind.__name__: kind for kind in (Partial, SessionPartial, Watermark)}


def dump(sent: Sent) -> bytes:
    """A partial or watermark as it travels: a JSON list that begins with its kind."""
    return orjson.dumps([type(sent).__name__, *sent])


def load(value: bytes) -> Sent:
    """What `dump` made."""
    kind, *columns = orjson.loads(value)
    return KINDS[kind](*columns)
