"""The demo: what its generators show besides, and brokers that are away for a while."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError
from click.testing import CliRunner
from rich.console import Console

from pipeline import demo
from pipeline import settings as configuration
from pipeline.applications.loading import runnable
from pipeline.demo import Demo, require_alone
from pipeline.demo_runs import App, Runs, chosen
from pipeline.errors import SettingError, StackError
from pipeline.processes import nobody, programs
from pipeline.settings import Settings
from pipeline.sources import commands

SETTINGS = Settings(data_dir=Path("/nowhere"))


def generator(**how):
    (program,) = (one for one in programs(SETTINGS, 1, 24.0, **how) if one.name == "generator")
    return list(program.command[3:])


def test_only_the_demo_is_lively():
    assert generator() == ["generate", "--history", "24.0"]
    assert generator(lively=True)[:4] == ["generate", "--history", "24.0", "--visits"]


def test_the_generators_take_what_the_demo_gives_them(monkeypatch):
    taken = {}

    async def run_generators(settings, rates, count, seed, history, **how):
        taken.update(how, history=history)
        return []

    monkeypatch.setattr(commands, "run_generators", run_generators)
    ran = CliRunner().invoke(commands.generate, generator(lively=True)[1:])
    assert ran.exit_code == 0, ran.output
    assert taken["visits"] is True
    assert taken["history"] == 24.0
    assert taken["imperfect"].sale_ms(10**12) is not None
    assert sum(taken["imperfect"].sale_ms(10**12) != 10**12 for _ in range(1_000)) == pytest.approx(20, abs=15)


@pytest.fixture
def clicks(monkeypatch):
    """The folder that the application clicks lies in is the working one's."""
    monkeypatch.setenv("PIPELINE_APP_DIR", str(Path(__file__).parents[1] / "integration"))
    monkeypatch.setenv("PIPELINE_APP", "flash_sales")
    configuration.settings.cache_clear()
    yield
    configuration.settings.cache_clear()


def stack_of(settings):
    return SimpleNamespace(settings=settings, status=list, identity=nobody, passwords=None)


@pytest.mark.parametrize("error", [StackError("no Kafka broker answers"), KafkaConnectionError(), OSError("refused")])
async def test_brokers_that_are_away_do_not_end_the_demo(monkeypatch, error):
    counts, asked = [error, 5, error, 9], []

    async def end_offsets(settings, names):
        asked.append(names)
        found = counts.pop(0) if len(counts) > 1 else counts[0]
        if isinstance(found, Exception):
            raise found
        return {"PageView": found}

    monkeypatch.setattr(demo, "end_offsets", end_offsets)
    monkeypatch.setattr(demo, "TICK_S", 0.01)
    monkeypatch.setattr(demo, "LOOK_S", 0.01)
    stack = stack_of(SETTINGS)
    shown = Demo(stack, Console(quiet=True), Runs([App(SETTINGS, runnable(SETTINGS))], 1))
    following = asyncio.create_task(asyncio.sleep(60))
    await shown._watch(0.5, SimpleNamespace(update=lambda view: None), following)
    following.cancel()
    assert len(asked) > 4
    assert "PageView" in asked[0]


def names_of(settings, workers=1, **how):
    return [program.name for program in programs(settings, workers, **how)]


def test_an_application_has_only_the_processes_that_it_needs(clicks):
    assert names_of(SETTINGS) == ["poller", "worker-1", "generator", "dashboard"]
    (only,) = chosen(configuration.settings(), "clicks")
    assert names_of(only.settings, 2) == ["worker-1", "worker-2", "generator"]
    (generator,) = programs(only.settings, 0, 24.0, lively=True, factor=2.0)
    assert list(generator.command[3:]) == ["generate", "--rate", "2.0", "--history", "24.0"]
    assert only.found.hooks.unused == ("mysql", "pinot")


def test_several_applications_have_names_ids_and_ports_of_their_own(clicks):
    base = configuration.settings().replaced(worker_web_port=6000)
    apps = chosen(base, "clicks, flash_sales")
    runs = Runs(apps, 2, rate=5.0).on(stack_of(base))
    found = {program.name: program.env for run in runs for program in run.programs}
    workers = ["clicks-worker-1", "clicks-worker-2", "pipeline-worker-1", "pipeline-worker-2"]
    others = ["clicks-generator", "dashboard", "pipeline-generator", "pipeline-poller"]
    assert sorted(found) == sorted([*workers, *others])
    assert [found[name]["PIPELINE_WORKER_WEB_PORT"] for name in workers] == ["6000", "6001", "6002", "6003"]
    assert {found[name]["PIPELINE_WORKER_ID"] for name in workers} == set(workers)
    shared = found.pop("dashboard")
    assert shared["PIPELINE_DASHBOARD_BASE_PATH"] == "/"
    (server,) = (program for run in runs for program in run.programs if program.name == "dashboard")
    assert list(server.command[3:]) == ["dashboard", "--app", "clicks,flash_sales"]
    for name, env in found.items():
        app = ("clicks", "clicks") if name.startswith("clicks") else ("flash_sales", "pipeline")
        assert (env["PIPELINE_APP"], env["PIPELINE_APP_ID"]) == app
    assert found["pipeline-generator"]["PIPELINE_PAGEVIEW_RATE"] == "5.0"
    assert [[topic.name for topic in run.shown] for run in runs] == [["CLICKS_PER_MINUTE"], []]
    assert [run.page and run.page.dashboard_base_path for run in runs] == [None, "/flash_sales/"]
    assert [run.pollers for run in runs] == [[], ["pipeline-poller"]]


@pytest.mark.parametrize("names", ["clicks,clicks", "clicks,", ","])
def test_names_of_applications_are_different_ones(clicks, names):
    with pytest.raises(SettingError, match="must be names of different applications"):
        chosen(configuration.settings(), names)


def test_an_application_that_does_not_exist_is_told(clicks):
    with pytest.raises(SettingError, match="there is no such module"):
        chosen(configuration.settings(), "clicks,nosuch")


async def test_the_end_stops_sources_and_verifies_each(clicks, monkeypatch):
    stopped, verified, looked = [], [], []

    async def end_offsets(settings, names):
        return {"clicks": 7} if "clicks" in names else {}

    async def group_lag(settings, name):
        looked.append(name)
        return {} if len(looked) < 5 else {topic.name: {0: 0} for topic in runnable(settings).kept}

    async def verify(settings, timeout_s):
        verified.append(settings.app)
        return SimpleNamespace(ok=settings.app == "clicks") if settings.app != "clicks" else "there is no oracle"

    monkeypatch.setattr(demo, "end_offsets", end_offsets)
    monkeypatch.setattr(demo, "group_lag", group_lag)
    monkeypatch.setattr(demo, "LOOK_S", 0.0)
    monkeypatch.setattr(demo, "DRAIN_S", 0.0)
    monkeypatch.setattr("pipeline.verifying.verified", verify)
    monkeypatch.setattr("pipeline.verify.command.show", lambda report, console: None)
    stack = stack_of(configuration.settings())
    stack.stop = lambda *names: stopped.extend(names)
    console = Console(width=100)
    shown = Demo(stack, console, Runs(chosen(configuration.settings(), "flash_sales,clicks"), 1))
    shown._outputs.rows["CLICKS_PER_MINUTE"].count = 1
    with console.capture() as told:
        assert await shown._ended() is False  # flash sales differ
    assert stopped == ["pipeline-generator", "clicks-generator", "pipeline-poller"]
    assert verified == ["flash_sales", "clicks"]
    assert looked.count("clicks") > 1  # a worker that has no position yet has not caught up
    assert "not verified: there is no oracle" in told.get()
    assert "7 source records processed" in told.get()


def test_a_second_demo_with_the_same_data_is_refused(tmp_path):
    first = require_alone(tmp_path / "data")
    with pytest.raises(StackError, match=f"a demo runs already with its data in {tmp_path}/data"):
        require_alone(tmp_path / "data")
    require_alone(tmp_path / "other").close()
    first.close()
    require_alone(tmp_path / "data").close()
