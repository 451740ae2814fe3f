"""A hold past its expiry is shown as FAILED and its seats as free, everywhere, swept or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from tests.controllers.answers import data_of, page_of
from tests.controllers.conftest import Maker
from tests.support.factories import booking_body, unique
from tests.support.snapshots import query

ADMIN_BOOKINGS = "/api/admin/bookings"


@pytest.fixture
def lapsed(new_slot: Maker, new_booking: Maker, lapse: Callable[[str], None]) -> dict[str, Any]:
    """A slot of 10 with a lapsed hold of 4 that nobody has swept, and a booking of 1."""
    slot = new_slot(doctor_name=unique("Dr. Lapsed"))
    hold = new_booking(slot["id"], num_seats=4, hold=True)
    new_booking(slot["id"], num_seats=1)
    lapse(hold["id"])
    return {"slot_id": slot["id"], "doctor_name": slot["doctor_name"], **hold}


def _stored(database_url: str, booking_id: str) -> str:
    [[status]] = query(database_url, "SELECT status FROM bookings WHERE id = %s", booking_id)
    return str(status)


@pytest.mark.parametrize("path", ["/api/bookings", ADMIN_BOOKINGS])
def test_lists_show_it_as_failed_without_sweeping(
    client: FlaskClient, lapsed: dict[str, Any], database_url: str, path: str
) -> None:
    def listed(**filters: str) -> list[tuple[str, str | None]]:
        filters["user_id"] = lapsed["user_id"]
        rows, _ = page_of(client.get(path, query_string=filters))
        return [(row["status"], row["failure_reason"]) for row in rows]

    assert listed() == [("FAILED", "EXPIRED")]
    assert listed(status="FAILED") == [("FAILED", "EXPIRED")]
    assert listed(status="PENDING") == []
    assert _stored(database_url, lapsed["id"]) == "PENDING"


@pytest.mark.parametrize("path", ["/api/slots", "/api/admin/slots"])
def test_lists_of_slots_count_its_seats_as_free(
    client: FlaskClient, lapsed: dict[str, Any], path: str
) -> None:
    rows, _ = page_of(client.get(path, query_string={"doctor_name": lapsed["doctor_name"]}))
    assert [row["remaining_capacity"] for row in rows] == [9]


@pytest.mark.parametrize(("min_seats", "count"), [(9, 1), (10, 0)])
def test_min_seats_counts_its_seats_as_free(
    client: FlaskClient, lapsed: dict[str, Any], min_seats: int, count: int
) -> None:
    filters = {"doctor_name": lapsed["doctor_name"], "min_seats": min_seats}
    rows, _ = page_of(client.get("/api/slots", query_string=filters))
    assert len(rows) == count


@pytest.mark.parametrize("path", ["/api/slots", "/api/admin/slots"])
def test_reading_the_slot_gives_the_seats_back(
    client: FlaskClient, lapsed: dict[str, Any], database_url: str, path: str
) -> None:
    response = client.get(f"{path}/{lapsed['slot_id']}")
    slot = data_of(response)
    assert (slot["remaining_capacity"], slot["version"]) == (9, 4)
    assert response.headers["ETag"] == '"4"'
    assert _stored(database_url, lapsed["id"]) == "FAILED"


def test_reading_a_slot_that_is_locked_waits_for_nobody(
    client: FlaskClient, lapsed: dict[str, Any], conn: PgConnection
) -> None:
    conn.autocommit = False
    with conn.cursor() as cursor:
        cursor.execute("SELECT id FROM slots WHERE id = %s FOR UPDATE", (lapsed["slot_id"],))
        slot = data_of(client.get(f"/api/slots/{lapsed['slot_id']}"))
    conn.rollback()
    assert slot["remaining_capacity"] == 9


def test_reading_the_booking_fails_it_first(
    client: FlaskClient, lapsed: dict[str, Any], database_url: str
) -> None:
    booking = data_of(client.get(f"/api/bookings/{lapsed['id']}"))
    assert (booking["status"], booking["failure_reason"]) == ("FAILED", "EXPIRED")
    assert _stored(database_url, lapsed["id"]) == "FAILED"
    assert data_of(client.get(f"/api/bookings/{lapsed['id']}")) == booking
    events, _ = page_of(client.get(f"/api/bookings/{lapsed['id']}/events"))
    assert [event["type"] for event in events] == ["HELD", "EXPIRED"]


def test_its_seats_can_be_booked(
    client: FlaskClient, lapsed: dict[str, Any], database_url: str
) -> None:
    response = client.post("/api/bookings", json=booking_body(lapsed["slot_id"], num_seats=9))
    data_of(response, 201)
    assert _stored(database_url, lapsed["id"]) == "FAILED"
    assert data_of(client.get(f"/api/slots/{lapsed['slot_id']}"))["remaining_capacity"] == 0


def test_refusal_counts_its_seats_as_free(client: FlaskClient, lapsed: dict[str, Any]) -> None:
    response = client.post("/api/bookings", json=booking_body(lapsed["slot_id"], num_seats=10))
    assert response.status_code == 409
    assert response.get_json()["remaining_capacity"] == 9


def test_confirmed_hold_does_not_lapse(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, database_url: str
) -> None:
    hold = new_booking(new_slot()["id"], hold=True)
    data_of(client.post(f"/api/bookings/{hold['id']}/confirm"))
    query(
        database_url,
        "UPDATE bookings SET expires_at = clock_timestamp() - interval '1 day' WHERE id = %s",
        hold["id"],
    )
    data_of(client.post("/api/admin/expire-pending"))
    assert data_of(client.get(f"/api/bookings/{hold['id']}"))["status"] == "CONFIRMED"
