"""The settings of what fills the sources: generators and the poller."""

from pydantic import Field

from pipeline.api_settings import ApiSettings


class SourceSettings(ApiSettings):
    """How fast example data are made, and how the poller reads tables of a database."""

    # sources
    pageview_rate: float = Field(1.0, ge=0, description="Page views a second; 0: as fast as possible.")
    user_rate: float = Field(1 / 3, ge=0, description="User updates a second; 0: as fast as possible.")
    sale_rate: float = Field(1.0, ge=0, description="Flash sales written to MySQL a second; 0: as fast as possible.")
    seed: int = Field(1, description="Seed of the generators and the flash-sale writer.")
    poll_interval_s: float = Field(1.0, gt=0, description="How often the poller reads what is new.")
    bulk_interval_s: float = Field(60.0, gt=0, description="How often the poller reads tables that are read whole.")
    poll_gap_wait_s: float = Field(
        86_400.0,
        ge=0,
        description="How long ids that have not been seen are looked for, since their transaction may commit late.",
    )
    poll_gaps: int = Field(
        1_000, ge=0, description="Ranges of unseen ids that are looked for at most; the oldest are given up before."
    )
    poll_overlap_s: float = Field(10.0, ge=0, description="Rows this long before the largest timestamp are read again.")
    poller_web_port: int = Field(0, ge=0, le=65535, description="Port of the poller's web (/metrics); 0: none.")
    poller_web_host: str = Field("127.0.0.1", description="Address that the poller's web listens on.")
