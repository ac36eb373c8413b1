"""What generators write first: the past of users, acknowledged; then that of views; only then events of now."""

import asyncio

import pytest

from pipeline.codecs import Encoder
from pipeline.settings import Settings
from pipeline.sources import commands, datagen
from pipeline.sources.commands import run_generators
from pipeline.sources.imperfect import Imperfection
from pipeline.sources.visits import USER_IDS
from pipeline.timebase import HOUR_MS, now_ms


class Brokers:
    """What was sent and acknowledged, in that order, of all generators."""

    def __init__(self, filled=()):
        self.sent: list[tuple[str, bytes, bytes, int]] = []
        self.acknowledged: list[tuple[int, str]] = []
        self.filled = set(filled)
        self.began_ms = now_ms()

    def sender(self, settings, stop):
        return Sender(self)

    def of(self, topic):
        return [record for record in self.sent if record[0] == topic]


class Sender:
    """Acknowledges only when it is drained, slowly."""

    def __init__(self, brokers):
        self.brokers, self.acknowledged, self.waiting = brokers, 0, []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def send(self, topic, key, value, timestamp_ms):
        self.brokers.sent.append((topic, key, value, timestamp_ms))
        self.waiting.append(topic)

    async def settle(self):
        await asyncio.sleep(0)

    async def drain(self):
        await asyncio.sleep(0.01)
        self.acknowledged += len(self.waiting)
        self.brokers.acknowledged += [(len(self.brokers.sent), topic) for topic in self.waiting]
        self.waiting = []


@pytest.fixture
def generate(monkeypatch):
    """Run generators against made-up brokers; returns these."""

    def run(rates, count, history, filled=(), **how):
        brokers = Brokers(filled)

        async def encoder(settings, topic, stop):
            return Encoder(topic.schema, 1)

        async def has_rights(settings, needed):
            pass

        async def described(settings, names):
            return names

        async def ends(settings, names):
            return {name: int(name in brokers.filled) for name in names}

        monkeypatch.setattr(datagen, "Sender", brokers.sender)
        monkeypatch.setattr(datagen, "encoder_of", encoder)
        monkeypatch.setattr(datagen, "describe_topics", described)
        monkeypatch.setattr(datagen, "require_rights", has_rights)
        monkeypatch.setattr(datagen, "end_offsets", ends)
        monkeypatch.setattr(commands, "now_ms", lambda: brokers.began_ms)
        asyncio.run(run_generators(Settings(), rates, count, 1, history, **how))
        return brokers

    return run


RATES = {"pageviews": 0.0, "users": 0.0}


def test_every_user_is_acknowledged_before_the_first_view_is_sent(generate):
    brokers = generate(RATES, 3_000, 0.5)
    began_ms = brokers.began_ms
    views, users = brokers.of("PageView"), brokers.of("Users_")
    assert len(views) == len(users) == 3_000
    first_view = next(number for number, record in enumerate(brokers.sent) if record[0] == "PageView")
    past_users = [record for record in users if record[3] < began_ms]
    acknowledged = sum(topic == "Users_" for number, topic in brokers.acknowledged if number <= first_view)
    assert acknowledged == len(past_users) > 900
    assert [key.decode() for _, key, _, _ in users[:9]] == list(USER_IDS)
    assert {at_ms for *_, at_ms in users[:9]} == {users[0][3]}
    assert users[0][3] < min(at_ms for *_, at_ms in views)
    assert users[0][3] >= began_ms - 0.5 * HOUR_MS - 1


def test_users_of_now_come_after_the_views_of_the_past(generate):
    brokers = generate(RATES, 3_000, 0.5)
    began_ms = brokers.began_ms
    past_views = [n for n, record in enumerate(brokers.sent) if record[0] == "PageView" and record[3] < began_ms]
    live_users = [n for n, record in enumerate(brokers.sent) if record[0] == "Users_" and record[3] >= began_ms]
    assert past_views
    assert max(past_views) < min(live_users)


def test_without_history_everything_begins_at_once(generate):
    brokers = generate({"pageviews": 0.0, "users": 0.0}, 500, 0.0)
    began_ms = brokers.began_ms
    assert len(brokers.of("PageView")) == len(brokers.of("Users_")) == 500
    assert all(at_ms >= began_ms for *_, at_ms in brokers.sent)


def test_what_is_there_already_gets_no_past(generate):
    brokers = generate({"pageviews": 0.0, "users": 0.0}, 100, 1.0, filled=["PageView", "Users_"])
    began_ms = brokers.began_ms
    assert all(at_ms >= began_ms for *_, at_ms in brokers.sent)


def test_imperfect_views_are_the_same_but_for_the_bad_ones(generate):
    good = generate({"pageviews": 0.0}, 2_000, 0.0)
    bad = generate({"pageviews": 0.0}, 2_000, 0.0, imperfect=Imperfection(1, bad=0.01))
    differing = [a for a, b in zip(good.sent, bad.sent, strict=True) if a[:3] != b[:3]]
    assert 5 <= len(differing) <= 40


def test_visits_are_made_on_request(generate):
    plain, visits = (generate({"pageviews": 0.0}, 300, 0.0, visits=wanted) for wanted in (False, True))
    assert len({key for _, key, _, _ in plain.sent}) == 9
    assert len({key for _, key, _, _ in visits.sent}) < 9
