"""The schema registry: registration with BACKWARD compatibility at start, and schemas by id."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from schema_registry.client import AsyncSchemaRegistryClient
from schema_registry.client.errors import ClientError
from schema_registry.client.schema import AvroSchema, BaseSchema, JsonSchema
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential

from pipeline.errors import RegistryError
from pipeline.formats import Learning, Registration, ValueEncoder, encoder, registrations
from pipeline.http_security import REFUSED, Peer
from pipeline.settings import Settings
from pipeline.topics import ALL, Topic

COMPATIBILITY = "BACKWARD"
LONGEST_WAIT_S = 5.0
AVRO, JSON, PROTOBUF = "AVRO", "JSON", "PROTOBUF"
MOST_AT_ONCE = 16
"""Questions about unknown ids that are on their way at the same time."""
MOST_REFERENCES = 1_000

log = logging.getLogger(__name__)


def is_registry_outage(error: BaseException) -> bool:
    """True when the registry did not answer, or has an error of its own (HTTP 5xx); false when it answered no."""
    cause = error.__cause__ if isinstance(error, RegistryError) else None
    if isinstance(cause, ClientError):
        return cause.http_code is not None and cause.http_code >= httpx.codes.INTERNAL_SERVER_ERROR
    return isinstance(cause, httpx.TransportError | OSError)


class ProtobufSchema(BaseSchema):
    """A Protobuf schema for the library's client, which itself has only those of Avro and JSON."""

    def __init__(self, text: str) -> None:
        self.raw_schema: Any = text
        self.schema: Any = text
        self.generate_hash()

    def parse_schema(self, schema: Any) -> Any:
        """It is sent as it is: the registry parses it."""
        return schema

    @staticmethod
    def load(fp: str) -> "ProtobufSchema":
        """The schema in a file."""
        return ProtobufSchema(Path(fp).read_text("utf-8"))

    @staticmethod
    async def async_load(fp: str) -> "ProtobufSchema":
        """The schema in a file."""
        return await asyncio.to_thread(ProtobufSchema.load, fp)

    @property
    def name(self) -> str | None:
        """It is in the text."""
        return None

    @property
    def schema_type(self) -> str:
        """What the registry calls it."""
        return PROTOBUF


SCHEMAS: Mapping[str, Callable[[str], BaseSchema]] = {AVRO: AvroSchema, JSON: JsonSchema, PROTOBUF: ProtobufSchema}


class _Client(AsyncSchemaRegistryClient):
    """The library's client with our options; an error without a JSON body is one, too."""

    def __init__(self, peer: Peer, timeout_s: float) -> None:
        super().__init__(peer.url, timeout=httpx.Timeout(timeout_s))
        self.client_kwargs |= peer.options()

    async def request(self, url: str, *args: Any, **kwargs: Any) -> httpx.Response:
        """The answer to a request; raises ClientError for those that the library would not get through."""
        body = kwargs.get("body")
        if isinstance(body, dict) and body.get("schemaType") == PROTOBUF:
            kwargs["body"] = {**body, "schema": json.loads(body["schema"])}  # the library sends every schema as JSON
        response = await super().request(url, *args, **kwargs)
        status = response.status_code
        if status in REFUSED or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise ClientError(f"HTTP {status}: {response.text[:200]}", http_code=status)
        return response


class Registry:
    """A client of one registry; encoders and decoders come from here.

    Raises RegistryError when the registry is out of reach or refuses a schema or us, SettingError when the settings of
    its connection cannot be used.
    """

    def __init__(self, settings: Settings, timeout_s: float = 10.0) -> None:
        self._peer = Peer(settings, "registry_url")
        self._url = self._peer.url
        self._client = _Client(self._peer, timeout_s)
        self._ids: dict[str, int] = {}

    async def register(self, topics: Iterable[Topic] = ALL) -> dict[str, int]:
        """Register each topic's schemas under BACKWARD compatibility; repeatable. Returns {subject: id}.

        A topic has one for its values, one for its keys, or none: that follows from its formats.
        """
        wanted = [(topic, needed) for topic in topics for needed in registrations(topic)]
        numbers = await asyncio.gather(*(self._register(topic, needed) for topic, needed in wanted))
        ids = {needed.subject: number for (_, needed), number in zip(wanted, numbers, strict=True)}
        self._ids.update(ids)
        return ids

    async def _register(self, topic: Topic, needed: Registration) -> int:
        subject, ours = needed.subject, SCHEMAS[needed.kind](needed.text)
        try:
            known = await self._client.check_version(subject, ours)
            if known is not None and known.schema_id is not None:
                return int(known.schema_id)
            if await self._client.get_versions(subject):
                await self._client.update_compatibility(COMPATIBILITY, subject)
                if not await self._client.test_compatibility(subject, ours):
                    raise RegistryError(
                        f"the schema of {topic.name} is not {COMPATIBILITY} compatible with the latest version of "
                        f"subject {subject} in the registry at {self._url}"
                    )
            number = int(await self._client.register(subject, ours))
            await self._client.update_compatibility(COMPATIBILITY, subject)
            return number
        except (ClientError, httpx.HTTPError, OSError) as error:
            await self._refuse(error)
            raise RegistryError(
                f"registry at {self._url}, subject {subject}: {error or type(error).__name__}"
            ) from error

    async def _refuse(self, error: Exception) -> None:
        """Raise RegistryError if a user, a certificate or TLS is why; it is no outage, and has no cause."""
        if isinstance(error, ClientError):
            sentence = self._peer.refused(error.http_code) if error.http_code in REFUSED else None
        else:
            sentence = await asyncio.to_thread(self._peer.fault, error)
        if sentence is not None:
            raise RegistryError(sentence) from None

    async def encoder(self, topic: Topic) -> ValueEncoder:
        """An encoder for a topic's values; registers the schema where it is not yet known."""
        if any(needed.subject not in self._ids for needed in registrations(topic)):
            await self.register([topic])
        return encoder(topic, self._ids.get(topic.subject))

    async def prepare(self, decoder: Learning, values: Iterable[bytes | None]) -> None:
        """Teach a decoder every schema id in these values that it does not know yet."""
        unknown = sorted(decoder.unknown(values))
        for first in range(0, len(unknown), MOST_AT_ONCE):
            numbers = unknown[first : first + MOST_AT_ONCE]
            for number, found in zip(numbers, await asyncio.gather(*map(self.by_id, numbers)), strict=True):
                _teach(decoder, number, found)

    async def by_id(self, number: int) -> "Registered | None":
        """What is registered under an id, None when the registry does not know it."""
        found = await self._get(f"schemas/ids/{number}")
        return None if found is None else Registered.of(found, await self._referenced(found))

    async def versions(self, subject: str) -> "list[Version]":
        """Every version of a subject, the first first; none where there is no such subject."""
        path = f"subjects/{quote(subject, safe='')}/versions"
        numbers = await self._get(path) or []
        answers = await asyncio.gather(*(self._get(f"{path}/{int(number)}") for number in numbers))
        return [
            Version(int(answer["version"]), int(answer["id"]), Registered.of(answer, ()))
            for answer in answers
            if answer is not None  # deleted meanwhile
        ]

    async def _referenced(self, found: dict[str, Any]) -> list[dict[str, Any]]:
        """What the registry answers for everything that a schema refers to, directly or not, each once."""
        answers: dict[tuple[str, str], dict[str, Any]] = {}
        open_references = list(found.get("references") or ())
        while open_references and len(answers) < MOST_REFERENCES:
            reference = open_references.pop()
            subject, version = str(reference.get("subject")), str(reference.get("version"))
            if (subject, version) not in answers:
                answer = await self._get(f"subjects/{quote(subject, safe='')}/versions/{quote(version, safe='')}")
                answers[subject, version] = answer or {}
                open_references += (answer or {}).get("references") or ()
        return list(answers.values())

    async def _get(self, path: str) -> Any:
        """The registry's answer to a GET, None when it knows no such thing."""
        try:
            response = await self._client.request(f"{self._url}/{path}")
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            if response.status_code != httpx.codes.OK:
                raise ClientError(response.text[:200], http_code=response.status_code)
            return response.json()
        except (ClientError, httpx.HTTPError, OSError, ValueError) as error:
            await self._refuse(error)
            raise RegistryError(f"registry at {self._url}, {path}: {error or type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class Registered:
    """What is registered under an id: the schema's text and kind, and the texts of those that it refers to."""

    text: str
    kind: str
    referenced: tuple[str, ...] = ()

    @classmethod
    def of(cls, answer: Mapping[str, Any], referenced: Iterable[Mapping[str, Any]]) -> "Registered":
        """From the registry's answers."""
        texts = tuple(str(part["schema"]) for part in referenced if "schema" in part)
        return cls(str(answer.get("schema")), str(answer.get("schemaType") or AVRO), texts)


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a subject, with the id that records carry."""

    number: int
    id: int
    schema: Registered


def _teach(decoder: Learning, number: int, found: Registered | None) -> None:
    """Teach a decoder what is registered under an id; what is not known stays so, and is asked for again."""
    if found is None:
        return
    if found.kind != decoder.schema_type:
        decoder.refuse(number, f"schema id {number} is of type {found.kind}, not {decoder.schema_type}")
        return
    if found.kind == PROTOBUF:
        decoder.learn(number, found.text, found.referenced)
        return
    try:
        schemas = [json.loads(text) for text in (found.text, *found.referenced)]
    except ValueError as error:
        decoder.refuse(number, f"schema id {number} is no JSON: {error}")
        return
    decoder.learn(number, schemas[0], schemas[1:])


class PatientRegistry(Registry):
    """A registry for processes that go on for ever: an outage is waited out, however long it lasts.

    Raises RegistryError only when the registry answers, and refuses.
    """

    async def register(self, topics: Iterable[Topic] = ALL) -> dict[str, int]:
        """As `Registry.register`, once the registry answers."""
        async for attempt in _patiently():
            with attempt:
                return await super().register(topics)
        raise AssertionError("retrying has no end")

    async def by_id(self, number: int) -> Registered | None:
        """As `Registry.by_id`, once the registry answers."""
        async for attempt in _patiently():
            with attempt:
                return await super().by_id(number)
        raise AssertionError("retrying has no end")


def _patiently() -> AsyncRetrying:
    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        log.warning("attempt %d failed and is made again: %s", state.attempt_number, error)

    return AsyncRetrying(
        wait=wait_exponential(multiplier=0.2, max=LONGEST_WAIT_S),
        retry=retry_if_exception(is_registry_outage),
        before_sleep=tell,
        reraise=True,
    )
