"""What every answer passes: security headers, cache headers, compression; and what is said when something fails."""

import gzip
import hashlib
import logging
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from dash.exceptions import DashException
from flask import Flask, Response, request
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from pipeline.shown import visible

log = logging.getLogger(__name__)

LEAST_BYTES = 500
TEXTS = ("text/", "application/json", "application/javascript", "image/svg+xml")
LASTING = ("/_dash-component-suites/", "/assets/")
HSTS = "max-age=31536000"


def finish(server: Flask, script_hashes: Sequence[str], style_hashes: Sequence[str], *, private: bool) -> None:
    """Add all of it; the hashes allow the page's inline scripts and styles, `private`: nothing of it may be kept."""
    headers = security_headers(script_hashes, style_hashes)

    @server.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        answer = error.get_response()
        if error.response is None and (error.code or 500) >= 400:
            answer.set_data(f"{error.code} {error.name}.")
            answer.content_type = "text/plain; charset=utf-8"
        return answer

    @server.errorhandler(DashException)
    def strange(_: DashException) -> Response:
        return Response("404 Not Found.", 404, mimetype="text/plain")

    @server.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        log.error("%s %s failed", request.method, ascii(request.path)[:200], exc_info=error)
        return Response("This has failed; the dashboard's log says why.", 500, mimetype="text/plain")

    @server.after_request
    def last(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = HSTS
        if private and not any(part in request.path for part in LASTING):
            response.headers["Cache-Control"] = "no-store"
        return compressed(response, request.headers.get("Accept-Encoding", ""))


def as_text(value: Any) -> Any:
    """Any text that a template shows, for Jinja's `finalize`; markup is the templates' own."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def sha256(text: str) -> str:
    """The source expression that allows an inline script or style with this text."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def security_headers(script_hashes: Iterable[str], style_hashes: Iterable[str]) -> dict[str, str]:
    """Nothing from elsewhere, no framing, no inline script or style but those that are known.

    Style attributes are allowed: Plotly writes some into its texts. An attribute styles no more than its own element.
    """
    scripts, styles = (" ".join(["'self'", *hashes]) for hashes in (script_hashes, style_hashes))
    return {
        "Content-Security-Policy": (
            f"default-src 'self'; script-src {scripts}; style-src {styles}; "
            "style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; "
            "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }


def compressed(response: Response, accepted: str) -> Response:
    """The answer with gzip where the browser takes it, and it is text that is worth it."""
    if (
        "gzip" not in accepted
        or response.status_code != 200
        or "Content-Encoding" in response.headers
        or not (response.mimetype or "").startswith(TEXTS)
    ):
        return response
    response.direct_passthrough = False
    source = response.response
    body = response.get_data()
    if hasattr(source, "close"):  # a file that is served directly
        source.close()
    if len(body) < LEAST_BYTES:
        return response
    lasting = request.method == "GET" and any(part in request.path for part in LASTING)
    response.set_data(_kept(body) if lasting else gzip.compress(body, 5))
    response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")
    if response.headers.get("ETag"):
        response.headers["ETag"] = response.headers["ETag"].rstrip('"') + '-gzip"'
    return response


@lru_cache(maxsize=64)
def _kept(body: bytes) -> bytes:
    """Scripts and styles are few and stay the same: compressed once, and well."""
    return gzip.compress(body, 9)
