"""The oracle of flash sales agrees with every golden case."""

from pathlib import Path

import pytest
from judged import feed, judge, lying

from pipeline.runner.cases import load
from pipeline.runner.local import flash_sales_application
from pipeline.settings import Settings
from pipeline.verify.flash_sales import flash_sales

FOLDER = Path(__file__).parent
NAMES = sorted(path.name.removesuffix(".input.json") for path in FOLDER.glob("*.input.json"))


@pytest.mark.parametrize("name", NAMES)
async def test_case(name: str) -> None:
    settings = Settings()
    application = flash_sales_application(settings)
    case = load(FOLDER / f"{name}.input.json", FOLDER / f"{name}.output.json")
    async with application.running():
        await feed(application, case.inputs)
    records = lying(application)
    assert any(records.get(output["topic"]) for output in case.outputs)
    assert await judge(settings, flash_sales(settings.session_gap_ms), application.schemas, records) == {}
