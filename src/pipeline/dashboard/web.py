"""What every answer passes: authentication, security headers, compression and cache headers."""

import gzip
import hmac
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache

from flask import Flask, Response, request

LEAST_BYTES = 500
ONE_YEAR_S = 31_536_000
TEXTS = ("text/", "application/json", "application/javascript", "image/svg+xml")
OPEN_PATHS = ("/healthz",)


def protect(server: Flask, auth: str, script_hashes: Sequence[str]) -> None:
    """Add all of it; `auth` is user:password or empty, `script_hashes` allow the page's inline scripts."""
    headers = security_headers(script_hashes)
    expected = b64encode(auth.encode()).decode()

    @server.before_request
    def ask_for_password() -> Response | None:
        given = request.headers.get("Authorization", "")
        if not auth or request.path.endswith(OPEN_PATHS):
            return None
        if hmac.compare_digest(given.encode(), f"Basic {expected}".encode()):
            return None
        return Response("A password is needed.", 401, {"WWW-Authenticate": 'Basic realm="dashboard", charset="UTF-8"'})

    @server.after_request
    def finish(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return compressed(response, request.headers.get("Accept-Encoding", ""))


def security_headers(script_hashes: Sequence[str]) -> dict[str, str]:
    """Nothing from elsewhere, no framing; inline styles are allowed, since Plotly writes them."""
    scripts = " ".join(["'self'", *script_hashes])
    return {
        "Content-Security-Policy": (
            f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
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
    lasting = request.method == "GET" and ("_dash-component-suites" in request.path or "/assets/" in request.path)
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
