"""The demo: what its generators show besides, and brokers that are away for a while."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError
from click.testing import CliRunner
from rich.console import Console

from pipeline import demo
from pipeline.demo import Demo, nobody, programs
from pipeline.errors import StackError
from pipeline.settings import Settings
from pipeline.sources import commands

SETTINGS = Settings(data_dir=Path("/nowhere"))


def generator(**how):
    (program,) = (one for one in programs(SETTINGS, 1, 24.0, **how) if one.name == "generator")
    return list(program.command[3:])


def test_only_the_demo_is_lively():
    assert generator() == ["generate", "--history", "24.0"]
    assert generator(lively=True)[:4] == ["generate", "--history", "24.0", "--visits"]


def test_the_generators_take_what_the_demo_gives_them(monkeypatch):
    taken = {}

    async def run_generators(settings, rates, count, seed, history, **how):
        taken.update(how, history=history)
        return []

    monkeypatch.setattr(commands, "run_generators", run_generators)
    ran = CliRunner().invoke(commands.generate, generator(lively=True)[1:])
    assert ran.exit_code == 0, ran.output
    assert taken["visits"] is True
    assert taken["history"] == 24.0
    assert taken["imperfect"].sale_ms(10**12) is not None
    assert sum(taken["imperfect"].sale_ms(10**12) != 10**12 for _ in range(1_000)) == pytest.approx(20, abs=15)


@pytest.mark.parametrize("error", [StackError("no Kafka broker answers"), KafkaConnectionError(), OSError("refused")])
def test_brokers_that_are_away_do_not_end_the_demo(monkeypatch, error):
    counts, asked = [error, 5, error, 9], []

    async def source_records(settings):
        asked.append(counts[0])
        found = counts.pop(0) if len(counts) > 1 else counts[0]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(demo, "_source_records", source_records)
    monkeypatch.setattr(demo, "TICK_S", 0.01)
    stack = SimpleNamespace(settings=SETTINGS, status=list, identity=nobody)
    Demo(stack, Console(quiet=True), 1, None, 0.0)._watch(0.3)
    assert len(asked) > 4
