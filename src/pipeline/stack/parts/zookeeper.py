"""The ZooKeeper that Pinot keeps its cluster state in, and how both write their logs."""

from pathlib import Path

from pipeline.stack.archives import ClassArchive
from pipeline.stack.parts.base import Part, Site, java, listens, write_properties
from pipeline.stack.ports import HOST
from pipeline.stack.program import Program, Stage

ZOOKEEPER_IDENTITY = "zookeeper"
LOGGING = """\
<Configuration status="ERROR">
  <Appenders><Console name="console"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
  <Loggers>
    <Logger name="org.apache.pinot" level="INFO"/>
    <!-- these two write down every property, passwords and all -->
    <Logger name="org.apache.pinot.server.starter.helix.DefaultHelixStarterServerConfig" level="WARN"/>
    <Logger name="org.apache.pinot.server.starter.helix.HelixInstanceDataManagerConfig" level="WARN"/>
    <Root level="WARN"><AppenderRef ref="console"/></Root>
  </Loggers>
</Configuration>
"""


class ZooKeeper(Part):
    """The ZooKeeper that Pinot keeps its cluster state in; it comes with Pinot's jars."""

    name = "zookeeper"
    port_names = ("zookeeper",)

    def prepare(self) -> None:
        """Write zookeeper.properties."""
        properties: dict[str, object] = {
            "dataDir": self.site.folder.path / "zookeeper",
            **self._listener(),
            "tickTime": 2_000,
            "maxClientCnxns": 0,
            "admin.enableServer": "false",
            "autopurge.purgeInterval": 1,
            "4lw.commands.whitelist": "ruok,srvr",
        }
        write_properties(self._properties, properties)
        write_logging(self.site)

    def _listener(self) -> dict[str, object]:
        """The one port: plain, or TLS for clients whose certificate is of the stack's authority."""
        secrets = self.site.secrets
        if secrets is None:
            return {"clientPort": self.ports[0], "clientPortAddress": HOST}
        return {
            "secureClientPort": self.ports[0],
            "secureClientPortAddress": HOST,
            "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
            "ssl.keyStore.location": secrets.identity(ZOOKEEPER_IDENTITY).pem,
            "ssl.trustStore.location": secrets.ca,
            "ssl.clientAuth": "need",
        }

    def program(self) -> Program:
        """ZooKeeper's JVM."""
        options = ("-Xmx128m", f"-Dlog4j2.configurationFile={logging_file(self.site)}")
        main = ("org.apache.zookeeper.server.quorum.QuorumPeerMain", str(self._properties))
        command = java(self.site, self.name, options, self.class_archive(), main)
        return Program(self.name, command, stage=Stage.BASE, stop_wait_s=5, ports=self.ports)

    def class_archive(self) -> ClassArchive:
        """The archive of this JVM."""
        return self.site.class_archive(self.name, self.site.class_path("pinot"))

    def probe(self) -> bool:
        """Whether it accepts connections."""
        return listens(self.ports[0])

    @property
    def _properties(self) -> Path:
        return self.site.folder.config / "zookeeper.properties"


def logging_file(site: Site) -> Path:
    """The log4j 2 configuration of ZooKeeper and Pinot."""
    return site.folder.config / "pinot-log4j2.xml"


def write_logging(site: Site) -> None:
    """Write `logging_file`."""
    logging_file(site).write_text(LOGGING)
