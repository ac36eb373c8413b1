"""The table of rights: it names every table of the workers, and nothing twice."""

from pipeline.access import PROCESSES, rights
from pipeline.app import create_app
from pipeline.applications.loading import runnable
from pipeline.kafka_access import Operation, Resource
from pipeline.settings import load
from pipeline.sources.grants import grants
from pipeline.topics import ALL


def test_the_workers_tables_are_those_of_the_application() -> None:
    app = create_app(load())
    own = {table.changelog_topic.get_topic_name() for table in app.tables.values() if not table.is_global}
    assert own == set(runnable(load()).changelogs(app.conf.id))


def test_every_process_has_rights_and_none_twice() -> None:
    table = rights(load(app_id="shop"))
    assert tuple(table) == PROCESSES
    assert set(grants(runnable(load()))) <= set(PROCESSES)
    for process, given in table.items():
        assert len(set(given)) == len(given), process


def test_only_the_owner_may_do_everything() -> None:
    table = rights(load())
    assert not any(right.operation is Operation.ALL for given in table.values() for right in given)
    deleted = {
        (who, right.name) for who, given in table.items() for right in given if right.operation is Operation.DELETE
    }
    assert deleted == {("worker", "pipeline-pageview-by-userid")}, "what a worker makes for itself, and empties"
    cluster = {process for process, given in table.items() for right in given if right.resource is Resource.CLUSTER}
    assert cluster == {"dashboard"}


def test_rights_follow_the_application_id() -> None:
    names = {right.name for given in rights(load(app_id="shop")).values() for right in given}
    others = {name for name in names if not name.startswith("shop")} - {topic.name for topic in ALL}
    assert others == {"kafka-cluster"}
