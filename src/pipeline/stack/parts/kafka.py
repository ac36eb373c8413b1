"""Three Kafka nodes, each broker and KRaft controller at once."""

import asyncio
import shutil

from aiokafka.admin import AIOKafkaAdminClient

from pipeline.stack.archives import ClassArchive
from pipeline.stack.parts.base import Part, Site, java, listens, run, write_properties
from pipeline.stack.ports import HOST
from pipeline.stack.program import Program, Stage

NODES = (1, 2, 3)
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
        self.port_names = (f"kafka_{node}", f"kafka_controller_{node}", *proxied)
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
        client, controller, *proxied = (f"127.0.0.1:{port}" for port in self.ports)
        voters = ",".join(f"{node}@{self.site.address(f'kafka_controller_{node}')}" for node in NODES)
        return {
            "process.roles": "broker,controller",
            "node.id": self.node,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(
                [
                    f"PLAINTEXT://{client}",
                    f"CONTROLLER://{controller}",
                    *(f"PROXIED://{address}" for address in proxied),
                ]
            ),
            "advertised.listeners": ",".join([f"PLAINTEXT://{client}", *self._advertised()]),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
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

    def _advertised(self) -> list[str]:
        """Clients that come by the second listener are sent on to its proxies."""
        port = self.site.proxies.get(self.node)
        return [] if port is None else [f"PROXIED://{HOST}:{port}"]

    def program(self) -> Program:
        """The node's JVM."""
        command = self._java(self.name, "384m", ("kafka.Kafka", str(self._properties)))
        return Program(self.name, command, stage=Stage.BASE, stop_wait_s=8, ports=self.ports)

    def probe(self) -> bool:
        """Whether this node's metadata shows three brokers."""
        return listens(self.ports[0]) and asyncio.run(_brokers(f"127.0.0.1:{self.ports[0]}")) == len(NODES)

    def _java(self, name: str, heap: str, main: tuple[str, ...]) -> tuple[str, ...]:
        options = (f"-Xmx{heap}", "-Xms64m", f"-Dlog4j2.configurationFile={self._logging}")
        lists = name == f"kafka-{NODES[0]}"  # one list of classes is enough
        return java(self.site, name, options, self.class_archive(), main, lists=lists)

    def class_archive(self) -> ClassArchive:
        """The archive that the three nodes share."""
        return self.site.class_archive("kafka", self.site.class_path("kafka"))


async def _brokers(address: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=4_000)
    try:
        await admin.start()
        return len((await admin.describe_cluster())["brokers"])
    finally:
        await admin.close()
