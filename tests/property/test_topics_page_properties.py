"""The topics page over records of any bytes, and under any address: it answers, and what it shows acts on nothing."""

from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dashboard.looking import Asked, Looks
from pipeline.dashboard.topics import topic_pages
from pipeline.peek.decode import AnyDecoder
from pipeline.peek.scan import Found, Seen
from pipeline.settings import load
from pipeline.shown import ACTING

ANY = st.one_of(
    st.none(),
    st.binary(max_size=300),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [b"<script>alert(1)</script>", b'{"a": ["</pre><img src=x>"]}', b"[" * 5_000, b"\x00\x00\x00\x00\x07ab"]
    ),
)
NAMES = st.text(max_size=20)
TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "link",
    "style",
    "script",
    "body",
    "div",
    "header",
    "p",
    "nav",
    "a",
    "main",
    "h1",
}
TAGS |= {
    "form",
    "label",
    "span",
    "select",
    "option",
    "input",
    "button",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "code",
}
TAGS |= {"details", "summary", "pre"}


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.scripts += tag == "script"


class OneRecord(Looks):
    """A topic of one record."""

    record: Seen

    def records(self, topic: str, asked: Asked) -> Found:
        return Found([self.record], 1)


@pytest.fixture(scope="module")
def looks() -> OneRecord:
    return OneRecord(load())


@pytest.fixture(scope="module")
def browser(looks: OneRecord) -> FlaskClient:
    server = Flask(__name__)
    server.register_blueprint(topic_pages(load(), looks, title="Shop"))
    return server.test_client()


def decoder() -> AnyDecoder:
    registry: Any = None
    return AnyDecoder(registry)


@given(key=ANY, value=ANY, header=ANY, name=NAMES, time_ms=st.integers(-(1 << 63), (1 << 63) - 1))
def test_any_bytes_are_shown_and_act_on_nothing(
    browser: FlaskClient,
    looks: OneRecord,
    key: bytes | None,
    value: bytes | None,
    header: bytes | None,
    name: str,
    time_ms: int,
) -> None:
    decode = decoder()
    looks.record = Seen("t", 0, 1, time_ms, decode(key), decode(value), ((name, decode(header)),))
    reply = browser.get("/topics/t")
    assert reply.status_code == 200
    assert not ACTING.search(reply.text.replace("\n", ""))
    page = Tags(reply.text)
    assert (page.tags - TAGS, page.scripts) == (set(), 1)
    assert not [one for one in page.attributes if one.startswith("on")]


@given(
    given=st.dictionaries(
        st.sampled_from(["count", "from", "partition", "offset", "key", "text", "follow", "view", "more"]),
        st.one_of(
            st.text(max_size=300), st.integers().map(str), st.sampled_from(["20", "5m", "beginning", "1", "records"])
        ),
    )
)
def test_any_address_is_answered(browser: FlaskClient, looks: OneRecord, given: dict[str, str]) -> None:
    decode = decoder()
    looks.record = Seen("t", 0, 1, 0, decode(b"k"), decode(b"v"))
    given = {name: text.encode("utf-8", "replace").decode() for name, text in given.items()}
    if given.get("view") in ("schemas", "settings", "readers"):
        given.pop("view")
    reply = browser.get("/topics/t", query_string=given)
    assert reply.status_code in (200, 400, 404)
    if reply.status_code != 404:
        assert not ACTING.search(reply.text.replace("\n", ""))
        assert Tags(reply.text).tags <= TAGS
