"""What is verified of an application: the topics its oracle reads, in which order workers process them, its outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import NoOracleError, VerifyError
from pipeline.tables.windows import Window
from pipeline.topics import Topic


@dataclass(frozen=True, slots=True)
class Source:
    """A topic that the oracle reads. `is_table`: its rows are those of a table.

    `is_own`: the application writes it. `is_followed`: every worker holds it whole, and its group reads nothing of it.
    """

    topic: Topic
    is_table: bool = False
    is_own: bool = False
    is_followed: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """An output that is compared. `keys` are the columns that tell its rows apart, a stream's by where they come from;
    none: each row counts.

    Of rows of one key the last counts, or, where it `keeps_first`, the first. `made_of` are names of the sources that
    what is expected of it is computed from; of a stream that has keys, these are the partition and the offset of a
    record of one of them. `rising` columns lie between those at both cuts while sources move; None: all do.
    `is_session`: windows may be joined then, within `gap_ms`.
    """

    topic: Topic
    made_of: frozenset[str]
    keys: tuple[str, ...] = ()
    keeps_first: bool = False
    is_windowed: bool = False
    is_session: bool = False
    gap_ms: int = 0
    of_all: bool = False
    rising: frozenset[str] | None = frozenset()
    in_pinot: bool = False

    @property
    def is_accumulated(self) -> bool:
        """Whether its rows hold all that has ever come: what retention has removed is missing in each."""
        return bool(self.keys) and not self.is_windowed and not self.keeps_first


@dataclass(frozen=True, slots=True)
class Subject:
    """An application as it is verified. `stages` are its topics in the order in which records pass through them.

    `windows` are those of its outputs that have one, by the names of their topics.
    """

    name: str
    oracle: Path
    sources: tuple[Source, ...]
    stages: tuple[tuple[Topic, ...], ...]
    outputs: tuple[Checked, ...]
    windows: Mapping[str, Window] = field(default_factory=dict)

    def script(self) -> str:
        """Its oracle; raises VerifyError when there is none."""
        try:
            return self.oracle.read_text("utf-8")
        except FileNotFoundError:
            raise NoOracleError(
                f"application {self.name} has no oracle, but must have one to be verified: {self.oracle} with "
                'CREATE TABLE expected."TOPIC" AS SELECT ... for each of its outputs '
                f"({', '.join(output.topic.name for output in self.outputs)})"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise VerifyError(f"application {self.name}: its oracle {self.oracle} cannot be read: {error}") from None
