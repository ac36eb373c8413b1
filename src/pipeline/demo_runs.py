"""Which applications a demo runs, and the processes of each: names, ids and ports of their own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.applications.loading import Runnable, runnable, several
from pipeline.processes import DASHBOARD, GENERATOR, POLLER, dashboard, programs
from pipeline.settings import Settings
from pipeline.stack.cluster import Program, Stack
from pipeline.topics import Topic

CODED_HISTORY_H = 24.0
"""Hours of the past that generators which are code begin with, unless it is said: a day to compare with."""


@dataclass(frozen=True, slots=True)
class App:
    """An application that a demo runs; `prefix` begins the names of its processes."""

    settings: Settings
    found: Runnable
    prefix: str = ""


def chosen(settings: Settings, names: str | None) -> list[App]:
    """The applications of `--app NAME[,NAME...]`, or the one that is set; of several each has its own group's id.

    Raises SettingError when one does not exist, comes twice, or two of them have one id.
    """
    made = several(settings, names)
    if len(made) == 1:
        return [App(made[0], runnable(made[0]))]
    return [App(one, runnable(one), f"{one.app_id}-") for one in made]


@dataclass(frozen=True, slots=True)
class Run:
    """The processes of an application on a stack; `page` are the settings of who looks at its page, if it has one.

    One process serves the pages of several applications; it is among the programs of the first that has one.
    """

    settings: Settings
    found: Runnable
    programs: Sequence[Program]
    page: Settings | None
    generators: Sequence[str]
    pollers: Sequence[str]

    @property
    def shown(self) -> tuple[Topic, ...]:
        """The topics whose rows are shown: outputs, where there is no page for them."""
        return () if self.page is not None else self.found.application.outputs


@dataclass(frozen=True, slots=True)
class Runs:
    """Applications and how they are to run; `rate` and `history` as `pipeline demo` has them."""

    apps: Sequence[App]
    workers: int
    rate: float | None = None
    history: float | None = None

    def on(self, stack: Stack) -> list[Run]:
        """Their processes on a stack that runs."""
        runs = [self._run(stack, app, place) for place, app in enumerate(self.apps)]
        first = next((place for place, run in enumerate(runs) if run.page is not None), None)
        if len(runs) > 1 and first is not None:
            names = [app.settings.app for app in self.apps]
            server = dashboard(stack.settings, names, stack.identity)
            runs[first] = replace(runs[first], programs=[*runs[first].programs, server])
        return runs

    def _run(self, stack: Stack, app: App, place: int) -> Run:
        settings = stack.settings.replaced(app=app.settings.app, app_id=app.settings.app_id)
        if settings.worker_web_port:
            settings = settings.replaced(worker_web_port=settings.worker_web_port + place * self.workers)
        if self.rate is not None and app.found.hooks.generators:
            rates = {"pageview_rate": self.rate, "sale_rate": self.rate, "user_rate": self.rate / 3}
            settings = settings.replaced(**rates)
        made = programs(
            settings,
            self.workers,
            self._history(app),
            lively=True,
            identity=stack.identity,
            factor=self.rate,
            prefix=app.prefix,
            page=len(self.apps) == 1,
        )
        looked_at = settings.replaced(**stack.identity(DASHBOARD)) if app.found.hooks.page else None
        if looked_at is not None and len(self.apps) > 1:
            looked_at = looked_at.replaced(dashboard_base_path=f"{settings.dashboard_base_path}{settings.app}/")
        names = {program.name for program in made}
        return Run(
            settings,
            app.found,
            made,
            looked_at,
            [name for name in (f"{app.prefix}{GENERATOR}",) if name in names],
            [name for name in (f"{app.prefix}{POLLER}",) if name in names],
        )

    def _history(self, app: App) -> float:
        if self.history is not None:
            return self.history
        return CODED_HISTORY_H if app.found.hooks.generators else 0.0
