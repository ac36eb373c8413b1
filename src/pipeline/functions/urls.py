"""Functions of URLs, read as java.net.URI reads them (RFC 2396)."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote_plus, unquote, unquote_plus

from pipeline.functions.base import EvaluationError, Example, ScalarFunction
from pipeline.functions.kinds import INT, STRING
from pipeline.functions.signatures import function

PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
ILLEGAL = re.compile(
    r"[\x00-\x20\x7f-\xa0\"<>\\^`{|}\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]|%(?![0-9a-fA-F]{2})"
)
LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
SERVER = re.compile(
    rf"(?:[^@\[\]]*@)?((?:{LABEL}\.)*[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?|[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}|"
    r"\[[0-9A-Fa-f:.]+(?:%[^\]]+)?\])(?::([0-9]*))?"
)
BAD_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})")


class _Url(NamedTuple):
    """The parts of a URL, decoded; None where there is none."""

    scheme: str | None
    host: str | None
    port: int | None
    path: str | None
    query: str | None
    fragment: str | None


@lru_cache(maxsize=256)
def _parsed(url: str) -> _Url:
    found = PARTS.fullmatch(url)
    assert found is not None, "every text has these parts"
    scheme, authority, path, query, fragment = found.groups()
    rest = found.end() - len(url) or (len(scheme) + 1 if scheme else 0)
    if (
        ILLEGAL.search(url)
        or (scheme is not None and SCHEME.fullmatch(scheme) is None)
        or (scheme is not None and rest == len(url))
        or url.startswith(":")
        or (authority == "" and not path)
        or re.search(r"[\[\]]", path)
        or (fragment is not None and "#" in fragment)
    ):
        raise EvaluationError(f"was given {url!r}, which is no URL")
    if scheme is not None and authority is None and not path.startswith("/"):
        return _Url(scheme, None, None, None, None, _decoded(fragment))  # opaque, as mailto:a@b.c
    server = SERVER.fullmatch(authority or "")
    host, port = (None, None) if server is None else server.groups()
    return _Url(
        scheme, host, int(port) if port else None, unquote(path, errors="replace"), _decoded(query), _decoded(fragment)
    )


def _decoded(text: str | None) -> str | None:
    return None if text is None else unquote(text, errors="replace")


def _parameter(url: str, name: str) -> str | None:
    query = _parsed(url).query
    for entry in () if query is None else query.split("&"):
        key, _, value = entry.partition("=")
        if key == name:
            return value
    return None


def _encode(text: str) -> str:
    # Guava's escaper leaves * and escapes ~; Python's does neither.
    return quote_plus(text, safe="-_.*", errors="replace").replace("~", "%7E")


def _decode(text: str) -> str:
    if BAD_ESCAPE.search(text):
        raise EvaluationError(f"was given {text!r}, in which two hexadecimal digits must follow every %")
    return unquote_plus(text, errors="replace")


def _part(name: str, about: str, result: Any, edges: str, of: Callable[[_Url], Any]) -> ScalarFunction:
    url = "https://shop.example:8080/a%20b?page=2&q=x%20y#top"
    return function(
        f"URL_EXTRACT_{name}",
        {"STRING": INT if name == "PORT" else STRING},
        lambda text: of(_parsed(text)),
        about,
        Example((url,), result),
        edges=f"{edges} A text that is no URL gives null.",
    )


URLS: tuple[ScalarFunction, ...] = (
    function(
        "URL_DECODE_PARAM",
        {"STRING": STRING},
        _decode,
        "The text of a parameter of a URL.",
        Example(("url%20encoded+text",), "url encoded text"),
        edges="A + is a space. A % without two hexadecimal digits gives null.",
    ),
    function(
        "URL_ENCODE_PARAM",
        {"STRING": STRING},
        _encode,
        "The text as a parameter of a URL.",
        Example(("?foo $bar",), "%3Ffoo+%24bar"),
        edges="A space is +; letters, digits and - _ . * stay.",
    ),
    _part("PROTOCOL", "The protocol.", "https", "Null without one.", lambda url: url.scheme),
    _part("HOST", "The host.", "shop.example", "Null without one.", lambda url: url.host),
    _part("PORT", "The port.", 8080, "Null unless it is told.", lambda url: url.port),
    _part("PATH", "The path, decoded.", "/a b", "Empty without one.", lambda url: url.path),
    _part("QUERY", "All parameters, decoded.", "page=2&q=x y", "Null without them.", lambda url: url.query),
    _part("FRAGMENT", "What follows #, decoded.", "top", "Null without it.", lambda url: url.fragment),
    function(
        "URL_EXTRACT_PARAMETER",
        {"STRING, STRING": STRING},
        _parameter,
        "The first value of a parameter, decoded.",
        Example(("http://test.com?a%20b=c%20d&e", "a b"), "c d"),
        edges="Null when there is none of this name; empty when it has no value. A text that is no URL gives null.",
    ),
)
