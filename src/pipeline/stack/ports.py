"""Ports of the local cluster: as configured, or free ones that are remembered for the next start."""

import random
import socket
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.errors import StackError
from pipeline.settings import Settings
from pipeline.stack.datadir import read_json, write_json
from pipeline.stack.say import say

HOST = "127.0.0.1"
# Below the range from which Linux takes the ports of outgoing connections, so that a remembered port stays free.
FIRST_PORT, LAST_PORT = 20_000, 32_000

FREE_PORTS: dict[str, Any] = {
    "kafka_ports": (0, 0, 0),
    "kafka_controller_ports": (0, 0, 0),
    "registry_port": 0,
    "mysql_port": 0,
    "zookeeper_port": 0,
    "pinot_controller_port": 0,
    "pinot_broker_port": 0,
}
"""Settings of a throw-away stack: free ports, whatever the environment says."""

PORTS_OF = {
    "kafka": tuple(f"kafka_{node}" for node in (1, 2, 3)) + tuple(f"kafka_controller_{node}" for node in (1, 2, 3)),
    "secured": tuple(f"kafka_internal_{node}" for node in (1, 2, 3)),
    "proxied": tuple(f"kafka_proxied_{node}" for node in (1, 2, 3)),
    "registry": ("registry",),
    "mysql": ("mysql",),
    "pinot": ("zookeeper", "pinot_controller", "pinot_broker", "pinot_server", "pinot_server_admin"),
}


def configured(settings: Settings) -> dict[str, tuple[str, int]]:
    """Port name -> setting and its value; ports that no setting names are absent."""
    ports = {
        name: (f"{name}_port", getattr(settings, f"{name}_port"))
        for name in ("registry", "mysql", "zookeeper", "pinot_controller", "pinot_broker")
    }
    for i in range(3):
        ports[f"kafka_{i + 1}"] = ("kafka_ports", settings.kafka_ports[i])
        ports[f"kafka_controller_{i + 1}"] = ("kafka_controller_ports", settings.kafka_controller_ports[i])
    return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def assign(
    settings: Settings, parts: tuple[str, ...], memory: Path, in_use: dict[str, int], console: Console
) -> dict[str, int]:
    """Port name -> port for these parts; what was picked is remembered in the file `memory`.

    `in_use` are ports that the running parts of this very stack hold: they stay. Raises StackError if a configured
    port is taken by another program or given twice.
    """
    remembered = {name: port for name, port in read_json(memory).items() if isinstance(port, int)}
    settings_of = configured(settings)
    ports = dict(in_use)
    wanted = [name for part in parts for name in PORTS_OF[part] if name not in ports]
    for name in wanted:
        setting, port = settings_of.get(name, ("", 0))
        if not port:
            continue
        if port in ports.values():
            raise StackError(f"setting {setting} is {port}, but another part of the stack has this port already")
        if not is_free(port):
            raise StackError(
                f"setting {setting} is {port}, but port {port} of {HOST} is in use by another program; "
                f"choose a free port, or 0 to have one picked"
            )
        ports[name] = port
    for name in wanted:
        if name not in ports:
            ports[name] = _pick(remembered.get(name, 0), {*ports.values(), *remembered.values()})
            if name in remembered and ports[name] != remembered[name]:
                say(
                    console,
                    f"port {remembered[name]} of {name} is in use by another program: it has port {ports[name]} now; "
                    "Pinot's tables need `pipeline provision` once more",
                )
    write_json(
        memory, remembered | {name: port for name, port in ports.items() if not settings_of.get(name, ("", 0))[1]}
    )
    return ports


def free_port() -> int:
    """A port on which nothing listens now, and that no outgoing connection takes."""
    return _pick(0, set())


def _pick(remembered: int, taken: set[int]) -> int:
    if remembered and is_free(remembered):
        return remembered
    for port in random.sample(range(FIRST_PORT, LAST_PORT), 500):
        if port not in taken and is_free(port):
            return port
    raise StackError(f"no free port was found between {FIRST_PORT} and {LAST_PORT} on {HOST}")
