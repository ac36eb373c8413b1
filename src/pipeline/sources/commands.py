"""`pipeline generate` and `pipeline poll`; what they run is imported only then, so that the command line is quick."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from pipeline import settings as configuration
from pipeline.errors import SettingError, SourceError
from pipeline.options import app_option
from pipeline.settings import Settings
from pipeline.sources.imperfect import PERFECT, Imperfection
from pipeline.timebase import now_ms

if TYPE_CHECKING:
    from pipeline.declare.application import Application
    from pipeline.declare.database import DatabaseTable


@click.command("generate")
@app_option
@click.option("--pageviews", is_flag=True, help="Generate page views.")
@click.option("--users", is_flag=True, help="Generate users.")
@click.option("--sales", is_flag=True, help="Write flash sales to MySQL.")
@click.option(
    "--rate",
    type=click.FloatRange(0),
    help="Page views a second; 0: as fast as possible. With --app: what all rates are multiplied by.",
)
@click.option("--user-rate", type=click.FloatRange(0), help="Users a second; 0: as fast as possible.")
@click.option("--sale-rate", type=click.FloatRange(0), help="Flash sales a second; 0: as fast as possible.")
@click.option("--count", type=click.IntRange(1), help="Stop after this many of each.")
@click.option("--seed", type=int, help="Seed: the same one gives the same sequences.")
@click.option(
    "--history",
    type=click.FloatRange(0),
    default=0.0,
    help="Hours of the past to write first, where there are no events yet; none by default.",
)
@click.option("--visits", is_flag=True, help="Users come for a while, look at one page group, and pause.")
@click.option("--late", type=click.FloatRange(0, 1), default=0.0, help="Share of sales that come minutes to days late.")
@click.option(
    "--bad",
    type=click.FloatRange(0, 0.5),
    default=0.0,
    help="Share of views that no one can read, and of sales without a date; with --app: of the values of streams.",
)
def generate(
    pageviews: bool,
    users: bool,
    sales: bool,
    rate: float | None,
    user_rate: float | None,
    sale_rate: float | None,
    count: int | None,
    seed: int | None,
    history: float,
    visits: bool,
    late: float,
    bad: float,
) -> None:
    """Generate page views, users and flash sales; all three when none is named.

    Rates and seed come from the settings where they are not given.
    """
    from pipeline.applications.loading import runnable

    settings = configuration.settings()
    if not runnable(settings).hooks.generators:
        for line in asyncio.run(generate_declared(settings, 1.0 if rate is None else rate, count, seed, history, bad)):
            click.echo(line)
        return
    kinds = {name for name, wanted in (("pageviews", pageviews), ("users", users), ("sales", sales)) if wanted}
    rates = {
        "pageviews": settings.pageview_rate if rate is None else rate,
        "users": settings.user_rate if user_rate is None else user_rate,
        "sales": settings.sale_rate if sale_rate is None else sale_rate,
    }
    wanted = {kind: value for kind, value in rates.items() if not kinds or kind in kinds}
    seed = settings.seed if seed is None else seed
    imperfect = Imperfection(seed, late, bad)
    done = asyncio.run(run_generators(settings, wanted, count, seed, history, visits=visits, imperfect=imperfect))
    for line in done:
        click.echo(line)


async def generate_declared(
    settings: Settings, factor: float, count: int | None, seed: int | None, history: float, bad: float
) -> list[str]:
    """Run the generators that an application declares; `factor` multiplies their rates, else as `declared.generate`."""
    from pipeline.applications.loading import load
    from pipeline.sources.declared import generate

    seed = settings.seed if seed is None else seed
    application = load(settings.app, settings.app_dir)
    return await generate(settings, application, factor=factor, seed=seed, count=count, history=history, bad=bad)


async def run_generators(
    settings: Settings,
    rates: dict[str, float],
    count: int | None,
    seed: int,
    history: float = 0.0,
    *,
    visits: bool = False,
    imperfect: Imperfection = PERFECT,
) -> list[str]:
    """Run the generators named in `rates` until SIGINT, SIGTERM or `count`; returns a line for each.

    Each first writes `history` hours of the past, where it finds no events, in the order of `history.pasts`. When one
    fails the others are stopped and its error is raised.
    """
    from pipeline.sources import datagen, flash_sales
    from pipeline.sources.history import pasts
    from pipeline.sources.runtime import say_sentences, stop_on_signals

    say_sentences()
    views = datagen.VISIT_GENERATOR if visits else datagen.PAGEVIEW_GENERATOR
    generators = {"pageviews": views, "users": datagen.USER_GENERATOR}
    before = pasts(now_ms(), history, rates, seed)
    with stop_on_signals() as stop:

        async def one(kind: str, rate: float) -> str:
            how: Any = {"rate": rate, "seed": seed, "limit": count, "past": before[kind], "imperfect": imperfect}
            try:
                if kind == "sales":
                    return f"flash sales: {await flash_sales.run(settings, stop, **how)} rows written"
                done = await datagen.run(settings, generators[kind], stop, **how)
                return f"{generators[kind].name}: {done} records acknowledged"
            except BaseException:
                stop.set()
                raise

        return await asyncio.gather(*(one(kind, rate) for kind, rate in rates.items()))


AGAIN_ATTEMPTS = 5


class IdRange(click.ParamType):
    """`FROM..TO`, or one id; both ends inclusive."""

    name = "FROM..TO"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The ends as numbers."""
        first, _, last = str(value).partition("..")
        try:
            ends = int(first), int(last or first)
        except ValueError:
            self.fail(f"{value!r} is neither an id nor a range of ids like 17..25", param, ctx)
        if ends[0] > ends[1]:
            self.fail(f"{value!r} ends before it begins", param, ctx)
        return ends


@click.command("poll")
@app_option
@click.option("--once", is_flag=True, help="Read every table once, until nothing is new, then end.")
@click.option(
    "--again",
    type=IdRange(),
    help="Look once more for these ids of an incrementing table, as far as they were not sent (given up, or dead "
    "letters), then end; a poller that runs takes them up within PIPELINE_BULK_INTERVAL_S. With --once they are read "
    "here.",
)
@click.option("--table", help="With --again: the table, where several are incrementing.")
def poll(once: bool, again: tuple[int, int] | None, table: str | None) -> None:
    """Carry the database's tables to Kafka, as Kafka Connect's JDBC source would."""
    from pipeline.applications.loading import runnable

    settings = configuration.settings()
    if not runnable(settings).hooks.database:
        raise SettingError(
            f"application {settings.app} has no database, but `pipeline poll` carries the tables of one that has: "
            "Application(..., sources=[DatabaseTable(...)])"
        )
    application = runnable(settings).application
    if again is not None:
        chosen = incrementing(application, table)
        count = asyncio.run(look_again(settings, chosen, *again))
        click.echo(f"{chosen.label}: {count:,} ids are looked for again")
        if not once:
            return
    told = ", ".join(one.label for one in application.positioned or application.database)
    click.echo(f"{told}: {asyncio.run(run_poller(settings, once))} rows sent")


def incrementing(application: "Application", name: str | None) -> "DatabaseTable":
    """The table that `--again` is about; raises SettingError where there is none, or it has to be named."""
    from pipeline.declare.database import Incrementing

    known = {table.name: table for table in application.database if isinstance(table.mode, Incrementing)}
    if not known:
        raise SettingError(f"{application} has no incrementing table, but --again is for ids of one")
    if name is None and len(known) > 1:
        raise SettingError(f"{application} has several incrementing tables: --table must be {' or '.join(known)}")
    chosen = next(iter(known)) if name is None else name
    if chosen not in known:
        raise SettingError(f"--table is {chosen!r}, but must be {' or '.join(known)}")
    return known[chosen]


async def look_again(settings: Settings, table: "DatabaseTable", first: int, last: int) -> int:
    """Have ids in [first, last] of a table looked for again; raises StackError when the brokers do not answer."""
    from aiokafka.errors import KafkaError, ProducerFenced

    from pipeline.kafka_refusals import unreachable
    from pipeline.sources.feed import read_again
    from pipeline.sources.runtime import say_sentences

    say_sentences()
    for attempt in range(1, AGAIN_ATTEMPTS + 1):
        try:
            return await read_again(settings, table, first, last)
        except ProducerFenced:  # a poller was starting at the same time: whoever came last goes on
            if attempt < AGAIN_ATTEMPTS:
                await asyncio.sleep(attempt)
        except KafkaError as error:
            raise await unreachable(settings, error) from error
    raise SourceError(f"the position was taken over {AGAIN_ATTEMPTS} times: does the poller start again and again?")


async def run_poller(settings: Settings, once: bool) -> int:
    """Poll until SIGINT or SIGTERM, or once; returns the number of rows sent."""
    from pipeline.sources import poller
    from pipeline.sources.runtime import say_sentences, stop_on_signals

    say_sentences()
    with stop_on_signals() as stop:
        return await poller.run(settings, stop, once=once)
