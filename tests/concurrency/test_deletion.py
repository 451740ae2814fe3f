"""DELETE of a slot against a booking of it: the slot goes, or the booking stands, never both."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from tests.support.apps import Answer, Api
from tests.support.failpoints import breakpoint_at
from tests.support.rows import SlotRow, read_history, read_slot, read_statuses
from tests.support.sessions import holding
from tests.support.snapshots import query
from tests.support.threads import at_once, background, result


def test_deletion_behind_a_booking(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)

    with (
        breakpoint_at(database_url, "bookings", when=f"NEW.slot_id = '{slot_id}'") as stop,
        background() as start,
    ):
        booking: Future[Answer] = start(lambda: api.book(slot_id))
        stop.wait_for_stop()
        deletion: Future[Answer] = start(lambda: api.delete_slot(slot_id))
        stop.wait_for_stop(2)
        stop.release()

        assert result(booking).status == 201
        assert (result(deletion).status, result(deletion).code) == (409, "SLOT_HAS_BOOKINGS")
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=4, version=2)
    assert len(read_statuses(database_url, slot_id)) == 1


def test_booking_behind_a_deletion(api: Api, database_url: str) -> None:
    slot_id = api.create_slot()
    delete = "DELETE FROM slots WHERE id = %s"

    with background() as start, holding(database_url, delete, slot_id) as holder:
        future: Future[Answer] = start(lambda: api.book(slot_id))
        holder.wait_for_waiters()
        holder.commit()
        answer = result(future)

    assert (answer.status, answer.code) == (404, "SLOT_NOT_FOUND")
    assert read_statuses(database_url, slot_id) == {}
    assert not slot_exists(database_url, slot_id)


def test_deletion_behind_a_confirmation(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, hold=True)

    with (
        breakpoint_at(
            database_url, "booking_events", when=f"NEW.booking_id = '{booking_id}'"
        ) as stop,
        background() as start,
    ):
        confirm: Future[Answer] = start(lambda: api.confirm(booking_id))
        stop.wait_for_stop()
        # A confirmation locks its booking, which is there whatever becomes of it: no need to wait.
        deletion = stop.run_beside(lambda: api.delete_slot(slot_id))
        stop.release()

        assert (deletion.status, deletion.code) == (409, "SLOT_HAS_BOOKINGS")
        assert result(confirm).data["status"] == "CONFIRMED"
    assert read_history(database_url, booking_id) == ["HELD", "CONFIRMED"]
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=4, version=2)


def test_slot_whose_bookings_all_ended_is_not_deleted(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, hold=True)

    cancel, deletion = at_once([lambda: api.cancel(booking_id), lambda: api.delete_slot(slot_id)])

    assert cancel.data["status"] == "CANCELLED"
    assert deletion.code == "SLOT_HAS_BOOKINGS"
    assert api.delete_slot(slot_id).code == "SLOT_HAS_BOOKINGS"
    assert read_statuses(database_url, slot_id) == {booking_id: "CANCELLED"}


def test_deletions_and_bookings_of_many_slots(api: Api, database_url: str) -> None:
    slot_ids = [api.create_slot(total_capacity=5) for _ in range(15)]
    acts: list[Callable[[str], Answer]] = [api.book, api.delete_slot, api.book]

    answers = at_once([partial(act, slot_id) for slot_id in slot_ids for act in acts])

    for number, slot_id in enumerate(slot_ids):
        one, deletion, other = answers[3 * number : 3 * number + 3]
        bookings = {one.code, other.code}
        stored = read_statuses(database_url, slot_id)
        if slot_exists(database_url, slot_id):
            assert (bookings, deletion.code) == ({None}, "SLOT_HAS_BOOKINGS")
            assert len(stored) == 2
        else:
            assert (bookings, deletion.status) == ({"SLOT_NOT_FOUND"}, 204)
            assert stored == {}


def slot_exists(url: str, slot_id: str) -> bool:
    return bool(query(url, "SELECT 1 FROM slots WHERE id = %s", slot_id))
