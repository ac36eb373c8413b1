"""What an application has besides its declarations: parts that are code, which so far only flash sales has."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hooks:
    """Which processes and servers an application has beyond workers, brokers and a registry.

    `database`: tables in MySQL, which a poller carries; `pinot`: tables in Pinot; `page`: a page of the dashboard; all
    three follow from the declarations. `generators`: example data that are made by code, and not by declarations.
    """

    database: bool = False
    pinot: bool = False
    page: bool = False
    generators: bool = False

    @property
    def unused(self) -> tuple[str, ...]:
        """The parts of a local stack that it does not need."""
        return (*(() if self.database else ("mysql",)), *(() if self.pinot else ("pinot",)))


NOTHING = Hooks()
EVERYTHING = Hooks(database=True, pinot=True, page=True, generators=True)
