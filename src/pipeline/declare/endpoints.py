"""What an application answers over HTTP beside its tables: `Application(endpoints=[...])`."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.errors import SettingError

PATH = re.compile(r"(/[a-z0-9][a-z0-9._-]*)+")
OWN = ("/tables", "/healthz", "/openapi.json")
"""Paths that every application has."""
OWN_PARAMETERS = ("stale_ms",)
SIMPLE = (str, int, float, bool)
TAKEN = (*SIMPLE, *(kind | None for kind in SIMPLE))
"""How parameters may be annotated."""


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
        where = f"Endpoint {self.path}"
        if not callable(self.answer):
            raise SettingError(f"{where}: {self.answer!r} answers it, but must be a function")
        if inspect.iscoroutinefunction(self.answer):
            raise SettingError(f"{where}: its function is async, but must not wait for anything: it only reads")
        if not inspect.signature(self.answer).parameters:
            raise SettingError(f"{where}: its function takes nothing, but must take what it asks: def answer(ask)")
        for parameter in self.parameters:
            says = f"{where}: parameter {parameter.name}"
            if parameter.name in OWN_PARAMETERS:
                raise SettingError(f"{says} is one that every endpoint has: call it otherwise")
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise SettingError(f"{says} is of any number, but must be one of the request's")
            if parameter.annotation not in TAKEN:
                raise SettingError(f"{says} must be annotated with str, int, float or bool, or one of these | None")

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """The parameters of the request."""
        return list(inspect.signature(self.answer, eval_str=True).parameters.values())[1:]


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
