"""What every request passes before it is answered: its client's limits, its size, the password, and Dash's own form."""

import binascii
import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, request
from pydantic import SecretStr
from werkzeug.middleware.proxy_fix import ProxyFix

from pipeline.errors import SettingError
from pipeline.security_settings import user_and_password
from pipeline.settings import Settings
from pipeline.web import LastGood, same
from pipeline.web_limits import Buckets

MOST_BODY_BYTES = 256 * 1024
BURST_S = 4
FAILURES = 10
FAILURES_PER_S = FAILURES / 60
"""Wrong passwords that one address may give: ten at once, then one every six seconds."""
CHALLENGE = {"WWW-Authenticate": 'Basic realm="dashboard", charset="UTF-8"'}


def guard(server: Flask, settings: Settings) -> None:
    """Add all of it but `only_known_callbacks`."""
    prefix, proxies = settings.dashboard_base_path, settings.dashboard_trusted_proxies
    server.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
    if proxies:
        wsgi: Any = ProxyFix(server.wsgi_app, x_for=proxies, x_proto=proxies, x_host=0, x_port=0, x_prefix=0)
        server.wsgi_app = wsgi  # type: ignore[method-assign]
    asks = Buckets(settings.dashboard_rate_limit, max(1.0, BURST_S * settings.dashboard_rate_limit))
    failures = Buckets(FAILURES_PER_S, FAILURES)
    expected = LastGood(lambda: password(settings))
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
        wanted = expected()
        return asked(wanted, client, failures) if wanted else None


def password(settings: Settings) -> str:
    """user:password, '' for none; raises SettingError where a file has something else."""
    text = settings.secret("dashboard_auth")
    try:
        return user_and_password(SecretStr(text)).get_secret_value()
    except ValueError as error:
        raise SettingError(f"setting dashboard_auth_file names a file with a wrong text: {error}") from None


def asked(wanted: str, client: str, failures: Buckets) -> Response | None:
    """None where the request brings the password, else the answer."""
    header = request.headers.get("Authorization", "")
    if not header:
        return refusal(401, "A password is needed.", CHALLENGE)
    if wait_s := failures.wait_s(client):
        return refusal(429, "Too many wrong passwords from this address.", {"Retry-After": str(wait_s)})
    if same(_given(header), wanted.encode()):
        return None
    failures.take(client)
    return refusal(401, "A password is needed.", CHALLENGE)


def _given(header: str) -> bytes:
    scheme, _, encoded = header.partition(" ")
    try:
        given = b64decode(encoded.strip().encode("latin-1"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return b""
    return given if scheme.lower() == "basic" else b""


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
