"""What is there for applications that are declared, besides running them: rights, status, and what they have not."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from pipeline import provision as provisioning
from pipeline.access import rights
from pipeline.app import create_app
from pipeline.applications.loading import runnable
from pipeline.cli import main
from pipeline.kafka_access import Operation, Resource
from pipeline.provision import Access, provision
from pipeline.settings import Settings, load
from pipeline.status import (
    CarriedTable,
    Letters,
    PinotTable,
    PollerStatus,
    Status,
    SubjectStatus,
    TopicStatus,
    collect,
    parts,
)
from pipeline.status.view import as_json, show
from pipeline.topics import DEAD_LETTERS, LATE_RECORDS

INTEGRATION = Path(__file__).parents[1] / "integration"
SHOP = """
from pipeline import INNER, Application, Count, Rows, Stream, Table, c, hours

ORDERS = Stream("orders", {"id": "STRING", "user": "STRING"}, key="id")
PAID = Stream("paid", {"id": "STRING", "cents": "BIGINT"}, key="id")
USERS = Table("users", {"user": "STRING", "country": "STRING"}, key="user")
RATES = Table("rates", {"country": "STRING", "rate": "DOUBLE"}, key="country", everywhere=True)
SCORES = Table("scores", {"user": "STRING", "score": "INT"}, key="user")

BOTH = ORDERS.join("payment", PAID, within=hours(1), kind=INNER).select(c.id, cents=c.payment.cents).to("BOTH")
COUNTS = (
    ORDERS.repartition("orders-by-user", key=c.user).join("who", USERS).join("rate", RATES, on=c.who.country)
    .group_by(country=c.who.country).aggregate(orders=Count()).to("COUNTS")
)
KNOWN = SCORES.join("known", Table("names", {"user": "STRING", "name": "STRING"}, key="user")).select(
    c.user, c.score, name=c.known.name
).to("KNOWN")
BILLS = Table("bills", {"bill": "STRING", "by": "STRING"}, key="bill").join(
    "payer", Table("payers", {"payer": "STRING", "name": "STRING"}, key="payer"), on=c["by"], kind=INNER
).select(c.bill, name=c.payer.name).to("BILLS")
APPLICATION = Application("shop", BOTH, COUNTS, KNOWN, BILLS, data=[Rows(RATES, [{"country": "A", "rate": 1.5}])])
"""


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    """An application with every kind of state, which nothing but declarations makes."""
    (tmp_path / "operated_shop.py").write_text(SHOP)
    return load(app="operated_shop", app_dir=tmp_path, app_id="shop")


def test_states_are_the_tables_that_are_composed(shop):
    app = create_app(shop)
    own = {table.changelog_topic.get_topic_name() for table in app.tables.values() if not table.is_global}
    assert own == set(runnable(shop).changelogs("shop"))
    assert "shop-KNOWN_shown-changelog" not in own  # which is kept only where rows may cease to qualify
    assert {"shop-COUNTS_totals-changelog", "shop-payment_join-changelog", "shop-users_versions-changelog"} <= own


def test_sources_are_what_the_group_reads_and_others_write(shop):
    assert [topic.name for topic in runnable(shop).sources] == [
        "orders",
        "scores",
        "bills",
        "paid",
        "names",
        "payers",
        "users",
    ]


def test_rights_follow_from_the_plan(shop):
    table = rights(shop)
    assert tuple(table) == ("provision", "worker", "generator", "dashboard", "verify")

    def may(process, operation):
        wanted = [right for right in table[process] if right.operation is operation]
        return {right.name for right in wanted if right.resource is Resource.TOPIC}

    own = {"shop-orders-by-user", "shop-COUNTS-partials", "shop-payer-subscriptions", "shop-payer-answers"}
    sources = {"orders", "paid", "users", "rates", "scores", "names", "bills", "payers"}
    state = set(runnable(shop).changelogs("shop"))
    assert may("worker", Operation.READ) == sources | own | state
    written = {"BOTH", "COUNTS", "KNOWN", "BILLS", DEAD_LETTERS.name, LATE_RECORDS.name}
    assert may("worker", Operation.WRITE) == written | own | state
    assert may("worker", Operation.DELETE) == {"shop-orders-by-user"}  # where workers delete what they have read
    assert may("generator", Operation.WRITE) == {"rates"}
    assert may("verify", Operation.READ) == sources | own | written
    for process, given in table.items():
        assert len(set(given)) == len(given), process
        assert {right.name for right in given if right.resource is Resource.GROUP} <= {"shop"}


async def test_access_gives_rights_and_asks_no_database(shop, monkeypatch):
    granted, told = {}, []

    class Client:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *error):
            return None

    async def grant(client, wanted):
        granted.update(wanted)

    async def line(settings, wanted):
        return "done"

    monkeypatch.setattr(provisioning, "admin_client", lambda settings: Client())
    monkeypatch.setattr(provisioning, "grant_rights", grant)
    monkeypatch.setattr(provisioning, "provision_topics", line)
    monkeypatch.setattr(provisioning, "provision_schemas", line)
    await provision(shop, told.append, access=Access())
    assert granted == {f"pipeline-{process}": theirs for process, theirs in rights(shop).items()}
    count = sum(map(len, granted.values()))
    assert told == ["done", "done", f"access: {count} rights on Kafka for 5 users"]


@pytest.fixture
def cluster(monkeypatch):
    """A cluster on which flash sales and the shop run; what is asked for is noted."""
    asked = {}
    names = ["orders", "paid", "users", "rates", "scores", "names", "BOTH", "COUNTS", "KNOWN"]
    names += [
        "bills",
        "payers",
        "BILLS",
        "shop-payer-subscriptions",
        "shop-payer-answers",
        "shop-orders-by-user",
        "shop-COUNTS-partials",
        DEAD_LETTERS.name,
        LATE_RECORDS.name,
        "PageView",
    ]

    async def brokers(settings):
        return ()

    async def topics(settings, wanted):
        asked["topics"] = wanted
        return {name: TopicStatus(5, 2, 2, 0, 0, 7) for name in names if name in wanted}

    async def groups(settings, wanted):
        return {}

    async def schemas(settings, wanted):
        found = {f"{name}-value": SubjectStatus(1, 4, "BACKWARD") for name in names}
        return {name: subject for name, subject in found.items() if name in wanted}

    async def letters(settings, topic, of):
        asked["letters"] = of
        return Letters()

    async def pinot(settings):
        return {"t": PinotTable(1)}

    async def tables(settings, application):
        return {"t": CarriedTable("incrementing", "id", 1, PollerStatus(1, 0, 1))}

    for function in (brokers, topics, groups, schemas, letters, pinot, tables):
        monkeypatch.setattr(parts, f"collect_{function.__name__}", function)
    return asked


async def test_status_is_about_the_application_alone(shop, cluster):
    status = await collect(shop)
    assert status.problems == {}
    assert (status.pinot, status.poller, status.has_poller) == ({}, None, False)
    assert "PageView" not in status.topics
    assert "PageView-value" not in status.schemas
    assert "shop-COUNTS_totals-changelog" in cluster["topics"]
    assert "orders" in cluster["letters"] and "PageView" not in cluster["letters"]
    assert as_json(status)["application"] == "shop"


async def test_status_misses_the_topics_that_the_application_needs(shop, cluster, monkeypatch):
    async def none(settings, wanted):
        return {}

    monkeypatch.setattr(parts, "collect_topics", none)
    status = await collect(shop)
    assert status.problems["topics"].startswith("18 of 18 topics are missing (orders, scores, ")


def test_people_see_no_poller_where_there_is_none():
    def printed(status):
        console = Console(width=120)
        with console.capture() as shown:
            show(status, console)
        return shown.get()

    assert "Poller: no position yet" in printed(Status())
    assert "Poller" not in printed(Status(application="clicks", has_poller=False))


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("dashboard", "application clicks has no page, but `pipeline dashboard` serves the page of one that has"),
        ("poll", "application clicks has no database, but `pipeline poll` carries the tables of one that has"),
    ],
)
def test_what_an_application_has_not_is_told(command, sentence, app_folder):
    result = CliRunner().invoke(main, [command, "--app", "clicks"])
    assert result.exit_code == 1
    assert sentence in result.output.replace("\n", " ")
