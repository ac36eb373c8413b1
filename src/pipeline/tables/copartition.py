"""Whether topics can be joined partition by partition: equal keys must lie in partitions of equal numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from pipeline.errors import SettingError


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How a topic spreads its records: the number of its partitions, its keys' bytes, and who picks the partition."""

    topic: str
    partitions: int
    key_format: str = "UTF-8 text"
    partitioner: str = "murmur2"


def check_copartitioned(joined: Iterable[Partitioning]) -> None:
    """Raise SettingError, naming two topics, unless all of them spread equal keys alike. Source: semantics of joins."""
    for one, other in pairwise(joined):
        for name in ("partitions", "key_format", "partitioner"):
            left, right = getattr(one, name), getattr(other, name)
            if left != right:
                raise SettingError(
                    f"topics {one.topic} and {other.topic} are joined, but {name} is {left} in {one.topic} and "
                    f"{right} in {other.topic}: they must be equal"
                )


def check_partitions(topics: Iterable[Partitioning], partitions: int) -> None:
    """Raise SettingError, naming the topic, unless all of them have the partitions of the setting, as states have."""
    for topic in topics:
        if topic.partitions != partitions:
            raise SettingError(
                f"topic {topic.topic} has {topic.partitions} partitions, but setting partitions is {partitions}: they "
                "must be equal, since state is kept by partition"
            )
