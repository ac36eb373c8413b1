"""The state of everything, as plain data: `pipeline status` prints it, the dashboard's health page shows it."""

from pipeline.status.collector import collect
from pipeline.status.model import (
    Broker,
    CarriedTable,
    GroupStatus,
    Letter,
    Letters,
    PinotTable,
    PollerStatus,
    Status,
    SubjectStatus,
    TopicStatus,
)

__all__ = [
    "Broker",
    "CarriedTable",
    "GroupStatus",
    "Letter",
    "Letters",
    "PinotTable",
    "PollerStatus",
    "Status",
    "SubjectStatus",
    "TopicStatus",
    "collect",
]
