"""PLAIN and OAUTHBEARER on a real broker: the project's clients are let in, and a refusal is one sentence."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from sasl_broker import CLIENT_ID, CLIENT_SECRET, STRANGER, USER, SaslBroker, token_endpoint

from pipeline import kafka
from pipeline.admin import create_topics
from pipeline.app import new_app
from pipeline.errors import AccessError
from pipeline.kafka_rights import require_rights
from pipeline.settings import Settings, load
from pipeline.topics import PAGEVIEW

pytestmark = pytest.mark.integration

TOKEN_COMMAND = "kafka_sasl_oauthbearer_token_command"
TOKEN_URL = "kafka_sasl_oauthbearer_token_endpoint_url"
PLAIN, COMMAND, ENDPOINT = "PLAIN", "token command", "token endpoint"


@pytest.fixture(scope="module")
def sasl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SaslBroker]:
    with SaslBroker(tmp_path_factory.mktemp("sasl")).running() as running:
        yield running


@pytest.fixture(scope="module")
def token_url(sasl: SaslBroker) -> Iterator[str]:
    with token_endpoint(sasl.secrets, sasl.tokens.file(USER)) as url:
        yield url


def common(broker: SaslBroker, mechanism: str, **given: Any) -> Settings:
    return load(
        bootstrap_servers=broker.address,
        partitions=1,
        replication=1,
        kafka_security_protocol="SASL_SSL",
        kafka_ssl_cafile=broker.secrets.ca,
        kafka_sasl_mechanism=mechanism,
        **given,
    )


def plain(broker: SaslBroker, user: str, password: Path) -> Settings:
    return common(broker, "PLAIN", kafka_sasl_username=user, kafka_sasl_password_file=password)


def by_command(broker: SaslBroker, token: Path) -> Settings:
    return common(broker, "OAUTHBEARER", **{TOKEN_COMMAND: f"cat {token}"})


def by_endpoint(broker: SaslBroker, url: str, **given: Any) -> Settings:
    client = {
        "kafka_sasl_oauthbearer_client_id": CLIENT_ID,
        "kafka_sasl_oauthbearer_client_secret": CLIENT_SECRET,
        "kafka_sasl_oauthbearer_scope": "kafka",
    }
    return common(broker, "OAUTHBEARER", **client | {TOKEN_URL: url} | given)


@pytest.mark.parametrize("way", [PLAIN, COMMAND, ENDPOINT])
def test_every_client_is_let_in(sasl: SaslBroker, token_url: str, way: str) -> None:
    """Topics are made, records are written in a transaction, and read by the reader and within a group by Faust's."""
    settings = {
        PLAIN: lambda: plain(sasl, USER, sasl.secrets.password_file(USER)),
        COMMAND: lambda: by_command(sasl, sasl.tokens.file(USER)),
        ENDPOINT: lambda: by_endpoint(sasl, token_url),
    }[way]()
    topic = replace(PAGEVIEW, name=f"views-by-{way.replace(' ', '-').lower()}")
    group = new_app(settings.model_copy(update={"app_id": f"group-of-{topic.name}"}))

    async def there_and_back() -> None:
        assert [change.done for change in await create_topics(settings, [topic])] == ["created"]
        producer = kafka.producer(settings, transactional_id=f"writes-{topic.name}")
        await kafka.start_producer(settings, producer)
        async with producer.transaction():
            await producer.send_and_wait(topic.name, b"view", partition=0)
        assert await kafka.close_producer(producer)
        async with kafka.reader(settings) as reader:
            reader.assign([TopicPartition(topic.name, 0)])
            assert (await asyncio.wait_for(reader.getone(), 30)).value == b"view"
        member = AIOKafkaConsumer(
            topic.name,
            bootstrap_servers=settings.bootstrap_servers,
            group_id=group.conf.id,
            auto_offset_reset="earliest",
            **credentials_to_aiokafka_auth(group.conf.broker_credentials, group.conf.ssl_context),
        )
        await member.start()
        try:
            assert (await asyncio.wait_for(member.getone(), 30)).value == b"view"
            await member.commit()
        finally:
            await member.stop()

    asyncio.run(there_and_back())


@pytest.mark.parametrize("way", [PLAIN, COMMAND])
def test_the_password_or_token_says_who_it_is(sasl: SaslBroker, way: str) -> None:
    """Another user is let in as well, and has no rights."""
    known = {
        PLAIN: lambda: (plain(sasl, STRANGER, sasl.secrets.password_file(STRANGER)), f"Kafka user {STRANGER}"),
        COMMAND: lambda: (by_command(sasl, sasl.tokens.file(STRANGER)), "the Kafka user of the OAUTHBEARER token"),
    }
    settings, who = known[way]()
    with pytest.raises(AccessError, match=f"^{who} has not the rights that it needs on topic {PAGEVIEW.name}"):
        asyncio.run(create_topics(settings, [PAGEVIEW]))


def sentence_of(settings: Settings, command: str = "worker") -> str:
    """What a process of the project ends with at its start."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", command],
        env=own | settings.as_environment() | settings.secret_environment() | {"PIPELINE_DATA_DIR": "/nowhere"},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_wrong_password_of_plain_is_told(sasl: SaslBroker) -> None:
    wrong = sasl.secrets.password_file(STRANGER)
    told = sentence_of(plain(sasl, USER, wrong))
    assert told.startswith(
        f"pipeline: the Kafka broker at {sasl.address} refuses kafka_sasl_username={USER} with the password of "
        f"kafka_sasl_password_file={wrong}: "
    )


@pytest.mark.parametrize("token", ["expired", "foreign", "malformed"])
@pytest.mark.parametrize("way", [COMMAND, ENDPOINT])
def test_a_token_that_is_no_good_is_told(sasl: SaslBroker, tmp_path: Path, way: str, token: str) -> None:
    """The broker's refusal has no error code: it is heard all the same."""
    if token == "malformed":
        file = tmp_path / "token"
        file.write_text("no-token")
    else:
        file = getattr(sasl, f"{token}_token")(tmp_path / "tokens")
    with token_endpoint(sasl.secrets, file) if way == ENDPOINT else nullcontext("") as url:
        told = sentence_of(by_endpoint(sasl, url) if url else by_command(sasl, file))
    setting = TOKEN_URL if way == ENDPOINT else TOKEN_COMMAND
    assert told.startswith(f"pipeline: the Kafka broker at {sasl.address} refuses the token of {setting}: ")
    assert file.read_text().strip() not in told or token == "malformed"


def test_each_client_tells_of_a_token_that_is_no_good(sasl: SaslBroker, tmp_path: Path) -> None:
    settings = by_command(sasl, sasl.expired_token(tmp_path / "tokens"))

    async def writes() -> None:
        await kafka.start_producer(settings, kafka.producer(settings))

    async def reads() -> None:
        async with kafka.reader(settings):
            pass

    for client in (writes, reads, lambda: require_rights(settings, [])):
        with pytest.raises(AccessError, match=f"refuses the token of {TOKEN_COMMAND}"):
            asyncio.run(client())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"kafka_sasl_oauthbearer_client_secret": "another"},
            f"the token endpoint refuses kafka_sasl_oauthbearer_client_id={CLIENT_ID} or its secret (HTTP 401)",
        ),
        ({TOKEN_URL: "https://127.0.0.1:1/token"}, "it cannot be asked: "),
    ],
)
def test_an_endpoint_that_gives_no_token_is_told(
    sasl: SaslBroker, token_url: str, given: dict[str, str], sentence: str
) -> None:
    told = sentence_of(by_endpoint(sasl, token_url, **given))
    assert told.startswith(f"pipeline: setting {TOKEN_URL}: {sentence}")
    assert CLIENT_SECRET not in told


def test_a_command_that_gives_no_token_is_told(sasl: SaslBroker) -> None:
    told = sentence_of(common(sasl, "OAUTHBEARER", **{TOKEN_COMMAND: "cat /nowhere/token"}))
    assert told == f"pipeline: setting {TOKEN_COMMAND}: the command ended with exit code 1"


def test_tokens_that_are_away_for_a_while_are_an_outage_to_clients_that_run(sasl: SaslBroker, tmp_path: Path) -> None:
    """Connections that break meanwhile are made again when there are tokens again."""
    token = tmp_path / "token"
    token.write_text(sasl.tokens.token(USER))
    settings = by_command(sasl, token)
    topic = replace(PAGEVIEW, name="views-without-tokens")

    async def write(value: bytes) -> None:
        producer = kafka.producer(by_command(sasl, sasl.tokens.file(USER)))
        await kafka.start_producer(settings, producer)
        await producer.send_and_wait(topic.name, value, partition=0)
        await kafka.close_producer(producer)

    async def read() -> list[bytes]:
        await create_topics(settings, [topic])
        await write(b"before")
        async with kafka.reader(settings) as reader:
            reader.assign([TopicPartition(topic.name, 0)])
            found = [(await asyncio.wait_for(reader.getone(), 30)).value]
            token.unlink()
            for connection in list(reader._client._conns.values()):
                connection.close()
            await asyncio.sleep(3)
            token.write_text(sasl.tokens.token(USER))
            await write(b"after")
            return [*found, (await asyncio.wait_for(reader.getone(), 30)).value]

    assert asyncio.run(read()) == [b"before", b"after"]


@pytest.mark.parametrize("command", ["worker", "provision", "verify"])
def test_a_brokers_certificate_that_has_ended_is_told(sasl: SaslBroker, command: str) -> None:
    settings = plain(sasl, USER, sasl.secrets.password_file(USER)).replaced(bootstrap_servers=sasl.ended_address)
    told = sentence_of(settings, command)
    assert told == (
        f"pipeline: the certificate of the Kafka broker at {sasl.ended_address}, or of an authority in setting "
        "kafka_ssl_cafile, has ended"
    )
