"""Which of the rights that a process needs its user has: asked before the work begins, so that one sentence tells.

Brokers tell the operations that the asking user is allowed, as a set of bits, in Metadata (version 8, KIP-430) and
DescribeGroups. Rights on transactional ids they tell only to whoever starts a transaction.
"""

from collections.abc import Iterable, Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Bytes, Int16, Int32, Schema, String

from pipeline.errors import AccessError
from pipeline.kafka import admin_client
from pipeline.kafka_access import Pattern, Resource, Right
from pipeline.kafka_refusals import DOCS, principal
from pipeline.settings import Settings

METADATA, DESCRIBE_GROUPS = 3, 15
MOST_NAMED = 5


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = METADATA
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8")))),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline", Array(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
        ("cluster_operations", Int32),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = METADATA
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
    )


class _MetadataRequest(Request[_MetadataStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = METADATA

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        return request_struct_class(self._topics, False, True, True)


class _GroupsResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    """Version 3, whose last field aiokafka leaves out."""

    API_KEY = DESCRIBE_GROUPS
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            Array(
                ("error_code", Int16),
                ("group", String("utf-8")),
                ("state", String("utf-8")),
                ("protocol_type", String("utf-8")),
                ("protocol", String("utf-8")),
                (
                    "members",
                    Array(
                        ("member_id", String("utf-8")),
                        ("client_id", String("utf-8")),
                        ("client_host", String("utf-8")),
                        ("member_metadata", Bytes),
                        ("member_assignment", Bytes),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
    )


class _GroupsStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = DESCRIBE_GROUPS
    API_VERSION = 3
    RESPONSE_TYPE = _GroupsResponse
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_operations", Boolean))


class _GroupsRequest(Request[_GroupsStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = DESCRIBE_GROUPS

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[_GroupsStruct]) -> _GroupsStruct:
        return request_struct_class(self._groups, True)


async def require_rights(settings: Settings, needed: Iterable[Right]) -> None:
    """Raise AccessError, with the names of what is missing, unless the settings' user has these rights.

    Rights to create topics that do not exist yet and rights on transactional ids are not looked at.
    """
    wanted = list(needed)
    async with admin_client(settings) as client:
        missing = await missing_rights(client, wanted)
    if missing:
        told = ", ".join(map(str, missing[:MOST_NAMED]))
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        raise AccessError(f"{principal(settings)} lacks {len(missing)} of its rights on Kafka: {told}{more}; {DOCS}")


async def missing_rights(client: AIOKafkaAdminClient, needed: Sequence[Right]) -> list[Right]:
    """Those of the rights that the client's user has not; see `require_rights`."""
    literal = [right for right in needed if right.pattern is Pattern.LITERAL]
    names = sorted({right.name for right in literal if right.resource is Resource.TOPIC})
    groups = sorted({right.name for right in literal if right.resource is Resource.GROUP})
    answer = await client._send_request(_MetadataRequest(names))
    allowed: dict[tuple[Resource, str], int | None] = {
        (Resource.TOPIC, topic[1]): _operations(topic[0], topic[-1]) for topic in answer.topics
    }
    for group in groups:
        allowed[Resource.GROUP, group] = await _of_group(client, group)
    cluster = answer.cluster_operations
    missing = []
    for right in literal:
        if right.resource is Resource.TRANSACTIONAL_ID:
            continue
        bits = cluster if right.resource is Resource.CLUSTER else allowed.get((right.resource, right.name))
        if bits is not None and not bits & (1 << right.operation):
            missing.append(right)
    return missing


def _operations(error_code: int, bits: int) -> int | None:
    """The bits of what is allowed; None where that is not known, for instance of a topic that does not exist."""
    if error_code in (TopicAuthorizationFailedError.errno, GroupAuthorizationFailedError.errno):
        return 0
    return bits if error_code == 0 else None


async def _of_group(client: AIOKafkaAdminClient, group: str) -> int | None:
    """The bits of what is allowed on a consumer group, which need not exist."""
    try:
        coordinator = await client.find_coordinator(group)
    except GroupAuthorizationFailedError:
        return 0
    except KafkaError:  # a new cluster makes its offsets topic when a group is first asked about
        return None
    response = await client._send_request(_GroupsRequest([group]), coordinator)
    (found,) = response.groups
    return _operations(found[0], found[-1])
