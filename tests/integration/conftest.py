"""A stack for the poller's tests, and a running poller."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from polling import Poll, polling

from pipeline.provision import provision
from pipeline.settings import Settings
from pipeline.stack.cluster import Stack
from running import own_stack


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: the tables change, and the topics belong to another group."""
    with own_stack(tmp_path_factory.mktemp("poller"), without=("pinot",)) as stack:
        yield stack


@pytest.fixture(scope="module")
def settings(brokers: Stack) -> Settings:
    """The stack's settings, with what the poller needs provisioned, under a group of its own."""
    made = brokers.settings.model_copy(update={"app_id": "poller-test", "poll_interval_s": 0.2, "bulk_interval_s": 3.0})
    asyncio.run(provision(made, tell=lambda _: None, pinot=False))
    return made


@pytest.fixture
def poller(settings: Settings, tmp_path: Path) -> Iterator[Poll]:
    """A running `pipeline poll`."""
    with polling(settings, tmp_path / "poller.log") as poll:
        yield poll
