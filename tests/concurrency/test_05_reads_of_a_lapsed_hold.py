"""Race 5: a hundred GETs of a lapsed hold beside the sweeper. One FAILED event, one restore."""

from __future__ import annotations

from functools import partial

from tests.concurrency.races import queue_for_slot
from tests.support.apps import Api
from tests.support.rows import SlotRow, lapse, read_history, read_slot, read_statuses
from tests.support.sessions import LOCK_BOOKING, LOCK_SLOT, holding
from tests.support.threads import at_once, background, results

READERS = 100


def test_hundred_reads_beside_two_sweeps(api: Api, database_url: str) -> None:
    api.expire_pending()
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)
    lapse(database_url, booking_id)

    answers = at_once([lambda: api.get_booking(booking_id)] * READERS + [api.expire_pending] * 2)

    shown = [(answer.data["status"], answer.data["failure_reason"]) for answer in answers[:-2]]
    assert shown == [("FAILED", "EXPIRED")] * READERS
    assert_expired_once(database_url, slot_id, booking_id)


def test_reads_beside_those_who_all_wait_for_the_slot(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)
    lapse(database_url, booking_id)
    acts = [partial(api.cancel, booking_id)] * 4 + [api.expire_pending] * 4

    with background(len(acts)) as start, holding(database_url, LOCK_SLOT, slot_id) as holder:
        waiting = [start(act) for act in acts]
        holder.wait_for_waiters(len(acts))
        reads = holder.run_beside(lambda: at_once([lambda: api.get_booking(booking_id)] * 8))
        holder.rollback()
        answers = results(waiting)

    assert {answer.data["status"] for answer in reads} == {"FAILED"}
    assert [answer.code for answer in answers] == ["BOOKING_EXPIRED"] * 4 + [None] * 4
    assert_expired_once(database_url, slot_id, booking_id)


def assert_expired_once(url: str, slot_id: str, booking_id: str) -> None:
    assert read_statuses(url, slot_id) == {booking_id: "FAILED"}
    assert read_history(url, booking_id) == ["HELD", "EXPIRED"]
    assert read_slot(url, slot_id) == SlotRow(total=5, remaining=5, version=3)


def test_slot_that_is_read_while_its_lapsed_hold_is_locked(api: Api, database_url: str) -> None:
    """The seats are shown as free; nobody waits for whoever has the hold."""
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)
    lapse(database_url, booking_id)

    with holding(database_url, LOCK_BOOKING, booking_id) as holder:
        while_locked = holder.run_beside(lambda: api.get_slot(slot_id)).data
    afterwards = api.get_slot(slot_id).data

    assert (while_locked["remaining_capacity"], while_locked["version"]) == (5, 2)
    assert (afterwards["remaining_capacity"], afterwards["version"]) == (5, 3)
    assert_expired_once(database_url, slot_id, booking_id)


def test_bookings_of_seats_that_lapsed_holds_still_bear(api: Api, database_url: str) -> None:
    """The seats of one lapsed hold are sold once, however many find it in their way at once."""
    slot_id = api.create_slot(total_capacity=2)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)
    lapse(database_url, booking_id)

    answers = queue_for_slot(database_url, slot_id, [lambda: api.book(slot_id)] * 8)

    assert sorted(answer.status for answer in answers) == [201] * 2 + [409] * 6
    assert {answer.code for answer in answers} == {None, "SLOT_FULL"}
    assert read_history(database_url, booking_id) == ["HELD", "EXPIRED"]
    assert read_slot(database_url, slot_id) == SlotRow(total=2, remaining=0, version=5)
