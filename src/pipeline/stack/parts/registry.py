"""Apicurio's schema registry, spoken to by Confluent's REST API.

In a secured stack it speaks TLS only and wants a bearer token, which it verifies by itself: the stack signs the tokens
(`pipeline.stack.tokens`), and a token's role is what its user may do.
"""

import ssl
from pathlib import Path

import httpx

from pipeline.access import user_of
from pipeline.stack.archives import ClassArchive
from pipeline.stack.credentials import ADMIN
from pipeline.stack.parts.base import PROBE_TIMEOUT_S, Part, java, write_properties
from pipeline.stack.ports import HOST
from pipeline.stack.program import Program, Stage
from pipeline.stack.tokens import ISSUER, Tokens
from pipeline.stack.unpack import unpacked_tar

COMPAT_PATH = "/apis/ccompat/v7"
IDENTITY = "registry"
ALL_RIGHTS, DEVELOPER, READER = "sr-admin", "sr-developer", "sr-readonly"
REGISTRY_USERS = {
    ADMIN: ALL_RIGHTS,
    **{user_of(process): DEVELOPER for process in ("provision", "worker", "poller", "generator")},
    **{user_of(process): READER for process in ("dashboard", "verify", "pinot")},
}
"""User of the secured registry -> what it may do. Readers see everything; developers register schemas, too."""


class Registry(Part):
    """The registry; ids and schemas are in an H2 file, so they survive a restart."""

    name = "registry"
    port_names = ("registry",)

    @property
    def url(self) -> str:
        """The base URL of Confluent's API."""
        scheme = "http" if self.site.secrets is None else "https"
        return f"{scheme}://{HOST}:{self.ports[0]}{COMPAT_PATH}"

    def settings(self, user: str = ADMIN) -> dict[str, str]:
        """What the settings say of this registry, for one of `REGISTRY_USERS` if it is secured."""
        found = {"registry_url": self.url}
        if self.site.secrets is not None:
            found["registry_ssl_cafile"] = str(self.site.secrets.ca)
            found["registry_bearer_auth_token_file"] = str(self.tokens.file(user))
        return found

    @property
    def tokens(self) -> Tokens:
        """The tokens of a secured registry; made by `prepare`."""
        assert self.site.secrets is not None
        return Tokens(self.site.secrets.folder)

    def prepare(self) -> None:
        """Make the tokens of a secured registry, and say how it is secured."""
        if self.site.secrets is not None:
            self.tokens.make(REGISTRY_USERS)
            write_properties(self._security, self._secured())

    def _secured(self) -> dict[str, object]:
        assert self.site.secrets is not None
        identity = self.site.secrets.identity(IDENTITY)
        return {
            "quarkus.http.insecure-requests": "disabled",
            "quarkus.http.ssl-port": self.ports[0],
            "quarkus.http.ssl.certificate.files": identity.certificate,
            "quarkus.http.ssl.certificate.key-files": identity.key,
            "registry.auth.enabled": "true",
            "registry.auth.role-based-authorization": "true",
            "registry.auth.roles.source": "token",
            "quarkus.oidc.tenant-enabled": "true",
            "quarkus.oidc.auth-server-url": "",  # nobody is asked: the key is all that is needed
            "quarkus.oidc.public-key": self.tokens.public_key,
            "quarkus.oidc.token.issuer": ISSUER,
            "quarkus.oidc.roles.role-claim-path": "groups",
            'quarkus.log.category."io.quarkus.oidc.runtime.OidcProvider".level': "INFO",  # it would log bad tokens
        }

    @property
    def _security(self) -> Path:
        return self.site.folder.config / "registry-security.properties"

    def program(self) -> Program:
        """The registry's JVM."""
        database = self.site.folder.path / "registry" / "h2"
        secured = () if self.site.secrets is None else (f"-Dquarkus.config.locations={self._security}",)
        options = (
            "-Xmx256m",
            f"-Dquarkus.http.host={HOST}",
            f"-Dquarkus.http.port={self.ports[0]}",
            f"-Dquarkus.datasource.jdbc.url=jdbc:h2:file:{database};WRITE_DELAY=0;DB_CLOSE_ON_EXIT=FALSE",
            "-Dquarkus.datasource.jdbc.initial-size=2",
            "-Dquarkus.datasource.jdbc.min-size=2",
            "-Dquarkus.datasource.jdbc.max-size=20",
            "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
            *secured,
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
        verify: ssl.SSLContext | bool = True
        headers = {}
        if self.site.secrets is not None:
            verify = self.site.secrets.client_context()
            headers["Authorization"] = f"Bearer {self.tokens.token(ADMIN)}"
        answer = httpx.get(f"{self.url}/subjects", timeout=PROBE_TIMEOUT_S, headers=headers, verify=verify)
        return answer.status_code == httpx.codes.OK
