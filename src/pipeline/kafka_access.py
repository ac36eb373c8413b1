"""Users and rights of a Kafka cluster: SCRAM passwords and ACLs, by requests that aiokafka's admin client has not.

AlterUserScramCredentials (API key 51, KIP-554) sends the salted password, never the password; CreateAcls (30) and
DeleteAcls (31) take many rights at once. All three are repeatable.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest_v1, DeleteAclsRequest_v1, DescribeAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactBytes, CompactString, Int8, Int16, Int32, Schema, TaggedFields

from pipeline.errors import ProvisionError

MECHANISMS = {"SCRAM-SHA-256": (1, "sha256"), "SCRAM-SHA-512": (2, "sha512")}
ITERATIONS = 4_096
"""The broker's own default; passwords of the local stack are random, so that guessing them is hopeless anyway."""
Entry = tuple[Any, ...]
ALLOW = 3
ANY_HOST = "*"
ANYTHING = (1, None, 1, None, None, 1, 1)
"""The filter that all rights match: 1 is any kind of thing, pattern, operation and permission."""
KNOWN_WAIT_S = 15.0


class Resource(IntEnum):
    """Kinds of things that rights are about, with Kafka's numbers."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5


class Operation(IntEnum):
    """What a right allows, with Kafka's numbers. READ, WRITE, DELETE and ALTER include DESCRIBE."""

    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12


class Pattern(IntEnum):
    """How a right names things: one by its name, or all that begin so."""

    LITERAL = 3
    PREFIXED = 4


CLUSTER_NAME = "kafka-cluster"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One ACL: an operation on a thing, from any host."""

    operation: Operation
    resource: Resource
    name: str
    pattern: Pattern = Pattern.LITERAL

    def __str__(self) -> str:
        stars = "*" if self.pattern is Pattern.PREFIXED else ""
        thing = (
            "the cluster" if self.resource is Resource.CLUSTER else f"{self.resource.name.lower()} {self.name}{stars}"
        )
        return f"{self.operation.name.title().replace('_', '')} {thing}"


class _AlterScramResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScramStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = _AlterScramResponse
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScramRequest(Request[_AlterScramStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 51

    def __init__(self, upsertions: list[tuple[Any, ...]]) -> None:
        self._upsertions = upsertions

    def build(self, request_struct_class: type[_AlterScramStruct]) -> _AlterScramStruct:
        return request_struct_class([], self._upsertions, {})


class _CreateAclsRequest(Request[CreateAclsRequest_v1]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 30

    def __init__(self, entries: list[tuple[Any, ...]]) -> None:
        self._entries = entries

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class(self._entries)


class _DeleteAclsRequest(Request[DeleteAclsRequest_v1]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 31

    def __init__(self, entries: list[tuple[Any, ...]]) -> None:
        self._entries = entries

    def build(self, request_struct_class: type[DeleteAclsRequest_v1]) -> DeleteAclsRequest_v1:
        return request_struct_class(self._entries)


async def set_passwords(client: AIOKafkaAdminClient, passwords: Mapping[str, str], mechanism: str) -> None:
    """Make these SCRAM users, or give them these passwords; raises ProvisionError when one is refused."""
    number, algorithm = MECHANISMS[mechanism]
    upsertions: list[tuple[Any, ...]] = []
    for user, password in passwords.items():
        salt = os.urandom(32)
        salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, ITERATIONS)
        upsertions.append((user, number, ITERATIONS, salt, salted, {}))
    response = await client._send_request(_AlterScramRequest(upsertions))
    for user, code, message, *_ in response.results:
        if code:
            raise ProvisionError(f"the password of Kafka user {user} was not set: {for_code(code).__name__}: {message}")


async def grant(client: AIOKafkaAdminClient, rights: Mapping[str, Iterable[Right]]) -> None:
    """Give users these rights, beside those that they have, and return when every broker knows them.

    Raises ProvisionError when one is refused, or not known everywhere within KNOWN_WAIT_S.
    """
    entries = [_entry(user, right) for user, theirs in rights.items() for right in theirs]
    response = await client._send_request(_CreateAclsRequest(entries))
    for code, message, *_ in response.creation_responses:
        if code:
            raise ProvisionError(f"rights were not given: {for_code(code).__name__}: {message}")
    await _until_known(client, lambda known: known >= set(entries))


async def revoke(client: AIOKafkaAdminClient, rights: Mapping[str, Iterable[Right]]) -> int:
    """Take these rights from users, and return when every broker knows it; the number of ACLs that there were.

    Raises ProvisionError when that is refused, or not known everywhere within KNOWN_WAIT_S.
    """
    entries = [_entry(user, right) for user, theirs in rights.items() for right in theirs]
    response = await client._send_request(_DeleteAclsRequest(entries))
    removed = 0
    for code, message, matching in response.filter_responses:
        if code:
            raise ProvisionError(f"rights were not taken: {for_code(code).__name__}: {message}")
        removed += len(matching)
    await _until_known(client, lambda known: known.isdisjoint(entries))
    return removed


async def _until_known(client: AIOKafkaAdminClient, holds: Callable[[set[Entry]], bool]) -> None:
    """Return when this holds for the rights that each broker knows; they learn of a change one after the other."""
    deadline = time.monotonic() + KNOWN_WAIT_S
    for broker in client._client.cluster.brokers():
        while not holds(await _known(client, broker.nodeId)):
            if time.monotonic() > deadline:
                raise ProvisionError(f"broker {broker.nodeId} did not learn of a change of rights in time")
            await asyncio.sleep(0.02)


async def _known(client: AIOKafkaAdminClient, node: int) -> set[Entry]:
    """All rights that a broker knows, in the form of `_entry`."""
    response = await client._send_request(DescribeAclsRequest(*ANYTHING), node)
    if response.error_code:
        raise ProvisionError(f"rights cannot be read: {for_code(response.error_code).__name__}")
    return {(kind, name, pattern, *acl) for kind, name, pattern, acls in response.resources for acl in acls}


def _entry(user: str, right: Right) -> tuple[Any, ...]:
    return (
        int(right.resource),
        right.name,
        int(right.pattern),
        f"User:{user}",
        ANY_HOST,
        int(right.operation),
        ALLOW,
    )
