"""Fixtures of the unit tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import settings as configuration

INTEGRATION = Path(__file__).parents[1] / "integration"


@pytest.fixture
def app_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Applications are found in the folder of the integration tests; the settings are read anew."""
    monkeypatch.setenv("PIPELINE_APP_DIR", str(INTEGRATION))
    monkeypatch.setenv("PIPELINE_APP", "flash_sales")
    configuration.settings.cache_clear()
    yield
    configuration.settings.cache_clear()
