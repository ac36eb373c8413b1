"""All settings, frozen; the only module that reads the environment.

A value comes from the first of these that has it: the `PIPELINE_*` environment variable, a `.env` file in the
working folder, `endpoints.json` of a running local stack (written by `pipeline stack up`), the default below.
"""

import json
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from platformdirs import user_cache_path, user_data_path
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from pipeline.errors import SettingError
from pipeline.security_settings import (
    NO_SECRET,
    NO_SECRET_USER,
    TOKEN_COMMAND,
    has_password,
)
from pipeline.shown import without_secrets
from pipeline.source_settings import SourceSettings
from pipeline.timebase import DAY_MS, HOUR_MS, MINUTE_MS

Parameter = TypeVar("Parameter", int, float, str)
ENDPOINTS_FILE = "endpoints.json"
FLASH_SALES = "flash_sales"


class _DataDir(BaseSettings):
    """Only where the data folder is: it is needed before `endpoints.json` can be read."""

    model_config = SettingsConfigDict(env_prefix="PIPELINE_", env_file=".env", extra="ignore")
    data_dir: Path = Field(default_factory=lambda: user_data_path("pipeline"))


class _StackEndpoints(JsonConfigSettingsSource):
    """Addresses of the running local stack, below the environment and above the defaults."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls, json_file=_DataDir().data_dir / ENDPOINTS_FILE)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return super().get_field_value(field, field_name)


class Settings(SourceSettings):
    """Where everything is and how it is to run; see `docs/settings.md` for the same list with examples."""

    model_config = SettingsConfigDict(env_prefix="PIPELINE_", env_file=".env", frozen=True, extra="ignore")

    # folders
    data_dir: Path = Field(
        default_factory=lambda: user_data_path("pipeline"),
        description="State of the local stack: Kafka logs, MariaDB, Pinot segments, registry, logs of every process.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path("pipeline"),
        description="Verified downloads of the local stack; safe to delete.",
    )
    pinot_dir: Path = Field(
        default=Path(__file__).resolve().parents[2] / "pinot",
        description="Folder with queries/ and cluster/ of Pinot; it comes with a checkout, not with a wheel.",
    )

    # addresses; `pipeline stack up` supplies them, your own servers replace them
    bootstrap_servers: str = Field("127.0.0.1:9092", description="Kafka brokers, comma separated host:port.")
    registry_url: str = Field("http://127.0.0.1:8081", description="Schema registry with Confluent's REST API.")
    mysql_url: str = Field(
        f"mysql+aiomysql://{NO_SECRET_USER}@127.0.0.1:3306/shop",
        description="SQLAlchemy URL of MySQL or MariaDB.",
    )
    pinot_controller_url: str = Field("http://127.0.0.1:9000", description="Pinot controller.")
    pinot_broker_url: str = Field("http://127.0.0.1:8099", description="Pinot broker (queries).")
    pinot_kafka_bootstrap: str = Field("", description="Kafka brokers as Pinot sees them; empty: as bootstrap_servers.")
    pinot_registry_url: str = Field("", description="Schema registry as Pinot sees it; empty: as registry_url.")

    # topics
    partitions: int = Field(5, ge=1, description="Partitions of every topic.")
    replication: int = Field(2, ge=1, description="Replicas of every topic.")

    # application
    app: str = Field(
        FLASH_SALES, pattern=r"^[A-Za-z0-9._]+$", description="The application: one of `pipeline apps`, or a module."
    )
    app_dir: Path = Field(
        default_factory=Path.cwd,
        description="Folder that the module of the application is imported from; the working folder unless set.",
    )
    app_id: str = Field(
        "pipeline",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Faust application id = consumer group; of any other application than flash sales: its name.",
    )

    # workers
    worker_id: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Name of a worker, no other running one's: restarted under it, it ends at once what it left open.",
    )
    transaction_timeout_s: float = Field(
        15.0, gt=0, description="The brokers abort a transaction that is open for this long: its worker has died."
    )
    worker_web_port: int = Field(0, ge=0, le=65535, description="Port of the worker's web (/metrics); 0: none.")
    worker_web_host: str = Field("127.0.0.1", description="Address that the worker's web listens on.")
    metrics_bearer_token: SecretStr = Field(
        NO_SECRET, description="Token that /metrics of workers and poller asks for; empty: nobody is asked."
    )
    metrics_bearer_token_file: Path | None = Field(None, description="File with that token.")
    metrics_ssl_certfile: Path | None = Field(
        None, description="Certificate of the web of workers and poller (PEM); none: plain HTTP."
    )
    metrics_ssl_keyfile: Path | None = Field(None, description="Key of that certificate; none: it is in the same file.")
    max_poll_records: int = Field(20_000, ge=1, description="About how many records an agent takes at once, at most.")
    session_timeout_s: float = Field(10.0, gt=0, description="A worker silent for this long loses its partitions.")
    heartbeat_s: float = Field(2.5, gt=0, description="Heartbeat of workers; at most a third of the session timeout.")
    processing_guarantee: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once",
        description="exactly_once: Kafka transactions, fencing; at_least_once: enriched rows may repeat after a crash.",
    )
    commit_interval_s: float = Field(
        0.05, gt=0, description="How often transactions are committed under load (exactly_once)."
    )
    standby: bool = Field(
        False,
        description="Keep a copy of the other workers' state, too: taking over takes less time, and more memory.",
    )
    stall_timeout_s: float = Field(
        60.0, gt=0, description="A worker that has stood still for this long, with records to process, ends itself."
    )
    reference_wait_s: float = Field(
        60.0,
        ge=0,
        description="How long a worker waits for empty reference topics (pages, products, regions).",
    )

    # windows
    tumbling_size_ms: int = Field(HOUR_MS, ge=1, description="Size of the tumbling windows.")
    hopping_size_ms: int = Field(HOUR_MS, ge=1, description="Size of the hopping windows.")
    hopping_advance_ms: int = Field(30 * MINUTE_MS, ge=1, description="Advance of the hopping windows.")
    session_gap_ms: int = Field(15 * MINUTE_MS, ge=1, description="Inactivity gap that ends a session.")
    grace_ms: int | None = Field(
        None, ge=0, description="Grace for late records; none: max(24 h - size, 0), a session's size being its gap."
    )

    join_history_ms: int = Field(
        DAY_MS, ge=0, description="How long a user's former rows are kept for views of their time, behind stream time."
    )
    idle_close_s: float | None = Field(
        None,
        gt=0,
        description="Do not wait for a partition without records for this long to close windows; none: wait.",
    )

    parameters: tuple[tuple[str, int | float | str], ...] = Field(
        (),
        description='What an application takes from the settings by names of its own, such as {"size_ms": 60000}.',
    )

    # local stack: 0 picks a free port and remembers it
    kafka_ports: tuple[int, int, int] = Field((0, 0, 0), description="Ports of the three local brokers.")
    kafka_controller_ports: tuple[int, int, int] = Field((0, 0, 0), description="Ports of the three controllers.")
    registry_port: int = Field(0, ge=0, le=65535, description="Port of the local schema registry.")
    mysql_port: int = Field(0, ge=0, le=65535, description="Port of the local MariaDB.")
    zookeeper_port: int = Field(0, ge=0, le=65535, description="Port of the local ZooKeeper.")
    pinot_controller_port: int = Field(0, ge=0, le=65535, description="Port of the local Pinot controller.")
    pinot_broker_port: int = Field(0, ge=0, le=65535, description="Port of the local Pinot broker.")

    @field_validator("parameters", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        return tuple(value.items()) if isinstance(value, Mapping) else value

    @model_validator(mode="before")
    @classmethod
    def _named_as_the_application(cls, values: Any) -> Any:
        name = values.get("app", FLASH_SALES)
        return values if name == FLASH_SALES else {"app_id": app_id_of(str(name)), **values}

    @model_validator(mode="after")
    def _no_key_without_certificate(self) -> "Settings":
        for name in ("dashboard", "metrics"):
            if getattr(self, f"{name}_ssl_keyfile") and not getattr(self, f"{name}_ssl_certfile"):
                raise ValueError(f"{name}_ssl_keyfile is set, but {name}_ssl_certfile is not: give both, or none")
        return self

    def parameter(self, name: str, default: Parameter) -> Parameter:
        """A value of `parameters`, or else the default; raises SettingError where it is of another type."""
        found = dict(self.parameters).get(name, default)
        if type(found) is not type(default):
            raise SettingError(
                f"setting parameters: {name} is {found!r}, but must be of the type of its default, {default!r}"
            )
        return found

    def replaced(self, **values: Any) -> "Settings":
        """These settings with some others in their place, which are checked like all; raises SettingError."""
        return load(**{name: getattr(self, name) for name in type(self).model_fields} | values)

    def as_environment(self) -> dict[str, str]:
        """These settings as PIPELINE_* variables: a process that gets them has the same settings, but for secrets.

        They may be written down for a supervisor, so `secret_environment` is left out; files of secrets are named.
        """
        values = self.model_dump(mode="json", exclude_none=True, exclude=self._told_nowhere())
        return {
            variable(name): value if isinstance(value, str) else json.dumps(value) for name, value in values.items()
        }

    def secret_environment(self) -> dict[str, str]:
        """What `as_environment` leaves out: for the environment of a process, never for a file or a command line.

        These are secrets, addresses with a password in them, and the command for tokens, which may have one.
        """
        found = {name: getattr(self, name) for name in self._told_nowhere()}
        told = {name: v.get_secret_value() if isinstance(v, SecretStr) else v for name, v in found.items()}
        return {variable(name): value for name, value in told.items() if value}

    def _told_nowhere(self) -> set[str]:
        texts = {name: getattr(self, name) for name in type(self).model_fields}
        urls = {name for name, value in texts.items() if isinstance(value, str) and has_password(value)}
        return {*self.secret_names(), *urls, TOKEN_COMMAND}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            if isinstance(value, str) and has_password(value):
                value = without_secrets(f"***@{value.rpartition('@')[2]}")
            yield name, "***" if name == TOKEN_COMMAND and value else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, _StackEndpoints(settings_cls)


def app_id_of(app: str) -> str:
    """The id of an application where none is set."""
    return str(Settings.model_fields["app_id"].default) if app == FLASH_SALES else app.rpartition(".")[2]


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"PIPELINE_{name.upper()}"


def systemd_socket() -> str:
    """Where systemd, if it started this process, wants to be told that it is well; empty: nowhere."""
    return os.environ.get("NOTIFY_SOCKET", "")


def is_supervised() -> bool:
    """Whether supervisord started this process, as it does in `pipeline demo`: what ends is started again at once."""
    return "SUPERVISOR_ENABLED" in os.environ


def load(**overrides: Any) -> Settings:
    """Read the settings now; raises SettingError with a sentence for each value that is not allowed."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingError("; ".join(map(_sentence, error.errors()))) from None


def _sentence(error: Mapping[str, Any]) -> str:
    """What is wrong with a setting, without the value of one that may be secret."""
    name, why = ".".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, ")
    if not name:
        return f"settings: {why}"
    if name in Settings.secret_names() or name.endswith("_url") or "://" in str(error["input"]):
        return f"setting {name} has a value that it must not have: {why.lower()}"
    return f"setting {name} is {error['input']!r}, but: {error['msg'].lower()}"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read once."""
    return load()


def choose(app: str) -> None:
    """Set the application of this process, and of those that it starts."""
    os.environ[variable("app")] = app
    settings.cache_clear()
