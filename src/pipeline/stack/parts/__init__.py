"""The parts of the local cluster, and which of them a start takes."""

from collections.abc import Iterable, Sequence

from pipeline.access import PROCESSES, user_of
from pipeline.stack.credentials import ADMIN
from pipeline.stack.parts.base import Part, Site
from pipeline.stack.parts.identity import DASHBOARD
from pipeline.stack.parts.kafka import NODES, KafkaNode, kafka_settings
from pipeline.stack.parts.mysql import MariaDB
from pipeline.stack.parts.pinot import IDENTITIES as OF_PINOT
from pipeline.stack.parts.pinot import PASSWORDS, Pinot
from pipeline.stack.parts.registry import IDENTITY as REGISTRY
from pipeline.stack.parts.registry import Registry
from pipeline.stack.parts.zookeeper import ZooKeeper

PARTS = ("kafka", "registry", "mysql", "pinot")  # what `--without` takes; also the sections of the lock

IDENTITIES = (*(f"kafka-{node}" for node in NODES), REGISTRY, "mysql", *OF_PINOT, DASHBOARD, ADMIN)
"""Who has a certificate in a secured stack."""
USERS = (ADMIN, *map(user_of, PROCESSES))
"""Kafka's users in a secured stack."""

__all__ = ["IDENTITIES", "PARTS", "PASSWORDS", "USERS", "Part", "Site", "build", "endpoints"]


def build(site: Site, names: Iterable[str]) -> list[Part]:
    """The processes of the named parts: 'kafka' is three nodes, 'pinot' is ZooKeeper and Pinot."""
    parts: list[Part] = []
    for name in names:
        match name:
            case "kafka":
                parts += [KafkaNode(site, node) for node in NODES]
            case "registry":
                parts.append(Registry(site))
            case "mysql":
                parts.append(MariaDB(site))
            case "pinot":
                parts += [ZooKeeper(site), Pinot(site)]
    return parts


def endpoints(parts: Sequence[Part]) -> dict[str, str]:
    """The addresses of these parts under the names of the settings, and how a secured one is reached as its owner."""
    found: dict[str, str] = {}
    nodes = [part for part in parts if isinstance(part, KafkaNode)]
    if nodes:
        found |= kafka_settings(nodes[0].site, [node.node for node in nodes])
    for part in parts:
        found |= part.settings()
    return found
