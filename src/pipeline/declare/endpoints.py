"""What an application answers over HTTP beside its tables: `Application(endpoints=[...])`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.errors import SettingError

PATH = re.compile(r"(/[a-z0-9][a-z0-9._-]*)+")
OWN = ("/tables", "/healthz", "/openapi.json")
"""Paths that every application has."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`GET path`, answered by `answer(ask, **parameters)` from what workers keep.

    `ask` gives the rows of what is materialized or written (see docs/applications.md); the function's other parameters
    are those of the request, by their annotations: str, int, float or bool, with a default where they may be left out.
    Its first line of documentation is shown in the API's description. It must not wait for anything: it is called once
    the state is fresh. What it returns becomes JSON. A ValueError is told as 400, with its sentence.
    """

    path: str
    answer: Callable[..., Any]

    def __post_init__(self) -> None:
        check_path("Endpoint", self.path)


@dataclass(frozen=True, slots=True)
class SqlEndpoint:
    """`GET path`, answered by Pinot: the rows of a query, as {"rows": [...]}.

    `says` is what the API's description says of it; `one` gives the first row itself.
    """

    path: str
    sql: str
    says: str = ""
    one: bool = False

    def __post_init__(self) -> None:
        check_path("SqlEndpoint", self.path)


def check_path(where: str, path: str) -> None:
    """Raise SettingError unless a path can be an application's."""
    if PATH.fullmatch(path) is None:
        raise SettingError(
            f"{where}: path is {path!r}, but must be like /orders/overview: small letters, digits, . _ -"
        )
    if any(path == own or path.startswith(own + "/") for own in OWN):
        raise SettingError(f"{where}: path is {path!r}, but {', '.join(OWN)} and what is below are the API's own")
