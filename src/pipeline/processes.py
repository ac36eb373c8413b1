"""The processes of an application, as a supervisor runs them: what it has not got is not among them."""

import sys
from collections.abc import Callable, Mapping, Sequence

from pipeline.applications.loading import runnable
from pipeline.settings import Settings
from pipeline.stack.cluster import Program, Stage

LATE, BAD = 0.02, 0.0002
"""Shares of lively events that come late and that cannot be used: a few an hour, to show what becomes of them."""
POLLER, WORKER, GENERATOR, DASHBOARD = "poller", "worker", "generator", "dashboard"


def nobody(process: str) -> Mapping[str, str]:
    """The identity of every process where nobody is asked."""
    return {}


def programs(
    settings: Settings,
    workers: int,
    history: float = 0.0,
    *,
    lively: bool = False,
    identity: Callable[[str], Mapping[str, str]] = nobody,
    factor: float | None = None,
    prefix: str = "",
    page: bool = True,
) -> list[Program]:
    """Workers, and where the application has them a poller, generators and a dashboard.

    `identity` gives a kind of process its own settings, those of its user. `prefix` begins the names of all, where
    several applications have one supervisor; `page` False: their pages have one process, `dashboard`. Each worker has a
    web port of its own, from `worker_web_port` on, if that is set.

    Generators begin with `history` hours of the past where there are no events yet; `lively` ones that are code show
    every feature: users who pause, sales that come late, a few bad records. `factor` multiplies the rates of generators
    that are declared. Raises SettingError when there is no such application.
    """
    found = runnable(settings)
    if found.hooks.generators:
        lively_too = ("--visits", "--late", str(LATE), "--bad", str(BAD)) if lively else ()
        generate: tuple[str, ...] = ("--history", str(history), *lively_too)
    else:
        past = ("--history", str(history)) if history else ()
        generate = (*(() if factor is None else ("--rate", str(factor))), *past)

    def program(kind: str, *arguments: str, number: int = 0, stop_wait_s: int = 8) -> Program:
        name = f"{prefix}{kind}-{number}" if number else f"{prefix}{kind}"
        ports = (
            {"worker_web_port": settings.worker_web_port + number - 1} if number and settings.worker_web_port else {}
        )
        env = settings.replaced(**identity(kind), **ports).as_environment()
        command = (sys.executable, "-m", "pipeline", *arguments)
        return Program(name, command, env | {"PIPELINE_WORKER_ID": name}, stage=Stage.APP, stop_wait_s=stop_wait_s)

    return [
        *([program(POLLER, "poll")] if found.hooks.database else []),
        *(program(WORKER, "worker", number=number) for number in range(1, workers + 1)),
        *([program(GENERATOR, "generate", *generate)] if found.has_data else []),
        *([program(DASHBOARD, "dashboard", stop_wait_s=5)] if page and found.hooks.page else []),
    ]


def dashboard(
    settings: Settings, names: Sequence[str], identity: Callable[[str], Mapping[str, str]] = nobody
) -> Program:
    """The process that serves the pages of several applications, and their index."""
    command = (sys.executable, "-m", "pipeline", "dashboard", "--app", ",".join(names))
    env = settings.replaced(**identity(DASHBOARD)).as_environment()
    return Program(DASHBOARD, command, env | {"PIPELINE_WORKER_ID": DASHBOARD}, stage=Stage.APP, stop_wait_s=5)
