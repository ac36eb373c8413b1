"""Poison: every kind is bad in its own way, and is known again when it is met in a topic."""

from collections import Counter
from itertools import islice

from pipeline import topics
from pipeline.chaos.load import FlashSalesLoad
from pipeline.chaos.poison import USER, Poisons, bad_records
from pipeline.codecs import Encoder
from pipeline.runner.local import flash_sales_application
from pipeline.settings import Settings
from pipeline.sources.sender import Pending


class Registry:
    async def encoder(self, topic):
        return Encoder(topic.schema, 1)


async def test_every_kind_is_bad_to_the_application():
    """Each is one dead letter, and nothing else comes of it."""
    async with flash_sales_application(Settings()).running() as application:

        class Schemas:
            async def encoder(self, topic):
                return application.schemas.encoder(topic.schema)

        bad = list(islice(await bad_records(Schemas(), 1), 13))
        assert Counter(record.topic for record in bad) == {"PageView": 7, "Users_": 2, "MysqlSource-flash_sales": 4}
        for record in bad:
            time_ms = 1 if record.timestamp_ms is None else record.timestamp_ms
            await application.feed(record.topic, record.key, record.value, time_ms)
        letters = [row for _, row in await application.rows(topics.DEAD_LETTERS.name)]
        assert len({(letter["topic"], letter["reason"]) for letter in letters}) == len(letters) == len(bad)
        fed = {record.topic for record in bad} | {topics.DEAD_LETTERS.name}
        assert application.broker.topics.keys() == fed


async def test_poison_is_known_again_and_good_records_are_not():
    poisons = Poisons()
    for bad in islice(await bad_records(Registry(), 1), 9):
        poisons.note(bad)
        assert poisons.holds(bad.topic, bad.key, bad.value, 5 if bad.timestamp_ms is None else bad.timestamp_ms)
    good = (await Registry().encoder(topics.PAGEVIEW))({"viewtime": 1, "userid": "User_1", "pageid": "Page_10"})
    assert not poisons.holds("PageView", b"User_1", good, 5)
    user = (await Registry().encoder(topics.USERS))(USER)
    assert poisons.holds("Users_", None, user, 5)
    assert not poisons.holds("Users_", b"User_1", user, 5)
    assert poisons.holds("PageView", b"User_1", good, -5)


def test_acknowledged_records_go_into_the_ledger():
    class Metadata:
        partition, offset = 3, 17

    load = FlashSalesLoad(Settings(), per_s=1, poison=True, seed=1)
    load._told(Pending("t", b"k", b"v", 1, None), Metadata)
    assert load.acknowledged == 1
    assert load.ledger.places() == [("t", 3)]
