"""The parts of the local cluster, and which of them a start takes."""

from collections.abc import Iterable, Sequence

from pipeline.stack.parts.base import Part, Site
from pipeline.stack.parts.kafka import NODES, KafkaNode
from pipeline.stack.parts.mysql import MariaDB
from pipeline.stack.parts.pinot import Pinot, ZooKeeper
from pipeline.stack.parts.registry import Registry
from pipeline.stack.ports import HOST

PARTS = ("kafka", "registry", "mysql", "pinot")  # what `--without` takes; also the sections of the lock

__all__ = ["PARTS", "Part", "Site", "build", "endpoints"]


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
    """The addresses of these parts under the names of the settings."""
    found: dict[str, str] = {}
    nodes = [part for part in parts if isinstance(part, KafkaNode)]
    if nodes:
        found["bootstrap_servers"] = ",".join(f"{HOST}:{node.ports[0]}" for node in nodes)
    for part in parts:
        match part:
            case Registry():
                found |= part.settings()
            case MariaDB():
                found["mysql_url"] = part.url
            case Pinot():
                found |= part.settings()
    return found
