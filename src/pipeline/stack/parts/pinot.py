"""ZooKeeper, and Pinot's controller, broker and server in one JVM."""

from pathlib import Path

import httpx

import pipeline
from pipeline.errors import StackError
from pipeline.stack.archives import ClassArchive
from pipeline.stack.parts.base import PROBE_TIMEOUT_S, Part, Site, java, listens, write_properties
from pipeline.stack.ports import HOST
from pipeline.stack.program import Program, Stage

ROLES = ("controller", "broker", "server")
CLUSTER = "pipeline"
REPLACED = ("controller.port", "pinot.broker.client.queryPort", "pinot.server.adminapi.port")  # these listen everywhere
OPENED = ("java.nio", "sun.nio.ch", "java.lang", "java.util", "java.lang.reflect", "jdk.internal.ref")
LOGGING = """\
<Configuration status="ERROR">
  <Appenders><Console name="console"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
  <Loggers>
    <Logger name="org.apache.pinot" level="INFO"/>
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
            "clientPort": self.ports[0],
            "clientPortAddress": HOST,
            "tickTime": 2_000,
            "maxClientCnxns": 0,
            "admin.enableServer": "false",
            "autopurge.purgeInterval": 1,
            "4lw.commands.whitelist": "ruok,srvr",
        }
        write_properties(self._properties, properties)
        write_logging(self.site)

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


class Pinot(Part):
    """Controller, broker and server; started once ZooKeeper serves, stopped before it."""

    name = "pinot"
    needs = ("zookeeper",)
    port_names = ("pinot_controller", "pinot_broker", "pinot_server", "pinot_server_admin")

    def prepare(self) -> None:
        """Write the three configuration files: those of pinot/cluster with this stack's ports and folders."""
        for role in ROLES:
            template = config_folder() / f"{role}.conf"
            merged = parse_properties(template.read_text(encoding="utf-8")) | self.overrides()[role]
            for key in REPLACED:
                merged.pop(key, None)
            write_properties(self._config(role), dict(merged))
        write_logging(self.site)

    def settings(self) -> dict[str, str]:
        """The addresses of controller and broker."""
        controller, broker, *_ = self.ports
        return {
            "pinot_controller_url": f"http://{HOST}:{controller}",
            "pinot_broker_url": f"http://{HOST}:{broker}",
        }

    def overrides(self) -> dict[str, dict[str, str]]:
        """Role -> the properties that this stack decides."""
        data = self.site.folder.path / "pinot"
        common = {"pinot.cluster.name": CLUSTER, "pinot.zk.server": self.site.address("zookeeper")}
        controller, broker, server, server_admin = map(str, self.ports)
        return {
            "controller": common
            | {
                "controller.zk.str": self.site.address("zookeeper"),
                "controller.helix.cluster.name": CLUSTER,
                "controller.host": HOST,
                "controller.access.protocols": "http",
                "controller.access.protocols.http.host": HOST,
                "controller.access.protocols.http.port": controller,
                # where servers send segments that are full: without it they send them nowhere, and take no more rows
                "controller.vip.host": HOST,
                "controller.vip.port": controller,
                "controller.data.dir": (data / "controller").as_uri(),
                "controller.local.temp.dir": str(self.site.folder.tmp / "pinot-controller"),
            },
            "broker": common
            | {
                "pinot.broker.hostname": HOST,
                "pinot.broker.client.access.protocols": "http",
                "pinot.broker.client.access.protocols.http.host": HOST,
                "pinot.broker.client.access.protocols.http.port": broker,
            },
            "server": common
            | {
                "pinot.server.netty.host": HOST,
                "pinot.server.netty.port": server,
                "pinot.server.adminapi.access.protocols": "http",
                "pinot.server.adminapi.access.protocols.http.host": HOST,
                "pinot.server.adminapi.access.protocols.http.port": server_admin,
                "pinot.server.instance.dataDir": str(data / "server" / "data"),
                "pinot.server.instance.segmentTarDir": str(data / "server" / "segments"),
            },
        }

    def program(self) -> Program:
        """The JVM of all three roles."""
        # a Pinot that was killed holds its names in ZooKeeper for as long as its session lasts: 30 s by default
        options = ["-Xmx1g", f"-Dlog4j2.configurationFile={logging_file(self.site)}", "-Dzk.session.timeout=10000"]
        options += [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
        options += ["--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED"]
        main = [
            *("org.apache.pinot.tools.admin.PinotAdministrator", "StartServiceManager"),
            *("-clusterName", CLUSTER, "-zkAddress", self.site.address("zookeeper"), "-port", "-1"),
            *("-bootstrapConfigPaths", *(str(self._config(role)) for role in ROLES)),
        ]
        command = java(self.site, self.name, options, self.class_archive(), main)
        return Program(self.name, command, stage=Stage.PINOT, stop_wait_s=6, ports=self.ports)

    def class_archive(self) -> ClassArchive:
        """The archive of this JVM."""
        return self.site.class_archive(self.name, self.site.class_path("pinot"))

    def probe(self) -> bool:
        """Whether controller, broker and server all answer GET /health with 200."""
        controller, broker, _, server_admin = self.ports
        return all(
            httpx.get(f"http://{HOST}:{port}/health", timeout=PROBE_TIMEOUT_S).status_code == 200
            for port in (controller, broker, server_admin)
        )

    def _config(self, role: str) -> Path:
        return self.site.folder.config / f"pinot-{role}.conf"


def config_folder() -> Path:
    """The checkout's pinot/cluster; raises StackError if this is not a checkout."""
    folder = Path(pipeline.__file__).parents[2] / "pinot" / "cluster"
    if not folder.is_dir():
        raise StackError(
            f"{folder} is missing: the local stack runs from a checkout that was installed with `make install`"
        )
    return folder


def parse_properties(text: str) -> dict[str, str]:
    """Key -> value of a properties file without line continuations."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith(("#", "!")))
    return {key.strip(): value.strip() for key, _, value in pairs}


def logging_file(site: Site) -> Path:
    """The log4j 2 configuration of ZooKeeper and Pinot."""
    return site.folder.config / "pinot-log4j2.xml"


def write_logging(site: Site) -> None:
    """Write `logging_file`."""
    logging_file(site).write_text(LOGGING)
