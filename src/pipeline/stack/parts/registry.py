"""Apicurio's schema registry, spoken to by Confluent's REST API."""

import httpx

from pipeline.stack.archives import ClassArchive
from pipeline.stack.parts.base import PROBE_TIMEOUT_S, Part, java
from pipeline.stack.ports import HOST
from pipeline.stack.program import Program, Stage
from pipeline.stack.unpack import unpacked_tar

COMPAT_PATH = "/apis/ccompat/v7"


class Registry(Part):
    """The registry; ids and schemas are in an H2 file, so they survive a restart."""

    name = "registry"
    port_names = ("registry",)

    @property
    def url(self) -> str:
        """The base URL of Confluent's API."""
        return f"http://{HOST}:{self.ports[0]}{COMPAT_PATH}"

    def settings(self) -> dict[str, str]:
        """The address of Confluent's API."""
        return {"registry_url": self.url}

    def program(self) -> Program:
        """The registry's JVM."""
        database = self.site.folder.path / "registry" / "h2"
        options = (
            "-Xmx256m",
            f"-Dquarkus.http.host={HOST}",
            f"-Dquarkus.http.port={self.ports[0]}",
            f"-Dquarkus.datasource.jdbc.url=jdbc:h2:file:{database};WRITE_DELAY=0;DB_CLOSE_ON_EXIT=FALSE",
            "-Dquarkus.datasource.jdbc.initial-size=2",
            "-Dquarkus.datasource.jdbc.min-size=2",
            "-Dquarkus.datasource.jdbc.max-size=20",
            "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
        )
        command = java(self.site, self.name, options, self.class_archive(), ("io.quarkus.runner.GeneratedMain",))
        return Program(self.name, command, stage=Stage.BASE, stop_wait_s=6, ports=self.ports)

    def class_archive(self) -> ClassArchive:
        """The archive of this JVM; its one jar's manifest names the others."""
        (artifact,) = self.site.lock.section("registry")
        _, name, version, _, _ = artifact.fields
        runner = unpacked_tar(self.site.cache, artifact) / f"{name}-{version}-runner.jar"
        return self.site.class_archive(self.name, str(runner))

    def probe(self) -> bool:
        """Whether GET /subjects answers with 200."""
        return httpx.get(f"{self.url}/subjects", timeout=PROBE_TIMEOUT_S).status_code == 200
