"""A secured stack: the application on it is exact, every right is needed, every wrong setting is one sentence."""

import asyncio
import base64
import hashlib
import json
import os
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

import httpx
import psutil
import pytest
from certificates import issue_ended
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pages import Page, chromium, until
from pymysql.err import OperationalError
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from sqlalchemy import make_url

from pipeline import topics
from pipeline.access import rights, user_of
from pipeline.api.asking import Ask
from pipeline.api.server import create_app
from pipeline.applications.loading import runnable
from pipeline.cli import RESTART_PAUSE_S
from pipeline.errors import AccessError, PipelineError
from pipeline.kafka import admin_client
from pipeline.kafka_access import Operation, Pattern, Resource, Right, grant, revoke
from pipeline.kafka_rights import missing_rights, require_rights
from pipeline.provision import access_of, provision
from pipeline.settings import Settings
from pipeline.sources.mysql_tls import connector
from pipeline.stack.cluster import Stack
from pipeline.stack.credentials import ADMIN, Secrets
from pipeline.status.collector import collect
from pipeline.status.view import as_json
from running import Application, own_stack

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A secured stack, provisioned."""
    with own_stack(tmp_path_factory.mktemp("secured"), secure=True) as stack:
        asyncio.run(provision(stack.settings, tell=lambda _: None, access=access_of(stack.passwords)))
        yield stack


def as_user(stack: Stack, process: str) -> Settings:
    """The settings of a process."""
    return stack.settings.replaced(**stack.identity(process))


def test_each_right_of_the_table_is_needed_and_named_when_it_is_missing(secured: Stack) -> None:
    """Right after right is taken from every process at the same time; whoever loses one is told which."""
    table = {
        process: [right for right in given if is_told_beforehand(secured.settings, right)]
        for process, given in rights(secured.settings).items()
    }

    async def each_in_turn() -> int:
        taken = 0
        async with admin_client(secured.settings) as owner:
            for round_ in zip_longest(*table.values()):
                lost = {user_of(process): [right] for process, right in zip(table, round_, strict=True) if right}
                assert await revoke(owner, lost) == len(lost)
                for process, right in zip(table, round_, strict=True):
                    if right is not None:
                        with pytest.raises(AccessError) as told:
                            await require_rights(as_user(secured, process), table[process])
                        # who may not describe a topic is not told either what else is allowed there
                        assert str(told.value).startswith(f"Kafka user {user_of(process)} lacks ")
                        assert str(right) in str(told.value)
                        taken += 1
                await grant(owner, lost)
        for process, given in table.items():
            await require_rights(as_user(secured, process), given)
        return taken

    assert asyncio.run(each_in_turn()) == sum(map(len, table.values())) > 150


def is_told_beforehand(settings: Settings, right: object) -> bool:
    """Not for topics of state, which do not exist yet, nor for transactional ids."""
    return (
        right.pattern is Pattern.LITERAL
        and right.resource is not Resource.TRANSACTIONAL_ID
        and not right.name.endswith("-changelog")
    )


def test_nobody_has_the_rights_of_another(secured: Stack) -> None:
    async def excess(process: str, other: str) -> int:
        async with admin_client(as_user(secured, process)) as client:
            return len(await missing_rights(client, rights(secured.settings)[other]))

    assert asyncio.run(excess("generator", "worker")) > 20
    assert asyncio.run(excess("dashboard", "poller")) > 3
    assert asyncio.run(excess("worker", "provision")) > 40


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the command line with these settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        env=own | settings.as_environment() | {"PIPELINE_DATA_DIR": "/nowhere"},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    """Another authority, and a password and token that nobody has."""
    made = Secrets(tmp_path_factory.mktemp("strange") / "secrets")
    made.make([ADMIN], ["somebody"])
    return made


@pytest.fixture(scope="module")
def expired(secured: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of the right authority that has ended."""
    folder = tmp_path_factory.mktemp("expired") / "secrets"
    folder.mkdir(mode=0o700)
    for file in ("ca.pem", "ca.key", "ca.p12", "keystores.password"):
        (folder / file).write_bytes((secured.folder.secrets / file).read_bytes())
    made = Secrets(folder)
    issue_ended(made, ADMIN)
    return made.identity(ADMIN).pem


LOOP_S = 12
INDEXES = (".index", ".timeindex")
MOST_BYTES = 2**26
WORKER, POLL, PROVISION = ("worker",), ("poll", "--once"), ("provision",)


def test_whatever_is_wrong_is_one_sentence_and_exit_code_1(
    secured: Stack, strange: Secrets, expired: Path, tmp_path: Path
) -> None:
    owner, password, missing = secured.settings, strange.password_file("somebody"), tmp_path / "missing"
    worker, poller = as_user(secured, "worker"), as_user(secured, "poller")
    plain = {"kafka_security_protocol": "PLAINTEXT"}
    cases = [
        (WORKER, worker, plain, "speaks SASL_SSL, but setting kafka_security_protocol is PLAINTEXT"),
        (WORKER, worker, {"kafka_security_protocol": "SSL"}, "speaks SASL_SSL, but setting kafka_security_protocol"),
        (
            WORKER,
            worker,
            {"kafka_sasl_mechanism": "PLAIN"},
            "knows SCRAM-SHA-256, SCRAM-SHA-512, but setting",
        ),
        (WORKER, worker, {"kafka_sasl_username": "nobody"}, "refuses kafka_sasl_username=nobody"),
        (WORKER, worker, {"kafka_sasl_password_file": password}, "refuses kafka_sasl_username=pipeline-worker"),
        (WORKER, worker, {"kafka_sasl_password_file": missing}, "setting kafka_sasl_password_file is"),
        (WORKER, worker, {"kafka_sasl_password_file": None}, "setting kafka_sasl_password is not set"),
        (WORKER, worker, {"kafka_ssl_cafile": strange.ca}, "from no authority of setting kafka_ssl_cafile"),
        (WORKER, worker, {"kafka_ssl_cafile": None}, "from no authority of setting kafka_ssl_cafile"),
        (WORKER, worker, {"kafka_ssl_cafile": missing}, "setting kafka_ssl_cafile is"),
        (WORKER, worker, {"kafka_ssl_certfile": expired}, "expired on"),
        (POLL, poller, {"mysql_password_file": password}, "see settings mysql_url and mysql_password"),
        (POLL, poller, {"mysql_ssl_mode": "DISABLED", "mysql_ssl_ca": None}, "see setting mysql_ssl_mode"),
        (POLL, poller, {"mysql_ssl_ca": strange.ca}, "from no authority of setting mysql_ssl_ca"),
        (POLL, poller, {"registry_bearer_auth_token_file": password}, "registry_bearer_auth_token_file"),
        (POLL, poller, {"registry_bearer_auth_token_file": None}, "nor registry_bearer_auth_token is set"),
        (POLL, poller, {"registry_ssl_cafile": strange.ca}, "registry_ssl_cafile"),
        (PROVISION, owner, {"pinot_password_file": password}, "pinot_user"),
        (PROVISION, owner, {"pinot_ssl_cafile": strange.ca}, "pinot_ssl_cafile"),
        (PROVISION, as_user(secured, "worker"), {}, "Kafka user pipeline-worker has not the rights"),
    ]
    for arguments, settings, wrong, sentence in cases:
        done = run(settings.replaced(**wrong), *arguments)
        told = done.stderr.strip().splitlines()
        assert done.returncode == 1, (wrong, done.stdout, done.stderr)
        assert told[-1].startswith("pipeline: "), (wrong, done.stderr)
        assert sentence in told[-1], (wrong, told[-1])
        assert "Traceback" not in done.stderr, (wrong, done.stderr)


@pytest.fixture
def database_that_has_ended(secured: Stack) -> Iterator[None]:
    """The database shows a certificate that has ended."""
    secrets = Secrets(secured.folder.secrets)

    async def shows_one() -> bool | None:
        connect = connector(secured.settings.replaced(mysql_ssl_mode="REQUIRED", mysql_ssl_ca=None))
        address = make_url(secured.settings.mysql_url)
        try:
            connection = await connect(
                host=address.host, port=address.port, user=ADMIN, password=secrets.password(ADMIN)
            )
        except OperationalError:
            return None  # it is starting
        shown = connection._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        await connection.ensure_closed()
        return x509.load_der_x509_certificate(shown).not_valid_after_utc < datetime.now(UTC)

    def restarted(*, has_ended: bool) -> None:
        secured.restart("mysql")
        deadline = time.monotonic() + 60
        while asyncio.run(shows_one()) is not has_ended:
            assert time.monotonic() < deadline, secured.status()
            time.sleep(0.2)

    issue_ended(secrets, "mysql")
    restarted(has_ended=True)
    yield
    secrets.renew(["mysql"])
    restarted(has_ended=False)


@pytest.mark.usefixtures("database_that_has_ended")
def test_a_certificate_of_the_database_that_has_ended_is_one_sentence(secured: Stack) -> None:
    """Kafka's is in test_sasl.py; those of the registry, Pinot and the dashboard are unit tests."""
    for arguments, settings in (
        (POLL, as_user(secured, "poller")),
        (("generate", "--sales", "--count", "1"), as_user(secured, "generator")),
        (PROVISION, secured.settings),
    ):
        done = run(settings, *arguments)
        told = done.stderr.strip().splitlines()[-1]
        assert done.returncode == 1, (arguments, done.stdout, done.stderr)
        assert told.startswith("pipeline: "), (arguments, told)
        assert "the certificate of the database at 127.0.0.1:" in told, (arguments, told)
        assert told.count("setting mysql_ssl_ca, has ended") == 1, (arguments, told)
        assert "Traceback" not in done.stderr, (arguments, done.stderr)


@pytest.fixture(scope="module")
def shop(secured: Stack) -> Application:
    """The application on the secured stack."""
    application = Application(secured)
    application.start()
    return application


@pytest.fixture
def browser(secured: Stack, tmp_path: Path) -> Iterator[Chrome]:
    """A browser that trusts the stack's authority, and no other that it does not know."""
    authority = x509.load_pem_x509_certificate(Secrets(secured.folder.secrets).ca.read_bytes()).public_key()
    key = authority.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    driver = chromium(tmp_path / "profile", f"--ignore-certificate-errors-spki-list={pin}")
    yield driver
    driver.quit()


@pytest.mark.browser
def test_a_viewer_gets_the_page_by_its_password_over_tls(secured: Stack, shop: Application, browser: Chrome) -> None:
    login = Secrets(secured.folder.secrets).login_file.read_text("ascii").strip()
    assert shop.url.startswith("https://")
    browser.get(shop.url)
    assert not browser.find_elements(By.ID, "chip-state"), "nothing is shown without the password"
    browser.get(shop.url.replace("://", f"://{login}@"))  # as if it was typed in
    page = Page(browser, shop.url)
    assert browser.execute_script("return window.isSecureContext && location.protocol") == "https:"
    views, sales, _ = until(lambda: (shown := page.kpis())[1].startswith("$") and shown[1] != "$0.00" and shown, 60)
    until(lambda: page.text("chip-state") == "Live" and page.kpis()[0] != views and page.kpis()[1] != sales, 60, "more")
    assert page.figure("sales_by_region")["data"]
    assert all(asked.startswith(shop.url) for asked in page.requests())
    assert page.complaints() == []


def test_a_viewer_may_look_into_every_topic_of_the_application(secured: Stack, shop: Application) -> None:
    """As the dashboard's user of Kafka: what lies in outputs, in state and in topics in between, schemas, readers."""
    user, _, password = Secrets(secured.folder.secrets).login_file.read_text("ascii").strip().partition(":")
    context = ssl.create_default_context(cafile=str(Secrets(secured.folder.secrets).ca))
    seen = {
        f"topics/{topics.PAGEVIEWS_BY_REGION.name}": "records, the newest first",
        "topics/pipeline-pageview_totals-changelog": "records, the newest first",
        "topics/pipeline-pageview-partials?view=settings": "cleanup.policy",
        f"topics/{topics.PAGEVIEW.name}?view=schemas": "version 1",
        f"topics/{topics.PAGEVIEW.name}?view=readers": "pipeline",
    }
    with httpx.Client(auth=(user, password), verify=context, timeout=20, trust_env=False) as client:
        for path, text in seen.items():
            until(lambda path=path, text=text: text in client.get(f"{shop.url}/{path}").text, 60, f"{text} at {path}")


def test_what_workers_keep_is_asked_as_the_dashboards_user(secured: Stack, shop: Application) -> None:
    settings = shop.settings.replaced(**secured.identity("dashboard"))
    totals = create_app(settings, runnable(settings)).state.replica

    async def asked() -> None:
        following = asyncio.create_task(totals.run())
        try:
            async with asyncio.timeout(60):
                views = 0
                while views < 100:
                    await totals.fresh(0)
                    views = sum(row["count_view"] for row in Ask(totals.totals).rows(topics.PAGEVIEWS_BY_REGION.name))
                    await asyncio.sleep(0.5)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(asked())


def test_the_application_is_exact_and_its_secrets_stay_where_they_are(secured: Stack, shop: Application) -> None:
    time.sleep(5)
    seen = as_json(asyncio.run(collect(shop.settings.replaced(**secured.identity("dashboard")))))
    assert not seen["problems"], seen["problems"]
    a_right_that_is_lost_and_given_again(secured)
    report = shop.verified()
    assert report.ok, report.as_json()
    found = leaks(secured)
    secured.stop("worker-1", "worker-2", "poller", "generator", "dashboard")
    assert found == []


def a_right_that_is_lost_and_given_again(stack: Stack) -> None:
    """Workers end with one sentence, are started again after a pause, and go on when the right is back."""
    lost = {user_of("worker"): [Right(Operation.WRITE, Resource.TOPIC, topics.EXTENDED_PAGEVIEWS.name)]}
    log = stack.folder.logs / "worker-1.log"
    sentence = f"pipeline: Kafka user {user_of('worker')} "

    async def change(what: Callable[..., Awaitable[object]]) -> None:
        async with admin_client(stack.settings) as owner:
            await what(owner, lost)

    asyncio.run(change(revoke))
    deadline = time.monotonic() + 60
    while sentence not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()[-3_000:]
        time.sleep(0.5)
    before = log.read_text().count(sentence)
    time.sleep(LOOP_S)
    assert log.read_text().count(sentence) - before <= LOOP_S / RESTART_PAUSE_S + 1
    asyncio.run(change(grant))


def leaks(stack: Stack) -> list[str]:
    """Where the secrets of a stack are seen by others: logs, files that others may read, command lines."""
    folder = stack.folder
    values = [
        file.read_text("ascii").strip() for file in folder.secrets.iterdir() if file.suffix in (".password", ".token")
    ]
    assert len(values) > 12
    searched, found = set(), []
    for parent, _, names in os.walk(folder.path):
        for path in (Path(parent, name) for name in names):
            text = text_for_others(path, folder.logs)
            searched |= set() if text is None else {path.name}
            found += [f"{path}"] if contains(text or b"", values) else []
    assert {"kafka-1.log", "supervisord.log"} <= searched
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        found += [f"command line of {process.pid}"] if contains(line.encode(), values) else []
    return found


def text_for_others(path: Path, logs: Path) -> bytes | None:
    """What is in a log, or in a file that others may read; None for all else, and for what is gone meanwhile.

    The stack is at work: Kafka and Pinot rename and remove files and folders at any time. Kafka's indexes hold offsets
    only, and have their full size, gigabytes in all, from the beginning.
    """
    if path.suffix in INDEXES:
        return None
    try:
        found = path.lstat()
        is_open = stat.S_ISREG(found.st_mode) and (found.st_mode & 0o077 or path.parent == logs)
        return path.read_bytes() if is_open and found.st_size < MOST_BYTES else None
    except FileNotFoundError:
        return None


def contains(text: bytes, values: list[str]) -> bool:
    return any(value.encode() in text for value in values)


def test_the_search_sees_a_secret_that_is_leaked(secured: Stack) -> None:
    password = Secrets(secured.folder.secrets).password(user_of("worker"))
    leaked = secured.folder.logs / "leaked.log"
    leaked.write_text(json.dumps({"at": datetime.now(UTC).isoformat(), "password": password}))
    waits = [sys.executable, "-c", "print('here', flush=True); input()", password]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"here\n"  # and it stays for as long as the search takes
            assert leaks(secured) == [str(leaked), f"command line of {child.pid}"]
        finally:
            child.kill()
            leaked.unlink()


def test_a_plain_start_does_not_open_a_secured_stack(secured: Stack) -> None:
    with pytest.raises(PipelineError, match="speaks SASL_SSL"):
        asyncio.run(require_rights(secured.settings.replaced(kafka_security_protocol="PLAINTEXT"), []))
    other = Stack(secured.settings)
    other.up()
    assert other.is_secured
