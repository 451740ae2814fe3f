"""Bookings: made, held, confirmed, cancelled, read and listed, with every refusal of each."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from booking.errors import SlotFull
from tests.controllers.answers import data_of, page_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import UNKNOWN_ID, booking_body, unique
from tests.support.snapshots import query

BOOKINGS = "/api/bookings"
MEMBERS = {
    "id",
    "slot_id",
    "user_id",
    "num_seats",
    "status",
    "failure_reason",
    "expires_at",
    "created_at",
    "updated_at",
}
Act = Callable[[str], None]


def _remaining(client: FlaskClient, slot_id: str) -> int:
    remaining: int = data_of(client.get(f"/api/slots/{slot_id}"))["remaining_capacity"]
    return remaining


def _post(client: FlaskClient, booking: dict[str, Any], verb: str) -> Any:
    return client.post(f"{BOOKINGS}/{booking['id']}/{verb}")


@pytest.mark.parametrize("fields", [{}, {"hold": False}])
def test_booking_is_confirmed_at_once(
    client: FlaskClient, new_slot: Maker, fields: dict[str, Any]
) -> None:
    slot = new_slot()
    body = booking_body(slot["id"], num_seats=3, **fields)
    response = client.post(BOOKINGS, json=body)
    booking = data_of(response, 201)
    assert set(booking) == MEMBERS
    assert response.headers["Location"] == f"{BOOKINGS}/{booking['id']}"
    assert "Idempotency-Replayed" not in response.headers
    expected = {
        "slot_id": slot["id"],
        "user_id": body["user_id"],
        "num_seats": 3,
        "status": "CONFIRMED",
        "failure_reason": None,
        "expires_at": None,
    }
    assert booking.items() >= expected.items()
    assert data_of(client.get(response.headers["Location"])) == booking
    assert _remaining(client, slot["id"]) == 7


def test_hold_keeps_seats_for_its_life(
    make_client: Callable[..., FlaskClient], new_slot: Maker
) -> None:
    client = make_client(hold_ttl_seconds=77.5)
    slot = new_slot()
    hold = data_of(
        client.post(BOOKINGS, json=booking_body(slot["id"], num_seats=4, hold=True)), 201
    )
    assert (hold["status"], hold["failure_reason"]) == ("PENDING", None)
    life = datetime.fromisoformat(hold["expires_at"]) - datetime.fromisoformat(hold["created_at"])
    assert life == timedelta(seconds=77.5)
    assert _remaining(client, slot["id"]) == 6


def test_ids_grow_with_time(new_slot: Maker, new_booking: Maker) -> None:
    slot = new_slot()
    made = [uuid.UUID(new_booking(slot["id"])["id"]) for _ in range(5)]
    assert {one.version for one in made} == {7}
    moments = [one.int >> 80 for one in made]
    assert moments == sorted(moments)


@pytest.mark.parametrize("field", ["slot_id", "user_id", "num_seats"])
def test_booking_needs_its_required_fields(
    client: FlaskClient, new_slot: Maker, field: str
) -> None:
    body = booking_body(new_slot()["id"])
    del body[field]
    problem_of(client.post(BOOKINGS, json=body), 422, "VALIDATION_ERROR", field)


def test_all_that_is_missing_or_wrong_is_named_at_once(client: FlaskClient) -> None:
    required = ("slot_id", "user_id", "num_seats")
    problem_of(client.post(BOOKINGS, json={}), 422, "VALIDATION_ERROR", *required)
    problem_of(
        client.get(BOOKINGS, query_string={"limit": 0}), 422, "VALIDATION_ERROR", "limit", "user_id"
    )


def test_refusal_leaves_the_collector_nothing_to_do(client: FlaskClient, new_slot: Maker) -> None:
    body = booking_body(new_slot(total_capacity=1)["id"], num_seats=2)
    gc.collect()
    gc.disable()
    try:
        problem_of(client.post(BOOKINGS, json=body), 409, "SLOT_FULL")
        assert not [each for each in gc.get_objects() if isinstance(each, SlotFull)]
    finally:
        gc.enable()


@pytest.mark.parametrize("hold", [True, False])
def test_booking_of_no_slot_is_refused(client: FlaskClient, hold: bool) -> None:
    body = booking_body(UNKNOWN_ID, hold=hold)
    problem_of(client.post(BOOKINGS, json=body), 404, "SLOT_NOT_FOUND")


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize("left", [0, 2])
def test_full_slot_refuses_and_says_what_is_left(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, hold: bool, left: int
) -> None:
    slot = new_slot(total_capacity=10)
    new_booking(slot["id"], num_seats=10 - left)
    response = client.post(BOOKINGS, json=booking_body(slot["id"], num_seats=3, hold=hold))
    problem = problem_of(response, 409, "SLOT_FULL")
    assert problem["remaining_capacity"] == left
    assert _remaining(client, slot["id"]) == left


@pytest.mark.parametrize("hold", [True, False])
def test_slot_that_began_refuses(
    client: FlaskClient, new_slot: Maker, begin: Act, hold: bool
) -> None:
    slot = new_slot()
    begin(slot["id"])
    response = client.post(BOOKINGS, json=booking_body(slot["id"], hold=hold))
    problem_of(response, 409, "SLOT_STARTED")


@pytest.mark.parametrize("hold", [True, False])
def test_closed_slot_refuses(client: FlaskClient, new_slot: Maker, hold: bool) -> None:
    slot = new_slot()
    data_of(client.patch(f"/api/admin/slots/{slot['id']}", json={"status": "CLOSED"}))
    response = client.post(BOOKINGS, json=booking_body(slot["id"], hold=hold))
    problem_of(response, 409, "SLOT_CLOSED")


def test_refused_booking_writes_nothing(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, database_url: str
) -> None:
    slot = new_slot(total_capacity=1)
    new_booking(slot["id"])
    before = data_of(client.get(f"/api/slots/{slot['id']}"))
    user = unique("refused")
    response = client.post(BOOKINGS, json=booking_body(slot["id"], user_id=user))
    problem_of(response, 409, "SLOT_FULL")
    assert query(database_url, "SELECT id FROM bookings WHERE user_id = %s", user) == []
    assert data_of(client.get(f"/api/slots/{slot['id']}")) == before


def test_all_seats_can_be_taken_and_not_one_more(client: FlaskClient, new_slot: Maker) -> None:
    slot = new_slot(total_capacity=5)
    codes = [
        client.post(BOOKINGS, json=booking_body(slot["id"], num_seats=2)).status_code
        for _ in range(3)
    ]
    assert codes == [201, 201, 409]
    data_of(client.post(BOOKINGS, json=booking_body(slot["id"])), 201)
    assert _remaining(client, slot["id"]) == 0


@pytest.mark.parametrize("path", ["", "/confirm", "/cancel", "/events"])
@pytest.mark.parametrize("booking_id", [UNKNOWN_ID, "7", "%27", "x" * 36])
def test_unknown_booking_is_not_found(client: FlaskClient, path: str, booking_id: str) -> None:
    method = "POST" if path in {"/confirm", "/cancel"} else "GET"
    response = client.open(f"{BOOKINGS}/{booking_id}{path}", method=method)
    problem_of(response, 404, "BOOKING_NOT_FOUND")


def test_hold_is_confirmed_once_and_stays(
    client: FlaskClient, new_slot: Maker, new_booking: Maker
) -> None:
    slot = new_slot()
    hold = new_booking(slot["id"], num_seats=2, hold=True)
    confirmed = data_of(_post(client, hold, "confirm"))
    assert confirmed == {**hold, "status": "CONFIRMED", "updated_at": confirmed["updated_at"]}
    assert data_of(_post(client, hold, "confirm")) == confirmed
    assert _remaining(client, slot["id"]) == 8
    assert len(page_of(client.get(f"{BOOKINGS}/{hold['id']}/events"))[0]) == 2


def test_confirming_what_was_never_a_hold_changes_nothing(
    client: FlaskClient, new_slot: Maker, new_booking: Maker
) -> None:
    booking = new_booking(new_slot()["id"])
    assert data_of(_post(client, booking, "confirm")) == booking


def test_lapsed_hold_is_not_confirmed(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, lapse: Act
) -> None:
    slot = new_slot()
    hold = new_booking(slot["id"], num_seats=2, hold=True)
    lapse(hold["id"])
    for _ in range(2):
        problem_of(_post(client, hold, "confirm"), 409, "BOOKING_EXPIRED")
    failed = data_of(client.get(f"{BOOKINGS}/{hold['id']}"))
    assert (failed["status"], failed["failure_reason"]) == ("FAILED", "EXPIRED")
    assert _remaining(client, slot["id"]) == 10


def test_cancelled_booking_is_not_confirmed(
    client: FlaskClient, new_slot: Maker, new_booking: Maker
) -> None:
    hold = new_booking(new_slot()["id"], hold=True)
    data_of(_post(client, hold, "cancel"))
    problem_of(_post(client, hold, "confirm"), 409, "BOOKING_CANCELLED")
    assert data_of(client.get(f"{BOOKINGS}/{hold['id']}"))["status"] == "CANCELLED"


@pytest.mark.parametrize("steps", ["booked", "held", "confirmed"])
def test_cancelling_restores_the_seats_once(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, steps: str
) -> None:
    slot = new_slot()
    booking = new_booking(slot["id"], num_seats=3, hold=steps != "booked")
    if steps == "confirmed":
        data_of(_post(client, booking, "confirm"))
    cancelled = data_of(_post(client, booking, "cancel"))
    assert (cancelled["status"], cancelled["failure_reason"]) == ("CANCELLED", None)
    assert _remaining(client, slot["id"]) == 10
    assert data_of(_post(client, booking, "cancel")) == cancelled
    assert data_of(client.get(f"/api/slots/{slot['id']}"))["version"] == 3
    assert _remaining(client, slot["id"]) == 10


def test_lapsed_hold_is_not_cancelled(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, lapse: Act
) -> None:
    slot = new_slot()
    hold = new_booking(slot["id"], hold=True)
    lapse(hold["id"])
    for _ in range(2):
        problem_of(_post(client, hold, "cancel"), 409, "BOOKING_EXPIRED")
    assert _remaining(client, slot["id"]) == 10


@pytest.mark.parametrize("verb", ["confirm", "cancel"])
@pytest.mark.parametrize("fate", ["closed", "begun"])
def test_a_slot_that_closed_or_began_keeps_nobody_from_confirming_or_cancelling(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, begin: Act, verb: str, fate: str
) -> None:
    slot = new_slot()
    hold = new_booking(slot["id"], hold=True)
    if fate == "closed":
        data_of(client.patch(f"/api/admin/slots/{slot['id']}", json={"status": "CLOSED"}))
    else:
        begin(slot["id"])
    expected = {"confirm": "CONFIRMED", "cancel": "CANCELLED"}[verb]
    assert data_of(_post(client, hold, verb))["status"] == expected


@pytest.mark.parametrize("verb", ["confirm", "cancel"])
@pytest.mark.parametrize("sent", [None, b"{}"])
def test_confirming_and_cancelling_need_no_body(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, verb: str, sent: bytes | None
) -> None:
    hold = new_booking(new_slot()["id"], hold=True)
    options = {"data": sent, "content_type": "application/json"} if sent else {}
    data_of(client.post(f"{BOOKINGS}/{hold['id']}/{verb}", **options))


HISTORIES: list[tuple[list[str], list[tuple[str, str | None, str, int]]]] = [
    (["book"], [("BOOKED", None, "CONFIRMED", 3)]),
    (["hold"], [("HELD", None, "PENDING", 3)]),
    (
        ["hold", "confirm", "cancel"],
        [
            ("HELD", None, "PENDING", 3),
            ("CONFIRMED", "PENDING", "CONFIRMED", 0),
            ("CANCELLED", "CONFIRMED", "CANCELLED", 3),
        ],
    ),
    (
        ["hold", "cancel"],
        [("HELD", None, "PENDING", 3), ("CANCELLED", "PENDING", "CANCELLED", 3)],
    ),
    (["hold", "lapse"], [("HELD", None, "PENDING", 3), ("EXPIRED", "PENDING", "FAILED", 3)]),
]


@pytest.mark.parametrize(("steps", "history"), HISTORIES)
def test_events_tell_the_history(
    client: FlaskClient,
    new_slot: Maker,
    new_booking: Maker,
    lapse: Act,
    steps: list[str],
    history: list[tuple[str, str | None, str, int]],
) -> None:
    booking = new_booking(new_slot()["id"], num_seats=3, hold=steps[0] == "hold")
    for step in steps[1:]:
        if step == "lapse":
            lapse(booking["id"])
        else:
            data_of(_post(client, booking, step))
    events, _ = page_of(client.get(f"{BOOKINGS}/{booking['id']}/events"))
    assert [(e["type"], e["from"], e["to"], e["seats"]) for e in events] == history
    assert all(set(event) == {"type", "from", "to", "seats", "at"} for event in events)
    moments = [event["at"] for event in events]
    assert moments == sorted(moments)
    assert moments[0] == booking["created_at"]
    assert moments[-1] == data_of(client.get(f"{BOOKINGS}/{booking['id']}"))["updated_at"]


@pytest.fixture
def several(client: FlaskClient, new_slot: Maker, new_booking: Maker, lapse: Act) -> dict[str, Any]:
    """A user with a booking of each status, the last of them in another slot."""
    user = unique("several")
    first, second = new_slot()["id"], new_slot()["id"]
    made = {
        "CONFIRMED": new_booking(first, user_id=user),
        "PENDING": new_booking(first, user_id=user, hold=True),
        "CANCELLED": new_booking(first, user_id=user),
        "FAILED": new_booking(second, user_id=user, hold=True),
    }
    data_of(_post(client, made["CANCELLED"], "cancel"))
    lapse(made["FAILED"]["id"])
    new_booking(first)
    return {"user_id": user, "first": first, "second": second, "made": made}


@pytest.mark.parametrize("path", [BOOKINGS, "/api/admin/bookings"])
@pytest.mark.parametrize(
    ("filters", "statuses"),
    [
        ({}, ["FAILED", "CANCELLED", "PENDING", "CONFIRMED"]),
        ({"status": "PENDING"}, ["PENDING"]),
        ({"status": "FAILED"}, ["FAILED"]),
        ({"slot_id": "first"}, ["CANCELLED", "PENDING", "CONFIRMED"]),
        ({"slot_id": "second", "status": "FAILED"}, ["FAILED"]),
        ({"slot_id": "second", "status": "PENDING"}, []),
    ],
)
def test_list_is_newest_first_and_filtered(
    client: FlaskClient,
    several: dict[str, Any],
    path: str,
    filters: dict[str, str],
    statuses: list[str],
) -> None:
    sent = {"user_id": several["user_id"], **filters}
    if "slot_id" in filters:
        sent["slot_id"] = several[filters["slot_id"]]
    rows, _ = page_of(client.get(path, query_string=sent))
    assert [row["status"] for row in rows] == statuses
    assert [row["id"] for row in rows] == [several["made"][status]["id"] for status in statuses]
    assert all(set(row) == MEMBERS for row in rows)


def test_list_of_a_slot_shows_everybody_to_an_admin(
    client: FlaskClient, several: dict[str, Any]
) -> None:
    rows, _ = page_of(client.get("/api/admin/bookings", query_string={"slot_id": several["first"]}))
    assert len({row["user_id"] for row in rows}) == 2


def test_own_list_needs_to_know_whose(client: FlaskClient) -> None:
    problem_of(client.get(BOOKINGS), 422, "VALIDATION_ERROR", "user_id")


@pytest.mark.parametrize("path", [BOOKINGS, "/api/admin/bookings"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "OPEN"),
        ("status", "pending"),
        ("status", ""),
        ("slot_id", "1"),
        ("slot_id", ""),
        ("user_id", ""),
        ("user_id", "x" * 201),
        ("user_id", "a\x00b"),
    ],
)
def test_list_refuses_filters_that_break_a_rule(
    client: FlaskClient, path: str, field: str, value: str
) -> None:
    response = client.get(path, query_string={"user_id": "u", field: value})
    problem_of(response, 422, "VALIDATION_ERROR", field)
