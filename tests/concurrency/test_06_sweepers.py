"""Race 6: two sweepers at once. Disjoint work, and nobody waits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import pytest

from booking.app import Services
from booking.repositories.holds import Expired
from tests.support.apps import Answer, Api
from tests.support.failpoints import breakpoint_at
from tests.support.rows import SlotRow, count_events, lapse, read_history, read_slot, read_statuses
from tests.support.sessions import LOCK_BOOKING, LOCK_SLOT, holding
from tests.support.snapshots import query
from tests.support.threads import at_once, background, result


@pytest.fixture
def sweep(parts: Services) -> Callable[[], Expired]:
    """The sweeper's own sweep. What earlier tests left to lapse is swept before."""
    parts.expiry.expire_all()
    return parts.expiry.sweep


def make_lapsed_hold(api: Api, url: str, num_seats: int = 1) -> tuple[str, str]:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=num_seats, hold=True)
    lapse(url, booking_id)
    return slot_id, booking_id


def test_second_sweeper_passes_over_what_the_first_has_in_hand(
    api: Api, sweep: Callable[[], Expired], database_url: str
) -> None:
    slot_id, booking_id = make_lapsed_hold(api, database_url, num_seats=2)

    with (
        breakpoint_at(database_url, "booking_events", when=f"NEW.slot_id = '{slot_id}'") as stop,
        background() as start,
    ):
        first: Future[Expired] = start(sweep)
        stop.wait_for_stop()
        _, other_id = make_lapsed_hold(api, database_url, num_seats=3)
        # The first is at work while the second comes, works and goes.
        second = stop.run_beside(sweep)
        assert not first.done()
        assert read_history(database_url, other_id) == ["HELD", "EXPIRED"]
        stop.release()

        assert second == Expired(holds=1, seats=3)
        assert result(first) == Expired(holds=1, seats=2)
    assert read_history(database_url, booking_id) == ["HELD", "EXPIRED"]
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=5, version=3)


@pytest.mark.parametrize("lock", [LOCK_SLOT, LOCK_BOOKING], ids=["slot", "booking"])
def test_sweeper_passes_over_what_somebody_else_has_locked(
    api: Api, sweep: Callable[[], Expired], database_url: str, lock: str
) -> None:
    slot_id, booking_id = make_lapsed_hold(api, database_url)
    _, free_id = make_lapsed_hold(api, database_url)
    locked_id = slot_id if lock == LOCK_SLOT else booking_id

    with holding(database_url, lock, locked_id) as holder:
        assert holder.run_beside(sweep) == Expired(holds=1, seats=1)
        assert read_history(database_url, booking_id) == ["HELD"]
        assert read_history(database_url, free_id) == ["HELD", "EXPIRED"]

    assert sweep() == Expired(holds=1, seats=1)
    assert read_history(database_url, booking_id) == ["HELD", "EXPIRED"]
    assert sweep() == Expired()


@pytest.mark.parametrize("lock", [LOCK_SLOT, LOCK_BOOKING], ids=["slot", "booking"])
def test_expire_pending_waits_for_what_is_stale_and_locked(
    api: Api, sweep: Callable[[], Expired], database_url: str, lock: str
) -> None:
    """All that is stale when it is called, as the contract has it: a sweep is not enough."""
    slot_id, booking_id = make_lapsed_hold(api, database_url)
    locked_id = slot_id if lock == LOCK_SLOT else booking_id

    with background() as start, holding(database_url, lock, locked_id) as holder:
        future: Future[Answer] = start(api.expire_pending)
        holder.wait_for_waiters()
        holder.rollback()
        answer = result(future)

    assert answer.data == {"expired": 1, "seats_restored": 1}
    assert read_statuses(database_url, slot_id) == {booking_id: "FAILED"}


def test_sweepers_share_many_holds(
    api: Api, sweep: Callable[[], Expired], database_url: str
) -> None:
    # No more holds than one batch takes.
    slot_ids = [api.create_slot(total_capacity=50) for _ in range(6)]
    at_once(
        [
            partial(api.make_booking, slot_id, num_seats=seats, hold=True)
            for slot_id in slot_ids
            for seats in (1, 2, 3, 4)
        ]
    )
    query(
        database_url,
        "UPDATE bookings SET expires_at = clock_timestamp() WHERE slot_id = ANY(%s::uuid[])",
        slot_ids,
    )

    swept = at_once([sweep] * 4)

    assert sum(swept, Expired()) == Expired(holds=24, seats=60)
    for slot_id in slot_ids:
        assert count_events(database_url, slot_id) == {"HELD": 4, "EXPIRED": 4}
        # The seats of a slot return together: one version for all of them.
        assert read_slot(database_url, slot_id) == SlotRow(total=50, remaining=50, version=6)
