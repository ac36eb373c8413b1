"""Three Kafka nodes, each broker and KRaft controller at once."""

import asyncio
import shutil
from collections.abc import Iterable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from pipeline.kafka_access import MECHANISMS, set_passwords
from pipeline.stack.archives import ClassArchive
from pipeline.stack.credentials import ADMIN, Secrets
from pipeline.stack.parts.base import Part, Site, java, listens, run, write_properties
from pipeline.stack.ports import HOST
from pipeline.stack.program import Program, Stage

NODES = (1, 2, 3)
MECHANISM = "SCRAM-SHA-512"
CLIENTS, CONTROLLER, INTERNAL, PROXIED = "CLIENTS", "CONTROLLER", "INTERNAL", "PROXIED"
CLUSTER_ID = "pipeline-local-cluster"[:22]  # 22 characters of URL-safe Base64: 16 bytes
LOGGING = """\
<Configuration status="WARN">
  <Appenders><Console name="console"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
  <Loggers>
    <Logger name="org.apache.kafka.clients" level="WARN"/>
    <Logger name="state.change.logger" level="WARN"/>
    <Root level="INFO"><AppenderRef ref="console"/></Root>
  </Loggers>
</Configuration>
"""


class KafkaNode(Part):
    """One node; `node` is 1, 2 or 3."""

    def __init__(self, site: Site, node: int) -> None:
        super().__init__(site)
        self.node = node
        self.name = f"kafka-{node}"
        proxied = (f"kafka_proxied_{node}",) if node in site.proxies else ()
        internal = (f"kafka_internal_{node}",) if site.secrets else ()
        self.port_names = (f"kafka_{node}", f"kafka_controller_{node}", *internal, *proxied)
        self._logs = site.folder.path / "kafka" / str(node)
        self._properties = site.folder.config / f"{self.name}.properties"
        self._logging = site.folder.config / "kafka-log4j2.xml"

    def prepare(self) -> None:
        """Write the node's properties, and format its log folder if that has not been done."""
        write_properties(self._properties, self.properties())
        self._logging.write_text(LOGGING)
        formatted = self._logs.with_name(f"{self.node}.formatted")
        if not formatted.exists():
            shutil.rmtree(self._logs, ignore_errors=True)  # broken off halfway
            self._logs.mkdir(parents=True)

            command = self._java(
                f"{self.name}-format", "128m", ("kafka.tools.StorageTool", "format", "--ignore-formatted")
            )
            run((*command, "-t", CLUSTER_ID, "-c", str(self._properties)), f"formatting the storage of {self.name}")
            formatted.touch()

    def properties(self) -> dict[str, object]:
        """The node's configuration."""
        voters = ",".join(f"{node}@{self.site.address(f'kafka_controller_{node}')}" for node in NODES)
        return {
            "process.roles": "broker,controller",
            "node.id": self.node,
            "controller.quorum.voters": voters,
            "controller.listener.names": CONTROLLER,
            **self._listeners(),
            **(self._security(self.site.secrets) if self.site.secrets else {}),
            "log.dirs": self._logs,
            "auto.create.topics.enable": "false",
            "num.partitions": 5,
            "default.replication.factor": 2,
            "min.insync.replicas": 1,
            "offsets.topic.num.partitions": 5,
            "offsets.topic.replication.factor": 3,
            "transaction.state.log.num.partitions": 5,
            "transaction.state.log.replication.factor": 3,
            "transaction.state.log.min.isr": 2,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
            "share.coordinator.state.topic.num.partitions": 5,
            "group.initial.rebalance.delay.ms": 0,
            # a killed broker is noticed, and its partitions are led by others, within about 3 s
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 3_000,
            "controller.quorum.election.timeout.ms": 500,
            "controller.quorum.fetch.timeout.ms": 1_500,
            "replica.lag.time.max.ms": 5_000,
            "log.segment.bytes": 128 * 1024**2,
            "log.cleaner.dedupe.buffer.size": 32 * 1024**2,
            "log.cleaner.backoff.ms": 5_000,
        }

    def _listeners(self) -> dict[str, object]:
        """Clients have one listener, controllers another, and brokers a third where clients must say who they are.

        Clients that come by the listener PROXIED are sent on to its proxies.
        """
        secured = self.site.secrets is not None
        ports = {CLIENTS: f"kafka_{self.node}", CONTROLLER: f"kafka_controller_{self.node}"}
        ports |= {INTERNAL: f"kafka_internal_{self.node}"} if secured else {}
        ports |= {PROXIED: f"kafka_proxied_{self.node}"} if self.node in self.site.proxies else {}
        listeners = {name: f"{name}://{self.site.address(port)}" for name, port in ports.items()}
        advertised = {name: address for name, address in listeners.items() if name != CONTROLLER}
        if self.node in self.site.proxies:
            advertised[PROXIED] = f"{PROXIED}://{HOST}:{self.site.proxies[self.node]}"
        of_clients, of_brokers = ("SASL_SSL", "SSL") if secured else ("PLAINTEXT", "PLAINTEXT")
        protocols = {CLIENTS: of_clients, PROXIED: of_clients, CONTROLLER: of_brokers, INTERNAL: of_brokers}
        return {
            "inter.broker.listener.name": INTERNAL if secured else CLIENTS,
            "listeners": ",".join(listeners.values()),
            "advertised.listeners": ",".join(advertised.values()),
            "listener.security.protocol.map": ",".join(f"{name}:{how}" for name, how in protocols.items()),
        }

    def _security(self, secrets: Secrets) -> dict[str, object]:
        """TLS everywhere; nodes and the administrator show certificates, clients are SCRAM users with ACLs."""
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        of_clients = {
            f"listener.name.{name.lower()}.{mechanism.lower()}.sasl.jaas.config": login
            for name in (CLIENTS, PROXIED)
            for mechanism in MECHANISMS
        }
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": secrets.identity(self.name).pem,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": secrets.ca,
            "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
            f"listener.name.{INTERNAL.lower()}.ssl.client.auth": "required",
            f"listener.name.{CONTROLLER.lower()}.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            **of_clients,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": ";".join(
                [*(f"User:CN=kafka-{node}" for node in NODES), f"User:CN={ADMIN}", f"User:{ADMIN}"]
            ),
        }

    def program(self) -> Program:
        """The node's JVM."""
        command = self._java(self.name, "384m", ("kafka.Kafka", str(self._properties)))
        return Program(self.name, command, stage=Stage.BASE, stop_wait_s=8, ports=self.ports)

    def probe(self) -> bool:
        """Whether this node's metadata shows three brokers."""
        return listens(self.ports[0]) and asyncio.run(_brokers(administration(self.site, [self.node]))) == len(NODES)

    def _java(self, name: str, heap: str, main: tuple[str, ...]) -> tuple[str, ...]:
        options = (f"-Xmx{heap}", "-Xms64m", f"-Dlog4j2.configurationFile={self._logging}")
        lists = name == f"kafka-{NODES[0]}"  # one list of classes is enough
        return java(self.site, name, options, self.class_archive(), main, lists=lists)

    def class_archive(self) -> ClassArchive:
        """The archive that the three nodes share."""
        return self.site.class_archive("kafka", self.site.class_path("kafka"))


def administration(site: Site, nodes: Iterable[int] = NODES) -> dict[str, Any]:
    """How aiokafka reaches these nodes with all rights: in a secured stack by the listener of brokers.

    The administrator's certificate is enough there, so that it works before there is any SCRAM user.
    """
    secrets = site.secrets
    if secrets is None:
        return {"bootstrap_servers": [site.address(f"kafka_{node}") for node in nodes]}
    addresses = [site.address(f"kafka_internal_{node}") for node in nodes]
    return {"bootstrap_servers": addresses, "security_protocol": "SSL", "ssl_context": secrets.client_context(ADMIN)}


def kafka_settings(site: Site, nodes: Iterable[int]) -> dict[str, str]:
    """How clients reach these nodes; in a secured stack as its administrator."""
    found = {"bootstrap_servers": ",".join(site.address(f"kafka_{node}") for node in nodes)}
    if site.secrets is None:
        return found
    return found | {
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": MECHANISM,
        "kafka_sasl_username": ADMIN,
        "kafka_sasl_password_file": str(site.secrets.password_file(ADMIN)),
        "kafka_ssl_cafile": str(site.secrets.ca),
    }


async def make_users(site: Site, users: Iterable[str]) -> None:
    """Make the SCRAM users of a secured stack, or give them the passwords that are in its files."""
    assert site.secrets is not None
    passwords = {user: site.secrets.password(user) for user in users}
    admin = AIOKafkaAdminClient(**administration(site), request_timeout_ms=15_000)
    try:
        await admin.start()
        for mechanism in MECHANISMS:
            await set_passwords(admin, passwords, mechanism)
    finally:
        await admin.close()


async def _brokers(how: dict[str, Any]) -> int:
    admin = AIOKafkaAdminClient(**how, request_timeout_ms=4_000)
    try:
        await admin.start()
        return len((await admin.describe_cluster())["brokers"])
    finally:
        await admin.close()
