"""Ids: lower-case UUIDs go out, either case comes in, and nothing else names a thing."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from tests.controllers.answers import data_of, page_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import booking_body

LOWER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

NO_UUIDS = [
    "1",
    "null",
    "01a204e628077415aea1d08e98df3bd7",
    "{01a204e6-2807-7415-aea1-d08e98df3bd7}",
    "urn:uuid:01a204e6-2807-7415-aea1-d08e98df3bd7",
    "01a204e6-2807-7415-aea1-d08e98df3bd",
    "01a204e6-2807-7415-aea1-d08e98df3bd7a",
    "01a204e6-2807-7415-aea1-d08e98df3bdg",
    "01a2-04e6-2807-7415-aea1-d08e98df3bd7",
    "01a204e6-28077415-aea1-d08e-98df3bd7",
    " 01a204e6-2807-7415-aea1-d08e98df3bd7",
    "01a204e6-2807-7415-aea1-d08e98df3bd7\n",
    "\uff101a204e6-2807-7415-aea1-d08e98df3bd7",
    "' OR 1=1 --",
    "a" * 300,
]


def test_ids_are_lower_case_uuids(new_slot: Maker, new_booking: Maker) -> None:
    slot = new_slot()
    booking = new_booking(slot["id"])
    for shown in (slot["id"], booking["id"], booking["slot_id"]):
        assert LOWER.fullmatch(shown)


def test_upper_case_names_the_same(
    client: FlaskClient, new_slot: Maker, new_booking: Maker
) -> None:
    slot = new_slot()
    assert data_of(client.get(f"/api/slots/{slot['id'].upper()}")) == slot
    booking = new_booking(slot["id"].upper(), hold=True)
    assert booking["slot_id"] == slot["id"]
    path = f"/api/bookings/{booking['id'].upper()}"
    assert data_of(client.get(path)) == booking
    assert data_of(client.post(f"{path}/confirm"))["id"] == booking["id"]
    assert page_of(client.get(f"{path}/events"))[0]
    assert data_of(client.post(f"{path}/cancel"))["id"] == booking["id"]
    filters = {"slot_id": slot["id"].upper()}
    rows, _ = page_of(client.get("/api/admin/bookings", query_string=filters))
    assert [row["id"] for row in rows] == [booking["id"]]
    changed = client.patch(f"/api/admin/slots/{slot['id'].upper()}", json={"status": "CLOSED"})
    assert data_of(changed)["id"] == slot["id"]
    problem_of(client.delete(f"/api/admin/slots/{slot['id'].upper()}"), 409, "SLOT_HAS_BOOKINGS")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/slots/{}", "SLOT_NOT_FOUND"),
        ("GET", "/api/admin/slots/{}", "SLOT_NOT_FOUND"),
        ("PATCH", "/api/admin/slots/{}", "SLOT_NOT_FOUND"),
        ("DELETE", "/api/admin/slots/{}", "SLOT_NOT_FOUND"),
        ("GET", "/api/bookings/{}", "BOOKING_NOT_FOUND"),
        ("POST", "/api/bookings/{}/confirm", "BOOKING_NOT_FOUND"),
        ("POST", "/api/bookings/{}/cancel", "BOOKING_NOT_FOUND"),
        ("GET", "/api/bookings/{}/events", "BOOKING_NOT_FOUND"),
    ],
)
def test_path_that_names_no_uuid_names_nothing(
    offline: FlaskClient, method: str, path: str, code: str
) -> None:
    body: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
    for sent in NO_UUIDS:
        problem_of(offline.open(path.format(quote(sent)), method=method, **body), 404, code)


def test_body_that_names_no_uuid_is_refused(offline: FlaskClient) -> None:
    others: list[Any] = ["", None, 1, True, [], {}]
    for sent in [*NO_UUIDS, *others]:
        response = offline.post("/api/bookings", json={**booking_body("x"), "slot_id": sent})
        problem_of(response, 422, "VALIDATION_ERROR", "slot_id")


@pytest.mark.parametrize("path", ["/api/bookings", "/api/admin/bookings"])
def test_query_that_names_no_uuid_is_refused(offline: FlaskClient, path: str) -> None:
    for sent in [*NO_UUIDS, ""]:
        response = offline.get(path, query_string={"user_id": "u", "slot_id": sent})
        problem_of(response, 422, "VALIDATION_ERROR", "slot_id")
