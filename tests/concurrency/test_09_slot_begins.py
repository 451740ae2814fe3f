"""Race 9: booking in the second in which the slot begins. The database's clock decides.

An application's clock that is an hour off is in test_09_application_clock.py.
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial

import pytest

from tests.support.apps import Answer, Api
from tests.support.rows import SlotRow, read_slot, read_statuses
from tests.support.sessions import LOCK_SLOT, holding, wait_until
from tests.support.snapshots import query
from tests.support.threads import background, result

START_IN = (
    "UPDATE slots SET start_time = clock_timestamp() + make_interval(secs => %s) WHERE id = %s"
)
HAS_BEGUN = "SELECT start_time <= clock_timestamp() FROM slots WHERE id = %s"
# As in race 3: until the request is seen to wait.
STARTS_IN_SECONDS = (0.4, 2, 10)


@pytest.mark.parametrize("hold", [False, True])
def test_booking_that_waits_until_the_slot_has_begun(
    api: Api, database_url: str, hold: bool
) -> None:
    def has_begun() -> bool:
        return query(database_url, HAS_BEGUN, slot_id) == [(True,)]

    for seconds in STARTS_IN_SECONDS:
        slot_id = api.create_slot(total_capacity=5)
        query(database_url, START_IN, seconds, slot_id)
        with background() as start, holding(database_url, LOCK_SLOT, slot_id) as holder:
            future: Future[Answer] = start(partial(api.book, slot_id, hold=hold))
            holder.wait_for_waiters()
            waited_in_time = not has_begun()
            wait_until(has_begun, "the slot's beginning")
            # The row did not change: nothing makes PostgreSQL look at its condition again.
            holder.rollback()
            answer = result(future)
        if waited_in_time:
            break

    assert waited_in_time
    assert (answer.status, answer.code) == (409, "SLOT_STARTED")
    assert_nothing_sold(database_url, slot_id)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE slots SET start_time = clock_timestamp() WHERE id = %s", "SLOT_STARTED"),
        ("UPDATE slots SET status = 'CLOSED' WHERE id = %s", "SLOT_CLOSED"),
    ],
    ids=["begun", "closed"],
)
def test_booking_that_waits_while_the_slot_is_changed(
    api: Api, database_url: str, change: str, code: str
) -> None:
    slot_id = api.create_slot(total_capacity=5)

    with background() as start, holding(database_url, change, slot_id) as holder:
        future: Future[Answer] = start(lambda: api.book(slot_id))
        holder.wait_for_waiters()
        holder.commit()
        answer = result(future)

    assert (answer.status, answer.code) == (409, code)
    assert_nothing_sold(database_url, slot_id)


def assert_nothing_sold(url: str, slot_id: str) -> None:
    assert read_slot(url, slot_id) == SlotRow(total=5, remaining=5, version=1)
    assert read_statuses(url, slot_id) == {}
