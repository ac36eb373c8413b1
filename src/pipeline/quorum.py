"""Which broker is the active controller: Kafka's DescribeQuorum request, which aiokafka does not have.

The controller id in a KRaft cluster's metadata is any broker that can forward requests, another one each time. The
request is version 0 of KIP-595 (API key 55); its answer's leader of `__cluster_metadata` is the active controller.
"""

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from pipeline.errors import StackError

API_KEY = 55
METADATA_TOPIC = "__cluster_metadata"

_REPLICAS = CompactArray(("replica_id", Int32), ("log_end_offset", Int64), ("tags", TaggedFields))


class DescribeQuorumResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = API_KEY
    API_VERSION = 0
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("current_voters", _REPLICAS),
                        ("observers", _REPLICAS),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeQuorumStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    FLEXIBLE_VERSION = True
    API_KEY = API_KEY
    API_VERSION = 0
    RESPONSE_TYPE = DescribeQuorumResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                ("partitions", CompactArray(("partition", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeQuorumRequest(Request[DescribeQuorumStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = API_KEY

    def build(self, request_struct_class: type[DescribeQuorumStruct]) -> DescribeQuorumStruct:
        return request_struct_class([(METADATA_TOPIC, [(0, {})], {})], {})


async def active_controller(client: AIOKafkaAdminClient) -> int | None:
    """The node id of the active controller, None while there is none; raises StackError when the request is refused."""
    response = await client._send_request(DescribeQuorumRequest())
    if response.error_code:
        raise StackError(f"the brokers do not tell the active controller: Kafka error {response.error_code}")
    leader = int(response.topics[0][1][0][2])
    return leader if leader >= 0 else None
