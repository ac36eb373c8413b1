"""What every request passes before it is answered: its client's limits, its size, the password, and Dash's own form."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from pipeline.settings import Settings
from pipeline.web_limits import Buckets
from pipeline.web_login import Login

MOST_BODY_BYTES = 256 * 1024
BURST_S = 4


def guard(server: Flask, settings: Settings) -> None:
    """Add all of it but `only_known_callbacks`."""
    prefix, proxies = settings.dashboard_base_path, settings.dashboard_trusted_proxies
    server.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
    if proxies:
        wsgi: Any = ProxyFix(server.wsgi_app, x_for=proxies, x_proto=proxies, x_host=0, x_port=0, x_prefix=0)
        server.wsgi_app = wsgi  # type: ignore[method-assign]
    asks = Buckets(settings.dashboard_rate_limit, max(1.0, BURST_S * settings.dashboard_rate_limit))
    login = Login(settings, "dashboard_auth", "dashboard")
    unasked = {"/healthz", f"{prefix}healthz"}

    @server.before_request
    def let_in() -> Response | None:
        if request.path in unasked:
            return None
        client = request.remote_addr or ""
        if settings.dashboard_rate_limit and (wait_s := asks.take(client)):
            return refusal(429, "Too many requests from this address.", {"Retry-After": str(wait_s)})
        if (request.content_length or 0) > MOST_BODY_BYTES:
            return refusal(413, "That is too much.", {"Connection": "close"})
        refused = login.refusal(request.headers.get("Authorization", ""), client)
        return None if refused is None else refusal(refused.status, refused.sentence, refused.headers)


def refusal(status: int, text: str, headers: Mapping[str, str]) -> Response:
    """An answer of one sentence."""
    return Response(text, status, dict(headers), mimetype="text/plain")


def only_known_callbacks(server: Flask, path: str, callbacks: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a call of Dash that the page would not make; Dash itself would fail on it.

    Values may be anything: the callback takes them as they come.
    """
    known: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        output: _like(output, found) for output, found in callbacks.items() if "callback" in found
    }

    @server.before_request
    def check() -> Response | None:
        if request.path != path or request.method != "POST":
            return None
        try:
            body = request.get_json(force=False, silent=True)
            json.dumps(body, ensure_ascii=False).encode()  # no lone surrogates: answers may quote them
        except (RecursionError, UnicodeEncodeError):
            body = None
        like = known.get(str(body.get("output"))) if isinstance(body, dict) else None
        if like is not None and like(body or {}):
            return None
        return refusal(400, "The page does not ask like this.", {})


def _like(output: str, declared: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    outputs = [tuple(name.rsplit(".", 1)) for name in output.strip(".").split("...")]
    places = {
        "outputs": outputs,
        **{part: [(one["id"], one["property"]) for one in declared[part]] for part in ("inputs", "state")},
    }

    def like(body: Mapping[str, Any]) -> bool:
        changed = body.get("changedPropIds", [])
        return (
            all(_places(body.get(part)) == wanted for part, wanted in places.items())
            and isinstance(changed, list)
            and all(isinstance(name, str) for name in changed)
        )

    return like


def _places(parts: Any) -> list[tuple[Any, Any]] | None:
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return None
    return [(part.get("id"), part.get("property")) for part in parts]
