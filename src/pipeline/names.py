"""Names of topics and columns: what Kafka and Avro take, and that each is there once."""

import re
from collections.abc import Iterable

from pipeline.errors import SettingError

TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_names(where: str, kind: str, names: Iterable[str]) -> None:
    """Raise SettingError when a name comes twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SettingError(f"{where}: {kind} {name} is there twice, but must be a name of its own for each")
        seen.add(name)


def check_topic_name(where: str, name: str) -> None:
    """Raise SettingError unless Kafka takes the name of a topic."""
    if TOPIC_NAME.fullmatch(name) is None or name in (".", ".."):
        raise SettingError(f"{where}: {name!r} is no name for a topic, but must be letters, digits, '.', '_' and '-'")


def avro_name(topic: str) -> str:
    """A topic's name as a name in Avro, which takes less than Kafka."""
    return re.sub(r"^(?=[0-9])|[^A-Za-z0-9_]", "_", topic)
