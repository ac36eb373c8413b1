"""Outages are told from refusals by MySQL's numbers, and passwords never get into messages."""

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.sources.database import ODD_TEXT, address, is_outage, reason


def database_error(number, text, kind=OperationalError, *, invalidated=False):
    return kind("SELECT secret", {}, Exception(number, text), connection_invalidated=invalidated)


@pytest.mark.parametrize("number", [2003, 2006, 2013, 1040, 1053, 1205, 1213])
def test_outages(number):
    assert is_outage(database_error(number, "away"))


@pytest.mark.parametrize("number", [1045, 1049, 1064, 1146])
def test_refusals(number):
    assert not is_outage(database_error(number, "no", ProgrammingError))


def test_broken_connections_are_outages():
    assert is_outage(database_error(1146, "no", invalidated=True))
    assert is_outage(ConnectionResetError())
    assert not is_outage(ValueError())


def test_the_reason_is_the_databases_own_on_one_line():
    assert reason(database_error(1146, "Table 'x'\n doesn't exist")) == "1146 Table 'x' doesn't exist"
    assert reason(TimeoutError()) == "TimeoutError"


def test_addresses_hide_the_password():
    settings = Settings(mysql_url="mysql+aiomysql://me:secret@db:3306/shop")
    assert address(settings) == "mysql+aiomysql://me:***@db:3306/shop"


def test_a_bad_url_is_named():
    with pytest.raises(SettingError, match="mysql_url"):
        address(Settings(mysql_url="no url"))


def test_damaged_text_is_read_and_told_apart_from_any_text():
    assert "Grün 🛒".encode().decode(ODD_TEXT) == "Grün 🛒"
    assert b"P\xff\xed\xa0\x80".decode(ODD_TEXT) == "P\udcff\udced\udca0\udc80"
    with pytest.raises(UnicodeEncodeError):
        b"P\xff".decode(ODD_TEXT).encode()
    with pytest.raises(UnicodeEncodeError):
        "P\udcff".encode(ODD_TEXT)
