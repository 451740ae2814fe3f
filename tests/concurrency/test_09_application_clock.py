"""Race 9: the application's clock an hour off, either way. The database decides.

Tokens alone go by the application's clock: who calls is decided before the database is asked.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Self, cast

import pytest

from booking.app import create_services
from tests.security.callers import AUTH, as_user, bearer, token
from tests.support.apps import Answer, Api
from tests.support.factories import make_config, slot_body, unique
from tests.support.rows import lapse, read_slot, read_statuses
from tests.support.sessions import wait_until
from tests.support.snapshots import query

START_IN = (
    "UPDATE slots SET start_time = clock_timestamp() + make_interval(secs => %s) WHERE id = %s"
)
HOUR = timedelta(hours=1)
HALF_AN_HOUR = timedelta(minutes=30)
Shift = Callable[[timedelta], None]
both_ways = pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["fast", "slow"])


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
            known = getattr(module, "datetime", None)
            is_asked = name.startswith(("booking.", "jwt.", "itsdangerous."))
            if is_asked and isinstance(known, type) and issubclass(known, datetime):
                monkeypatch.setattr(module, "datetime", ShiftedDatetime)

    return shift


def is_listed(api: Api, slot_id: str, name: str) -> bool:
    answer = api.send("GET", f"/api/slots?doctor_name={name}", None, {})
    return slot_id in [slot["id"] for slot in answer.data]


def test_application_clock_an_hour_fast_refuses_nothing(
    api: Api, database_url: str, shift_clock: Shift
) -> None:
    api.expire_pending()
    shift_clock(HOUR)

    name = unique("fast")
    soon = (datetime.now(UTC) + HALF_AN_HOUR).isoformat()
    slot_id = api.create_slot(doctor_name=name, start_time=soon)
    held_id = api.make_booking(slot_id, hold=True)

    assert is_listed(api, slot_id, name)
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
    name = unique("slow")
    slot_id = api.create_slot(doctor_name=name)
    held_id = api.make_booking(slot_id, hold=True)
    lapse(database_url, held_id)
    query(database_url, START_IN, -HALF_AN_HOUR.total_seconds(), slot_id)
    past = (datetime.now(UTC) - HALF_AN_HOUR).isoformat()

    shift_clock(-HOUR)

    assert not is_listed(api, slot_id, name)
    assert api.confirm(held_id).code == "BOOKING_EXPIRED"
    assert api.cancel(held_id).code == "BOOKING_EXPIRED"
    assert api.book(slot_id).code == "SLOT_STARTED"
    assert api.book(slot_id, hold=True).code == "SLOT_STARTED"
    assert api.change_slot(slot_id, start_time=past).status == 422
    refused = api.send("POST", "/api/admin/slots", slot_body(start_time=past), {})
    assert refused.body["errors"][0]["field"] == "start_time"
    assert read_statuses(database_url, slot_id) == {held_id: "FAILED"}


@both_ways
def test_hold_lives_as_long_by_the_database(
    start_api: Callable[..., Api], database_url: str, shift_clock: Shift, by: timedelta
) -> None:
    shift_clock(by)
    api = start_api(hold_ttl_seconds=600)
    slot_id = api.create_slot()

    held_id = api.make_booking(slot_id, hold=True)

    [(lives,)] = query(
        database_url, "SELECT expires_at - created_at FROM bookings WHERE id = %s", held_id
    )
    [(is_of_now,)] = query(
        database_url,
        "SELECT clock_timestamp() - created_at < interval '5 minutes' FROM bookings WHERE id = %s",
        held_id,
    )
    assert lives == timedelta(seconds=600)
    assert is_of_now


@both_ways
def test_sweeper_fails_what_lapsed_by_the_database(
    api: Api, database_url: str, shift_clock: Shift, by: timedelta
) -> None:
    slot_id = api.create_slot()
    lapsed_id, live_id = (api.make_booking(slot_id, hold=True) for _ in range(2))
    lapse(database_url, lapsed_id)
    shift_clock(by)

    parts = create_services(make_config(database_url=database_url, expiry_interval_seconds=0.05))
    parts.sweeper.start()
    wait_until(
        lambda: read_statuses(database_url, slot_id)[lapsed_id] == "FAILED", "the hold to fail"
    )
    parts.sweeper.stop()
    parts.pool.close()

    assert read_statuses(database_url, slot_id)[live_id] == "PENDING"


@both_ways
def test_limit_of_holds_tells_seconds_of_the_database(
    start_api: Callable[..., Api], shift_clock: Shift, by: timedelta
) -> None:
    api = start_api(max_active_holds_per_user=1, hold_ttl_seconds=600)
    slot_id, user_id = api.create_slot(), unique("user")
    api.make_booking(slot_id, user_id=user_id, hold=True)

    shift_clock(by)
    refused = api.book(slot_id, user_id=user_id, hold=True)

    assert refused.code == "HOLD_LIMIT"
    assert 300 < int(refused.headers["Retry-After"]) <= 600


@both_ways
def test_key_replays_after_the_clock_was_set(api: Api, shift_clock: Shift, by: timedelta) -> None:
    slot_id, keyed = api.create_slot(), {"user_id": unique("user"), "key": unique("key")}
    made = api.book(slot_id, **keyed)

    shift_clock(by)
    again = api.book(slot_id, **keyed)

    assert (again.is_replay, again.data) == (True, made.data)


@both_ways
def test_pages_go_on_in_order_while_the_clock_is_set(
    api: Api, shift_clock: Shift, by: timedelta
) -> None:
    """The ids tell the application's time; the order of a list does not go by them alone."""
    slot_id, user_id = api.create_slot(), unique("user")
    made = [api.make_booking(slot_id, user_id=user_id) for _ in range(2)]
    path = f"/api/bookings?user_id={user_id}&limit=1"
    first = api.send("GET", path, None, {}).body

    shift_clock(by)
    second = api.send("GET", f"{path}&cursor={first['meta']['next_cursor']}", None, {}).body
    made += [api.make_booking(slot_id, user_id=user_id) for _ in range(2)]
    whole = api.send("GET", f"/api/bookings?user_id={user_id}", None, {})

    assert [row["id"] for row in first["data"] + second["data"]] == made[1::-1]
    assert [row["id"] for row in whole.data] == made[::-1]


def test_token_goes_by_the_application_s_clock(
    start_api: Callable[..., Api], shift_clock: Shift
) -> None:
    api = start_api(auth=AUTH)
    half_an_hour = int(HALF_AN_HOUR.total_seconds())
    good = bearer(token("mira", seconds=half_an_hour))
    expired = bearer(token("mira", seconds=-half_an_hour))

    def call(headers: dict[str, str]) -> Answer:
        return api.send("GET", "/api/bookings", None, headers)

    def statuses(*callers: dict[str, Any]) -> list[int]:
        return [call(headers).status for headers in callers]

    assert statuses(good, expired, as_user("mira")) == [200, 401, 200]
    shift_clock(HOUR)
    assert statuses(good, expired) == [401, 401]
    shift_clock(-HOUR)
    assert statuses(good, expired) == [200, 200]
