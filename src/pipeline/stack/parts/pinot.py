"""Pinot's controller, broker and server in one JVM.

Secured, every port speaks TLS only. ZooKeeper and Pinot's server want a certificate of their clients, controller and
broker a user of `PINOT_USERS`. Pinot reads Kafka and the registry as `KAFKA_USER`: Kafka's password is in a JAAS file,
so that no table shows it; the registry's token, which may only read schemas, is in `pinot-stream-configs.json`.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

import pipeline
from pipeline.access import user_of
from pipeline.errors import StackError
from pipeline.stack.archives import ClassArchive
from pipeline.stack.credentials import ADMIN, Identity, Secrets, write_private
from pipeline.stack.parts.base import PROBE_TIMEOUT_S, Part, java, write_properties
from pipeline.stack.parts.registry import REGISTRY_USERS
from pipeline.stack.parts.zookeeper import ZOOKEEPER_IDENTITY, logging_file, write_logging
from pipeline.stack.ports import HOST
from pipeline.stack.program import Program, Stage
from pipeline.stack.tokens import Tokens

ROLES = ("controller", "broker", "server")
CLUSTER = "pipeline"
REPLACED = ("controller.port", "pinot.broker.client.queryPort", "pinot.server.adminapi.port")  # these listen everywhere
OPENED = ("java.nio", "sun.nio.ch", "java.lang", "java.util", "java.lang.reflect", "jdk.internal.ref")
IDENTITY = "pinot"
KAFKA_USER = user_of("pinot")
DECODER = "stream.kafka.decoder.prop"


@dataclass(frozen=True)
class PinotUser:
    """A user of controller and broker: whose password of `Secrets` it has, and what it may do; empty: everything."""

    secret: str
    permissions: str = ""


DASHBOARD = user_of("dashboard")
PINOT_USERS = {
    ADMIN: PinotUser("pinot-admin"),
    DASHBOARD: PinotUser("pinot-dashboard", "READ"),
}
"""The users of a secured Pinot by name; one with READ asks the broker, and looks at what the controller shows."""
IDENTITIES = (ZOOKEEPER_IDENTITY, IDENTITY)
PASSWORDS = (KAFKA_USER, *(user.secret for user in PINOT_USERS.values()))
"""What `Secrets.make` has to make for ZooKeeper and Pinot."""


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
            write_private(self._config(role), b"")  # it may hold passwords
            write_properties(self._config(role), dict(merged))
        write_logging(self.site)
        secrets = self.site.secrets
        if secrets is not None:
            write_private(self._jaas, jaas(KAFKA_USER, secrets.password(KAFKA_USER)).encode())
            write_private(self.stream_configs_file, json.dumps(self.stream_configs(secrets), indent=2).encode())

    def overrides(self) -> dict[str, dict[str, str]]:
        """Role -> the properties that this stack decides."""
        data = self.site.folder.path / "pinot"
        scheme = self.scheme
        common = {"pinot.cluster.name": CLUSTER, "pinot.zk.server": self.site.address("zookeeper")}
        controller, broker, server, server_admin = map(str, self.ports)
        secured = {role: {} for role in ROLES} if self.site.secrets is None else secured_overrides(self.site.secrets)
        plain = {
            "controller": common
            | {
                "controller.zk.str": self.site.address("zookeeper"),
                "controller.helix.cluster.name": CLUSTER,
                "controller.host": HOST,
                "controller.access.protocols": scheme,
                f"controller.access.protocols.{scheme}.host": HOST,
                f"controller.access.protocols.{scheme}.port": controller,
                # where servers send segments that are full: without it they send them nowhere, and take no more rows
                "controller.vip.host": HOST,
                "controller.vip.port": controller,
                "controller.data.dir": (data / "controller").as_uri(),
                "controller.local.temp.dir": str(self.site.folder.tmp / "pinot-controller"),
            },
            "broker": common
            | {
                "pinot.broker.hostname": HOST,
                "pinot.broker.client.access.protocols": scheme,
                f"pinot.broker.client.access.protocols.{scheme}.host": HOST,
                f"pinot.broker.client.access.protocols.{scheme}.port": broker,
            },
            "server": common
            | {
                "pinot.server.netty.host": HOST,
                "pinot.server.netty.port": server,
                "pinot.server.adminapi.access.protocols": scheme,
                f"pinot.server.adminapi.access.protocols.{scheme}.host": HOST,
                f"pinot.server.adminapi.access.protocols.{scheme}.port": server_admin,
                "pinot.server.instance.dataDir": str(data / "server" / "data"),
                "pinot.server.instance.segmentTarDir": str(data / "server" / "segments"),
            },
        }
        if secured["server"]:
            plain["server"]["pinot.server.nettytls.port"] = server
        return {role: plain[role] | secured[role] for role in ROLES}

    @property
    def scheme(self) -> str:
        """How every HTTP port is spoken to."""
        return "http" if self.site.secrets is None else "https"

    def settings(self, user: str = ADMIN) -> dict[str, str]:
        """What the settings say of this Pinot, for one of `PINOT_USERS` if it is secured."""
        controller, broker, _, _ = self.ports
        found = {
            "pinot_controller_url": f"{self.scheme}://{HOST}:{controller}",
            "pinot_broker_url": f"{self.scheme}://{HOST}:{broker}",
        }
        secrets = self.site.secrets
        if secrets is not None:
            found |= {
                "pinot_ssl_cafile": str(secrets.ca),
                "pinot_user": user,
                "pinot_password_file": str(secrets.password_file(PINOT_USERS[user].secret)),
                "pinot_stream_configs": str(self.stream_configs_file),
            }
        return found

    @property
    def stream_configs_file(self) -> Path:
        """How the tables of a secured stack get at Kafka and the registry."""
        return self.site.folder.config / "pinot-stream-configs.json"

    def stream_configs(self, secrets: Secrets) -> dict[str, str]:
        """Further streamConfigs of every table: TLS and SCRAM for Kafka, whose user is in the JAAS file."""
        found = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(secrets.ca),
        }
        if "registry" in self.site.ports:
            tokens = Tokens(secrets.folder)
            tokens.make(REGISTRY_USERS)
            found[f"{DECODER}.bearer.auth.credentials.source"] = "STATIC_TOKEN"
            found[f"{DECODER}.bearer.auth.token"] = tokens.token(KAFKA_USER)
        return found

    def program(self) -> Program:
        """The JVM of all three roles."""
        # a Pinot that was killed holds its names in ZooKeeper for as long as its session lasts: 30 s by default
        options = ["-Xmx1g", f"-Dlog4j2.configurationFile={logging_file(self.site)}", "-Dzk.session.timeout=10000"]
        options += [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
        options += ["--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED"]
        if self.site.secrets is not None:
            options += self._secured_options(self.site.secrets)
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

    def _secured_options(self, secrets: Secrets) -> list[str]:
        """How the JVM gets at ZooKeeper and at Kafka; files only, no secrets."""
        return [
            "-Dzookeeper.client.secure=true",
            "-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty",
            f"-Dzookeeper.ssl.keyStore.location={secrets.identity(IDENTITY).pem}",
            f"-Dzookeeper.ssl.trustStore.location={secrets.ca}",
            "-Dzookeeper.sasl.client=false",  # the JAAS file is Kafka's
            f"-Djava.security.auth.login.config={self._jaas}",
        ]

    def probe(self) -> bool:
        """Whether controller, broker and server all answer GET /health with 200."""
        controller, broker, _, server_admin = self.ports
        verify = True if self.site.secrets is None else self.site.secrets.client_context(IDENTITY)
        return all(
            httpx.get(f"{self.scheme}://{HOST}:{port}/health", timeout=PROBE_TIMEOUT_S, verify=verify).status_code
            == httpx.codes.OK
            for port in (controller, broker, server_admin)
        )

    def _config(self, role: str) -> Path:
        return self.site.folder.config / f"pinot-{role}.conf"

    @property
    def _jaas(self) -> Path:
        return self.site.folder.config / "pinot-jaas.conf"


def secured_overrides(secrets: Secrets) -> dict[str, dict[str, str]]:
    """Role -> the properties that make it speak TLS, ask who is there, and name itself to the others."""
    identity = secrets.identity(IDENTITY)
    token = authorization(ADMIN, secrets.password(PINOT_USERS[ADMIN].secret))
    users = {name: (secrets.password(user.secret), user.permissions) for name, user in PINOT_USERS.items()}
    return {
        "controller": stores("controller.tls", identity, secrets)
        | principals("controller.admin.access.control", users)
        | {
            "controller.admin.access.control.factory.class": (
                "org.apache.pinot.controller.api.access.BasicAuthAccessControlFactory"
            ),
            "controller.vip.protocol": "https",
            "controller.broker.protocol": "https",
            "pinot.controller.segment.fetcher.auth.token": token,
        },
        "broker": stores("pinot.broker.tls", identity, secrets)
        | principals("pinot.broker.access.control", users)
        | {
            "pinot.broker.access.control.class": "org.apache.pinot.broker.broker.BasicAuthAccessControlFactory",
            "pinot.broker.nettytls.enabled": "true",
        },
        "server": stores("pinot.server.tls", identity, secrets)
        | {
            "pinot.server.tls.client.auth.enabled": "true",
            "pinot.server.netty.enabled": "false",
            "pinot.server.nettytls.enabled": "true",
            "pinot.server.segment.fetcher.protocols": "file,http,https",
            "pinot.server.segment.fetcher.auth.token": token,
            "pinot.server.segment.uploader.protocol": "https",
            "pinot.server.segment.uploader.auth.token": token,
            "pinot.server.instance.auth.token": token,
        },
    }


def stores(prefix: str, identity: Identity, secrets: Secrets) -> dict[str, str]:
    """The properties of a TLS listener and of the connections that Pinot opens itself."""
    return {
        f"{prefix}.keystore.type": "PKCS12",
        f"{prefix}.keystore.path": str(identity.store),
        f"{prefix}.keystore.password": secrets.store_password,
        f"{prefix}.truststore.type": "PKCS12",
        f"{prefix}.truststore.path": str(secrets.truststore),
        f"{prefix}.truststore.password": secrets.store_password,
    }


def principals(prefix: str, users: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """The properties of {user: (password, permissions)}."""
    found = {f"{prefix}.principals": ",".join(users)}
    for name, (password, permissions) in users.items():
        found[f"{prefix}.principals.{name}.password"] = password
        if permissions:
            found[f"{prefix}.principals.{name}.permissions"] = permissions
    return found


def authorization(user: str, password: str) -> str:
    """The Authorization header of a user."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def jaas(user: str, password: str) -> str:
    """The JAAS file that names Kafka's user; both have letters, digits, `-` and `_` only."""
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return f'KafkaClient {{\n  {module} required username="{user}" password="{password}";\n}};\n'


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
