"""Composition root of the workers: the Faust application with all its agents, tables and services."""

from collections.abc import Mapping, Sequence
from functools import partial
from uuid import uuid4

from aiokafka import AIOKafkaConsumer
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT
from mode.supervisors import CrashingSupervisor

from pipeline import kafka
from pipeline.applications.loading import runnable
from pipeline.formats import ValueEncoder, encoders_of, registered
from pipeline.kafka_security import security_options
from pipeline.registry import PatientRegistry, Registry
from pipeline.settings import Settings
from pipeline.topics import Topic
from pipeline.transport.app import BatchApp
from pipeline.transport.group_producer import GroupProducer
from pipeline.transport.metrics import serve_metrics, web_options
from pipeline.transport.outbox import AtLeastOnceOutbox
from pipeline.transport.producer import RecordProducer
from pipeline.transport.recovery import BatchAssignor, BatchTableManager
from pipeline.transport.standby import Standby
from pipeline.transport.transactions import ExactlyOnceOutbox

BUFFERED_BATCHES = 1
"""Events that Faust keeps for an agent: no more come, since the next of a topic is fetched when its agent is free."""


def new_app(settings: Settings) -> BatchApp:
    """A Faust application with the record-batch transport and this project's guarantees, without agents."""
    app = BatchApp(
        settings.app_id,
        broker=[f"kafka://{address.strip()}" for address in settings.bootstrap_servers.split(",")],
        broker_credentials=broker_credentials(settings),
        store="memory://",
        version=1,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication,
        topic_disable_leader=True,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_s,
        broker_commit_interval=max(settings.commit_interval_s, 1.0),
        broker_max_poll_records=settings.max_poll_records,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=BUFFERED_BATCHES,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        agent_supervisor=CrashingSupervisor,
        TableManager=BatchTableManager,
        PartitionAssignor=BatchAssignor,
        **(web_options(settings) if settings.worker_web_port else {"web_enabled": False}),
    )
    app.changelog_reader = partial(_reader, settings)
    return app


def broker_credentials(settings: Settings) -> CredentialsT | None:
    """How Faust's own clients are let in by the brokers; None in plain text."""
    options = security_options(settings)
    context = options.get("ssl_context")
    if "sasl_oauth_token_provider" in options:
        return OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)


def _reader(settings: Settings, isolation_level: str = kafka.READ_COMMITTED) -> AIOKafkaConsumer:
    """A consumer outside any group: the caller assigns, starts and stops it."""
    return AIOKafkaConsumer(**kafka.reader_options(settings, isolation_level))


def create_app(settings: Settings) -> BatchApp:
    """The application as workers run it: agents attached, services and tables in place, nothing started."""
    app = new_app(settings)
    registry = PatientRegistry(settings)
    app.outbox = outbox(settings)
    app.stall_timeout_s = settings.stall_timeout_s
    app.standby = Standby(app) if settings.standby else None
    found = runnable(settings)
    encoders = encoders_of(found.topics)
    app.prepare = partial(_prepare, registry, found.topics, encoders)
    found.compose(settings, app, registry, encoders)
    if settings.worker_web_port:
        serve_metrics(app, app.processors)
    return app


def outbox(settings: Settings) -> AtLeastOnceOutbox:
    """The way out of a worker with the guarantee that is set."""
    options = kafka.producer_options(settings, linger_ms=0)
    make_producer = partial(RecordProducer, **options)
    if settings.processing_guarantee == "at_least_once":
        return AtLeastOnceOutbox(make_producer, settings.partitions)
    make_transactional = partial(
        GroupProducer,
        **options,
        transactional_id=f"{settings.app_id}-worker-{settings.worker_id or uuid4()}",
        transaction_timeout_ms=int(settings.transaction_timeout_s * 1_000),
    )
    return ExactlyOnceOutbox(make_producer, make_transactional, settings.partitions, settings.commit_interval_s)


async def _prepare(registry: Registry, topics: Sequence[Topic], encoders: Mapping[str, ValueEncoder]) -> None:
    """Register and check all schemas, and give the encoders their ids."""
    registered(topics, encoders, await registry.register(topics))
