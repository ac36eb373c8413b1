"""Fixtures of the unit tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

INTEGRATION = Path(__file__).parents[1] / "integration"


@pytest.fixture
def app_folder(apps_in: Callable[[Path], None]) -> None:
    """Applications are found in the folder of the integration tests."""
    apps_in(INTEGRATION)
