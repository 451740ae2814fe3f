"""Expiry in bulk: batches, what others have locked, and seats summed per slot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from booking.app import Services, create_services
from booking.db.connection import connect
from booking.errors import LockTimeout
from booking.models import BookingStatus, SeatRequest
from booking.repositories.bookings import explain_refusals
from booking.repositories.holds import expire_holds
from booking.services.booking import expiry
from booking.services.booking import service as bookings
from tests.support.factories import make_config
from tests.support.sessions import LOCK_BOOKING, LOCK_SLOT, holding, wait_until
from tests.support.snapshots import query, violations_of
from tests.support.threads import background, result

MAKE_SLOT = """
INSERT INTO slots (id, doctor_name, start_time, total_capacity, remaining_capacity, version)
SELECT gen_random_uuid(), 'Dr. Batch', now() + interval '1 day', 50, 50 - %s, 1 + %s
FROM generate_series(1, %s)
RETURNING id::text
"""
MAKE_HOLDS = """
WITH made AS (
    INSERT INTO bookings
        (id, slot_id, user_id, num_seats, status, expires_at, created_at, updated_at)
    SELECT gen_random_uuid(), s.id, 'batch-' || n, 1, 'PENDING', now() - interval '1 minute',
        now(), now()
    FROM slots AS s CROSS JOIN generate_series(1, %s) AS n
    RETURNING id, slot_id, status, created_at
)
INSERT INTO booking_events (booking_id, slot_id, type, to_status, seats, slot_version, at)
SELECT id, slot_id, 'HELD', status, 1, 1 + row_number() OVER (PARTITION BY slot_id), created_at
FROM made
"""


@pytest.fixture
def url(new_database: Callable[..., str]) -> Iterator[str]:
    made = new_database()
    yield made
    assert violations_of(made) == {}


@pytest.fixture
def own_parts(url: str) -> Iterator[Services]:
    made = create_services(make_config(database_url=url, db_lock_timeout_ms=300))
    yield made
    made.pool.close()


def _lapsed(url: str, *, slots: int, holds: int) -> list[str]:
    """Make slots with so many lapsed holds of one seat each; return the slots' ids."""
    ids = [slot_id for (slot_id,) in query(url, MAKE_SLOT, holds, holds, slots)]
    query(url, MAKE_HOLDS, holds)
    return sorted(ids)


def _pending(url: str) -> int:
    [(count,)] = query(url, "SELECT count(*) FROM bookings WHERE status = 'PENDING'")
    return int(count)


@pytest.mark.parametrize(
    ("slots", "holds", "max_slots", "max_holds"),
    [(1, 50, 100, 7), (25, 2, 4, 1000), (10, 5, 3, 4), (5, 3, 1, 1)],
    ids=["many holds", "many slots", "both", "one at a time"],
)
@pytest.mark.parametrize("method", ["sweep", "expire_all"])
def test_every_hold_is_expired_in_batches(
    url: str,
    own_parts: Services,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    slots: int,
    holds: int,
    max_slots: int,
    max_holds: int,
) -> None:
    monkeypatch.setattr(expiry, "SWEPT_SLOTS_PER_BATCH", max_slots)
    monkeypatch.setattr(expiry, "SWEPT_HOLDS_PER_BATCH", max_holds)
    _lapsed(url, slots=slots, holds=holds)
    expired = getattr(own_parts.expiry, method)()
    assert (expired.holds, expired.seats) == (slots * holds, slots * holds)
    assert _pending(url) == 0
    assert query(url, "SELECT DISTINCT remaining_capacity FROM slots") == [(50,)]


def test_real_batch_is_smaller_than_a_crowd(url: str, own_parts: Services) -> None:
    _lapsed(url, slots=1, holds=50)
    assert own_parts.expiry.sweep().holds == 50
    assert _pending(url) == 0
    # Each batch raises the version once.
    assert query(url, "SELECT version FROM slots") == [(51 + 50 // expiry.SWEPT_HOLDS_PER_BATCH,)]


def test_hold_that_is_asked_for_is_failed_first_in_any_crowd(
    url: str, own_parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "MAX_HOLDS_PER_BATCH", 7)
    _lapsed(url, slots=1, holds=30)
    holds = [booking_id for (booking_id,) in query(url, "SELECT id::text FROM bookings")]
    for booking_id in holds:
        own_parts.bookings.get_booking(booking_id, None)
        stored = "SELECT status, failure_reason FROM bookings WHERE id = %s"
        assert query(url, stored, booking_id) == [("FAILED", "EXPIRED")]


def test_place_of_a_lapsed_hold_is_taken_again_in_any_crowd(
    new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    monkeypatch.setattr(expiry, "MAX_HOLDS_PER_BATCH", 1)
    monkeypatch.setattr(bookings, "MAX_ATTEMPTS", 2)
    [slot_id] = _lapsed(url, slots=1, holds=30)
    query(
        url,
        """
        UPDATE bookings SET hold_place = 1, expires_at = now() - interval '1 second'
        WHERE user_id = 'batch-30' RETURNING id
        """,
    )
    parts = create_services(make_config(database_url=url, max_active_holds_per_user=1))
    try:
        wanted = SeatRequest(slot_id, user_id="batch-30", num_seats=1, hold=True)
        booked = parts.bookings.book_seats(wanted)
    finally:
        parts.pool.close()
    assert booked.booking.status == BookingStatus.PENDING
    mine = "SELECT status FROM bookings WHERE user_id = 'batch-30' ORDER BY created_at"
    assert query(url, mine) == [("FAILED",), ("PENDING",)]


@pytest.mark.parametrize(
    ("most_seats", "remaining", "lapsed"), [(20, 20, 0), (21, 50, 30)], ids=["enough", "too few"]
)
def test_refusal_adds_up_lapsed_holds_where_their_seats_are_needed(
    url: str, own_parts: Services, most_seats: int, remaining: int, lapsed: int
) -> None:
    [slot_id] = _lapsed(url, slots=1, holds=30)
    with closing(connect(url, application_name="test")) as conn:
        slot, _ = explain_refusals(conn, slot_id, [("anna", None)], most_seats=most_seats)
    assert slot is not None
    assert (slot.remaining_capacity, slot.lapsed_seats) == (remaining, lapsed)
    own_parts.expiry.sweep()


def test_holds_of_a_slot_that_expire_together_raise_its_version_once(
    url: str, own_parts: Services
) -> None:
    _lapsed(url, slots=1, holds=10)
    own_parts.expiry.sweep()
    assert query(url, "SELECT version, remaining_capacity FROM slots") == [(12, 50)]


@pytest.mark.parametrize("statement", [LOCK_SLOT, LOCK_BOOKING], ids=["slot", "hold"])
def test_sweep_passes_over_what_is_locked_and_waits_for_nobody(
    url: str, own_parts: Services, statement: str
) -> None:
    first, _ = _lapsed(url, slots=2, holds=3)
    [(hold,), *_] = query(url, "SELECT id::text FROM bookings WHERE slot_id = %s", first)
    locked, left = (first, 3) if statement == LOCK_SLOT else (hold, 1)
    with holding(url, statement, locked):
        assert own_parts.expiry.sweep().holds == 6 - left
        assert _pending(url) == left
    assert own_parts.expiry.sweep().holds == left


class Pauses(threading.Event):
    """Keeps account of a sweep's pauses, and does something in one of them."""

    def __init__(self, number: int = 0, act: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._number = number
        self._act = act

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0)
        if len(self.seconds) == self._number:
            self._act()
        return super().wait(0)


@pytest.mark.parametrize("freed_at", range(1, expiry.MAX_RETRIES + 1))
def test_sweep_tries_a_slot_again_that_was_locked_for_a_moment(
    url: str, own_parts: Services, monkeypatch: pytest.MonkeyPatch, freed_at: int
) -> None:
    monkeypatch.setattr(expiry, "SWEPT_HOLDS_PER_BATCH", 2)
    [slot_id] = _lapsed(url, slots=1, holds=5)
    with holding(url, LOCK_SLOT, slot_id) as holder:
        assert own_parts.expiry.sweep(Pauses(freed_at, holder.commit)).holds == 5
    assert _pending(url) == 0


def test_sweep_leaves_a_slot_that_stays_locked(url: str, own_parts: Services) -> None:
    locked, _ = _lapsed(url, slots=2, holds=3)
    pauses = Pauses()
    with holding(url, LOCK_SLOT, locked):
        assert own_parts.expiry.sweep(pauses).holds == 3
    assert len(pauses.seconds) == 1 + expiry.MAX_RETRIES
    assert min(pauses.seconds[:-1]) >= expiry.RETRY_SECONDS
    assert own_parts.expiry.sweep().holds == 3


def test_each_time_that_a_slot_is_locked_counts_anew(
    url: str, own_parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two batches of a crowd it may have been booked as often."""
    monkeypatch.setattr(expiry, "SWEPT_HOLDS_PER_BATCH", 2)
    monkeypatch.setattr(expiry, "MAX_RETRIES", 1)
    [slot_id] = _lapsed(url, slots=1, holds=5)
    with holding(url, LOCK_SLOT, slot_id) as first, holding(url, "SELECT 1") as second:

        class Bookings(Pauses):
            def wait(self, timeout: float | None = None) -> bool:
                is_set = super().wait(timeout)
                if len(self.seconds) == 1:
                    first.commit()
                elif len(self.seconds) == 2:
                    second.execute(LOCK_SLOT, slot_id)
                elif len(self.seconds) == 3:
                    second.commit()
                return is_set

        assert own_parts.expiry.sweep(Bookings()).holds == 5


def test_sweep_locks_no_slot_that_has_nothing_to_give_back(url: str, own_parts: Services) -> None:
    swept, idle = _lapsed(url, slots=2, holds=3)
    query(
        url,
        "UPDATE bookings SET expires_at = now() + interval '1 day' WHERE slot_id = %s RETURNING id",
        idle,
    )
    with holding(url, LOCK_SLOT, idle), closing(connect(url, application_name="test")) as conn:
        batch = expire_holds(conn, [swept, idle], 100)
    assert (batch.expired.holds, batch.locked_slots) == (3, 0)


@pytest.mark.parametrize("statement", [LOCK_SLOT, LOCK_BOOKING], ids=["slot", "hold"])
def test_expire_all_waits_for_what_is_locked(url: str, statement: str) -> None:
    parts = create_services(make_config(database_url=url, db_lock_timeout_ms=20_000))
    first, _ = _lapsed(url, slots=2, holds=3)
    [(hold,), *_] = query(url, "SELECT id::text FROM bookings WHERE slot_id = %s", first)
    locked = first if statement == LOCK_SLOT else hold
    with background() as start, holding(url, statement, locked) as holder:
        expiring = start(parts.expiry.expire_all)
        holder.wait_for_waiters()
        assert not expiring.done()
        holder.commit()
        expired = result(expiring)
    parts.pool.close()
    assert (expired.holds, expired.seats) == (6, 6)
    assert _pending(url) == 0


def test_expire_all_gives_up_after_the_lock_timeout(url: str, own_parts: Services) -> None:
    [slot_id] = _lapsed(url, slots=1, holds=1)
    with holding(url, LOCK_SLOT, slot_id), pytest.raises(LockTimeout):
        own_parts.expiry.expire_all()
    assert _pending(url) == 1


def test_hold_that_is_confirmed_meanwhile_is_not_expired(url: str) -> None:
    parts = create_services(make_config(database_url=url, db_lock_timeout_ms=20_000))
    [slot_id] = _lapsed(url, slots=1, holds=1)
    confirm = "UPDATE bookings SET status = 'CONFIRMED', updated_at = now() RETURNING id"
    with background() as start, holding(url, confirm) as holder:
        holder.execute(
            "INSERT INTO booking_events"
            " (booking_id, slot_id, type, from_status, to_status, seats, at)"
            " SELECT id, slot_id, 'CONFIRMED', 'PENDING', 'CONFIRMED', 0, now() FROM bookings"
        )
        expiring = start(lambda: parts.expiry.expire_holds_of_slot(slot_id))
        holder.wait_for_waiters()
        holder.commit()
        assert result(expiring).holds == 0
    parts.pool.close()


def test_sweeper_sweeps_by_itself_and_stops(url: str) -> None:
    parts = create_services(make_config(database_url=url, expiry_interval_seconds=0.05))
    _lapsed(url, slots=2, holds=2)
    parts.sweeper.start()
    parts.sweeper.start()
    wait_until(lambda: _pending(url) == 0, "the sweep")
    parts.sweeper.stop()
    assert "hold-sweeper" not in {thread.name for thread in threading.enumerate()}
    parts.pool.close()


def test_sweeper_of_no_interval_never_starts(
    own_parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_parts.expiry, "sweep", lambda: pytest.fail("it swept"))
    own_parts.sweeper.start()
    own_parts.sweeper.stop()


def test_slot_whose_seats_do_not_add_up_stops_no_other(
    new_database: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    damaged_url = new_database()
    parts = create_services(make_config(database_url=damaged_url))
    [first, *_] = _lapsed(damaged_url, slots=3, holds=2)
    # Somebody gave the seats back by hand: there is no room for them any more.
    query(damaged_url, "UPDATE slots SET remaining_capacity = 50 WHERE id = %s", first)

    swept = parts.expiry.sweep()

    assert (swept.holds, swept.seats) == (4, 4)
    assert _pending(damaged_url) == 2
    assert first in caplog.text
    assert parts.expiry.expire_all().holds == 0
    assert parts.expiry.expire_holds_of_slot(first).holds == 0
    assert set(violations_of(damaged_url)) == {"seats_add_up"}
    # Mended by hand, it goes on.
    query(damaged_url, "UPDATE slots SET remaining_capacity = 48 WHERE id = %s", first)
    assert parts.expiry.expire_all().holds == 2
    assert violations_of(damaged_url) == {}
    parts.pool.close()
