"""Race 5: a hundred GETs of a lapsed hold beside the sweeper. One FAILED event, one restore."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.apps import Answer, Api
from tests.concurrency.races import queue_for_slot
from tests.rows import SlotRow, lapse, read_history, read_slot, read_statuses
from tests.sessions import LOCK_BOOKING, holding
from tests.threads import at_once

READERS = 100

Act = Callable[[Api, str], Answer]


def test_hundred_reads_beside_two_sweeps(api: Api, database_url: str) -> None:
    api.expire_pending()
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)
    lapse(database_url, booking_id)

    answers = at_once([lambda: api.get_booking(booking_id)] * READERS + [api.expire_pending] * 2)

    shown = [(answer.data["status"], answer.data["failure_reason"]) for answer in answers[:-2]]
    assert shown == [("FAILED", "EXPIRED")] * READERS
    assert_expired_once(database_url, slot_id, booking_id)


@pytest.mark.parametrize("others", [[], [Api.cancel, Api.confirm] * 2])
def test_reads_that_all_found_the_hold_lapsed(
    api: Api, database_url: str, others: list[Act]
) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)
    lapse(database_url, booking_id)
    acts = [Api.get_booking] * 8 + others

    answers = queue_for_slot(database_url, slot_id, [partial(act, api, booking_id) for act in acts])

    assert {answer.data["status"] for answer in answers[:8]} == {"FAILED"}
    assert [answer.code for answer in answers[8:]] == ["BOOKING_EXPIRED"] * len(others)
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
