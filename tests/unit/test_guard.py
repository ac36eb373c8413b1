"""Records that ended a worker, again and again: each is one dead letter now, and all others count."""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_agents import USER, VIEW, application, put, reasons, values

from pipeline import Application, Stream, SumDecimal, c, topics
from pipeline.agents.guard import LARGEST_BYTES, MOST_IN_A_ROW, Guard
from pipeline.agents.letters import KEPT_LETTERS, DeadLetters
from pipeline.applications.loading import declared
from pipeline.codecs import Decoder, Encoder, schema
from pipeline.errors import ApplicationFault
from pipeline.records import Outgoing, RecordBatch
from pipeline.runner.local import LocalApplication, flash_sales_application
from pipeline.settings import Settings
from pipeline.tables.state import State
from pipeline.topics import Kind, Topic

__all__ = ["application"]

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 18}
TOO_LONG = "u" * 524_240
CONTROL = "\x01" * 200_000


@pytest.mark.parametrize("userid", [TOO_LONG, CONTROL])
async def test_a_userid_of_which_no_message_can_be_made_is_a_dead_letter(
    application: LocalApplication, userid: str
) -> None:
    """The view itself is small enough; its row has the userid in its key, too. Changelogs write six bytes a letter."""
    await put(application, topics.USERS, userid, {**USER, "userid": userid}, 1)
    await put(application, topics.USERS, "User_1", USER, 1)
    await put(application, topics.PAGEVIEW, None, {**VIEW, "userid": userid}, 2)
    await put(application, topics.PAGEVIEW, "User_1", VIEW, 2)
    found = await reasons(application)
    assert found
    assert all("a message holds 1047552 at most" in reason or "is larger than" in reason for reason in found)
    assert "what becomes of it in EXTENDED_PAGEVIEWS_STREAM" in found[-1] or userid == CONTROL
    rows = [row for row in await values(application, topics.EXTENDED_PAGEVIEWS) if row]
    assert rows[-1]["region_name"] == "North"
    sent = [r for name, rs in application.broker.topics.items() if name != topics.USERS.name for r in rs]
    assert max(len(r.key or b"") + len(r.value or b"") for r in sent) <= LARGEST_BYTES


async def test_a_reason_that_names_what_is_too_long_is_cut(application: LocalApplication) -> None:
    await put(application, topics.USERS, "User_1", {**USER, "userid": "x" * 500_000}, 1)
    (reason,) = await reasons(application)
    assert reason.startswith("key 'User_1' is not the userid 'xxx")
    assert len(reason) < KEPT_LETTERS + 100


NUMBERS = Topic("numbers", Kind.EVENT, key="n")


class Table:
    """A state table of one partition."""

    def __init__(self) -> None:
        self.state = State()

    def state_of(self, partition: int) -> State:
        return self.state


class Adding:
    """Adds numbers up, one by one; fails in the middle of its work on what is no number, or on everything."""

    topic = NUMBERS

    def __init__(self, *, broken: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.table = Table()
        self.tables: Sequence[Any] = [self.table]
        self.cached: int | None = None
        self.broken = broken

    def forget(self, partition: int) -> None:
        self.cached = None

    async def prepare(self, batch: RecordBatch) -> None:
        pass

    def process(self, batch: RecordBatch) -> list[Outgoing]:
        state, out = self.table.state, []
        total = self.cached if self.cached is not None else (state.get(("total",)) or [0])[0]
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            self.counts["consumed"] += 1
            self.cached = total = total + (int("") if self.broken else int(value or b""))
            state.put(("total",), [total])
            out.append(Outgoing("out", b"", str(offset).encode(), 0))
        return out


def guarded(processor: Adding) -> Guard:
    return Guard(processor, "adding", DeadLetters(Encoder("dead_letter", 1)))  # type: ignore[arg-type]


def numbers(*values: bytes, first: int = 0) -> RecordBatch:
    count = len(values)
    return RecordBatch(NUMBERS.name, 0, range(first, first + count), [1] * count, [None] * count, values)


def letters(out: list[Outgoing]) -> list[dict[str, Any]]:
    decode = Decoder("dead_letter")
    decode.learn(1, schema("dead_letter"))
    return [decode(record.value) for record in out if record.topic == topics.DEAD_LETTERS.name]


@settings(max_examples=60)
@given(st.lists(st.one_of(st.integers(-9, 9), st.just("x")), min_size=1, max_size=40))
def test_every_good_record_counts_once_and_every_other_is_one_letter(found: list[int | str]) -> None:
    adding = Adding()
    out = guarded(adding).process(numbers(*(str(value).encode() for value in found)))
    bad = [place for place, value in enumerate(found) if value == "x"]
    good = [place for place in range(len(found)) if place not in bad]
    assert [letter["offset"] for letter in letters(out)] == bad
    assert [int(r.value or b"") for r in out if r.topic == "out"] == good
    assert (adding.table.state.get(("total",)) or [0])[0] == sum(value for value in found if isinstance(value, int))
    assert (adding.counts["consumed"], adding.counts["bad"]) == (len(found), len(bad))


def test_a_fault_of_the_application_ends_it_with_a_sentence_and_nothing_is_delivered() -> None:
    guard = guarded(Adding(broken=True))
    with pytest.raises(
        ApplicationFault, match=f"agent adding: {MOST_IN_A_ROW} records in a row .* numbers partition 0"
    ):
        guard.process(numbers(*[b"1"] * 2 * MOST_IN_A_ROW))


def test_at_low_rates_a_fault_of_the_application_ends_it_too() -> None:
    guard = guarded(Adding(broken=True))
    for offset in range(MOST_IN_A_ROW - 1):
        assert len(letters(guard.process(numbers(b"1", first=offset)))) == 1
    with pytest.raises(ApplicationFault):
        guard.process(numbers(b"1", first=MOST_IN_A_ROW))


def test_bad_records_with_good_ones_between_never_end_it(caplog: pytest.LogCaptureFixture) -> None:
    guard = guarded(Adding())
    with caplog.at_level(logging.ERROR):
        for offset in range(0, 3 * MOST_IN_A_ROW, 2):
            guard.process(numbers(b"x", b"1", first=offset))


@pytest.fixture
async def running() -> AsyncIterator[LocalApplication]:
    async with flash_sales_application(Settings()).running() as application:
        await put(application, topics.PAGES, "Page_10", {"page_id": "Page_10", "page_group": "G", "page_name": "N"}, 0)
        yield application


async def test_a_batch_that_is_taken_apart_leaves_the_state_of_one_that_is_not(running: LocalApplication) -> None:
    """Views whose enriched rows fit, and one whose row does not: windows and sessions go on as if it had not been."""
    encode = running.schemas.encoder("pageview")
    views = [encode({**VIEW, "viewtime": n}) for n in range(40)]
    views[17] = encode({**VIEW, "userid": TOO_LONG})
    times_ms = [n * 1_000 for n in range(40)]
    await running.feed_batch(RecordBatch(topics.PAGEVIEW.name, 0, range(40), times_ms, [b"k"] * 40, views))
    (reason,) = await reasons(running)
    assert "what becomes of it in EXTENDED_PAGEVIEWS_STREAM" in reason
    last = (await values(running, topics.PAGEVIEWS_BY_PAGEGROUP))[-1]
    assert last is not None
    assert (last["count_view"], last["event_time_ms"]) == (39, 39_000)


async def test_what_is_foreign_in_an_internal_topic_is_a_dead_letter(running: LocalApplication) -> None:
    for raw in (b"{", b"[]", b'["Partial"]', b'["Watermark", 0, {}]', b"null", b"\xff"):
        await running.feed("pipeline-pageview-partials", b"G", raw, 1)
    for raw in (b"", b"short", None):
        await running.feed(topics.PAGEVIEW_BY_USER.name, b"User_1", raw, 1)
    assert len(await reasons(running)) == 8
    await put(running, topics.PAGEVIEW, "User_1", VIEW, 5)
    assert (await values(running, topics.PAGEVIEWS_BY_PAGEGROUP))[-1] is not None


async def test_a_sum_beyond_its_type_is_a_letter_and_the_group_goes_on() -> None:
    """It ended the worker. The state is exact, so that the next result that fits is right. Of longs: statements.md."""
    amounts = Stream("amounts", {"g": "string", "x": DECIMAL}, key="g")
    sums = amounts.group_by(c.g).aggregate(total=SumDecimal(c.x, 18)).to("SUMS")
    async with LocalApplication(Settings(), declared(Application("sums", sums))).running() as application:
        for value in ("9.00", "1.00", "-5.00"):
            await put(application, amounts.topic, "g", {"g": "one", "x": Decimal(value)}, 1)
        found = await values(application, sums.topic)
        assert [row["total_unscaled"] for row in found if row] == [9 * 10**18, 5 * 10**18]
        (reason,) = await reasons(application)
        assert "the result of SUMS for g 'one'" in reason
        assert "long holds" in reason
