"""`pipeline poll --again`: which ids are meant, and what happens when a poller starts at the same time."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError, ProducerFenced
from click.testing import CliRunner
from shops import DECLARED

from pipeline.errors import SourceError, StackError
from pipeline.settings import Settings
from pipeline.sources import commands, feed


@pytest.fixture
def asked(monkeypatch):
    """The ranges that were asked for; the answers are taken from the front of `answers`."""
    ranges, answers = [], []

    async def read_again(settings, table, first, last):
        ranges.append((first, last))
        answer = answers.pop(0) if answers else 3
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def no_wait(seconds):
        pass

    monkeypatch.setattr(feed, "read_again", read_again)
    monkeypatch.setattr(commands.asyncio, "sleep", no_wait)
    monkeypatch.setattr(commands.configuration, "settings", Settings)
    return ranges, answers


@pytest.mark.parametrize(
    ("given", "ids"),
    [("17..25", (17, 25)), ("17", (17, 17)), ("-5..3", (-5, 3)), ("0..18446744073709551615", (0, 2**64 - 1))],
)
def test_a_range_has_both_ends(asked, given, ids):
    ran = CliRunner().invoke(commands.poll, ["--again", given])
    assert ran.output == "flash sales: 3 ids are looked for again\n"
    assert asked[0] == [ids]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("x", "'x' is neither an id nor a range of ids like 17..25"),
        ("5..2", "'5..2' ends before it begins"),
        ("..4", "neither"),
    ],
)
def test_what_is_no_range_is_a_sentence(asked, given, sentence):
    ran = CliRunner().invoke(commands.poll, ["--again", given])
    assert ran.exit_code == 2
    assert sentence in ran.output
    assert asked[0] == []


def test_a_poller_that_starts_at_the_same_time_is_waited_for(asked):
    asked[1][:] = [ProducerFenced(), ProducerFenced(), 7]
    assert asyncio.run(commands.look_again(Settings(), DECLARED["flash_sales"], 1, 2)) == 7
    asked[1][:] = [ProducerFenced()] * 9
    with pytest.raises(SourceError, match="taken over 5 times"):
        asyncio.run(commands.look_again(Settings(), DECLARED["flash_sales"], 1, 2))


def test_brokers_that_do_not_answer_are_a_sentence(asked):
    asked[1][:] = [KafkaConnectionError()]
    with pytest.raises(StackError, match="no Kafka broker of bootstrap_servers"):
        asyncio.run(commands.look_again(Settings(), DECLARED["flash_sales"], 1, 2))
