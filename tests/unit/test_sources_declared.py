"""What the generators of an application send: rows first, then the past in the order of time, then the present."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from pipeline import Application, Generator, Rows, Stream, Table, c, one_of
from pipeline.settings import Settings
from pipeline.sources import datagen, declared
from pipeline.timebase import HOUR_MS, now_ms

CLICKS = Stream("clicks", {"user": "STRING", "at": "BIGINT"}, key="user", time="at")
LOGINS = Stream("logins", {"user": "STRING"}, key="user")
USERS = Table("users", {"user": "STRING", "name": "STRING"}, key="user")
APPLICATION = Application(
    "shop",
    CLICKS.join("who", USERS).select(c.user, name=c.who.name).to("NAMED"),
    LOGINS.select(c.user).to("SEEN"),
    data=[
        Rows(USERS, [{"user": "u1", "name": "Ann"}, {"user": "u2", "name": "Bob"}]),
        Generator(CLICKS, per_s=1, user=one_of("u1", "u2")),
        Generator(LOGINS, per_s=0.5, user=one_of("u1", "u2")),
    ],
)


class Kept:
    """In the place of a Sender: (topic, key, time) of what is sent."""

    sent: list[tuple[str, bytes, int]]

    def __init__(self, settings: Settings, stop: asyncio.Event) -> None:
        self.acknowledged = 0

    async def __aenter__(self) -> "Kept":
        return self

    async def __aexit__(self, *error: object) -> None: ...

    async def send(self, topic: str, key: bytes, value: bytes, at_ms: int) -> None:
        self.sent.append((topic, key, at_ms))

    async def settle(self) -> None: ...

    async def drain(self) -> None: ...


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterable[dict[str, int]]:
    """Nobody is asked; the ends of topics are those of this dict."""
    ends: dict[str, int] = {}
    Kept.sent = []

    async def encoder(*_: Any) -> Any:
        return lambda record: repr(record).encode()

    async def there(*_: Any, **__: Any) -> None: ...

    async def end_offsets(_: Settings, topics: list[str]) -> dict[str, int]:
        return {topic: ends.get(topic, 0) for topic in topics}

    monkeypatch.setattr(declared, "Sender", Kept)
    monkeypatch.setattr(declared, "end_offsets", end_offsets)
    monkeypatch.setattr(datagen, "encoder_of", encoder)
    monkeypatch.setattr(datagen, "require_topic", there)
    monkeypatch.setattr(datagen, "run", there)
    yield ends


async def generated(history: float) -> list[str]:
    return await declared.generate(Settings(), APPLICATION, factor=1.0, seed=1, count=None, history=history)


async def test_rows_begin_the_past_and_streams_share_it_in_the_order_of_time() -> None:
    lines = await generated(history=1.0)
    began_ms = now_ms() - HOUR_MS
    assert [(topic, key) for topic, key, _ in Kept.sent[:2]] == [("users", b"u1"), ("users", b"u2")]
    times = [at_ms for _, _, at_ms in Kept.sent]
    assert times == sorted(times)
    assert times[0] == times[1] == pytest.approx(began_ms, abs=5_000)
    topics = [topic for topic, _, _ in Kept.sent[2:]]
    assert 2_000 < topics.count("clicks") < 6_000
    assert topics.count("logins") == pytest.approx(topics.count("clicks") / 2, rel=0.2)
    assert len(set(topics[:20])) == 2, "one after the other, and not together"
    assert f"{len(topics)} records of the past 1 hours written" in lines


async def test_a_topic_that_has_records_gets_no_past(kept: dict[str, int]) -> None:
    kept["clicks"] = 7
    await generated(history=0.5)
    assert {topic for topic, _, _ in Kept.sent} == {"users", "logins"}


async def test_without_history_rows_are_of_now() -> None:
    await generated(history=0.0)
    assert [at_ms for _, _, at_ms in Kept.sent] == pytest.approx([now_ms()] * 2, abs=5_000)
