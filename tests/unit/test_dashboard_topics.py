"""The topics page shows any topic and any bytes, takes any address, and one look costs no more than it may."""

import asyncio
import json
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from pipeline.applications.loading import runnable
from pipeline.dashboard import looking
from pipeline.dashboard.looking import AT_ONCE, COUNTS, Asked, Looks, Readers
from pipeline.dashboard.topics import WHOLE, cell, grouped, topic_pages
from pipeline.errors import QueryError, SettingError, StackError
from pipeline.peek.decode import Shown
from pipeline.peek.facts import Reader, Setting
from pipeline.peek.scan import Found, Seen
from pipeline.registry import AVRO, Registered, Version
from pipeline.settings import load
from pipeline.status import TopicStatus

NULL = Shown("null", None)
STATUS = TopicStatus(5, 2, 2, 0, 0, 1_234)


def seen(offset: int, value: Shown, key: Shown = NULL, headers: tuple[tuple[str, Shown], ...] = ()) -> Seen:
    return Seen("t", 0, offset, 1_500 + offset, key, value, headers)


class FakeLooks(Looks):
    """Answers in place of a cluster's."""

    def __init__(self, records: list[Seen] | None = None, *, is_cut: bool = False) -> None:
        super().__init__(load())
        self.found = Found(records or [], 77, is_cut)
        self.asked: list[Asked] = []
        self.error: Exception | None = None

    def _answer(self, value: Any) -> Any:
        if self.error is not None:
            raise self.error
        return value

    def topics(self) -> dict[str, TopicStatus]:
        return self._answer(dict.fromkeys(("PageView", "strange", "pipeline-dead-letters"), STATUS))

    def records(self, topic: str, asked: Asked) -> Found:
        self.asked.append(asked)
        return self._answer(self.found)

    def schemas(self, topic: str) -> dict[str, list[Version]]:
        texts = [
            json.dumps({"type": "record", "name": "r", "fields": [{"name": n, "type": "int"}]}) for n in ("a<b", "c")
        ]
        return self._answer({"t-value": [Version(n, 10 + n, Registered(t, AVRO)) for n, t in enumerate(texts, 1)]})

    def configuration(self, topic: str) -> list[Setting]:
        return self._answer([Setting("cleanup.policy", "delete", True), Setting("x", None, False)])

    def readers(self, topic: str) -> Readers:
        return self._answer(Readers([Reader("g", {1: 2, 0: 40})], ["shy"]))


def browser(looks: Looks) -> FlaskClient:
    server = Flask(__name__)
    server.register_blueprint(topic_pages(load(), looks, title="Shop"))
    return server.test_client()


def page(looks: Looks, path: str, status: int = 200) -> str:
    reply = browser(looks).get(path)
    assert reply.status_code == status, reply.text
    return reply.text


def test_all_topics_are_listed_by_what_they_are() -> None:
    text = page(FakeLooks(), "/topics")
    assert [name in text for name in ("PageView", "strange", "pipeline-dead-letters")] == [True] * 3
    assert "/topics/strange" in text
    app = runnable(load())
    names = ["PageView", "strange", "pipeline-dead-letters", app.changelogs("pipeline")[0]]
    groups = grouped(dict.fromkeys(names, STATUS), app, "pipeline")
    assert [list(group.topics) for group in groups] == [[names[0]], [names[2]], [names[3]], [names[1]]]


def test_the_newest_record_comes_first_with_all_that_it_has() -> None:
    header = ("trace", Shown("text", "abc"))
    looks = FakeLooks(
        [seen(1, Shown("json", {"n": 1})), seen(2, Shown("avro 7", {"n": 2}), Shown("text", "k"), (header,))]
    )
    text = unescape(page(looks, "/topics/t"))
    assert text.index('{"n": 2}') < text.index('{"n": 1}')
    for part in (
        "1970-01-01 00:00:01.502",
        "avro 7",
        "<code>k</code>",
        "trace",
        "abc",
        "2 records, the newest first; 77",
    ):
        assert part in text
    assert looks.asked == [Asked()]
    later = unescape(page(looks, "/topics/t?from=5m"))
    assert later.index('{"n": 1}') < later.index('{"n": 2}')


def test_what_is_asked_reaches_the_scan() -> None:
    looks = FakeLooks()
    page(looks, "/topics/t?count=50&from=&partition=3&offset=7&key=k&text=a+b")
    (asked,) = looks.asked
    assert asked == Asked(50, "", 3, 7, "k", "a b")
    assert (asked.wanted.partitions, asked.wanted.key, asked.wanted.text) == ({3}, "k", "a b")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("count=7", "count is 7, but must be one of 20, 50, 100, 200"),
        ("count=x", "count is 'x', but must be a whole number from 0 on"),
        ("offset=5", "offset needs a partition"),
        ("offset=5&partition=1&from=5m", "both say where to begin"),
        ("partition=-1", "partition is '-1', but must be a whole number"),
        ("partition=99999999999999999999", "but must be a whole number"),
        ("offset=9223372036854775808&partition=0", "but must be a whole number"),
        ("partition=%D9%A3", "but must be a whole number"),
        ("from=yesterday", "from is 'yesterday', but must be like 5m"),
        ("from=5m&follow=1", "what is followed are the newest records"),
    ],
)
def test_what_makes_no_sense_is_a_sentence_and_asks_nobody(query: str, sentence: str) -> None:
    looks = FakeLooks()
    assert sentence in unescape(page(looks, f"/topics/t?{query}", 400))
    assert looks.asked == []


@pytest.mark.parametrize("path", ["/topics/..", "/topics/a%20b", "/topics/%3Cscript%3E", "/topics/t?view=x"])
def test_what_is_no_topic_is_not_found(path: str) -> None:
    assert browser(FakeLooks()).get(path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/topics", *(f"/topics/t?view={view}" for view in ("records", "schemas", "settings", "readers"))]
)
def test_a_cluster_that_is_away_is_a_sentence(path: str) -> None:
    looks = FakeLooks()
    looks.error = StackError("Kafka at http://me:secret@k:9092 does not answer \x1b[2J")
    text = unescape(page(looks, path, 503))
    assert "does not answer \\x1b[2J" in text
    assert "secret" not in text


def test_schemas_settings_and_readers() -> None:
    looks = FakeLooks()
    text = unescape(page(looks, "/topics/t?view=schemas"))
    assert "AVRO, version 2, id 12" in text and "Changed by version 2" in text
    assert '<span class="removed">-' in text and '<span class="added">+' in text
    assert "a&lt;b" in page(looks, "/topics/t?view=schemas")
    assert "cleanup.policy" in page(looks, "/topics/t?view=settings")
    text = page(looks, "/topics/t?view=readers")
    assert "0: 40, 1: 2" in text and ">42<" in text and "no right to ask shy" in text


def test_it_is_followed_by_a_script_of_its_own_and_not_otherwise() -> None:
    looks = FakeLooks([seen(1, NULL)])
    assert "assets/pages.js" not in page(looks, "/topics/t")
    text = page(looks, "/topics/t?follow=1&key=k")
    assert "assets/pages.js" in text and 'id="renewed"' in text
    assert unescape(text).count("/topics/t?key=k") == 1


def test_what_was_not_looked_at_is_told() -> None:
    assert "There are more: one look ends after 50,000 records" in page(FakeLooks(is_cut=True), "/topics/t")
    assert "There are more" not in page(FakeLooks([seen(n, NULL) for n in range(20)], is_cut=True), "/topics/t")


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "\x1b[2J", "\u202eabc", "{{ 7 * 7 }}", "'\"><img src=x onerror=1>", "\ud800"]
)
def test_what_others_wrote_is_only_shown(text: str) -> None:
    shown = Shown("text", text, note=text)
    reply = page(FakeLooks([seen(1, shown, shown, ((text, shown),))]), "/topics/t")
    assert "<script>alert" not in reply and "<img" not in reply and "49" not in reply.split("<table>")[1]
    assert not any(sign in reply for sign in ("\x1b", "\u202e", "\ud800"))


def test_a_long_value_is_one_line_that_opens() -> None:
    short = cell(Shown("text", "x" * 160))
    assert (short.is_long, short.line) == (False, "x" * 160)
    made = cell(Shown("json", {"a": ["y" * 30_000, "\x1b"]}))
    assert made.is_long and len(made.line) == 161 and made.lines[0] == "{"
    assert sum(map(len, made.lines)) < WHOLE + 200 and "30,0" in made.lines[-1]
    assert "\x1b" not in "".join(made.lines)


def run(looks: Looks, key: str, answer: Callable[[], Any]) -> Any:
    async def asked() -> Any:
        return answer()

    return looks._run((key,), asked)


def test_an_answer_is_kept_for_a_moment_and_few_looks_go_on_at_once() -> None:
    clock, made = [0.0], []
    looks = Looks(load(), lambda: clock[0])
    for moment in (0.0, 1.0, 3.0):
        clock[0] = moment
        assert run(looks, "a", lambda: made.append(1) or len(made)) == (2 if moment == 3.0 else 1)
    for _ in range(AT_ONCE):
        looks._free.acquire()
    with pytest.raises(QueryError, match="under way already"):
        run(looks, "b", lambda: 1)


def test_a_look_that_fails_or_takes_too_long_is_a_sentence_and_leaves_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "LONGEST_S", 0.05)
    looks = Looks(load())

    async def forever() -> None:
        await asyncio.sleep(60)

    def fail() -> None:
        raise OSError("gone")

    for _ in range(AT_ONCE + 1):
        with pytest.raises(QueryError, match="no answer within"):
            looks._run(("slow",), forever)
        with pytest.raises(StackError):
            run(looks, "wrong", fail)
    assert run(looks, "right", lambda: 5) == 5


def test_counts_are_those_that_are_offered() -> None:
    assert [Asked.of({"count": str(count)}).count for count in COUNTS] == list(COUNTS)
    with pytest.raises(SettingError):
        Asked.of({"count": "1000000"})


def test_the_page_can_be_taken_away() -> None:
    server = Flask(__name__)
    server.register_blueprint(topic_pages(load(dashboard_topics=False), FakeLooks(), title="Shop"))
    for path in ("/topics", "/topics/t"):
        reply = server.test_client().get(path)
        assert (reply.status_code, "PIPELINE_DASHBOARD_TOPICS is false" in reply.text) == (404, True)
