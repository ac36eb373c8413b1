"""DescribeQuorum on the wire, by KIP-595's version 0."""

import pytest

from pipeline.errors import StackError
from pipeline.quorum import DescribeQuorumRequest, DescribeQuorumResponse, DescribeQuorumStruct, active_controller


class Client:
    def __init__(self, response):
        self.response = response

    async def _send_request(self, request):
        assert isinstance(request, DescribeQuorumRequest)
        return self.response


def response(leader, error=0):
    partition = (0, 0, leader, 7, 123, [(1, 123, {}), (2, 120, {})], [], {})
    value = DescribeQuorumResponse(error, [("__cluster_metadata", [partition], {})], {})
    return DescribeQuorumResponse.decode(value.encode())


def test_the_request_asks_for_the_metadata_partition():
    encoded = DescribeQuorumRequest().build(DescribeQuorumStruct).encode()
    assert encoded == b"\x02" + b"\x13__cluster_metadata" + b"\x02" + b"\x00\x00\x00\x00" + b"\x00" * 3


async def test_the_leader_is_the_controller():
    assert await active_controller(Client(response(2))) == 2
    assert await active_controller(Client(response(-1))) is None


async def test_a_refusal_is_an_error():
    with pytest.raises(StackError, match="Kafka error 31"):
        await active_controller(Client(response(0, error=31)))
