"""`pipeline generate` and `pipeline poll`; what they run is imported only then, so that the command line is quick."""

import asyncio

import click

from pipeline import settings as configuration
from pipeline.settings import Settings
from pipeline.timebase import now_ms


@click.command("generate")
@click.option("--pageviews", is_flag=True, help="Generate page views.")
@click.option("--users", is_flag=True, help="Generate users.")
@click.option("--sales", is_flag=True, help="Write flash sales to MySQL.")
@click.option("--rate", type=click.FloatRange(0), help="Page views a second; 0: as fast as possible.")
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
) -> None:
    """Generate page views, users and flash sales; all three when none is named.

    Rates and seed come from the settings where they are not given.
    """
    settings = configuration.settings()
    kinds = {name for name, wanted in (("pageviews", pageviews), ("users", users), ("sales", sales)) if wanted}
    rates = {
        "pageviews": settings.pageview_rate if rate is None else rate,
        "users": settings.user_rate if user_rate is None else user_rate,
        "sales": settings.sale_rate if sale_rate is None else sale_rate,
    }
    wanted = {kind: value for kind, value in rates.items() if not kinds or kind in kinds}
    for line in asyncio.run(run_generators(settings, wanted, count, settings.seed if seed is None else seed, history)):
        click.echo(line)


async def run_generators(
    settings: Settings, rates: dict[str, float], count: int | None, seed: int, history: float = 0.0
) -> list[str]:
    """Run the generators named in `rates` until SIGINT, SIGTERM or `count`; returns a line for each.

    Each first writes `history` hours of the past, where it finds no events. When one fails the others are stopped and
    its error is raised.
    """
    from pipeline.sources import datagen, flash_sales
    from pipeline.sources.history import past
    from pipeline.sources.runtime import stop_on_signals, throttle_repetitions

    throttle_repetitions()
    began_ms = now_ms()
    with stop_on_signals() as stop:

        async def one(kind: str, rate: float) -> str:
            past_ms = past(began_ms, history, rate, f"{kind}/{seed}") if history else ()
            try:
                if kind == "sales":
                    done = await flash_sales.run(settings, stop, rate=rate, seed=seed, limit=count, past_ms=past_ms)
                    return f"flash sales: {done} rows written"
                generator = datagen.PAGEVIEW_GENERATOR if kind == "pageviews" else datagen.USER_GENERATOR
                done = await datagen.run(settings, generator, stop, rate=rate, seed=seed, limit=count, past_ms=past_ms)
                return f"{generator.name}: {done} records acknowledged"
            except BaseException:
                stop.set()
                raise

        return await asyncio.gather(*(one(kind, rate) for kind, rate in rates.items()))


@click.command("poll")
@click.option("--once", is_flag=True, help="Read the reference tables and the new flash sales once, then end.")
def poll(once: bool) -> None:
    """Carry MySQL's tables to Kafka, as Kafka Connect's JDBC source would."""
    click.echo(f"flash sales: {asyncio.run(run_poller(configuration.settings(), once))} rows sent")


async def run_poller(settings: Settings, once: bool) -> int:
    """Poll until SIGINT or SIGTERM, or once; returns the number of flash sales sent."""
    from pipeline.sources import poller
    from pipeline.sources.runtime import stop_on_signals, throttle_repetitions

    throttle_repetitions()
    with stop_on_signals() as stop:
        return await poller.run(settings, stop, once=once)
