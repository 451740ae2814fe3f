"""Slots, as everybody finds them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.controllers.answers import data_of, page_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import UNKNOWN_ID, unique

SLOTS = "/api/slots"


def test_one_slot_is_shown_with_its_version(client: FlaskClient, new_slot: Maker) -> None:
    slot = new_slot()
    response = client.get(f"{SLOTS}/{slot['id']}")
    assert data_of(response) == slot
    assert response.headers["ETag"] == '"1"'


@pytest.mark.parametrize("slot_id", [UNKNOWN_ID, "1", "null", "%00", "0" * 32])
def test_unknown_slot_is_not_found(client: FlaskClient, slot_id: str) -> None:
    problem_of(client.get(f"{SLOTS}/{slot_id}"), 404, "SLOT_NOT_FOUND")


def test_closed_and_past_slots_are_shown(
    client: FlaskClient, new_slot: Maker, begin: Callable[[str], None]
) -> None:
    past, closed = new_slot(), new_slot()
    begin(past["id"])
    data_of(client.patch(f"/api/admin/slots/{closed['id']}", json={"status": "CLOSED"}))
    assert data_of(client.get(f"{SLOTS}/{past['id']}"))["id"] == past["id"]
    assert data_of(client.get(f"{SLOTS}/{closed['id']}"))["status"] == "CLOSED"


@pytest.mark.parametrize(
    ("min_seats", "is_shown"), [(None, True), (1, True), (6, True), (7, False), (1_000_000, False)]
)
def test_list_shows_slots_with_enough_seats(
    client: FlaskClient,
    new_slot: Maker,
    new_booking: Maker,
    min_seats: int | None,
    is_shown: bool,
) -> None:
    slot = new_slot(doctor_name=unique("Dr. Seats"), total_capacity=10)
    new_booking(slot["id"], num_seats=3)
    new_booking(slot["id"], num_seats=1, hold=True)
    filters = {"doctor_name": slot["doctor_name"]}
    if min_seats:
        filters["min_seats"] = str(min_seats)
    rows, _ = page_of(client.get(SLOTS, query_string=filters))
    assert [row["remaining_capacity"] for row in rows] == ([6] if is_shown else [])


def test_min_seats_is_a_whole_number_in_its_bounds(client: FlaskClient) -> None:
    for value in ("0", "-1", "1000001", "", "1.5", "1e2", "one", "\u0661", " 1", "+1"):
        response = client.get(SLOTS, query_string={"min_seats": value})
        problem_of(response, 422, "VALIDATION_ERROR", "min_seats")


def test_public_list_knows_no_status(client: FlaskClient) -> None:
    response = client.get(SLOTS, query_string={"status": "CLOSED"})
    problem_of(response, 422, "VALIDATION_ERROR", "status")


# What SQL's LIKE gives a meaning, and what ends a string or a statement.
LETTERS = [
    "%",
    "_",
    "\\",
    "'",
    '"',
    ";",
    "--",
    "$1",
    ":name",
    "%s",
    "%%",
    "\\%",
    "[a]",
    "*",
    "ß",
    "😀",
]


@pytest.mark.parametrize("letters", LETTERS)
def test_filter_matches_to_the_letter(client: FlaskClient, new_slot: Maker, letters: str) -> None:
    mark = unique("x")
    wanted = f"{mark} a{letters}b"
    for name in (wanted, f"{mark} acb"):
        new_slot(doctor_name=name, specialization=name)
    for field in ("doctor_name", "specialization"):
        for path in (SLOTS, "/api/admin/slots"):
            rows, _ = page_of(client.get(path, query_string={field: wanted}))
            assert [row[field] for row in rows] == [wanted]
