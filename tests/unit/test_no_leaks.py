"""No secret gets out: each one is set to a value of its own, which is then looked for in all that the project shows.

A test of the search itself leaks on purpose, so that a search that finds nothing is worth something.
"""

import asyncio
import base64
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from urllib.parse import quote, quote_plus

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from pipeline.chaos.checks import Check
from pipeline.chaos.report import ChaosReport, Struck, markdown, show
from pipeline.cli import main
from pipeline.errors import PipelineError, SettingError
from pipeline.http_security import Peer
from pipeline.kafka_security import TokenCommand, TokenEndpoint, client_options
from pipeline.processes import programs
from pipeline.settings import Settings, load, variable
from pipeline.shown import ShownFormatter, show_unexpected
from pipeline.sources.database import address, engine, parse_url, reason
from pipeline.stack.program import Program, supervisor_config
from pipeline.status.model import Status
from pipeline.status.view import as_json

URLS = {
    "mysql_url": "mysql+aiomysql://someone:{}@127.0.0.1:1/shop",
    "registry_url": "http://someone:{}@127.0.0.1:1",
    "pinot_controller_url": "http://someone:{}@127.0.0.1:1",
    "pinot_broker_url": "http://someone:{}@127.0.0.1:1",
    "pinot_registry_url": "http://someone:{}@127.0.0.1:1",
    "kafka_sasl_oauthbearer_token_endpoint_url": "http://someone:{}@127.0.0.1:1/token",
}
IN_PAIRS = ("registry_basic_auth_user_info", "dashboard_auth", "api_auth")
"""Secrets that are user:password."""
SASL = {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_username": "someone"}


def planted(name: str) -> str:
    """A value that is nowhere else, with characters that every kind of quoting changes."""
    return f"pl4nted-{name.replace('_', '-')}-/+ é'x"


def in_url(name: str) -> str:
    return URLS[name].format(quote(planted(name), safe=""))


def secrets() -> dict[str, str]:
    """Every secret of the settings, and the passwords in addresses: name -> value."""
    return {name: planted(name) for name in (*Settings.secret_names(), *URLS)}


def forms(value: str) -> set[str]:
    """The value as it may be written: as it is, quoted for a URL, of repr and JSON, Base64 at each of three offsets."""
    found = {value, quote(value), quote(value, safe=""), quote_plus(value), repr(value)[1:-1], ascii(value)[1:-1]}
    found |= {
        repr(value.encode())[2:-1],
        json.dumps(value)[1:-1],
        value.replace("'", "'\"'\"'"),
        value.replace("%", "%%"),
    }
    found |= {form.replace("%", "%%") for form in set(found)}
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + value.encode()).decode()
        found.add(whole[offset and offset + 1 : -4])  # what the bytes before and after it do not change
    found |= {form.replace("+", "-").replace("/", "_") for form in set(found)}
    # a part of a password is one, too
    return found | {value.partition("/")[0].removesuffix("-")}


def leaks(text: str, of: dict[str, str] | None = None) -> set[str]:
    """The names of the secrets that are in the text, in any form."""
    return {name for name, value in (of or secrets()).items() if any(form in text for form in forms(value))}


def values() -> dict[str, str]:
    """All settings that hold a secret by themselves."""
    of_secrets = {
        name: f"someone:{planted(name)}" if name in IN_PAIRS else planted(name) for name in Settings.secret_names()
    }
    return of_secrets | {name: in_url(name) for name in URLS}


def files(folder: Path) -> dict[str, str]:
    """The same secrets in files."""
    found = {}
    for name in Settings.secret_names():
        path = folder / f"{name}.secret"
        path.write_text(f"{values()[name]}\n")
        found[f"{name}_file"] = str(path)
    return found


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_DATA_DIR", str(tmp_path / "data"))


def given(kind: str, folder: Path, **more: object) -> Settings:
    told = values() if kind == "values" else {**{name: in_url(name) for name in URLS}, **files(folder)}
    return load(**{**told, **SASL, "bootstrap_servers": "127.0.0.1:1", **more})


KINDS = pytest.mark.parametrize("kind", ["values", "files"])


# --- the search finds what is leaked --------------------------------------------------------------------------------


def in_a_log_line(value: str, folder: Path) -> str:
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(ShownFormatter())
    handler.emit(logging.LogRecord("x", logging.INFO, "", 1, "asked with %r", (value,), None))
    return out.getvalue()


def in_a_file(value: str, folder: Path) -> str:
    (folder / "settings.json").write_text(json.dumps({"password": value}))
    return (folder / "settings.json").read_text()


def in_a_command_line(value: str, folder: Path) -> str:
    program = Program("x", ("/bin/x", f"--password={value}"))
    return supervisor_config([program], socket=folder / "s", folder=folder, logs=folder)


def in_an_environment_of_the_supervisor(value: str, folder: Path) -> str:
    program = Program("x", ("/bin/x",), {"PASSWORD": value})
    return supervisor_config([program], socket=folder / "s", folder=folder, logs=folder)


def in_a_header(value: str, folder: Path) -> str:
    return f"Authorization: Basic {base64.b64encode(f'me:{value}'.encode()).decode()}"


def in_a_token_of_base64(value: str, folder: Path) -> str:
    return base64.urlsafe_b64encode(f"abc:{value}!".encode()).decode()


def in_an_address(value: str, folder: Path) -> str:
    return f"http://me:{quote(value, safe='')}@host"


def in_a_form(value: str, folder: Path) -> str:
    return f"client_secret={quote_plus(value)}"


def in_bytes(value: str, folder: Path) -> str:
    return repr(value.encode())


def in_a_part(value: str, folder: Path) -> str:
    return f"invalid port {value[:-4]!r}"


LEAKS = [
    *(in_a_log_line, in_a_file, in_a_command_line, in_an_environment_of_the_supervisor, in_a_header),
    *(in_a_token_of_base64, in_an_address, in_a_form, in_bytes, in_a_part),
]


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("name", sorted(secrets()))
def test_a_planted_leak_is_found(leak: Callable[[str, Path], str], name: str, tmp_path: Path) -> None:
    assert leaks(leak(planted(name), tmp_path)) == {name}


def test_nothing_is_found_where_nothing_is() -> None:
    assert leaks("the certificate of the registry at http://127.0.0.1:1 has expired; see registry_url") == set()


# --- settings, and what is made of them -----------------------------------------------------------------------------


@KINDS
def test_settings_tell_no_secret(kind: str, tmp_path: Path) -> None:
    settings = given(kind, tmp_path, kafka_sasl_oauthbearer_token_command=f"get {planted('mysql_password')!r}")
    assert not leaks(f"{settings!r} {settings} {settings.as_environment()} {settings.model_copy()!r}")
    assert not leaks(" ".join(str(part) for part in settings.__rich_repr__()))


@pytest.mark.parametrize("name", Settings.secret_names())
def test_a_secret_that_is_given_twice_or_is_wrong_is_not_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        load(**{name: values()[name], f"{name}_file": files(tmp_path)[f"{name}_file"]})
    assert not leaks("".join(traceback.format_exception(caught.value)))
    if name in IN_PAIRS:
        with pytest.raises(SettingError) as caught:
            load(**{name: planted(name)})
        assert not leaks("".join(traceback.format_exception(caught.value)))


PARTS_OF_ERROR = ("{}", "x{}", "mysql+aiomysql://u:{}@h:port/s", "mysql+aiomysql://u:a@{}:1@h:1/s", "mysql://u:{}")


@pytest.mark.parametrize("form", PARTS_OF_ERROR)
@pytest.mark.parametrize("name", sorted(URLS))
def test_an_address_that_is_wrong_is_told_without_its_password(name: str, form: str) -> None:
    if "@" not in form:
        form = f"{form}:@h"
    wrong = form.format(planted(name))
    try:
        settings = load(**{name: wrong})
        match name:
            case "mysql_url":
                parse_url(settings)
            case "registry_url" | "pinot_controller_url" | "pinot_broker_url":
                Peer(settings, name)
    except PipelineError as error:
        assert not leaks("".join(traceback.format_exception(error)))


@KINDS
def test_the_holders_of_options_tell_no_secret(kind: str, tmp_path: Path) -> None:
    settings = given(kind, tmp_path)
    peers = [Peer(settings, name) for name in ("registry_url", "pinot_controller_url")]
    held = [*peers, *(peer.options() for peer in peers), *(peer.url for peer in peers), address(settings)]
    held += [TokenCommand(f"x {planted('mysql_password')!r}"), TokenEndpoint(settings), parse_url(settings)]
    database = engine(settings)
    held += [database, database.url, database.pool]
    assert not leaks(" ".join(f"{one!r} {one}" for one in held))
    asyncio.run(database.dispose())
    # What aiokafka needs is handed over as it is: the one place that holds a password openly, and that nobody prints.
    assert leaks(repr(client_options(settings))) == {"kafka_sasl_password"}


@KINDS
def test_workers_tell_no_secret(kind: str, tmp_path: Path) -> None:
    from pipeline.app import broker_credentials

    settings = given(kind, tmp_path)
    assert not leaks(f"{broker_credentials(settings)!r} {broker_credentials(settings)}")


# --- what is written down -------------------------------------------------------------------------------------------


@KINDS
def test_the_supervisor_is_told_no_secret(kind: str, tmp_path: Path) -> None:
    settings = given(kind, tmp_path, dashboard_port=8050)
    found = programs(settings, 2, 24.0, lively=True)
    assert not leaks(supervisor_config(found, socket=tmp_path / "s", folder=tmp_path, logs=tmp_path))
    assert not leaks(json.dumps([program.to_json() for program in found]))
    assert not leaks(" ".join(argument for program in found for argument in program.command))


def test_what_the_supervisor_is_not_told_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given("values", tmp_path)
    for name, value in (settings.as_environment() | settings.secret_environment()).items():
        monkeypatch.setenv(name, value)
    assert load() == settings
    assert leaks(repr(settings.secret_environment())) == secrets().keys()


def test_reports_tell_no_secret(tmp_path: Path) -> None:
    report = ChaosReport(1, "exactly_once", 1.0, 1, 1)
    report.faults = [Struck("kill", 1.0, f"{given('values', tmp_path)!r}", 0.0, 1.0, None, 1.0, 1.0)]
    report.checks = {"verify": Check(False, str(given("files", tmp_path).as_environment()))}
    out = StringIO()
    show(report, Console(file=out, width=10_000))
    assert not leaks(f"{markdown(report)} {json.dumps(report.as_json())} {out.getvalue()}")


def test_status_as_json_tells_no_password_of_an_address() -> None:
    told = json.dumps(
        as_json(Status((), {}, {}, {}, {}, problems={"pinot": f"no answer at {in_url('pinot_broker_url')}"}))
    )
    assert not leaks(told)


# --- the terminal ---------------------------------------------------------------------------------------------------


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands(main)), ids=lambda path: " ".join(path) or "pipeline")
def test_help_tells_no_secret(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in values().items():
        monkeypatch.setenv(variable(name), value)
    told = CliRunner().invoke(main, [*path, "--help"])
    assert told.exit_code == 0
    assert not leaks(told.output)


def test_an_error_acts_on_no_terminal_and_hides_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise PipelineError(
            f"\x1b]0;owned\x07 \u202e at {in_url('registry_url')}\nits log:\n\x1b[2Jpipeline: all is well"
        )

    monkeypatch.setitem(main.commands, "fails", click.Command("fails", callback=fail))
    told = CliRunner().invoke(main, ["fails"])
    assert told.exit_code == 1
    assert told.output == (
        "pipeline: \\x1b]0;owned\\x07 \\u202e at http://127.0.0.1:1\n  its log:\n  \\x1b[2Jpipeline: all is well\n"
    )


def test_log_lines_and_tracebacks_act_on_no_terminal_and_hide_passwords(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(f"\x1b[2J {in_url('mysql_url')}")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "%s", (error,), (ValueError, error, error.__traceback__))
        told = ShownFormatter().format(record)
        show_unexpected(ValueError, error, error.__traceback__)
    told += capsys.readouterr().err
    assert told.count("ValueError: \\x1b[2J mysql+aiomysql://127.0.0.1:1/shop") == 2
    assert "\x1b" not in told
    assert not leaks(told)


def test_the_words_of_the_database_are_told_without_the_statement_that_has_a_password() -> None:
    from sqlalchemy.exc import OperationalError

    statement = f"ALTER USER x IDENTIFIED BY {planted('mysql_password')!r}"
    assert not leaks(reason(OperationalError(statement, {"p": planted("mysql_password")}, Exception(1396, "failed"))))


class Refusing(BaseHTTPRequestHandler):
    """Registry and Pinot that let nobody in; a planted sequence is in their words."""

    def do_GET(self) -> None:
        Servers.asked.append(self.headers.get("Authorization") or "")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"message": "\x1b[2J"}')

    do_POST = do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


class Servers:
    """What came to `Refusing`."""

    asked: list[str] = []  # noqa: RUF012


@pytest.fixture(scope="module")
def refusing() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Run:
    """A command that has ended."""

    code: int
    said: str


FAILING = {
    "values": (
        "status --json",
        "worker --log-level debug",
        "poll --once",
        "provision",
        "generate --count 1",
        "dashboard",
        "api",
    ),
    "files": ("provision --no-pinot", "verify --timeout 1"),
    "refusing": ("status",),
}
"""How secrets are given, and commands. Nothing answers; with `refusing`, registry and Pinot do."""
WAITING = ("poll", "generate")
"""They wait for what is away, and are ended."""
WAITING_S = 5
OWN = {"dashboard": {"PIPELINE_DASHBOARD_PORT": "no-port"}, "api": {"PIPELINE_API_PORT": "0"}}
LIMIT_S = 60


def failed(arguments: str, environment: dict[str, str], folder: Path) -> Run:
    """A command in a process of its own, with a debug log."""
    log = folder / f"{arguments.partition(' ')[0]}.said"
    command = [sys.executable, "-m", "pipeline", "-v", *arguments.split()]
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=out) as process,
    ):
        deadline = time.monotonic() + LIMIT_S
        while process.poll() is None and not log.stat().st_size and time.monotonic() < deadline:
            time.sleep(0.1)
        try:
            process.wait(WAITING_S if arguments.startswith(WAITING) else LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return Run(process.returncode, log.read_text(errors="replace"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, refusing: int) -> dict[str, Run]:
    """What the commands have said."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PIPELINE_")}
    with ThreadPoolExecutor(3) as pool:
        found = {}
        for kind, commands in FAILING.items():
            folder = tmp_path_factory.mktemp(kind)
            told = files(folder) if kind == "files" else values()
            told |= {name: in_url(name) for name in URLS} | SASL | {"bootstrap_servers": f"127.0.0.1:{closed_port()}"}
            told |= {"pinot_user": "someone", "data_dir": str(folder / "data")}
            if kind == "refusing":
                for name in ("registry_url", "pinot_controller_url", "pinot_broker_url"):
                    told[name] = told[name].replace("127.0.0.1:1", f"127.0.0.1:{refusing}")
            environment = inherited | {variable(name): value for name, value in told.items()}
            for one in commands:
                found[one] = pool.submit(failed, one, environment | OWN.get(one, {}), folder)
        return {command: run.result() for command, run in found.items()}


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("command", [command for commands in FAILING.values() for command in commands])
def test_a_command_that_fails_tells_no_secret(runs: dict[str, Run], command: str) -> None:
    run = runs[command]
    assert not leaks(run.said), run.said
    assert run.said.strip(), run
    assert "\x1b[2J" not in run.said, run.said
    assert run.code == (-signal.SIGKILL if command.startswith(WAITING) else 1), run


def test_the_secrets_were_sent_to_those_who_asked(runs: dict[str, Run]) -> None:
    assert {"registry_bearer_auth_token", "pinot_auth_token"} <= leaks(" ".join(Servers.asked))
