"""`pipeline provision`: topics, schemas, database and Pinot tables, each brought to its declared form; repeatable.

SQLAlchemy and Pinot's client are imported only when their step runs, so that the command line starts quickly.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module

import click

from pipeline import settings as configuration
from pipeline import topics
from pipeline.admin import create_topics
from pipeline.registry import Registry
from pipeline.settings import Settings

Tell = Callable[[str], None]


async def provision(settings: Settings, tell: Tell = click.echo, *, pinot: bool = True) -> None:
    """Bring everything to its declared form, in the order in which the parts need each other.

    `tell` gets one line per step. Raises ProvisionError, RegistryError or StackError at the first step that fails;
    running it again carries on from there.
    """
    tell(await provision_topics(settings))
    tell(await provision_schemas(settings))
    tell(await provision_database(settings))
    if pinot:
        tell(await provision_pinot(settings))


async def provision_topics(settings: Settings) -> str:
    """Create or correct every topic; returns the line for the user."""
    changes = await create_topics(settings)
    counts: dict[str, int] = {}
    for change in changes:
        counts[change.done] = counts.get(change.done, 0) + 1
    altered = [f"{change.name} ({', '.join(change.settings)})" for change in changes if change.done == "altered"]
    line = f"topics: {_parts(counts, created='created', altered='altered', there='already there')}"
    return f"{line}; altered {'; '.join(altered)}" if altered else line


async def provision_schemas(settings: Settings) -> str:
    """Register every value schema; returns the line for the user."""
    ids = await Registry(settings).register(topics.ALL)
    return f"schemas: {len(ids)} subjects registered (ids {min(ids.values())} to {max(ids.values())})"


async def provision_database(settings: Settings) -> str:
    """Create and fill the shop's tables; returns the line for the user."""
    from pipeline.sources.seed import seed

    done = await seed(settings)
    return "database: " + "; ".join(f"{table} {what}" for table, what in done.items())


async def provision_pinot(settings: Settings) -> str:
    """Apply the Pinot schemas and tables; returns the line for the user."""
    apply: Callable[[Settings], Awaitable[None]] = import_module("pipeline.serving.provision").provision
    await apply(settings)
    return "pinot: tables applied"


def _parts(counts: Mapping[str, int], **words: str) -> str:
    return ", ".join(f"{counts[kind]} {word}" for kind, word in words.items() if counts.get(kind))


@click.command("provision")
@click.option("--pinot/--no-pinot", default=True, show_default=True, help="Whether to apply the Pinot tables.")
def command(pinot: bool) -> None:
    """Create topics, schemas, database and Pinot tables; safe to repeat."""
    asyncio.run(provision(configuration.settings(), pinot=pinot))
