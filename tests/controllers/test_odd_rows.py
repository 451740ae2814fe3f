"""Rows that somebody put in at psql and that no request makes: served, or refused as any other.

What no answer could show, years beyond four digits and ``infinity``, the database itself refuses
(``tests/repositories/test_constraints.py``).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from booking.app import create_app
from tests.controllers.answers import data_of, page_of, problem_of
from tests.support.factories import booking_body, in_future, make_config, unique
from tests.support.snapshots import query

MAX_VERSION = 2**63 - 1
FIRST_MOMENT = "0001-01-01T00:00:00Z"
LAST_MOMENT = "9999-12-31T23:59:59.999999Z"
CONTROLS = "".join(map(chr, [*range(1, 32), 127, 0x85, 0x2028, 0x202E, 0xFEFF, 0xFFFF]))
LONGEST = "\U0001f9d1\u200d\u2695" * 66
EMOJI = "\U0001f600" * 200


@pytest.fixture(scope="module")
def url(new_database: Callable[..., str]) -> str:
    """A database of its own: rows without a history violate the checks."""
    return new_database()


@pytest.fixture(scope="module")
def odd_client(url: str) -> Iterator[FlaskClient]:
    """A client of the application; a user may have one hold at a time."""
    app = create_app(make_config(database_url=url, max_active_holds_per_user=1))
    yield app.test_client()
    app.extensions["booking"].pool.close()


def put(url: str, table: str, **columns: Any) -> str:
    """Insert a row as somebody at psql does, and return its id."""
    row_id = str(uuid.uuid4())
    names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
    statement = f"INSERT INTO {table} (id, {names}) VALUES (%s, {places})"
    query(url, statement, row_id, *columns.values())
    return row_id


def put_slot(url: str, **columns: Any) -> str:
    """Insert a slot of 10 seats, 5 of them free."""
    fitting = {
        "doctor_name": unique("Dr. Odd"),
        "start_time": in_future(),
        "total_capacity": 10,
        "remaining_capacity": 5,
    }
    return put(url, "slots", **(fitting | columns))


def put_booking(url: str, slot_id: str, **columns: Any) -> str:
    """Insert a booking of 2 seats, without a history."""
    fitting = {
        "slot_id": slot_id,
        "user_id": unique("odd"),
        "num_seats": 2,
        "status": "CONFIRMED",
    }
    return put(url, "bookings", **(fitting | columns))


def is_found_in_pages(client: FlaskClient, path: str, row_id: str, **filters: str) -> bool:
    """Walk a list in pages of three; no row may come twice."""
    seen: list[str] = []
    filters["limit"] = "3"
    while True:
        rows, cursor = page_of(client.get(path, query_string=filters))
        seen += [row["id"] for row in rows]
        assert len(set(seen)) == len(seen), f"{path} repeats a row"
        if cursor is None:
            return row_id in seen
        filters["cursor"] = cursor


# What is odd about a slot, and what a booking of it is told.
SLOTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "begins in the last moment": ({"start_time": LAST_MOMENT}, None),
    "began in the first moment": ({"start_time": FIRST_MOMENT}, "SLOT_STARTED"),
    "made in the last moment": ({"created_at": LAST_MOMENT, "updated_at": LAST_MOMENT}, None),
    "made in the first moment": ({"created_at": FIRST_MOMENT, "updated_at": FIRST_MOMENT}, None),
    "longest names": ({"doctor_name": LONGEST, "specialization": "ẞ" * 200}, None),
    "names of control characters": ({"doctor_name": CONTROLS, "specialization": CONTROLS}, None),
    "names of marks": ({"doctor_name": "%_\\'\";--", "specialization": "\u0301\u0301"}, None),
    "names of blanks": ({"doctor_name": " ", "specialization": "\u00a0"}, None),
    "empty specialization": ({"specialization": ""}, None),
    "largest version": ({"version": MAX_VERSION}, None),
    "largest version but one": ({"version": MAX_VERSION - 1}, None),
    "largest": (
        {"total_capacity": 1_000_000, "remaining_capacity": 1_000_000, "duration_minutes": 10_080},
        None,
    ),
    "limit above what there is": ({"max_seats_per_user": 1_000_000}, None),
    "full, and nobody booked": ({"remaining_capacity": 0}, "SLOT_FULL"),
}


@pytest.mark.parametrize(("columns", "refusal"), SLOTS.values(), ids=SLOTS)
def test_odd_slot(
    odd_client: FlaskClient, url: str, columns: dict[str, Any], refusal: str | None
) -> None:
    slot_id = put_slot(url, **columns)
    path = f"/api/admin/slots/{slot_id}"
    shown = data_of(odd_client.get(f"/api/slots/{slot_id}"))
    assert {name: shown[name] for name in columns} == columns
    assert data_of(odd_client.get(path)) == shown
    names = {name: shown[name] for name in ("doctor_name", "specialization") if shown[name]}
    for filters in ({}, names):
        assert is_found_in_pages(odd_client, "/api/admin/slots", slot_id, **filters)
        is_bookable = refusal is None
        assert is_found_in_pages(odd_client, "/api/slots", slot_id, **filters) == is_bookable

    answers = [
        odd_client.post("/api/bookings", json=booking_body(slot_id, hold=hold))
        for hold in (False, True, True, True)
    ]
    if refusal:
        for answer in answers:
            problem_of(answer, 409, refusal)
    else:
        ids = [data_of(answer, 201)["id"] for answer in answers]
        booked, confirmed, cancelled, lapsed = ids
        query(url, "UPDATE bookings SET expires_at = now() WHERE id = %s", lapsed)
        assert data_of(odd_client.get(f"/api/bookings/{lapsed}"))["status"] == "FAILED"
        data_of(odd_client.post(f"/api/bookings/{confirmed}/confirm"))
        for booking_id in (booked, confirmed, cancelled):
            data_of(odd_client.post(f"/api/bookings/{booking_id}/cancel"))
        again = data_of(odd_client.get(path))
        assert again["remaining_capacity"] == shown["remaining_capacity"]
        assert again["version"] == min(shown["version"] + 8, MAX_VERSION)

    changes = {"doctor_name": "Dr. Even", "start_time": in_future(), "status": "CLOSED"}
    assert data_of(odd_client.patch(path, json=changes))["status"] == "CLOSED"
    if refusal:
        assert odd_client.delete(path).status_code == 204
    else:
        problem_of(odd_client.delete(path), 409, "SLOT_HAS_BOOKINGS")


PENDING = {"status": "PENDING", "expires_at": LAST_MOMENT}
LAPSED = {"status": "PENDING", "expires_at": FIRST_MOMENT}
FAILED = {"status": "FAILED", "failure_reason": "EXPIRED", "expires_at": LAST_MOMENT}
# What is odd about a booking, the status that it is shown with, and what a confirmation and then a
# cancellation are told: None where it succeeds.
BOOKINGS: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "without a history": ({}, "CONFIRMED", None),
    "made in the first moment": ({"created_at": FIRST_MOMENT}, "CONFIRMED", None),
    "made in the last moment": ({"created_at": LAST_MOMENT}, "CONFIRMED", None),
    "changed in the last moment": ({"updated_at": LAST_MOMENT}, "CONFIRMED", None),
    "confirmed, its expiry long ago": ({"expires_at": FIRST_MOMENT}, "CONFIRMED", None),
    "held until the last moment": (PENDING, "PENDING", None),
    "held in the one place": ({**PENDING, "hold_place": 1}, "PENDING", None),
    "held in a place beyond the limit": ({**PENDING, "hold_place": 2**31 - 1}, "PENDING", None),
    "held until the first moment": (LAPSED, "FAILED", "BOOKING_EXPIRED"),
    "failed before its expiry": (FAILED, "FAILED", "BOOKING_EXPIRED"),
    "user of control characters": ({"user_id": CONTROLS}, "CONFIRMED", None),
    "user of emoji": ({"user_id": EMOJI}, "CONFIRMED", None),
    "key that no header holds": ({"idempotency_key": CONTROLS}, "CONFIRMED", None),
    "all the seats and more": ({"num_seats": 1000, **PENDING}, "PENDING", None),
}


@pytest.mark.parametrize(("columns", "status", "refusal"), BOOKINGS.values(), ids=BOOKINGS)
def test_odd_booking(
    odd_client: FlaskClient, url: str, columns: dict[str, Any], status: str, refusal: str | None
) -> None:
    columns = {"user_id": unique("odd"), **columns}
    slot_id = put_slot(url, total_capacity=2000)
    booking_id = put_booking(url, slot_id, **columns)
    path, user_id = f"/api/bookings/{booking_id}", columns["user_id"]

    for filters in ({}, {"slot_id": slot_id}, {"user_id": user_id}, {"status": status}):
        assert is_found_in_pages(odd_client, "/api/admin/bookings", booking_id, **filters)
    assert is_found_in_pages(odd_client, "/api/bookings", booking_id, user_id=user_id)
    data_of(odd_client.get(f"/api/slots/{slot_id}"))
    shown = data_of(odd_client.get(path))
    assert shown["status"] == status
    times = {"created_at", "expires_at"} & set(columns)
    assert {name: shown[name] for name in times} == {name: columns[name] for name in times}

    wanted = booking_body(slot_id, user_id=user_id, hold=True)
    answer = odd_client.post("/api/bookings", json=wanted)
    if columns.get("hold_place") == 1:
        problem_of(answer, 429, "HOLD_LIMIT")
    else:
        data_of(answer, 201)
    for verb in ("confirm", "cancel"):
        answer = odd_client.post(f"{path}/{verb}")
        if refusal:
            problem_of(answer, 409, refusal)
        else:
            data_of(answer)
    events, _ = page_of(odd_client.get(f"{path}/events"))
    steps = {"CONFIRMED": ["CANCELLED"], "PENDING": ["CONFIRMED", "CANCELLED"]}
    expired = ["EXPIRED"] if columns.get("status") == "PENDING" else []
    assert [event["type"] for event in events] == steps.get(status, expired)
    data_of(odd_client.post("/api/admin/expire-pending"))


def test_lapsed_hold_whose_seats_the_slot_has_no_room_for(
    odd_client: FlaskClient, url: str
) -> None:
    """Somebody gave the seats back by hand. Readers and other slots do not suffer for it."""
    slot_id = put_slot(url, remaining_capacity=10)
    booking_id = put_booking(url, slot_id, **LAPSED)
    elsewhere_id = put_booking(url, put_slot(url), **LAPSED)
    path = f"/api/bookings/{booking_id}"

    assert data_of(odd_client.get(path))["status"] == "FAILED"
    for verb in ("confirm", "cancel"):
        problem_of(odd_client.post(f"{path}/{verb}"), 409, "BOOKING_EXPIRED")
    data_of(odd_client.get(f"/api/slots/{slot_id}"))
    assert data_of(odd_client.post("/api/admin/expire-pending"))["seats_restored"] == 2
    stored = query(url, "SELECT status FROM bookings WHERE id = %s", elsewhere_id)
    assert stored == [("FAILED",)]
    audit = {
        check["name"]: check["violations"]
        for check in data_of(odd_client.get("/api/admin/audit"))["checks"]
    }
    assert audit["seats_add_up"] >= 1
    standing_id = put_booking(url, slot_id)
    cancelled = odd_client.post(f"/api/bookings/{standing_id}/cancel")
    problem_of(cancelled, 500, "INTERNAL_ERROR")
    assert data_of(odd_client.get(f"/api/bookings/{standing_id}"))["status"] == "CONFIRMED"
    query(url, "UPDATE slots SET remaining_capacity = 6 WHERE id = %s", slot_id)
