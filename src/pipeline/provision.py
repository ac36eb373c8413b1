"""`pipeline provision`: topics, schemas, database and Pinot tables, each brought to its declared form; repeatable.

SQLAlchemy and Pinot's client are imported only when their step runs, so that the command line starts quickly.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import click
from aiokafka.errors import KafkaError

from pipeline import settings as configuration
from pipeline import topics
from pipeline.access import PROCESSES, rights, user_of
from pipeline.admin import create_topics
from pipeline.errors import ProvisionError
from pipeline.kafka import admin_client
from pipeline.kafka_access import MECHANISMS, set_passwords
from pipeline.kafka_access import grant as grant_rights
from pipeline.kafka_refusals import broker_error
from pipeline.options import app_option
from pipeline.registry import Registry
from pipeline.settings import Settings
from pipeline.topics import Topic

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Access:
    """That users are to get their rights; `passwords` is a folder of files `<user>.password`, None: they have them."""

    passwords: Path | None = None

    def password(self, user: str) -> str | None:
        """The password to give a user, None where there is no file of it."""
        file = None if self.passwords is None else self.passwords / f"{user}.password"
        if file is None or not file.exists():
            return None
        try:
            return file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ProvisionError(f"the password file {file} cannot be read: {error}") from None


def access_of(passwords: Path | None) -> Access | None:
    """What the users of a local stack are to get: nothing where it is plain, and has no passwords."""
    return None if passwords is None else Access(passwords)


async def provision(
    settings: Settings, tell: Tell = click.echo, *, pinot: bool = True, access: Access | None = None
) -> None:
    """Bring everything to its declared form, in the order in which the parts need each other.

    With `access` the users of processes get their rights before anything of theirs is needed. `tell` gets one line per
    step. Raises ProvisionError, RegistryError or StackError at the first step that fails; running it again carries on
    from there.
    """
    from pipeline.applications.loading import runnable

    found = runnable(settings)
    tell(await provision_topics(settings, found.topics))
    tell(await provision_schemas(settings, found.topics))
    if found.hooks.database:
        tell(await provision_database(settings))
    if access is not None:
        tell(await provision_access(settings, access))
    if pinot and found.hooks.pinot:
        tell(await provision_pinot(settings))


async def provision_topics(settings: Settings, wanted: Iterable[Topic] = topics.ALL) -> str:
    """Create or correct every topic; returns the line for the user."""
    changes = await create_topics(settings, wanted)
    counts: dict[str, int] = {}
    for change in changes:
        counts[change.done] = counts.get(change.done, 0) + 1
    altered = [f"{change.name} ({', '.join(change.settings)})" for change in changes if change.done == "altered"]
    line = f"topics: {_parts(counts, created='created', altered='altered', there='already there')}"
    return f"{line}; altered {'; '.join(altered)}" if altered else line


async def provision_schemas(settings: Settings, wanted: Iterable[Topic] = topics.ALL) -> str:
    """Register every value schema; returns the line for the user."""
    ids = await Registry(settings).register(wanted)
    return f"schemas: {len(ids)} subjects registered (ids {min(ids.values())} to {max(ids.values())})"


async def provision_database(settings: Settings) -> str:
    """Create the tables of the database where they are not there, and fill the shop's; returns the line for the user.

    The shop's tables are code, as its generators are; others follow from what is declared.
    """
    from pipeline.applications.loading import runnable
    from pipeline.sources.created import create
    from pipeline.sources.seed import seed

    found = runnable(settings)
    done = await (seed(settings) if found.hooks.generators else create(settings, found.application.database))
    return "database: " + "; ".join(f"{table} {what}" for table, what in done.items())


async def provision_access(settings: Settings, access: Access) -> str:
    """Give each process's user its rights on Kafka, and on the database if any; returns the line for the user."""
    needed = rights(settings)
    users = {process: user_of(process) for process in PROCESSES if process in needed}
    passwords = {process: access.password(user) for process, user in users.items()}
    wanted = {users[process]: theirs for process, theirs in needed.items()}
    async with admin_client(settings) as client:
        try:
            given = {users[process]: password for process, password in passwords.items() if password is not None}
            if given and settings.kafka_sasl_mechanism in MECHANISMS:
                await set_passwords(client, given, settings.kafka_sasl_mechanism)
            await grant_rights(client, wanted)
        except (TimeoutError, KafkaError) as error:
            raise broker_error(settings, "rights cannot be given", error) from error
    told = f"access: {sum(map(len, wanted.values()))} rights on Kafka for {len(wanted)} users"
    from pipeline.applications.loading import runnable

    found = runnable(settings)
    if not found.hooks.database:
        return told
    from pipeline.sources.grants import grant, grants

    wanted_of = grants(found)
    await grant(settings, wanted_of, {process: (users[process], passwords[process]) for process in wanted_of})
    return f"{told}, grants on the database for {len(wanted_of)}"


async def provision_pinot(settings: Settings) -> str:
    """Apply the Pinot schemas and tables; returns the line for the user."""
    apply: Callable[[Settings], Awaitable[None]] = import_module("pipeline.serving.provision").provision
    await apply(settings)
    return "pinot: tables applied"


def _parts(counts: Mapping[str, int], **words: str) -> str:
    return ", ".join(f"{counts[kind]} {word}" for kind, word in words.items() if counts.get(kind))


@click.command("provision")
@app_option
@click.option("--pinot/--no-pinot", default=True, show_default=True, help="Whether to apply the Pinot tables.")
@click.option(
    "--access",
    is_flag=True,
    help="Give the users of processes (pipeline-worker and so on) their rights: Kafka's ACLs, the database's grants.",
)
@click.option(
    "--passwords",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --access: a folder of files <user>.password; those users are made, or get that password.",
)
def command(pinot: bool, access: bool, passwords: Path | None) -> None:
    """Create topics, schemas, database and Pinot tables; safe to repeat."""
    if passwords is not None and not access:
        raise click.UsageError("--passwords needs --access")
    wanted = Access(passwords) if access else None
    asyncio.run(provision(configuration.settings(), pinot=pinot, access=wanted))
