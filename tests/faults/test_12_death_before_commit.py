"""Retry 12: death before the commit. The retry makes exactly one."""

from __future__ import annotations

import pytest

from tests.support.apps import Answer, Api
from tests.support.failpoints import DIE, count_hits, failpoint
from tests.support.rows import SlotRow, count_events, read_history, read_slot, read_statuses


def assert_outcome_unknown(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "OUTCOME_UNKNOWN")
    assert answer.body["retryable"] is True


@pytest.mark.parametrize("at_commit", [True, False])
@pytest.mark.parametrize("table", ["bookings", "booking_events"])
def test_booking_whose_backend_dies(
    api: Api, database_url: str, keyed: dict[str, str], table: str, at_commit: bool
) -> None:
    slot_id = api.create_slot(total_capacity=5)
    of_slot = f"NEW.slot_id = '{slot_id}'"

    with failpoint(database_url, table, DIE, when=of_slot, times=1, at_commit=at_commit) as deaths:
        lost = api.book(slot_id, **keyed)
        hits = count_hits(database_url, deaths)
        left_behind = read_statuses(database_url, slot_id)
        made = api.book(slot_id, **keyed)

    # It dies before the commit, but whoever asked it cannot know.
    assert_outcome_unknown(lost)
    assert (hits, left_behind) == (1, {})
    assert (made.status, made.is_replay) == (201, False)
    assert read_statuses(database_url, slot_id) == {made.data["id"]: "CONFIRMED"}
    assert count_events(database_url, slot_id) == {"BOOKED": 1}
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=4, version=2)


def test_booking_without_a_key_is_not_sent_again(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)

    with failpoint(
        database_url, "bookings", DIE, when=f"NEW.slot_id = '{slot_id}'", times=1, at_commit=True
    ):
        lost = api.book(slot_id)

    assert_outcome_unknown(lost)
    assert read_statuses(database_url, slot_id) == {}
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=5, version=1)


def test_confirm_and_cancel_whose_backend_dies_at_the_commit(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, hold=True)
    of_booking = f"NEW.booking_id = '{booking_id}'"

    for act, status, history in (
        (api.confirm, "CONFIRMED", ["HELD", "CONFIRMED"]),
        (api.cancel, "CANCELLED", ["HELD", "CONFIRMED", "CANCELLED"]),
    ):
        with failpoint(
            database_url, "booking_events", DIE, when=of_booking, times=1, at_commit=True
        ):
            assert_outcome_unknown(act(booking_id))
            assert read_history(database_url, booking_id) == history[:-1]
            assert act(booking_id).data["status"] == status
        assert read_history(database_url, booking_id) == history
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=5, version=3)


def test_change_whose_backend_dies_at_the_commit(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)

    with failpoint(
        database_url,
        "slots",
        DIE,
        event="UPDATE",
        when=f"NEW.id = '{slot_id}'",
        times=1,
        at_commit=True,
    ):
        lost = api.change_slot(slot_id, total_capacity=9)

    assert_outcome_unknown(lost)
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=5, version=1)


@pytest.mark.parametrize(("deaths", "status"), [(1, 200), (2, 503)])
def test_change_whose_backend_dies_before_the_commit(
    api: Api, database_url: str, deaths: int, status: int
) -> None:
    """Nothing of it can have been committed: it is done once more, on another connection."""
    slot_id = api.create_slot(total_capacity=5)

    with failpoint(
        database_url, "slots", DIE, event="UPDATE", when=f"NEW.id = '{slot_id}'", times=deaths
    ) as reached:
        answer = api.change_slot(slot_id, total_capacity=9)

        assert count_hits(database_url, reached) == 2
    assert answer.status == status
    if status == 200:
        assert read_slot(database_url, slot_id) == SlotRow(total=9, remaining=9, version=2)
    else:
        assert answer.code == "DATABASE_UNAVAILABLE"
        assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=5, version=1)
