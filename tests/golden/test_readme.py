"""README.md: the application of "Your own aggregations" runs as it is printed, and gives what its SQL says."""

import re
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.applications.loading import declared, load
from pipeline.declare.generators import Generator
from pipeline.plan.explain import explained
from pipeline.plan.plan import Plan
from pipeline.runner.cases import Case, Input, actual, run
from pipeline.runner.local import LocalApplication
from pipeline.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SECTION = README.split("## Your own aggregations")[1].split("\n## ")[0]
ROWS = [
    ("a", "north", "0.10", 0),
    ("b", "south", "5.00", 1_000),
    ("c", "north", "0.20", 59_999),
    ("d", "north", "1", 60_000),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    [block] = re.findall(r"^```python\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
    (tmp_path / "shop.py").write_text(block, "utf-8")
    return tmp_path


async def test_the_application_gives_what_its_sql_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    application = load("shop", folder)
    inputs = [Input("orders", key, {"id": key, "region": r, "price": p}, at) for key, r, p, at in ROWS]
    expected = [("north", 1, "0.10", 0), ("south", 1, "5.00", 0), ("north", 2, "0.30", 0), ("north", 1, "1.00", 60_000)]
    outputs = [
        {
            "topic": "REVENUE_PER_MINUTE",
            "key": region,
            "value": {"orders": n, "revenue": total, "window_start_ms": start},
        }
        for region, n, total, start in expected
    ]
    assert await run(Case(tuple(inputs), tuple(outputs)), LocalApplication(Settings(), declared(application))) is None
    assert "GROUP BY region WINDOW TUMBLING (SIZE 60000 ms" in explained(Plan(application))


async def test_its_generator_makes_rows_that_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    application = load("shop", folder)
    [made] = application.data
    assert isinstance(made, Generator)
    make = made.maker(1)
    rows = [make(1_000 * number) for number in range(20)]
    local = LocalApplication(Settings(), declared(application))
    async with local.running():
        for row in rows:
            await local.feed("orders", row["id"].encode(), local.encode("orders", row), 5_000)
        found = {row["key"]: row["value"] for row in await actual(local, "REVENUE_PER_MINUTE")}
    assert found.keys() == {"north", "south"}
    assert sum(row["orders"] for row in found.values()) == len(rows)
    assert sum(row["revenue"] for row in found.values()) == sum((row["price"] for row in rows), Decimal())
