"""Makes the secrets of compose.secured.yml, and the configuration files that hold some of them.

    .venv/bin/python deploy/make_secrets.py            makes what is missing in deploy/secrets/

An authority, a certificate for each service, a password or token for each user. Files are named as the secrets are.
The folder is its owner's alone; inside it files may be read by all, since containers read them as other users than the
owner. Only the two keys that sign, `ca.key` and `tokens.key`, go into no container.
"""

import json
import sys
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory

from pipeline.stack.artifacts import load_lock
from pipeline.stack.credentials import ADMIN, Secrets, write_private
from pipeline.stack.datadir import DataDir
from pipeline.stack.fetch import Cache
from pipeline.stack.parts import IDENTITIES, PASSWORDS, USERS, Site
from pipeline.stack.parts.base import write_properties
from pipeline.stack.parts.pinot import (
    KAFKA_USER,
    REPLACED,
    ROLES,
    Pinot,
    config_folder,
    jaas,
    parse_properties,
    secured_overrides,
)
from pipeline.stack.parts.registry import Registry

INSIDE = "/run/secrets"
"""Where containers find the files."""
KEPT = ("ca.key", "tokens.key")
REGISTRY_PORT = 8443
ZOOKEEPER = "zookeeper:2281"
HOSTS = {name: [name] for name in IDENTITIES if name not in ("pinot", ADMIN)} | {
    "pinot": [f"pinot-{role}" for role in ROLES]
}


def make(folder: Path) -> None:
    """Make what is missing; configuration files are written anew."""
    secrets = Secrets(folder, HOSTS)
    secrets.make(IDENTITIES, (*USERS, *PASSWORDS))
    with TemporaryDirectory() as scratch:
        data = DataDir(Path(scratch))
        data.config.mkdir()
        site = Site(data, {"registry": REGISTRY_PORT}, Cache(data.path), load_lock(), secrets=secrets)
        registry = Registry(site)
        registry.prepare()  # makes the tokens, too
        (written,) = data.config.glob("registry*.properties")
        _properties(folder, "registry.properties", parse_properties(written.read_text()) | kafka_of_registry(secrets))
        streams = Pinot(site).stream_configs(secrets)
    _properties(folder, "kafka-admin.properties", kafka_as(secrets, ADMIN))
    for role, overrides in secured_overrides(secrets).items():
        common = parse_properties((config_folder() / f"{role}.conf").read_text("utf-8"))
        plain = {key: value for key, value in common.items() if key not in REPLACED}
        _properties(folder, f"pinot-{role}.conf", plain | pinot_of_compose()[role] | overrides)
    write_private(folder / "pinot-jaas.conf", jaas(KAFKA_USER, secrets.password(KAFKA_USER)))
    write_private(folder / "pinot-stream-configs.json", _inside(folder, json.dumps(streams, indent=2)))
    if not (folder / "dashboard.auth").exists():
        write_private(folder / "dashboard.auth", f"viewer:{token_urlsafe(12)}\n")
    for path in folder.iterdir():
        path.chmod(0o600 if path.name in KEPT else 0o644)
    folder.chmod(0o700)


def kafka_as(secrets: Secrets, name: str) -> dict[str, str]:
    """A Java client of Kafka that shows this certificate."""
    return {
        "security.protocol": "SSL",
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(secrets.identity(name).store),
        "ssl.keystore.password": secrets.store_password,
        "ssl.key.password": secrets.store_password,
        "ssl.truststore.type": "PKCS12",
        "ssl.truststore.location": str(secrets.truststore),
        "ssl.truststore.password": secrets.store_password,
        "ssl.endpoint.identification.algorithm": "https",
    }


def kafka_of_registry(secrets: Secrets) -> dict[str, str]:
    """How the registry gets at its own topic: by its certificate, so that it needs no user before there are any."""
    return {f"registry.kafka.common.{key}": value for key, value in kafka_as(secrets, "registry").items()}


def pinot_of_compose() -> dict[str, dict[str, str]]:
    """Role -> what compose decides: names, ports, https."""
    controller, broker = "controller.access.protocols", "pinot.broker.client.access.protocols"
    server = "pinot.server.adminapi.access.protocols"
    return {
        "controller": {
            "pinot.zk.server": ZOOKEEPER,
            "controller.zk.str": ZOOKEEPER,
            "controller.host": "pinot-controller",
            controller: "https",
            f"{controller}.https.host": "0.0.0.0",
            f"{controller}.https.port": "9000",
            "controller.vip.host": "pinot-controller",
            "controller.vip.port": "9000",
        },
        "broker": {
            "pinot.zk.server": ZOOKEEPER,
            "pinot.broker.hostname": "pinot-broker",
            broker: "https",
            f"{broker}.https.host": "0.0.0.0",
            f"{broker}.https.port": "8099",
        },
        "server": {
            "pinot.zk.server": ZOOKEEPER,
            "pinot.server.netty.host": "pinot-server",
            "pinot.server.nettytls.port": "8098",
            server: "https",
            f"{server}.https.host": "0.0.0.0",
            f"{server}.https.port": "8097",
        },
    }


def _properties(folder: Path, name: str, values: dict[str, str]) -> None:
    write_properties(folder / name, {key: _inside(folder, value) for key, value in values.items()})


def _inside(folder: Path, text: str) -> str:
    return text.replace(str(folder), INSIDE)


if __name__ == "__main__":
    make(Path(sys.argv[1]).absolute() if sys.argv[1:] else Path(__file__).resolve().parent / "secrets")
