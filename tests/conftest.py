"""Fixtures that several suites share."""

from collections.abc import Iterator

import pytest

from pipeline.settings import load
from pipeline.stack.cluster import Stack

FREE_PORTS = {
    "kafka_ports": (0, 0, 0),
    "kafka_controller_ports": (0, 0, 0),
    "registry_port": 0,
    "mysql_port": 0,
    "zookeeper_port": 0,
    "pinot_controller_port": 0,
    "pinot_broker_port": 0,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the real cluster is an integration test."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker("integration")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A local stack of its own: free ports, a temporary data folder, the user's cache of downloads.

    `stack.settings` are the settings with its addresses. It is stopped, and its data are wiped, at the end.
    """
    stack = Stack(load(data_dir=tmp_path_factory.mktemp("stack") / "data", **FREE_PORTS))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
        stack.folder.wipe()
