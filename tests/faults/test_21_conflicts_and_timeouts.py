"""Lock and statement timeouts, deadlocks and serialization failures, also at COMMIT."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.apps import Answer, Api
from tests.support.failpoints import count_hits, failpoint, raise_sqlstate
from tests.support.rows import SlotRow, read_slot, read_statuses
from tests.support.sessions import LOCK_SLOT, holding

StartApi = Callable[..., Api]

SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
# One attempt and three retries.
ATTEMPTS = 4


def assert_busy(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "BUSY")
    assert answer.body["retryable"] is True
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("at_commit", [False, True])
@pytest.mark.parametrize("code", [SERIALIZATION_FAILURE, DEADLOCK_DETECTED])
@pytest.mark.parametrize("conflicts", [2, None])
def test_booking_that_conflicts(
    api: Api, database_url: str, code: str, at_commit: bool, conflicts: int | None
) -> None:
    slot_id = api.create_slot(total_capacity=5)

    with failpoint(
        database_url,
        "bookings",
        raise_sqlstate(code),
        when=f"NEW.slot_id = '{slot_id}'",
        times=conflicts,
        at_commit=at_commit,
    ) as reached:
        answer = api.book(slot_id)
        hits = count_hits(database_url, reached)

    if conflicts is None:
        assert_busy(answer)
        assert hits == ATTEMPTS
        assert read_statuses(database_url, slot_id) == {}
        assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=5, version=1)
    else:
        assert hits == conflicts + 1
        assert read_statuses(database_url, slot_id) == {answer.data["id"]: "CONFIRMED"}
        assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=4, version=2)


@pytest.mark.parametrize("at_commit", [False, True])
@pytest.mark.parametrize("conflicts", [2, None])
def test_change_that_conflicts(
    api: Api, database_url: str, at_commit: bool, conflicts: int | None
) -> None:
    slot_id = api.create_slot(total_capacity=5)

    with failpoint(
        database_url,
        "slots",
        raise_sqlstate(SERIALIZATION_FAILURE),
        event="UPDATE",
        when=f"NEW.id = '{slot_id}'",
        times=conflicts,
        at_commit=at_commit,
    ) as reached:
        answer = api.change_slot(slot_id, total_capacity=9)
        hits = count_hits(database_url, reached)

    if conflicts is None:
        assert_busy(answer)
        assert hits == ATTEMPTS
        assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=5, version=1)
    else:
        assert answer.status == 200
        assert hits == conflicts + 1
        assert read_slot(database_url, slot_id) == SlotRow(total=9, remaining=9, version=2)


@pytest.mark.parametrize(
    "act",
    [
        lambda api, slot_id, _: api.book(slot_id),
        lambda api, slot_id, _: api.change_slot(slot_id, total_capacity=9),
        lambda api, slot_id, _: api.delete_slot(slot_id),
        lambda api, _, booking_id: api.cancel(booking_id),
    ],
    ids=["book", "change", "delete", "cancel"],
)
def test_lock_timeout(
    start_api: StartApi, database_url: str, act: Callable[[Api, str, str], Answer]
) -> None:
    api = start_api(db_lock_timeout_ms=200)
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id)

    with holding(database_url, LOCK_SLOT, slot_id):
        answer = act(api, slot_id, booking_id)

    assert_busy(answer)
    assert read_statuses(database_url, slot_id) == {booking_id: "CONFIRMED"}
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=4, version=2)
    assert api.book(slot_id).status == 201


def test_statement_timeout(api: Api, start_api: StartApi, database_url: str) -> None:
    hasty = start_api(db_statement_timeout_ms=1000)
    slot_id = api.create_slot(total_capacity=5)

    with failpoint(
        database_url, "bookings", "PERFORM pg_sleep(30);", when=f"NEW.slot_id = '{slot_id}'"
    ) as reached:
        answer = hasty.book(slot_id)
        hits = count_hits(database_url, reached)

    assert_busy(answer)
    assert hits == 1
    assert read_statuses(database_url, slot_id) == {}
    assert api.book(slot_id).status == 201
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=4, version=2)
