"""Topic provisioning: what is read from metadata and what is written back."""

import pytest

from pipeline.admin import PartitionState, TopicState, changed_settings, check_partitions, topic_states
from pipeline.errors import ProvisionError
from pipeline.settings import Settings


def partition(number, leader=1, replicas=(1, 2), isr=(1, 2)):
    return {"error_code": 0, "partition": number, "leader": leader, "replicas": list(replicas), "isr": list(isr)}


def test_metadata_becomes_states_in_partition_order():
    metadata = [
        {"error_code": 0, "topic": "a", "partitions": [partition(1, leader=-1, isr=(2,)), partition(0)]},
        {"error_code": 3, "topic": "gone", "partitions": []},
    ]
    assert topic_states(metadata) == {
        "a": TopicState("a", (PartitionState(0, 1, (1, 2), (1, 2)), PartitionState(1, None, (1, 2), (2,))))
    }


def test_a_topic_counts_its_weakest_partition():
    state = TopicState("a", (PartitionState(0, 1, (1, 2), (1, 2)), PartitionState(1, None, (1, 2), (2,))))
    assert (state.replicas, state.in_sync, state.under_replicated, state.has_leaders) == (2, 1, 1, False)
    assert not TopicState("empty", ()).has_leaders


def test_settings_that_are_right_are_left_alone():
    entries = [("cleanup.policy", "compact", False, 5, False, []), ("retention.ms", "1", False, 1, False, [])]
    assert changed_settings({"cleanup.policy": "compact"}, entries) is None


def test_altering_keeps_settings_made_by_others_and_no_defaults():
    entries = [
        ("cleanup.policy", "delete", False, 5, False, []),
        ("retention.ms", "1", False, 1, False, []),
        ("max.message.bytes", "9", False, 1, False, []),
        ("flush.ms", "7", False, 4, False, []),
    ]
    assert changed_settings({"cleanup.policy": "delete", "retention.ms": "2"}, entries) == {
        "cleanup.policy": "delete",
        "retention.ms": "2",
        "max.message.bytes": "9",
    }


def test_other_partitions_are_refused_with_a_sentence():
    state = TopicState("a", (PartitionState(0, 1, (1,), (1,)),))
    with pytest.raises(ProvisionError, match="topic a has 1 partitions, but setting partitions is 5"):
        check_partitions(Settings(partitions=5), state)
    check_partitions(Settings(partitions=1), state)
