"""Both ends of each bound, one step inside and one outside."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.controllers.answers import data_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import booking_body, slot_body

ASTRAL = "😀"
# White space, controls, and what has no width: fillers, a soft hyphen, marks of direction, a tag.
INVISIBLE = [
    *(" ", "\n\t", "\u00a0\u3000", "\x1b\x7f\x85", "\u00ad", "\u034f", "\u115f\u1160", "\u2800"),
    *("\u200b\u200d", "\u202e", "\u2060", "\u3164", "\ufe0f", "\ufeff", "\uffa0", "\U000e0041"),
]

SLOT_FIELDS: list[tuple[str, list[Any], list[Any]]] = [
    (
        "doctor_name",
        ["x", "x" * 200, ASTRAL * 200, "é" * 200, " x\n", "e\u0301" * 100, "\ufffe"],
        ["", "x" * 201, ASTRAL * 201, "\x00", "x\x00y", "x" * 60_000, *INVISIBLE],
    ),
    (
        "specialization",
        ["", "x", "x" * 200, ASTRAL * 200, None],
        ["x" * 201, ASTRAL * 201, "\x00", *INVISIBLE],
    ),
    ("duration_minutes", [1, 10_080, None], [0, 10_081, -1, 2**31, 2**63, 2**64, -(2**31)]),
    ("total_capacity", [1, 1_000_000], [0, 1_000_001, -1, 2**31, 2**63, 10**400, None]),
]


@pytest.mark.parametrize(("field", "taken", "refused"), SLOT_FIELDS)
def test_slot_field(
    client: FlaskClient, new_slot: Maker, field: str, taken: list[Any], refused: list[Any]
) -> None:
    path = f"/api/admin/slots/{new_slot()['id']}"
    for value in taken:
        created = client.post("/api/admin/slots", json=slot_body(**{field: value}))
        assert data_of(created, 201)[field] == value
        assert data_of(client.patch(path, json={field: value}))[field] == value
        assert data_of(client.get(path))[field] == value
    before = data_of(client.get(path))
    for value in refused:
        created = client.post("/api/admin/slots", json=slot_body(**{field: value}))
        problem_of(created, 422, "VALIDATION_ERROR", field)
        changed = client.patch(path, json={field: value})
        problem_of(changed, 422, "VALIDATION_ERROR", field)
    assert data_of(client.get(path)) == before


@pytest.mark.parametrize("user_id", ["x", "x" * 200, ASTRAL * 200, " x", "a@b.c", "0", "null"])
def test_user_id_that_is_taken(new_slot: Maker, new_booking: Maker, user_id: str) -> None:
    assert new_booking(new_slot()["id"], user_id=user_id)["user_id"] == user_id


@pytest.mark.parametrize("user_id", ["", "x" * 201, ASTRAL * 201, "\x00", "x\x00y", *INVISIBLE])
def test_user_id_that_is_refused(client: FlaskClient, new_slot: Maker, user_id: str) -> None:
    body = booking_body(new_slot()["id"], user_id=user_id)
    problem_of(client.post("/api/bookings", json=body), 422, "VALIDATION_ERROR", "user_id")


@pytest.mark.parametrize("num_seats", [1, 1000])
def test_num_seats_that_is_taken(new_slot: Maker, new_booking: Maker, num_seats: int) -> None:
    slot = new_slot(total_capacity=1000)
    assert new_booking(slot["id"], num_seats=num_seats)["num_seats"] == num_seats


@pytest.mark.parametrize(
    "num_seats", [0, -1, -5, 1001, 1.5, 1.0, "2", True, 2**31, 2**63, 10**400, -(2**63)], ids=str
)
def test_num_seats_that_is_refused(client: FlaskClient, new_slot: Maker, num_seats: Any) -> None:
    slot = new_slot(total_capacity=10)
    response = client.post("/api/bookings", json=booking_body(slot["id"], num_seats=num_seats))
    problem_of(response, 422, "VALIDATION_ERROR", "num_seats")
    assert data_of(client.get(f"/api/slots/{slot['id']}")) == slot


@pytest.mark.parametrize("field", ["doctor_name", "specialization"])
@pytest.mark.parametrize("path", ["/api/slots", "/api/admin/slots"])
def test_text_of_a_filter(client: FlaskClient, path: str, field: str) -> None:
    for taken in ("x", "x" * 200, ASTRAL * 200):
        assert client.get(path, query_string={field: taken}).status_code == 200
    for refused in ("", "x" * 201, ASTRAL * 201, "\x00", "a\x00"):
        response = client.get(path, query_string={field: refused})
        problem_of(response, 422, "VALIDATION_ERROR", field)
