"""Joined topics must spread equal keys alike."""

from types import SimpleNamespace

import pytest

from pipeline import admin, topics, worker_command
from pipeline.errors import SettingError
from pipeline.settings import load
from pipeline.tables.copartition import Partitioning, check_copartitioned, check_partitions


def test_equal_topics_can_be_joined() -> None:
    check_copartitioned([Partitioning("views", 6), Partitioning("users", 6)])
    check_copartitioned([Partitioning("views", 6)])


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (Partitioning("users", 4), "partitions is 6 in views and 4 in users"),
        (Partitioning("users", 6, "Avro"), "key_format is UTF-8 text in views and Avro in users"),
        (Partitioning("users", 6, partitioner="crc32"), "partitioner is murmur2 in views and crc32 in users"),
    ],
)
def test_any_difference_is_an_error_that_names_both_topics(other: Partitioning, difference: str) -> None:
    with pytest.raises(SettingError, match=f"topics views and users are joined, but {difference}: they must be equal"):
        check_copartitioned([Partitioning("views", 6), other])


def test_every_topic_is_looked_at() -> None:
    with pytest.raises(SettingError, match="topics b and c are joined"):
        check_copartitioned([Partitioning("a", 6), Partitioning("b", 6), Partitioning("c", 5)])


async def test_a_worker_does_not_start_when_views_and_users_cannot_be_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load().model_copy(update={"partitions": 6})
    counts = {topic.name: 6 for topic in topics.ALL}

    async def describe(settings: object) -> dict:
        return {name: SimpleNamespace(partitions=range(count)) for name, count in counts.items()}

    monkeypatch.setattr(admin, "describe_topics", describe)
    await worker_command.require_topics(settings)
    counts[topics.USERS.name] = 4
    with pytest.raises(SettingError, match=r"topics Users_ and PageView .* partitions is 4 .* and 6"):
        await worker_command.require_topics(settings)
    for name in (topics.EXTENDED_PAGEVIEWS.name, topics.FLASHSALE_PARTIALS.name):
        counts.update({topic.name: 6 for topic in topics.ALL}, **{name: 4})
        with pytest.raises(
            SettingError, match=f"topic {name} has 4 partitions, but setting partitions is 6: they must"
        ):
            await worker_command.require_topics(settings)


def test_topics_have_as_many_partitions_as_states() -> None:
    check_partitions([Partitioning("a", 6), Partitioning("b", 6)], 6)
    with pytest.raises(SettingError, match="topic b has 5 partitions, but setting partitions is 6: they must be equal"):
        check_partitions([Partitioning("a", 6), Partitioning("b", 5)], 6)
