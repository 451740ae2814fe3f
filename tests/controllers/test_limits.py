"""Limits against hoarding: holds at a time, and seats of one slot, per user."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.controllers.answers import data_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import booking_body, slot_body, unique

MakeClient = Callable[..., FlaskClient]


def test_hold_over_the_limit_is_refused_until_one_ends(
    make_client: MakeClient, new_slot: Maker
) -> None:
    client = make_client(max_active_holds_per_user=2, hold_ttl_seconds=90)
    body = booking_body(new_slot()["id"], hold=True)
    first = data_of(client.post("/api/bookings", json=body), 201)
    data_of(client.post("/api/bookings", json=body), 201)

    refused = client.post("/api/bookings", json=body)

    problem = problem_of(refused, 429, "HOLD_LIMIT")
    assert problem["retryable"] is True
    assert 1 <= int(refused.headers["Retry-After"]) <= 90
    data_of(client.post(f"/api/bookings/{first['id']}/cancel"), 200)
    data_of(client.post("/api/bookings", json=body), 201)


def test_hold_limit_leaves_other_users_and_instant_bookings_alone(
    make_client: MakeClient, new_slot: Maker
) -> None:
    client = make_client(max_active_holds_per_user=1)
    slot_id = new_slot()["id"]
    body = booking_body(slot_id, hold=True)
    data_of(client.post("/api/bookings", json=body), 201)

    data_of(client.post("/api/bookings", json={**body, "hold": False}), 201)
    data_of(client.post("/api/bookings", json={**body, "user_id": unique("other")}), 201)
    problem_of(client.post("/api/bookings", json=body), 429, "HOLD_LIMIT")


def test_lapsed_hold_does_not_count(
    make_client: MakeClient, new_slot: Maker, lapse: Callable[[str], None]
) -> None:
    client = make_client(max_active_holds_per_user=1)
    user = unique("user")
    old, new = new_slot(), new_slot()
    held = data_of(
        client.post("/api/bookings", json=booking_body(old["id"], user_id=user, hold=True)), 201
    )
    lapse(held["id"])

    data_of(
        client.post("/api/bookings", json=booking_body(new["id"], user_id=user, hold=True)), 201
    )

    assert data_of(client.get(f"/api/bookings/{held['id']}"), 200)["status"] == "FAILED"


def test_replay_of_a_hold_at_the_limit(make_client: MakeClient, new_slot: Maker) -> None:
    client = make_client(max_active_holds_per_user=1)
    body, key = booking_body(new_slot()["id"], hold=True), {"Idempotency-Key": "once"}
    first = data_of(client.post("/api/bookings", json=body, headers=key), 201)

    again = client.post("/api/bookings", json=body, headers=key)

    assert data_of(again, 201)["id"] == first["id"]
    assert again.headers["Idempotency-Replayed"] == "true"


def test_no_limit(make_client: MakeClient, new_slot: Maker) -> None:
    client = make_client(max_active_holds_per_user=0)
    body = booking_body(new_slot(total_capacity=20)["id"], hold=True)

    for _ in range(12):
        data_of(client.post("/api/bookings", json=body), 201)


def test_seats_over_the_slots_limit_are_refused(client: FlaskClient, new_slot: Maker) -> None:
    slot_id = new_slot(max_seats_per_user=3)["id"]
    body = booking_body(slot_id, num_seats=2)
    booked = data_of(client.post("/api/bookings", json=body), 201)

    problem = problem_of(client.post("/api/bookings", json=body), 409, "USER_SEAT_LIMIT")

    assert problem["max_seats_per_user"] == 3
    assert problem["retryable"] is False
    data_of(client.post("/api/bookings", json={**body, "num_seats": 1, "hold": True}), 201)
    problem_of(client.post("/api/bookings", json={**body, "num_seats": 1}), 409, "USER_SEAT_LIMIT")
    data_of(client.post("/api/bookings", json={**body, "user_id": unique("other")}), 201)
    data_of(client.post(f"/api/bookings/{booked['id']}/cancel"), 200)
    data_of(client.post("/api/bookings", json=body), 201)


def test_limit_of_a_slot_is_set_changed_and_taken_off(client: FlaskClient) -> None:
    created = data_of(client.post("/api/admin/slots", json=slot_body()), 201)
    path = f"/api/admin/slots/{created['id']}"
    assert "max_seats_per_user" not in created

    limited = data_of(client.patch(path, json={"max_seats_per_user": 1}), 200)
    assert (limited["max_seats_per_user"], limited["version"]) == (1, 2)
    problem_of(
        client.post("/api/bookings", json=booking_body(created["id"], num_seats=2)),
        409,
        "USER_SEAT_LIMIT",
    )
    unlimited = data_of(client.patch(path, json={"max_seats_per_user": None}), 200)
    assert "max_seats_per_user" not in unlimited
    data_of(client.post("/api/bookings", json=booking_body(created["id"], num_seats=2)), 201)


@pytest.mark.parametrize("limit", [0, -1, 1_000_001, 1.5, "3", True])
def test_limit_of_a_slot_is_a_number_of_seats(client: FlaskClient, limit: object) -> None:
    problem_of(
        client.post("/api/admin/slots", json=slot_body(max_seats_per_user=limit)),
        422,
        "VALIDATION_ERROR",
        "max_seats_per_user",
    )


def test_full_slot_is_told_before_the_users_limit(client: FlaskClient, new_slot: Maker) -> None:
    slot_id = new_slot(total_capacity=2, max_seats_per_user=2)["id"]
    body = booking_body(slot_id, num_seats=2)
    data_of(client.post("/api/bookings", json=body), 201)

    problem_of(client.post("/api/bookings", json=body), 409, "SLOT_FULL")
