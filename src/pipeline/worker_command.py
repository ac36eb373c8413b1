"""`pipeline worker`: one Faust worker process, as systemd and Docker run it."""

import asyncio

import click

from pipeline.errors import PipelineError, ProvisionError
from pipeline.options import app_option
from pipeline.settings import Settings, settings


@click.command()
@app_option
@click.option("--log-level", default="info", show_default=True, help="Level of Faust's log.")
def worker(log_level: str) -> None:
    """Run one stream processor; start as many as there are partitions to share.

    It stops cleanly on SIGTERM and Ctrl-C. On an error that it cannot rule out as harmless it exits with a code
    other than 0, before the batch in hand is acknowledged: let systemd, Docker or `pipeline demo` start it again.
    """
    configured = settings()
    asyncio.run(require(configured))
    from pipeline.worker import app

    process = app.Worker(loglevel=log_level, redirect_stdouts=False)
    try:
        process.execute_from_commandline()
    except SystemExit:
        told = asyncio.run(sentence(configured, process.crash_reason))
        if told is None:
            raise
        raise told from None


async def require(settings: Settings) -> None:
    """What a worker cannot do without: raises AccessError for a right on Kafka; see `require_topics` for topics."""
    from pipeline.access import rights
    from pipeline.kafka_rights import require_rights

    await require_rights(settings, rights(settings)["worker"])
    await require_topics(settings)


async def sentence(settings: Settings, reason: BaseException | None) -> PipelineError | None:
    """What ended a worker, where one sentence says it."""
    from aiokafka.errors import KafkaConnectionError

    from pipeline.kafka_refusals import REFUSED_RIGHTS, unreachable

    if isinstance(reason, PipelineError):
        return reason
    if isinstance(reason, (KafkaConnectionError, *REFUSED_RIGHTS)):
        return await unreachable(settings, reason)
    return None


async def require_topics(settings: Settings) -> None:
    """Raise ProvisionError when a declared topic is missing, SettingError when topics cannot be joined or folded."""
    from pipeline import admin
    from pipeline.applications.loading import runnable
    from pipeline.tables.copartition import Partitioning, check_copartitioned, check_partitions

    application = runnable(settings)
    known = await admin.describe_topics(settings)
    missing = [topic.name for topic in application.topics if topic.name not in known]
    if missing:
        raise ProvisionError(
            f"{len(missing)} topics are missing at bootstrap_servers={settings.bootstrap_servers}, "
            f"{missing[0]} among them: run `pipeline provision` first"
        )
    spread = {name: Partitioning(name, len(state.partitions)) for name, state in known.items()}
    for group in application.joined:
        check_copartitioned(spread[topic.name] for topic in group)
    check_partitions((spread[topic.name] for topic in application.kept), settings.partitions)
