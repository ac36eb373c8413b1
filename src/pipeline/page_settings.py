"""The settings of the dashboard."""

from pathlib import Path
from zoneinfo import available_timezones

from pydantic import Field, SecretStr, field_validator

from pipeline.security_settings import NO_SECRET, SecuritySettings, user_and_password


class PageSettings(SecuritySettings):
    """What viewers of the dashboard see, and who they are."""

    # dashboard
    dashboard_host: str = Field("127.0.0.1", description="Address that the dashboard listens on.")
    dashboard_port: int = Field(8050, ge=0, le=65535, description="Port of the dashboard; 0: a free one.")
    dashboard_base_path: str = Field(
        "/", pattern=r"^/([A-Za-z0-9._~-]+/)*$", description="Path of the dashboard behind a proxy, like /shop/."
    )
    dashboard_auth: SecretStr = Field(
        NO_SECRET, description="user:password that the dashboard asks for; empty: nobody is asked."
    )
    dashboard_auth_file: Path | None = Field(None, description="File with user:password.")
    dashboard_ssl_certfile: Path | None = Field(
        None, description="Certificate of the dashboard (PEM, with its chain); none: plain HTTP."
    )
    dashboard_ssl_keyfile: Path | None = Field(
        None, description="Key of that certificate; none: it is in the same file."
    )
    dashboard_rate_limit: float = Field(
        200.0, ge=0, description="Requests a second that one client address may make for long; 0: no limit."
    )
    dashboard_trusted_proxies: int = Field(
        0, ge=0, description="How many proxies in front tell the client's address (X-Forwarded-For); 0: none."
    )
    dashboard_topics: bool = Field(
        True, description="Whether the dashboard shows the records of every topic that its Kafka user may read."
    )
    dashboard_currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="Currency of all amounts (ISO 4217).")
    dashboard_timezone: str = Field(
        "UTC", description="Time zone that the page begins with; viewers may choose another."
    )
    health_interval_s: float = Field(10.0, ge=1, description="How often the health page's parts are asked.")
    refresh_s: float = Field(1.0, gt=0, description="How often the dashboard asks Pinot.")
    pinot_timeout_s: float = Field(5.0, gt=0, description="Limit of one Pinot query.")
    stale_after_s: float = Field(30.0, gt=0, description="Without new data for this long the dashboard says stale.")

    @field_validator("dashboard_auth")
    @classmethod
    def _user_and_password(cls, value: SecretStr) -> SecretStr:
        return user_and_password(value)

    @field_validator("dashboard_timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name not in available_timezones() | {"UTC"}:
            raise ValueError("must be a time zone that this machine knows, like Europe/Berlin")
        return name
