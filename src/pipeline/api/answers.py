"""What goes out: JSON, and refusals of one sentence."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from starlette.responses import Response

JSON = "application/json"


def dumped(value: Any) -> bytes:
    """A value as JSON: decimals are numbers with all their digits, bytes are base64, moments are ISO 8601."""
    return orjson.dumps(value, default=_other, option=orjson.OPT_NON_STR_KEYS)


def _other(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def answered(value: Any) -> Response:
    """An answer; nobody keeps it."""
    return Response(dumped(value), media_type=JSON, headers={"Cache-Control": "no-store"})


def refused(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of one sentence, as {"error": ...}."""
    body = dumped({"error": sentence.encode("utf-8", "replace").decode()})
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, media_type=JSON)
