"""Provisioning: one line for each step, in order, and every step that is asked for."""

import pytest
from click.testing import CliRunner

from pipeline import provision
from pipeline.admin import TopicChange
from pipeline.errors import ProvisionError
from pipeline.settings import Settings


def changes(*done):
    async def create_topics(settings, wanted):
        return [TopicChange(f"t{i}", d, ("retention.ms=1",) if d == "altered" else ()) for i, d in enumerate(done)]

    return create_topics


@pytest.mark.parametrize(
    ("done", "line"),
    [
        (["created", "created"], "topics: 2 created"),
        (["there"], "topics: 1 already there"),
        (
            ["created", "altered", "there"],
            "topics: 1 created, 1 altered, 1 already there; altered t1 (retention.ms=1)",
        ),
    ],
)
async def test_topics_say_what_was_done(monkeypatch, done, line):
    monkeypatch.setattr(provision, "create_topics", changes(*done))
    assert await provision.provision_topics(Settings()) == line


@pytest.fixture
def steps(monkeypatch):
    for name in ("topics", "schemas", "database", "pinot"):

        async def step(settings, *_, name=name):
            return f"{name}: done"

        monkeypatch.setattr(provision, f"provision_{name}", step)


@pytest.mark.usefixtures("steps")
async def test_the_steps_come_in_order():
    told = []
    await provision.provision(Settings(), told.append)
    assert told == ["topics: done", "schemas: done", "database: done", "pinot: done"]
    await provision.provision(Settings(), told.append, pinot=False)
    assert told[4:] == ["topics: done", "schemas: done", "database: done"]


@pytest.mark.usefixtures("steps")
def test_a_step_that_fails_ends_it(monkeypatch):
    async def fails(settings):
        raise ProvisionError("no")

    monkeypatch.setattr(provision, "provision_database", fails)
    result = CliRunner().invoke(provision.command, [])
    assert isinstance(result.exception, ProvisionError)
    assert result.output.splitlines() == ["topics: done", "schemas: done"]
