"""Brings Pinot's schemas and tables to their declared form, and waits until every partition is consumed; repeatable.

Pinot takes new columns only: a schema that changes a column it has means a new table. Such a table is deleted and
created again, and fills itself from its topic, which keeps its rows as long as the table does.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx

from pipeline.errors import ProvisionError
from pipeline.http_security import REFUSED, Peer
from pipeline.serving.tables import FIELD_SPECS, Table, tables
from pipeline.settings import Settings

REQUEST_TIMEOUT_S = 30.0
CONSUMING_WAIT_S = 60.0
POLL_S = 0.25
SERVER_LOOKS_S = 1.0
"""How often a server looks whether a deleted table's view is gone; only then it forgets the table (its default)."""
RESTART_AFTER_S = 10.0
"""How long a table may consume nothing before its consumers are started again."""
REFERENCE = re.compile(r"\$\{[^}]*\}")
UNJUDGED = "?validationTypesToSkip=ALL"


async def provision(settings: Settings, *, wait_s: float = CONSUMING_WAIT_S) -> list[str]:
    """Create or update all tables of `pinot/tables`; a line per table: "<name> created|updated|recreated|there".

    Returns when every partition of every table is being consumed and the broker answers queries about it. Raises
    ProvisionError when the controller is out of reach, refuses or ignores a part of a declaration, or when a table is
    not consuming within `wait_s` seconds.
    """
    declared = tables(settings)
    async with _Controller.open(settings, wait_s) as controller:
        done = {}
        for table in declared:
            schema = await controller.apply_schema(table)
            config = await controller.apply_table(table)
            done[table.name] = schema if schema == "recreated" or config == "there" else config
        await asyncio.gather(*(controller.wait_consuming(table) for table in declared))
    return [f"{name} {what}" for name, what in done.items()]


class _Controller:
    """The few requests of Pinot's controller (and one of the broker's) that provisioning needs."""

    def __init__(self, settings: Settings, client: httpx.AsyncClient, wait_s: float) -> None:
        self._settings = settings
        self._wait_s = wait_s
        self._peer = Peer(settings, "pinot_controller_url")
        self._broker = Peer(settings, "pinot_broker_url")
        self._url = self._peer.url
        self._client = client
        self._broker_auth = self._broker.options()["auth"]

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, wait_s: float) -> AsyncIterator["_Controller"]:
        options = Peer(settings, "pinot_controller_url").options()
        async with httpx.AsyncClient(timeout=REQUEST_TIMEOUT_S, **options) as client:
            yield cls(settings, client, wait_s)

    async def apply_schema(self, table: Table) -> str:
        """Create or update the schema; returns what was done. "recreated": `apply_table` makes the table."""
        found = await self._get(f"/schemas/{table.name}", missing_ok=True)
        if found is not None and covers(found, table.schema):
            return "there"
        if found is not None and changes_a_column(found, table.schema):
            await self._drop(table)
            await self._send("POST", "/schemas", table.name, table.schema)
            return "recreated"
        method, path = ("POST", "/schemas") if found is None else ("PUT", f"/schemas/{table.name}")
        await self._send(method, path, table.name, table.schema)
        if found is not None:
            await self._post(f"/segments/{table.name}/reload?type=REALTIME", table.name)
        return "created" if found is None else "updated"

    async def _drop(self, table: Table) -> None:
        """Delete the table, wait until no server holds a part of it, and delete the schema.

        A server looks for the view now and then, and forgets the table once it is gone: also a new one of that name,
        when it looks late. So its next look is waited for.
        """
        deadline = time.monotonic() + self._wait_s
        await self._delete(f"/tables/{table.name}?type=realtime", table.name)
        while (await self._get(f"/tables/{table.name}/externalview", missing_ok=True) or {}).get("REALTIME"):
            if time.monotonic() > deadline:
                raise ProvisionError(
                    f"Pinot table {table.name} was deleted, but is still there after {self._wait_s:g} s"
                )
            await asyncio.sleep(POLL_S)
        await asyncio.sleep(1.5 * SERVER_LOOKS_S)
        await self._delete(f"/schemas/{table.name}", table.name)

    async def apply_table(self, table: Table) -> str:
        """Create or update the table; a change of its stream makes the consumers start afresh."""
        reply = await self._get(f"/tables/{table.name}?type=realtime")
        found = (reply or {}).get("REALTIME")
        if found is not None and covers({**found, "tableName": table.name}, table.config):
            return "there"
        # Pinot refuses to rename a column of the schema, though that works, and is what keeps NUL (`texts.py`): it is
        # asked to judge everything else, and then told to judge nothing
        await self._send("POST", "/tables/validate", table.name, without_renaming(table.config))
        if found is None:
            await self._send("POST", f"/tables{UNJUDGED}", table.name, table.config)
            return "created"
        await self._send("PUT", f"/tables/{table.name}{UNJUDGED}", table.name, table.config)
        if not covers(stream_of(found), stream_of(table.config)):
            await self._restart_consumers(table)
        return "updated"

    async def _restart_consumers(self, table: Table) -> None:
        """Make the server read the new stream settings; refused while segments still change their state."""
        deadline = time.monotonic() + self._wait_s
        while True:
            try:
                return await self._reset(table)
            except ProvisionError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(1.0)

    async def _reset(self, table: Table) -> None:
        """Stop and start the consumers of a table."""
        await self._post(f"/segments/{table.name}_REALTIME/reset", table.name)

    async def wait_consuming(self, table: Table) -> None:
        """Return when all partitions are consumed and the broker answers; raise ProvisionError after the time limit.

        A table of which nothing is consumed may be one that its server forgot together with a deleted one of that
        name: starting its consumers again brings it back.
        """
        began = time.monotonic()
        deadline, restart = began + self._wait_s, began + RESTART_AFTER_S
        while True:
            info = await self._get(f"/tables/{table.name}/consumingSegmentsInfo", missing_ok=True)
            partitions = consuming_partitions(info or {})
            if len(partitions) >= self._settings.partitions and await self._answers(table.name):
                return
            if not partitions and time.monotonic() > restart:
                restart = time.monotonic() + RESTART_AFTER_S
                with suppress(ProvisionError):  # refused while they still change their state
                    await self._reset(table)
            if time.monotonic() > deadline:
                kafka = stream_of(table.config).get("stream.kafka.broker.list")
                raise ProvisionError(
                    f"Pinot table {table.name} consumes {len(partitions)} of {self._settings.partitions} partitions "
                    f"after {self._wait_s:g} s: does topic {table.name} exist on {kafka}, and can Pinot reach it?"
                )
            await asyncio.sleep(POLL_S)

    async def _answers(self, name: str) -> bool:
        """Whether the broker already routes queries to the table."""
        sql = {"sql": f'SELECT COUNT(*) FROM "{name}" LIMIT 1'}
        try:
            reply = await self._client.post(f"{self._broker.url}/query/sql", json=sql, auth=self._broker_auth)
            if reply.status_code in REFUSED:
                raise ProvisionError(self._broker.refused(reply.status_code))
            return reply.is_success and not reply.json().get("exceptions")
        except httpx.HTTPError as error:
            if sentence := await asyncio.to_thread(self._broker.fault, error):
                raise ProvisionError(sentence) from None
            return False
        except ValueError:
            return False

    async def _get(self, path: str, *, missing_ok: bool = False) -> dict[str, Any] | None:
        reply = await self._request("GET", path)
        if reply.status_code == httpx.codes.NOT_FOUND and missing_ok:
            return None
        if not reply.is_success:
            raise ProvisionError(f"Pinot controller at {self._url}: GET {path}: {message(reply)}")
        return dict(reply.json())

    async def _post(self, path: str, name: str) -> None:
        reply = await self._request("POST", path)
        if not reply.is_success:
            raise ProvisionError(f"Pinot table {name}: POST {path}: {message(reply)}")

    async def _delete(self, path: str, name: str) -> None:
        reply = await self._request("DELETE", path)
        if not reply.is_success and reply.status_code != httpx.codes.NOT_FOUND:
            raise ProvisionError(f"Pinot table {name}: DELETE {path}: {message(reply)}")

    async def _send(self, method: str, path: str, name: str, body: Mapping[str, Any]) -> None:
        """Send a declaration; a part which Pinot does not know is an error, since it would be ignored silently."""
        reply = await self._request(method, path, json=body)
        if not reply.is_success:
            raise ProvisionError(f"Pinot table {name}: {method} {path} was refused: {message(reply)}")
        unknown = reply.json().get("unrecognizedProperties")
        if unknown:
            raise ProvisionError(f"Pinot table {name}: Pinot does not know {', '.join(sorted(unknown))}: misspelt?")

    async def _request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            reply = await self._client.request(method, self._url + path, **kwargs)
            if reply.status_code in REFUSED:
                raise ProvisionError(self._peer.refused(reply.status_code))
            return reply
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if sentence := await asyncio.to_thread(self._peer.fault, error):
                raise ProvisionError(sentence) from None
            raise ProvisionError(
                f"setting pinot_controller_url is {self._url}, but nothing usable answers there: "
                f"{error or type(error).__name__}"
            ) from error


def consuming_partitions(info: Mapping[str, Any]) -> set[int]:
    """Partitions of a consumingSegmentsInfo reply of which some server is consuming."""
    return {
        int(segment.split("__")[1])
        for segment, servers in (info.get("_segmentToConsumingInfoMap") or {}).items()
        if any(server.get("consumerState") == "CONSUMING" for server in servers)
    }


def stream_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The stream settings of a table config."""
    return dict((config.get("tableIndexConfig") or {}).get("streamConfigs") or {})


def changes_a_column(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a schema declares a column otherwise than Pinot has it, which Pinot refuses."""
    old, new = (
        {spec["name"]: {"kind": kind, **spec} for kind in FIELD_SPECS for spec in schema.get(kind) or ()}
        for schema in (found, wanted)
    )
    return not all(covers(old[name], new[name]) for name in old.keys() & new.keys())


def without_renaming(config: Mapping[str, Any]) -> dict[str, Any]:
    """The table's config without the renaming of columns that are read."""
    ingestion = {name: part for name, part in config.get("ingestionConfig", {}).items() if name != "complexTypeConfig"}
    return {**config, "ingestionConfig": ingestion}


def covers(found: Any, wanted: Any) -> bool:
    """Whether what Pinot holds has everything that is declared; Pinot adds defaults of its own, and omits some."""
    if found is None and wanted in ({}, "", None):
        return True
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(covers(found.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(covers, found, wanted))
    if isinstance(wanted, str) and isinstance(found, str) and REFERENCE.search(wanted):
        pattern = ".*".join(map(re.escape, REFERENCE.split(wanted)))  # Pinot may show what it has filled in
        return re.fullmatch(pattern, found, re.DOTALL) is not None
    return bool(found == wanted)


def message(reply: httpx.Response) -> str:
    """What the controller says went wrong, in one line."""
    try:
        body = reply.json()
    except json.JSONDecodeError:
        body = {}
    text = body.get("error") if isinstance(body, dict) else None
    return " ".join(str(text or reply.text or reply.reason_phrase).split())[:400] + f" (HTTP {reply.status_code})"
