"""Applications by their names: those that come with the project, and anybody's in a folder or a package."""

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import settings as configuration
from pipeline.applications.hooks import EVERYTHING, NOTHING, Hooks
from pipeline.declare.application import Application
from pipeline.errors import SettingError
from pipeline.formats import ValueEncoder
from pipeline.plan.kept import kept
from pipeline.plan.plan import Plan
from pipeline.settings import FLASH_SALES, Settings
from pipeline.topics import Topic

if TYPE_CHECKING:
    from pipeline.agents.processor import Schemas
    from pipeline.transport.app import BatchApp

Compose = Callable[[Settings, "BatchApp", "Schemas", Mapping[str, ValueEncoder]], None]
OWN = "pipeline.applications"
HOOKS = {FLASH_SALES: EVERYTHING}


@dataclass(frozen=True, slots=True)
class Runnable:
    """What a worker needs of an application: every topic, those that are read partition by partition, its agents.

    `joined` are groups of topics in which equal keys must lie in partitions of equal numbers. `sources` are topics that
    others write and its group reads; `states` are the tables of its workers; `hooks` are what it has besides.
    """

    name: str
    topics: tuple[Topic, ...]
    kept: tuple[Topic, ...]
    joined: tuple[tuple[Topic, ...], ...]
    compose: Compose
    application: Application
    plan: Plan
    sources: tuple[Topic, ...]
    states: tuple[str, ...]
    hooks: Hooks = NOTHING

    @property
    def has_data(self) -> bool:
        """Whether there are example data that `pipeline generate` makes."""
        return self.hooks.generators or bool(self.application.data)

    def changelogs(self, app_id: str) -> tuple[str, ...]:
        """The topics of the workers' state, which they make themselves."""
        return tuple(changelog(app_id, name) for name in self.states)


def changelog(app_id: str, table: str) -> str:
    """The topic of a table of the workers' state, as Faust names it."""
    return f"{app_id}-{table}-changelog"


def runnable(settings: Settings) -> Runnable:
    """The application that is set; raises SettingError when there is none, or it cannot work."""
    return declared(load(settings.app, settings.app_dir, settings), HOOKS.get(settings.app, NOTHING))


def require_page(settings: Settings) -> Application:
    """The application that is set; raises SettingError where it has no page."""
    found = runnable(settings).application
    if found.page is None:
        raise SettingError(
            f"application {settings.app} has no page, but `pipeline dashboard` serves the page of one that has: "
            f"Application(page=Page(...)); `pipeline demo --app {settings.app}` shows rows as they come"
        )
    return found


def several(settings: Settings, names: str | None) -> list[Settings]:
    """The settings of each application of `--app NAME[,NAME...]`, or of the one that is set.

    One is set for this process and those that it starts; of several each has its own group's id. Raises SettingError
    when one comes twice, or two of them have one id.
    """
    wanted = [settings.app] if names is None else [name.strip() for name in names.split(",")]
    if "" in wanted or len(set(wanted)) < len(wanted):
        raise SettingError(f"--app is {names!r}, but must be names of different applications, comma separated")
    if len(wanted) == 1:
        configuration.choose(wanted[0])
        return [configuration.settings()]
    made = [settings.replaced(app=name, app_id=configuration.app_id_of(name)) for name in wanted]
    if len({one.app_id for one in made}) < len(made):
        raise SettingError(f"--app is {names!r}, but two of these have one id: run them one after the other")
    return made


def declared(application: Application, hooks: Hooks = NOTHING) -> Runnable:
    """What runs of an application that is declared."""
    plan = Plan(application)

    def compose(settings: Settings, app: "BatchApp", registry: "Schemas", encoders: Mapping[str, ValueEncoder]) -> None:
        from pipeline.composition import Composition

        Composition(plan, settings, app, registry, encoders).compose()

    read = (*(root.topic for root in plan.roots.values()), *(table.topic for table in plan.as_of_tables))
    partials = tuple(plan.partials(state) for _, _, state, _ in plan.folds())
    asked = tuple(made(step) for _, step in plan.foreign_joins() for made in (plan.subscriptions, plan.answers))
    return Runnable(
        application.name,
        plan.topics(),
        (*read, *partials, *asked),
        plan.joined(),
        compose,
        application,
        plan,
        sources=plan.followed,
        states=tuple(kept(plan)),
        hooks=replace(
            hooks,
            database=bool(application.database),
            pinot=bool(application.in_pinot),
            page=application.page is not None,
        ),
    )


def names(folder: Path) -> tuple[str, ...]:
    """The applications that come with the project, and those in a folder, by their names."""
    own = [path.name for path in Path(__file__).parent.iterdir() if (path / "__init__.py").exists()]
    files = (*folder.glob("*.py"), *folder.glob("*/__init__.py"))
    here = [_name(path) for path in files if "APPLICATION =" in _text(path)]
    return tuple(sorted({*own, *here}))


def _name(path: Path) -> str:
    return path.parent.name if path.name == "__init__.py" else path.stem


def _text(path: Path) -> str:
    return path.read_text("utf-8", errors="replace")


def load(name: str, folder: Path, settings: Settings | None = None) -> Application:
    """The APPLICATION of a module, one of the project's own or any that can be imported from a folder.

    It may be a function of the settings that gives one. Without `settings`, they are those of the environment.
    Raises SettingError, in a sentence, when there is none or it cannot be built.
    """
    with _importable(name, folder):
        module = _module(name, folder)
        found = getattr(import_module(module), "APPLICATION", None)
        if callable(found):
            found = found(configuration.load() if settings is None else settings)
    if not isinstance(found, Application):
        raise SettingError(
            f"application {name}: module {module} has no APPLICATION, but must have one: Application(...)"
        )
    return found


def described(name: str, folder: Path) -> str:
    """What an application is, in a line: the first of its module's text, "" where it has none."""
    with _importable(name, folder):
        text = import_module(_module(name, folder)).__doc__
    return (text or "").strip().partition("\n")[0]


def source_file(name: str, folder: Path) -> Path:
    """The file of an application's module, `__init__.py` of a package; raises SettingError when there is none."""
    with _importable(name, folder):
        spec = find_spec(_module(name, folder))
    if spec is None or spec.origin is None:
        raise SettingError(f"application {name}: its module has no file, but must have one")
    return Path(spec.origin)


def beside(module: Path, name: str) -> Path:
    """What belongs to an application: `name` in its folder, or `clicks.name` beside a single module `clicks.py`."""
    return module.with_name(name) if module.name == "__init__.py" else module.with_suffix(f".{name}")


@contextmanager
def _importable(name: str, folder: Path) -> Iterator[None]:
    """Let modules of the folder be imported; what goes wrong meanwhile is a SettingError that names the application."""
    sys.path.insert(0, str(folder))
    try:
        yield
    except SettingError as error:
        raise SettingError(f"application {name}: {error}") from None
    except Exception as error:
        place = _place(error)
        raise SettingError(f"application {name} cannot be loaded: {type(error).__name__}: {error}{place}") from None
    finally:
        sys.path.remove(str(folder))


def _module(name: str, folder: Path) -> str:
    for module in (f"{OWN}.{name}", name):
        try:
            if find_spec(module) is not None:
                return module
        except (ModuleNotFoundError, ValueError):
            continue
    raise SettingError(
        f"there is no such module in {folder} or among the installed packages; those that are known are "
        f"{', '.join(names(folder))}"
    )


def _place(error: BaseException) -> str:
    """Where in the application's own files an error comes from."""
    if isinstance(error, SyntaxError):
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    return f" ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else ""
