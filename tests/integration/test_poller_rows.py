"""Rows that a shop's database really holds, against the real MySQL and brokers: none ends the poller, none is lost."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from polling import INSERT, ROW, Poll, await_rows, await_true, command, polling, sent, sql, values
from sqlalchemy import text

from pipeline import topics
from pipeline.kafka import producer
from pipeline.settings import Settings
from pipeline.sources.database import engine
from pipeline.sources.feed import stored_positions
from pipeline.sources.position import Position
from pipeline.status.parts import collect_letters

pytestmark = pytest.mark.integration

TABLE = "flash_sales"

NAMED = "INSERT INTO flash_sales (sale_id, product_id, quantity, customer_id, sale_datetime) VALUES "


def sales(settings: Settings) -> dict[int, dict]:
    """The sales in the topic by id; each must be there once."""
    found = values(settings, topics.FLASH_SALES)
    assert len(found) == len({key for key, _ in found})
    assert all(key == str(value["sale_id"]).encode() for key, value in found)
    return {value["sale_id"]: value for _, value in found}


def letters(settings: Settings) -> dict[bytes, dict]:
    return dict(values(settings, topics.DEAD_LETTERS))


def position(settings: Settings) -> Position:
    found = asyncio.run(stored_positions(settings))[TABLE].position
    assert isinstance(found, Position)
    return found


def last_id(settings: Settings) -> int:
    return max(sales(settings), default=0)


def late_commit(settings: Settings, rows: int, meanwhile: Callable[[int], None]) -> range:
    """Insert rows in one transaction, and commit it after `meanwhile` has run; returns their ids."""

    async def run() -> range:
        database = engine(settings)
        try:
            async with database.connect() as connection:
                await connection.execute(text(INSERT + ", ".join([ROW] * rows)))
                (first,) = (await connection.execute(text("SELECT LAST_INSERT_ID()"))).one()
                await asyncio.to_thread(meanwhile, first)
                await connection.commit()
        finally:
            await database.dispose()
        return range(first, first + rows)

    return asyncio.run(run())


def test_zero_dates_become_null_and_the_rows_go_on(settings: Settings, poller: Poll) -> None:
    before = len(sent(settings))
    odd = ["0000-00-00 00:00:00", "2026-00-10 00:00:00", "2026-05-00 10:00:00", "0000-05-01 00:00:00"]
    sql(
        settings,
        "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'",
        INSERT + ", ".join([ROW, *(ROW.replace("2024-05-01 10:00:00", moment) for moment in odd), ROW]),
        INSERT + ROW.replace("2024-05-01", "2026-02-30"),
        INSERT + ROW,
    )
    await_rows(settings, poller, before + 8)
    dates = [row["sale_datetime"] for _, row in sorted(sales(settings).items())[-8:]]
    assert [date is None for date in dates] == [False, True, True, True, True, False, True, False]


def test_a_row_that_the_schema_cannot_hold_is_one_letter_and_the_others_go_on(settings: Settings, poller: Poll) -> None:
    before = len(sent(settings))
    sql(settings, INSERT + ROW)
    await_rows(settings, poller, before + 1)
    sql(
        settings,
        "ALTER TABLE flash_sales MODIFY quantity INT UNSIGNED, MODIFY customer_id BIGINT UNSIGNED, "
        "MODIFY product_id LONGTEXT CHARACTER SET utf8mb3",
    )
    first = last_id(settings) + 1
    when = "'2024-05-01 10:00:00'"
    rows = [
        f"({first}, 'P10', 1, 1, {when})",
        f"({first + 1}, 'P10', 4294967295, 1, {when})",
        f"({first + 2}, 'P10', 2147483647, 9223372036854775807, {when})",
        f"({first + 3}, 'P10', 1, 18446744073709551615, {when})",
        f"({first + 4}, 'P\\01', 1, 1, {when})",
        f"({first + 5}, REPEAT('x', 1200000), 1, 1, {when})",
        f"({first + 6}, 'P10', 1, 1, '1969-12-31 23:59:59')",
        f"({first + 7}, 'P10', 1, 1, '9999-12-31 23:59:59')",
        f"({first + 8}, _utf8mb3 x'50EDA080', 1, 1, {when})",
        f"({first + 9}, 'P10', 1, 1, {when})",
    ]
    sql(settings, *(NAMED + row for row in rows))
    try:
        await_true(lambda: last_id(settings) == first + 9, poller)
        await_true(lambda: len(letters(settings)) >= 4, poller)
        found = sales(settings)
        assert [first + n in found for n in range(10)] == [n not in (1, 3, 5, 8) for n in range(10)]
        assert found[first + 2]["customer_id"] == 2**63 - 1
        assert found[first + 4]["product_id"] == "P\x001"
        reasons = {key: letter["reason"] for key, letter in letters(settings).items()}
        assert sorted(reasons) == sorted(f"{topics.FLASH_SALES.name}/-1/-1/{first + n}".encode() for n in (1, 3, 5, 8))
        assert reasons[f"{topics.FLASH_SALES.name}/-1/-1/{first + 1}".encode()] == (
            f"table flash_sales, sale_id {first + 1}: column quantity is 4294967295, which its Avro type cannot hold"
        )
        assert "customer_id is 18446744073709551615" in reasons[f"MysqlSource-flash_sales/-1/-1/{first + 3}".encode()]
        assert "are more than 1000000" in reasons[f"MysqlSource-flash_sales/-1/-1/{first + 5}".encode()]
        assert "column product_id is 'P\\udced" in reasons[f"MysqlSource-flash_sales/-1/-1/{first + 8}".encode()]
        letter = letters(settings)[f"MysqlSource-flash_sales/-1/-1/{first + 1}".encode()]
        assert (letter["topic"], letter["partition"], letter["offset"]) == ("MysqlSource-flash_sales", -1, -1)
        assert letter["key"] == str(first + 1).encode()
        assert json.loads(letter["value"])["quantity"] == 4294967295
        assert "column quantity of table flash_sales is INT UNSIGNED: a row with a value above" in poller.said()
        shown = asyncio.run(collect_letters(settings, topics.DEAD_LETTERS))
        assert shown.count == 4
        sql(settings, f"UPDATE flash_sales SET quantity = 7 WHERE sale_id = {first + 1}")
        again(settings, f"{first}..{first + 9}")
        await_true(lambda: first + 1 in sales(settings), poller)
        assert sales(settings)[first + 1]["quantity"] == 7
    finally:
        sql(
            settings,
            f"DELETE FROM flash_sales WHERE sale_id >= {first}",
            "ALTER TABLE flash_sales MODIFY quantity INT, MODIFY customer_id BIGINT, MODIFY product_id VARCHAR(32)",
            f"ALTER TABLE flash_sales AUTO_INCREMENT = {first + 10}",
        )


def odd_row(random: Random, row_id: int) -> str:
    """Values for NAMED, each of them odd now and then."""
    text = random.choice(["'P10'", "''", "NULL", "'P\\01'", "_utf8mb3 x'EDA080'", "REPEAT('y', 1100000)"])
    product = text if random.random() < 0.3 else "'P10'"
    quantity, customer = (random.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, most, "NULL"]) for most in (7, 2**64 - 1))
    moment = random.choice(
        [f"{random.randint(1000, 9999)}-05-01", "0000-00-00", "2026-00-10", "1969-12-31", "2026-02-30"]
    )
    return f"({row_id}, {product}, {quantity}, {customer}, '{moment} 10:00:00')"


def test_whatever_is_in_the_rows_each_is_one_record_or_one_letter(settings: Settings, poller: Poll) -> None:
    random, before = Random(5), letters(settings)
    sql(
        settings,
        "ALTER TABLE flash_sales MODIFY quantity INT UNSIGNED, MODIFY customer_id BIGINT UNSIGNED, "
        "MODIFY product_id LONGTEXT CHARACTER SET utf8mb3",
    )
    first = max(last_id(settings), 0) + 100
    ids = range(first, first + 300)
    statements = [NAMED + odd_row(random, row_id) for row_id in random.sample(ids, len(ids))]
    try:
        sql(settings, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'", *statements[:150])
        sql(settings, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'", *statements[150:])
        wanted = {str(row_id).encode() for row_id in ids}

        def done() -> bool:
            dead = {letter["key"] for key, letter in letters(settings).items() if key not in before}
            alive = set(sent(settings)) & wanted
            return not dead & alive and dead | alive == wanted

        await_true(done, poller)
        assert 20 < len(set(letters(settings)) - set(before)) < 250
    finally:
        sql(
            settings,
            f"DELETE FROM flash_sales WHERE sale_id >= {first}",
            "ALTER TABLE flash_sales MODIFY quantity INT, MODIFY customer_id BIGINT, MODIFY product_id VARCHAR(32)",
            f"ALTER TABLE flash_sales AUTO_INCREMENT = {first + 301}",
        )


def test_a_large_transaction_that_commits_late_is_sent_whole(settings: Settings, poller: Poll) -> None:
    before = len(sent(settings))

    def later_sale(first: int) -> None:
        sql(settings, INSERT + ROW)
        await_true(lambda: last_id(settings) >= first + 1_500, poller)

    ids = late_commit(settings, 1_500, later_sale)
    await_rows(settings, poller, before + 1_501)
    assert set(ids) < set(sales(settings))
    assert position(settings).missing < 1_500, "auto-increment gives ids in blocks: some of them are never used"


def test_ids_of_0_and_below_are_sent(settings: Settings, poller: Poll) -> None:
    sql(settings, INSERT + ROW)
    await_true(lambda: last_id(settings), poller)
    sql(
        settings,
        "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
        *(NAMED + f"({row_id}, 'P10', 1, 1, '2024-05-01 10:00:00')" for row_id in (0, -1, -7, -(2**63))),
    )
    await_true(lambda: {0, -1, -7, -(2**63)} <= set(sales(settings)), poller)
    sql(settings, NAMED + "(-5, 'P10', 1, 1, '2024-05-01 10:00:00')")
    await_true(lambda: -5 in sales(settings), poller)


def test_what_was_given_up_is_told_and_can_be_read_again_once(settings: Settings, tmp_path: Path) -> None:
    hasty = settings.model_copy(update={"poll_gap_wait_s": 1.0})
    with polling(hasty, tmp_path / "log") as poller:

        def given_up(first: int) -> None:
            sql(settings, INSERT + ROW)
            await_true(lambda: any(gap.first == first for gap in position(settings).given_up), poller)

        ids = late_commit(settings, 30, given_up)
        sql(settings, INSERT + ROW)
        sql(settings, INSERT + ROW)
        await_true(lambda: last_id(settings) > ids[-1] + 2, poller)
        assert not set(ids) & set(sales(settings))
        status = command(settings, "status", "--json")
        assert json.loads(status.stdout)["poller"]["given_up"] >= 30
        count = len(sent(settings))
        assert "ids are looked for again" in again(hasty, f"{ids[0] - 1}..{ids[-1]}")
        await_rows(settings, poller, count + 30)
        assert set(ids) <= set(sales(settings))
        again(hasty, f"-5..{ids[-1]}")
        sql(settings, INSERT + ROW)
        await_rows(settings, poller, count + 31)
    assert "were given up" in poller.said()


def test_a_position_of_the_release_before_goes_on(settings: Settings, tmp_path: Path) -> None:
    sql(settings, "DELETE FROM flash_sales WHERE sale_id <= 0", *[INSERT + ROW] * 3)
    before = len(sent(settings))
    with polling(settings, tmp_path / "log") as poller:
        await_rows(settings, poller, before + 3)
    last = last_id(settings)
    old = {"table": TABLE, "last_id": last, "missing": [], "owner": "x", "at_ms": 1}

    async def write() -> None:
        async with producer(settings) as out:
            await out.send_and_wait(topics.POLLER_POSITION.name, json.dumps(old).encode(), TABLE.encode())

    asyncio.run(write())
    sql(settings, INSERT + ROW)
    with polling(settings, tmp_path / "log") as poller:
        await_rows(settings, poller, before + 4)


def test_an_empty_key_is_a_key(settings: Settings, tmp_path: Path) -> None:
    sql(settings, "INSERT INTO product VALUES ('', 'Other', 'Nameless')")
    before = set(letters(settings))
    try:
        with polling(settings, tmp_path / "log") as poller:
            products = lambda: [value for key, value in values(settings, topics.PRODUCT) if key == b""]  # noqa: E731
            await_true(lambda: len(products()) >= 2, poller)
    finally:
        sql(settings, "DELETE FROM product WHERE product_id = ''")
    assert products()[0] == {"product_id": "", "product_group": "Other", "product_name": "Nameless"}
    assert set(letters(settings)) == before


def test_a_bad_reference_row_is_one_letter_however_often_the_table_is_read(settings: Settings, tmp_path: Path) -> None:
    sql(
        settings,
        "ALTER TABLE region DROP PRIMARY KEY, MODIFY region_id VARCHAR(32) NULL",
        "INSERT INTO region VALUES (NULL, 'Nowhere')",
    )
    read = len(values(settings, topics.REGION))
    try:
        with polling(settings, tmp_path / "log") as poller:
            await_true(lambda: len(values(settings, topics.REGION)) >= read + 3 * 9, poller)
    finally:
        sql(
            settings,
            "DELETE FROM region WHERE region_id IS NULL",
            "ALTER TABLE region MODIFY region_id VARCHAR(32) NOT NULL, ADD PRIMARY KEY (region_id)",
        )
    (letter,) = [one for _, one in values(settings, topics.DEAD_LETTERS) if one["topic"] == topics.REGION.name]
    assert letter["reason"] == "table region: a row has NULL in its key column region_id"
    assert not [key for key, _ in values(settings, topics.REGION) if key == b"None"]


def again(settings: Settings, ids: str) -> str:
    """`pipeline poll --again`."""
    ran = command(settings, "poll", f"--again={ids}")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
