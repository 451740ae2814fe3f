"""Race 7: capacity lowered while others book. Below what is booked: 409."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from tests.support.apps import Answer, Api
from tests.support.failpoints import breakpoint_at
from tests.support.rows import SlotRow, lapse, read_history, read_slot, read_statuses
from tests.support.threads import at_once, background, result


def change_behind_a_booking(
    api: Api, url: str, slot_id: str, num_seats: int, change: Callable[[], Answer]
) -> tuple[Answer, Answer]:
    """Let a change wait for a booking that has its seats and has not committed."""
    with (
        breakpoint_at(url, "bookings", when=f"NEW.slot_id = '{slot_id}'") as stop,
        background() as start,
    ):
        booking: Future[Answer] = start(lambda: api.book(slot_id, num_seats=num_seats))
        stop.wait_for_stop()
        changed: Future[Answer] = start(change)
        stop.wait_for_stop(2)
        stop.release()
        return result(booking), result(changed)


def test_capacity_lowered_below_a_booking_under_way(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=10)

    booking, change = change_behind_a_booking(
        api, database_url, slot_id, 4, lambda: api.change_slot(slot_id, total_capacity=3)
    )

    assert booking.status == 201
    assert (change.status, change.code) == (409, "CAPACITY_BELOW_BOOKED")
    assert change.body["booked"] == 4
    assert read_slot(database_url, slot_id) == SlotRow(total=10, remaining=6, version=2)


def test_capacity_lowered_to_a_booking_under_way(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=10)

    booking, change = change_behind_a_booking(
        api, database_url, slot_id, 4, lambda: api.change_slot(slot_id, total_capacity=4)
    )

    assert booking.status == 201
    assert (change.data["total_capacity"], change.data["remaining_capacity"]) == (4, 0)
    assert read_slot(database_url, slot_id) == SlotRow(total=4, remaining=0, version=3)


def test_change_whose_version_a_booking_under_way_outdates(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=10)
    tag = api.get_slot(slot_id).headers["ETag"]

    booking, change = change_behind_a_booking(
        api,
        database_url,
        slot_id,
        4,
        lambda: api.change_slot(slot_id, if_match=tag, total_capacity=20),
    )

    assert booking.status == 201
    assert (change.status, change.code) == (412, "VERSION_MISMATCH")
    assert read_slot(database_url, slot_id) == SlotRow(total=10, remaining=6, version=2)


def test_booking_behind_a_lowered_capacity(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=10)

    with (
        breakpoint_at(database_url, "slots", event="UPDATE", when=f"NEW.id = '{slot_id}'") as stop,
        background() as start,
    ):
        change: Future[Answer] = start(lambda: api.change_slot(slot_id, total_capacity=3))
        stop.wait_for_stop()
        booking: Future[Answer] = start(lambda: api.book(slot_id, num_seats=4))
        stop.wait_for_stop(2)
        stop.release()

        assert result(change).data["remaining_capacity"] == 3
        assert result(booking).code == "SLOT_FULL"
        assert result(booking).body["remaining_capacity"] == 3
    assert read_slot(database_url, slot_id) == SlotRow(total=3, remaining=3, version=2)
    assert read_statuses(database_url, slot_id) == {}


def test_seats_of_a_lapsed_hold_do_not_keep_the_capacity_up(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=10)
    lapsed_id = api.make_booking(slot_id, num_seats=9, hold=True)
    lapse(database_url, lapsed_id)

    changes = at_once([lambda: api.change_slot(slot_id, total_capacity=1)] * 3)

    assert [change.data["remaining_capacity"] for change in changes] == [1, 1, 1]
    assert read_history(database_url, lapsed_id) == ["HELD", "EXPIRED"]
    # The hold, its expiry and the one change that changed something.
    assert read_slot(database_url, slot_id) == SlotRow(total=1, remaining=1, version=4)


def test_capacity_changes_among_many_bookings(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=30)
    capacities = [10, 25, 5, 40, 15, 20]

    answers = at_once(
        [
            lambda capacity=capacity: api.change_slot(slot_id, total_capacity=capacity)
            for capacity in capacities
        ]
        + [lambda: api.book(slot_id, num_seats=2)] * 24
    )

    changes, bookings = answers[: len(capacities)], answers[len(capacities) :]
    assert {change.code for change in changes} <= {None, "CAPACITY_BELOW_BOOKED"}
    assert {booking.code for booking in bookings} <= {None, "SLOT_FULL"}
    made = sum(booking.status == 201 for booking in bookings)
    written = sum(change.status == 200 for change in changes)
    slot = read_slot(database_url, slot_id)
    assert slot.total in {30, *capacities}
    assert slot == SlotRow(
        total=slot.total, remaining=slot.total - 2 * made, version=1 + made + written
    )
