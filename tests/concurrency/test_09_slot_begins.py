"""Race 9: booking in the second in which the slot begins, with the application's clock an hour off.

The database decides.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Self, cast

import pytest

from tests.apps import Answer, Api
from tests.factories import slot_body
from tests.rows import SlotRow, lapse, read_slot, read_statuses
from tests.sessions import LOCK_SLOT, holding, wait_until
from tests.snapshots import query
from tests.threads import background, result

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


HOUR = timedelta(hours=1)
HALF_AN_HOUR = timedelta(minutes=30)
Shift = Callable[[timedelta], None]


@pytest.fixture
def shift_clock(monkeypatch: pytest.MonkeyPatch) -> Shift:
    """Put the application's clock off, wherever it asks Python for the time of day."""
    now, time_ns = datetime.now, time.time_ns

    def shift(by: timedelta) -> None:
        class ShiftedDatetime(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return cast(Self, now(tz) + by)

        offset = int(by.total_seconds()) * 10**9
        monkeypatch.setattr(time, "time_ns", lambda: time_ns() + offset)
        monkeypatch.setattr(time, "time", lambda: (time_ns() + offset) / 10**9)
        for name, module in list(sys.modules.items()):
            if name.startswith("booking.") and getattr(module, "datetime", None) is datetime:
                monkeypatch.setattr(module, "datetime", ShiftedDatetime)

    return shift


def test_application_clock_an_hour_fast_refuses_nothing(
    api: Api, database_url: str, shift_clock: Shift
) -> None:
    api.expire_pending()
    shift_clock(HOUR)

    slot_id = api.create_slot(start_time=(datetime.now(UTC) + HALF_AN_HOUR).isoformat())
    held_id = api.make_booking(slot_id, hold=True)

    assert api.get_booking(held_id).data["status"] == "PENDING"
    assert api.confirm(held_id).data["status"] == "CONFIRMED"
    assert api.book(slot_id).status == 201
    assert api.expire_pending().data["expired"] == 0
    moved = (datetime.now(UTC) + HALF_AN_HOUR / 2).isoformat()
    assert api.change_slot(slot_id, start_time=moved).status == 200
    assert read_slot(database_url, slot_id).remaining == 8


def test_application_clock_an_hour_slow_allows_nothing(
    api: Api, database_url: str, shift_clock: Shift
) -> None:
    slot_id = api.create_slot()
    held_id = api.make_booking(slot_id, hold=True)
    lapse(database_url, held_id)
    query(database_url, START_IN, -HALF_AN_HOUR.total_seconds(), slot_id)
    past = (datetime.now(UTC) - HALF_AN_HOUR).isoformat()

    shift_clock(-HOUR)

    assert api.confirm(held_id).code == "BOOKING_EXPIRED"
    assert api.cancel(held_id).code == "BOOKING_EXPIRED"
    assert api.book(slot_id).code == "SLOT_STARTED"
    assert api.book(slot_id, hold=True).code == "SLOT_STARTED"
    assert api.change_slot(slot_id, start_time=past).status == 422
    refused = api.send("POST", "/api/admin/slots", slot_body(start_time=past), {})
    assert refused.body["errors"][0]["field"] == "start_time"
    assert read_statuses(database_url, slot_id) == {held_id: "FAILED"}
