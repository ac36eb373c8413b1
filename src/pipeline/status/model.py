"""What `collect` finds, as plain data."""

from dataclasses import dataclass, field

from pipeline.settings import FLASH_SALES


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker; `controller` is true for the active controller."""

    id: int
    host: str
    port: int
    controller: bool


@dataclass(frozen=True, slots=True)
class TopicStatus:
    """One topic: `replicas` and `in_sync` of its weakest partition, `messages` from the first to the last offset kept.

    Messages are offsets: end markers of transactions and what compaction removed count as well.
    """

    partitions: int
    replicas: int
    in_sync: int
    under_replicated: int
    leaderless: int
    messages: int


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """One consumer group: unread records in all, and by topic."""

    lag: int
    topics: dict[str, int]


@dataclass(frozen=True, slots=True)
class SubjectStatus:
    """The latest version of one subject."""

    version: int
    id: int
    compatibility: str


@dataclass(frozen=True, slots=True)
class PinotTable:
    """Rows by COUNT(*), and when Pinot last took data in, in the partition that has waited longest (epoch ms).

    Rows that are retired are not counted. A table that cannot be counted has no rows but a `problem`.
    """

    rows: int | None
    fresh_ms: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """One record that was not counted: where it lies, its time (epoch ms), and why."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Letters:
    """Distinct records that were not counted, and the latest few, newest first."""

    count: int = 0
    latest: tuple[Letter, ...] = ()


@dataclass(frozen=True, slots=True)
class PollerStatus:
    """The poller's position: the largest sale_id sent, ids below it not seen yet, and when written (epoch ms).

    `given_up` counts the ids that are not looked for any more, `given_up_latest` names the latest of them; `early_ms`
    is when some were last given up before their time (epoch ms), 0 for never.
    """

    last_id: int
    missing: int
    at_ms: int
    given_up: int = 0
    given_up_latest: str = ""
    early_ms: int = 0


@dataclass(frozen=True, slots=True)
class CarriedTable:
    """A table of the database: how its rows are found, by which column, and where the poller is with it.

    `written_ms` is when its position was last written (epoch ms), None for never, and for tables that are read whole,
    which have none. `incrementing` is the position by ids, `last_ms` the largest timestamp sent (epoch ms).
    """

    mode: str
    column: str
    written_ms: int | None = None
    incrementing: PollerStatus | None = None
    last_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything; a part that could not be asked is empty and has a sentence in `problems`, {part: sentence}.

    What the `application` has not, Pinot tables or a poller, is empty and no problem.
    """

    brokers: tuple[Broker, ...] = ()
    topics: dict[str, TopicStatus] = field(default_factory=dict)
    groups: dict[str, GroupStatus] = field(default_factory=dict)
    schemas: dict[str, SubjectStatus] = field(default_factory=dict)
    pinot: dict[str, PinotTable] = field(default_factory=dict)
    dead_letters: Letters = field(default_factory=Letters)
    late_records: Letters = field(default_factory=Letters)
    poller: PollerStatus | None = None
    problems: dict[str, str] = field(default_factory=dict)
    application: str = FLASH_SALES
    has_poller: bool = True
    tables: dict[str, CarriedTable] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True when every part answered and none reports a problem."""
        return not self.problems
