"""Race 4: cancel against cancel restores the seats once; against confirm, CANCELLED stays."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import pytest

from tests.concurrency.races import queue_for_slot
from tests.support.apps import Answer, Api
from tests.support.failpoints import breakpoint_at
from tests.support.rows import SlotRow, read_history, read_slot, read_statuses
from tests.support.sessions import cancel_statement, terminate
from tests.support.threads import at_once, background, result


@pytest.mark.parametrize("hold", [False, True])
def test_cancels_that_all_found_the_booking_standing(
    api: Api, database_url: str, hold: bool
) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=hold)

    answers = queue_for_slot(database_url, slot_id, [lambda: api.cancel(booking_id)] * 10)

    assert {(answer.status, answer.data["status"]) for answer in answers} == {(200, "CANCELLED")}
    assert len({answer.data["updated_at"] for answer in answers}) == 1
    assert_cancelled_once(database_url, slot_id, booking_id, ["HELD" if hold else "BOOKED"])


def assert_cancelled_once(url: str, slot_id: str, booking_id: str, before: list[str]) -> None:
    assert read_statuses(url, slot_id) == {booking_id: "CANCELLED"}
    assert read_history(url, booking_id) == [*before, "CANCELLED"]
    assert read_slot(url, slot_id) == SlotRow(total=5, remaining=5, version=3)


Act = Callable[[Api, str], Answer]


def one_behind_the_other(
    api: Api,
    url: str,
    booking_id: str,
    first: Act,
    second: Act,
    then: Callable[[int], None] = lambda _backend: None,
) -> tuple[Answer, Answer]:
    """Let ``second`` wait for ``first``, which has done its work and not yet committed; let that
    commit when ``then`` was done to its backend.
    """
    when = f"NEW.booking_id = '{booking_id}'"
    with (
        breakpoint_at(url, "booking_events", when=when) as stop,
        background() as start,
    ):
        one: Future[Answer] = start(lambda: first(api, booking_id))
        [backend] = stop.wait_for_stop()
        other: Future[Answer] = start(lambda: second(api, booking_id))
        stop.wait_for_stop(2)
        then(backend)
        stop.release()
        return result(one), result(other)


def test_cancel_behind_a_cancel(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2)

    answers = one_behind_the_other(api, database_url, booking_id, Api.cancel, Api.cancel)

    assert [answer.data["status"] for answer in answers] == ["CANCELLED", "CANCELLED"]
    assert answers[0].data == answers[1].data
    assert_cancelled_once(database_url, slot_id, booking_id, ["BOOKED"])


@pytest.mark.parametrize(
    ("end", "code"), [(cancel_statement, "BUSY"), (terminate, "OUTCOME_UNKNOWN")]
)
@pytest.mark.parametrize(
    ("second", "status", "slot"),
    [
        (Api.cancel, "CANCELLED", SlotRow(total=5, remaining=5, version=3)),
        (Api.confirm, "CONFIRMED", SlotRow(total=5, remaining=3, version=2)),
    ],
    ids=["cancel", "confirm"],
)
def test_what_stands_behind_a_cancel_that_is_rolled_back(
    api: Api,
    database_url: str,
    end: Callable[[str, int], None],
    code: str,
    second: Act,
    status: str,
    slot: SlotRow,
) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)

    failed, made = one_behind_the_other(
        api, database_url, booking_id, Api.cancel, second, then=partial(end, database_url)
    )

    assert (failed.status, failed.code) == (503, code)
    assert made.data["status"] == status
    assert read_history(database_url, booking_id) == ["HELD", status]
    assert read_slot(database_url, slot_id) == slot


def test_confirm_behind_a_cancel(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)

    cancel, confirm = one_behind_the_other(api, database_url, booking_id, Api.cancel, Api.confirm)

    assert cancel.data["status"] == "CANCELLED"
    assert (confirm.status, confirm.code) == (409, "BOOKING_CANCELLED")
    assert_cancelled_once(database_url, slot_id, booking_id, ["HELD"])


def test_cancel_behind_a_confirm(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)

    confirm, cancel = one_behind_the_other(api, database_url, booking_id, Api.confirm, Api.cancel)

    assert confirm.data["status"] == "CONFIRMED"
    assert cancel.data["status"] == "CANCELLED"
    assert_cancelled_once(database_url, slot_id, booking_id, ["HELD", "CONFIRMED"])


def test_confirm_behind_a_confirm(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=True)

    answers = one_behind_the_other(api, database_url, booking_id, Api.confirm, Api.confirm)

    assert [answer.data["status"] for answer in answers] == ["CONFIRMED", "CONFIRMED"]
    assert read_history(database_url, booking_id) == ["HELD", "CONFIRMED"]
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=3, version=2)


def test_cancels_and_confirms_of_many_holds(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=20)
    booking_ids = at_once([lambda: api.make_booking(slot_id, hold=True)] * 20)

    answers = at_once(
        [
            partial(act, api, held)
            for held in booking_ids
            for act in (Api.cancel, Api.confirm, Api.cancel)
        ]
    )

    confirms, cancels = answers[1::3], answers[0::3] + answers[2::3]
    assert {answer.data["status"] for answer in cancels} == {"CANCELLED"}
    assert {answer.code for answer in confirms} <= {None, "BOOKING_CANCELLED"}
    assert read_statuses(database_url, slot_id) == dict.fromkeys(booking_ids, "CANCELLED")
    for booking_id, confirm in zip(booking_ids, confirms, strict=True):
        steps = ["HELD", "CANCELLED"] if confirm.code else ["HELD", "CONFIRMED", "CANCELLED"]
        assert read_history(database_url, booking_id) == steps
    assert read_slot(database_url, slot_id) == SlotRow(total=20, remaining=20, version=41)
