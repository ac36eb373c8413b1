"""Snapshots are immutable and versioned; freshness is judged from them alone; the poller survives everything."""

import dataclasses
import threading
import time

import pytest
from dashboard_data import NEXT, shop

from pipeline.dashboard.snapshot import Data, Poller, Snapshot, freshness
from pipeline.errors import QueryError

T0 = NEXT + 90_000


def test_a_snapshot_cannot_be_changed() -> None:
    snapshot = Snapshot().refreshed(shop(), T0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.version = 7  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.data.sales_cube = ()  # type: ignore[misc, union-attr]
    hash(snapshot)


def test_the_version_rises_only_when_the_data_change() -> None:
    first = Snapshot().refreshed(shop(), T0)
    same = first.refreshed(shop(), T0 + 1000)
    other = same.refreshed(shop(extra_cents=1), T0 + 2000)
    assert [first.version, same.version, other.version] == [1, 1, 2]
    assert (same.refreshed_ms, same.changed_ms) == (T0 + 1000, NEXT + 60_000)
    assert (other.refreshed_ms, other.changed_ms) == (T0 + 2000, T0 + 2000)


def test_a_failure_keeps_the_last_good_data_until_the_next_success() -> None:
    good = Snapshot().refreshed(shop(), T0)
    failed = good.failed("Pinot is away")
    assert (failed.data, failed.version, failed.refreshed_ms) == (good.data, 1, T0)
    assert failed.error == "Pinot is away"
    assert failed.refreshed(shop(), T0 + 1000).error is None


@pytest.mark.parametrize(
    ("later_ms", "state"), [(0, "live"), (3000, "live"), (3001, "unreachable"), (3_600_000, "unreachable")]
)
def test_unreachable_when_the_refresh_is_old(later_ms: int, state: str) -> None:
    snapshot = Snapshot().refreshed(shop(), T0 - 5000).refreshed(shop(extra_cents=1), T0)
    assert freshness(snapshot, T0 + later_ms, 3.0, 30.0).state == state
    assert freshness(snapshot.failed("away"), T0 + later_ms, 3.0, 30.0).state == state


def test_stale_when_pinot_answers_but_nothing_changes() -> None:
    snapshot = Snapshot().refreshed(shop(), T0).refreshed(shop(extra_cents=1), T0 + 1000)
    for later_s, state in ((30, "live"), (30.001, "stale")):
        now = T0 + 1000 + int(later_s * 1000)
        assert freshness(snapshot.refreshed(shop(extra_cents=1), now), now, 3.0, 30.0).state == state


def test_first_data_are_as_old_as_their_newest_event() -> None:
    fresh = freshness(Snapshot().refreshed(shop(), T0), T0, 3.0, 30.0)
    assert fresh.state == "live"
    assert fresh.event_age_s == fresh.change_age_s == 30.0
    old = freshness(Snapshot().refreshed(shop(), T0 + 1), T0 + 1, 3.0, 30.0)
    assert old.state == "stale"


def test_an_event_from_the_future_has_no_negative_age() -> None:
    fresh = freshness(Snapshot().refreshed(shop(newest_event_ms=T0 + 60_000), T0), T0, 3.0, 30.0)
    assert (fresh.state, fresh.event_age_s, fresh.change_age_s) == ("live", 0.0, 0.0)


def test_before_the_first_data() -> None:
    assert freshness(Snapshot(), T0, 3.0, 30.0).state == "starting"
    assert freshness(Snapshot().failed("away"), T0, 3.0, 30.0).state == "unreachable"
    empty = freshness(Snapshot().refreshed(Data(), T0), T0, 3.0, 30.0)
    assert (empty.state, empty.event_age_s, empty.refresh_age_s) == ("starting", None, 0.0)


def test_any_failure_of_the_source_is_told_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Data | Exception] = [shop(), QueryError("Pinot is away"), KeyError("n"), shop(extra_cents=5)]

    def source() -> Data:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    poller = Poller(source, 1.0, clock_ms=lambda: T0)
    assert poller.current == Snapshot()
    seen = [poller.refresh() for _ in range(4)]
    assert [s.version for s in seen] == [1, 1, 1, 2]
    assert [s.error for s in seen] == [None, "Pinot is away", "KeyError: 'n'", None]
    assert "the dashboard's refresh failed" in caplog.text


def test_the_thread_refreshes_and_stops() -> None:
    asked = threading.Semaphore(0)

    def source() -> Data:
        asked.release()
        return shop()

    poller = Poller(source, 0.01)
    poller.start()
    poller.start()
    assert all(asked.acquire(timeout=5) for _ in range(3))
    assert sum(thread.name == "pinot-poller" for thread in threading.enumerate()) == 1
    poller.stop()
    assert not any(thread.name == "pinot-poller" for thread in threading.enumerate())
    poller.start()  # as in a process that was forked from a stopped one
    assert asked.acquire(timeout=5)
    poller.stop()


def test_a_slow_source_gets_a_rest() -> None:
    began: list[float] = []

    def source() -> Data:
        began.append(time.monotonic())
        time.sleep(0.05)
        return shop()

    poller = Poller(source, 0.01)
    poller.start()
    time.sleep(0.5)
    poller.stop()
    assert len(began) <= 6


def test_fewer_events_than_before_are_not_believed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s, answers = [100.0], iter([shop(), Data(), dataclasses.replace(shop(), users_ever=0), shop(1)])
    monkeypatch.setattr("pipeline.dashboard.snapshot.time.monotonic", lambda: clock_s[0])
    poller = Poller(lambda: next(answers), 1.0, clock_ms=lambda: T0)
    good = poller.refresh()
    for _ in range(2):
        kept = poller.refresh()
        assert (kept.data, kept.version) == (good.data, good.version)
        assert "fewer events than before" in str(kept.error)
    assert poller.refresh().data == shop(1)
    answers = iter([Data(), Data()])
    assert poller.refresh().data == shop(1)
    clock_s[0] += 61
    assert poller.refresh() == Snapshot(3, Data(), T0, T0)


def test_a_deleted_user_is_believed_at_once() -> None:
    fewer = dataclasses.replace(shop(), users_by_region=shop().users_by_region[1:])
    answers = iter([shop(), fewer])
    poller = Poller(lambda: next(answers), 1.0, clock_ms=lambda: T0)
    poller.refresh()
    assert (poller.refresh().data, poller.current.error) == (fewer, None)


def test_the_next_snapshot_is_announced() -> None:
    asked = threading.Semaphore(0)

    def source() -> Data:
        asked.release()
        return shop()

    poller = Poller(source, 1000.0)
    assert poller.due_in_s() == 0
    poller.start()
    assert asked.acquire(timeout=5)
    deadline = time.monotonic() + 5
    while not poller.due_in_s():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert 990 < poller.due_in_s() <= 1000
    poller.stop()


def test_pollers_can_be_told_apart() -> None:
    assert Poller(shop, 1.0).epoch != Poller(shop, 1.0).epoch
