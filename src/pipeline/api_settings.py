"""The settings of the HTTP API over what workers keep."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from pipeline.page_settings import PageSettings
from pipeline.security_settings import NO_SECRET, user_and_password


class ApiSettings(PageSettings):
    """Where `pipeline api` listens, whom it answers, and how fresh its answers are."""

    # api
    api_host: str = Field("127.0.0.1", description="Address that `pipeline api` listens on.")
    api_port: int = Field(8060, ge=0, le=65535, description="Port of `pipeline api`; 0: a free one.")
    api_auth: SecretStr = Field(
        NO_SECRET, description="user:password that `pipeline api` asks for; empty: nobody is asked."
    )
    api_auth_file: Path | None = Field(None, description="File with user:password.")
    api_ssl_certfile: Path | None = Field(
        None, description="Certificate of `pipeline api` (PEM, with its chain); none: plain HTTP."
    )
    api_ssl_keyfile: Path | None = Field(None, description="Key of that certificate; none: it is in the same file.")
    api_rate_limit: float = Field(
        2_000.0, ge=0, description="Requests a second that one client address may make for long; 0: no limit."
    )
    api_stale_ms: int = Field(
        0,
        ge=0,
        description="What was committed in the last so many ms an answer may lack; 0: it lacks nothing. A request may "
        "say otherwise.",
    )
    api_timeout_s: float = Field(5.0, gt=0, description="How long a request waits for state that is fresh enough.")
    api_followers: int = Field(1_000, ge=1, description="Followers of changes at a time.")
    api_kept_changes: int = Field(
        100_000, ge=1, description="Changes of each table that are kept for followers that are behind."
    )

    @field_validator("api_auth")
    @classmethod
    def _api_user_and_password(cls, value: SecretStr) -> SecretStr:
        return user_and_password(value)
