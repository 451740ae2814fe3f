"""Slots, as their admins make, find, change and delete them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.controllers.answers import data_of, page_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import UNKNOWN_ID, in_future, slot_body, unique
from tests.support.snapshots import query

SLOTS = "/api/admin/slots"
MEMBERS = {
    "id",
    "doctor_name",
    "specialization",
    "start_time",
    "duration_minutes",
    "total_capacity",
    "remaining_capacity",
    "status",
    "version",
    "created_at",
    "updated_at",
}
SETTABLE = {
    "doctor_name",
    "specialization",
    "start_time",
    "duration_minutes",
    "total_capacity",
    "max_seats_per_user",
    "status",
}


def test_created_slot_is_open_and_empty(client: FlaskClient) -> None:
    response = client.post(
        SLOTS,
        json=slot_body(
            doctor_name="Dr. Chen Wei",
            specialization="Paediatrics",
            start_time="2999-01-31T09:30:00.250+05:30",
            duration_minutes=45,
            total_capacity=7,
        ),
    )
    slot = data_of(response, 201)
    assert response.headers["Location"] == f"{SLOTS}/{slot['id']}"
    assert response.headers["ETag"] == '"1"'
    assert set(slot) == MEMBERS
    assert slot["created_at"] == slot["updated_at"]
    expected = {
        "doctor_name": "Dr. Chen Wei",
        "specialization": "Paediatrics",
        "start_time": "2999-01-31T04:00:00.250000Z",
        "duration_minutes": 45,
        "total_capacity": 7,
        "remaining_capacity": 7,
        "status": "OPEN",
        "version": 1,
    }
    assert slot.items() >= expected.items()
    read = client.get(response.headers["Location"])
    assert data_of(read) == slot
    assert read.headers["ETag"] == '"1"'


def test_optional_fields_may_be_left_out_or_null(client: FlaskClient) -> None:
    left_out = data_of(client.post(SLOTS, json=slot_body()), 201)
    null = data_of(
        client.post(SLOTS, json=slot_body(specialization=None, duration_minutes=None)), 201
    )
    for slot in (left_out, null):
        assert slot["specialization"] is None
        assert slot["duration_minutes"] is None


@pytest.mark.parametrize("field", ["doctor_name", "start_time", "total_capacity"])
def test_slot_needs_its_required_fields(client: FlaskClient, field: str) -> None:
    body = slot_body()
    del body[field]
    problem_of(client.post(SLOTS, json=body), 422, "VALIDATION_ERROR", field)


def test_every_faulty_field_is_named(client: FlaskClient) -> None:
    body = {"doctor_name": "", "total_capacity": 0, "start_time": "soon", "duration_minutes": 0}
    problem_of(client.post(SLOTS, json=body), 422, "VALIDATION_ERROR", *body)


def test_slot_must_begin_in_the_future(client: FlaskClient) -> None:
    body = slot_body(start_time=in_future(seconds=-1))
    problem_of(client.post(SLOTS, json=body), 422, "VALIDATION_ERROR", "start_time")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_unknown_slot_is_not_found(client: FlaskClient, method: str) -> None:
    body = {"json": {"doctor_name": "Dr. Nobody"}} if method == "PATCH" else {}
    for slot_id in (UNKNOWN_ID, "not-a-uuid"):
        response = client.open(f"{SLOTS}/{slot_id}", method=method, **body)  # type: ignore[arg-type]
        problem_of(response, 404, "SLOT_NOT_FOUND")


@pytest.mark.parametrize(
    "changes",
    [
        {"doctor_name": "Dr. Ben Okafor"},
        {"specialization": "Dermatology"},
        {"specialization": None},
        {"start_time": "2999-12-31T23:59:59Z"},
        {"duration_minutes": 10_080},
        {"duration_minutes": None},
        {"status": "CLOSED"},
        {"doctor_name": "Dr. Both", "status": "CLOSED", "duration_minutes": 15},
    ],
)
def test_change_changes_what_it_names_and_raises_the_version(
    client: FlaskClient, new_slot: Maker, changes: dict[str, Any]
) -> None:
    before = new_slot(specialization="Cardiology", duration_minutes=30)
    response = client.patch(f"{SLOTS}/{before['id']}", json=changes)
    after = data_of(response)
    assert response.headers["ETag"] == f'"{after["version"]}"'
    shown = {**changes}
    if "start_time" in changes:
        shown["start_time"] = "2999-12-31T23:59:59Z"
    assert after == {**before, **shown, "version": 2, "updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]
    assert data_of(client.get(f"{SLOTS}/{before['id']}")) == after


def test_slot_opens_again(client: FlaskClient, new_slot: Maker, new_booking: Maker) -> None:
    slot = new_slot()
    for status in ("CLOSED", "OPEN"):
        data_of(client.patch(f"{SLOTS}/{slot['id']}", json={"status": status}))
    assert new_booking(slot["id"])["status"] == "CONFIRMED"


@pytest.mark.parametrize("changes", [{}, {"status": "OPEN"}, {"total_capacity": 10}])
def test_change_of_nothing_raises_no_version(
    client: FlaskClient, new_slot: Maker, changes: dict[str, Any]
) -> None:
    slot = new_slot(total_capacity=10)
    assert data_of(client.patch(f"{SLOTS}/{slot['id']}", json=changes)) == slot


@pytest.mark.parametrize(
    "changes",
    [
        {"doctor_name": None},
        {"start_time": None},
        {"total_capacity": None},
        {"status": None},
        {"status": "open"},
        {"status": "FULL"},
        {"total_capacity": 0},
        {"start_time": "2020-01-01T00:00:00Z"},
    ],
)
def test_change_to_what_no_slot_may_be_is_refused(
    client: FlaskClient, new_slot: Maker, changes: dict[str, Any]
) -> None:
    slot = new_slot()
    response = client.patch(f"{SLOTS}/{slot['id']}", json=changes)
    problem_of(response, 422, "VALIDATION_ERROR", *changes)
    assert data_of(client.get(f"{SLOTS}/{slot['id']}")) == slot


def test_slot_that_has_begun_is_saved_with_the_start_that_it_has(
    client: FlaskClient, new_slot: Maker, begin: Callable[[str], None]
) -> None:
    path = f"{SLOTS}/{new_slot(max_seats_per_user=2)['id']}"
    begin(path.removeprefix(f"{SLOTS}/"))
    shown = data_of(client.get(path))
    form = {name: shown[name] for name in SETTABLE}

    for minutes, start in enumerate([form["start_time"], _elsewhere(form["start_time"])], 1):
        sent = {**form, "start_time": start, "duration_minutes": minutes}
        saved = data_of(client.patch(path, json=sent))
        changed = {"duration_minutes": minutes, "version": shown["version"] + minutes}
        assert saved == {**shown, **changed, "updated_at": saved["updated_at"]}
    moved = {**form, "start_time": in_future(seconds=-1)}
    problem_of(client.patch(path, json=moved), 422, "VALIDATION_ERROR", "start_time")


def _elsewhere(moment: str) -> str:
    """Return the moment as a clock five and a half hours ahead shows it."""
    zone = timezone(timedelta(hours=5, minutes=30))
    return datetime.fromisoformat(moment).astimezone(zone).isoformat()


@pytest.mark.parametrize(
    ("capacity", "remaining"), [(4, 0), (5, 1), (10, 6), (25, 21), (1_000_000, 999_996)]
)
def test_capacity_moves_what_remains(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, capacity: int, remaining: int
) -> None:
    slot = new_slot(total_capacity=10)
    new_booking(slot["id"], num_seats=3)
    new_booking(slot["id"], num_seats=1, hold=True)
    after = data_of(client.patch(f"{SLOTS}/{slot['id']}", json={"total_capacity": capacity}))
    assert (after["total_capacity"], after["remaining_capacity"]) == (capacity, remaining)


def test_capacity_stays_at_what_is_booked_or_held(
    client: FlaskClient, new_slot: Maker, new_booking: Maker
) -> None:
    slot = new_slot(total_capacity=10)
    new_booking(slot["id"], num_seats=3)
    new_booking(slot["id"], num_seats=1, hold=True)
    before = data_of(client.get(f"{SLOTS}/{slot['id']}"))
    response = client.patch(
        f"{SLOTS}/{slot['id']}", json={"total_capacity": 3, "doctor_name": "Dr. Half"}
    )
    assert problem_of(response, 409, "CAPACITY_BELOW_BOOKED")["booked"] == 4
    assert data_of(client.get(f"{SLOTS}/{slot['id']}")) == before


def test_lapsed_holds_are_not_among_the_seats_that_are_told_as_booked(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, lapse: Callable[[str], None]
) -> None:
    slot = new_slot(total_capacity=10)
    new_booking(slot["id"], num_seats=3)
    lapse(new_booking(slot["id"], num_seats=5, hold=True)["id"])
    response = client.patch(f"{SLOTS}/{slot['id']}", json={"total_capacity": 2})
    problem = problem_of(response, 409, "CAPACITY_BELOW_BOOKED")
    assert (problem["booked"], problem["retryable"]) == (3, False)
    assert "3" in problem["detail"]


def test_seats_that_returned_may_be_taken_from_the_capacity(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, lapse: Callable[[str], None]
) -> None:
    slot = new_slot(total_capacity=10)
    cancelled = new_booking(slot["id"], num_seats=4)
    data_of(client.post(f"/api/bookings/{cancelled['id']}/cancel"))
    lapse(new_booking(slot["id"], num_seats=5, hold=True)["id"])
    after = data_of(client.patch(f"{SLOTS}/{slot['id']}", json={"total_capacity": 1}))
    assert (after["total_capacity"], after["remaining_capacity"]) == (1, 1)


def test_seats_leaving_and_returning_raise_the_version(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, lapse: Callable[[str], None]
) -> None:
    slot = new_slot()
    path = f"{SLOTS}/{slot['id']}"
    versions = [slot["version"]]

    def note() -> None:
        versions.append(data_of(client.get(path))["version"])

    booking = new_booking(slot["id"])
    note()
    data_of(client.post(f"/api/bookings/{booking['id']}/cancel"))
    note()
    hold = new_booking(slot["id"], hold=True)
    note()
    lapse(hold["id"])
    note()
    assert versions == [1, 2, 3, 4, 5]


def test_slot_without_bookings_is_deleted(client: FlaskClient, new_slot: Maker) -> None:
    slot = new_slot()
    response = client.delete(f"{SLOTS}/{slot['id']}")
    assert response.status_code == 204
    assert response.data == b""
    problem_of(client.get(f"{SLOTS}/{slot['id']}"), 404, "SLOT_NOT_FOUND")
    problem_of(client.delete(f"{SLOTS}/{slot['id']}"), 404, "SLOT_NOT_FOUND")


@pytest.mark.parametrize("end", ["CONFIRMED", "PENDING", "CANCELLED", "FAILED"])
def test_slot_that_any_booking_named_stays(
    client: FlaskClient,
    new_slot: Maker,
    new_booking: Maker,
    lapse: Callable[[str], None],
    end: str,
) -> None:
    slot = new_slot()
    booking = new_booking(slot["id"], hold=end in {"PENDING", "FAILED"})
    if end == "CANCELLED":
        data_of(client.post(f"/api/bookings/{booking['id']}/cancel"))
    if end == "FAILED":
        lapse(booking["id"])
    problem_of(client.delete(f"{SLOTS}/{slot['id']}"), 409, "SLOT_HAS_BOOKINGS")
    assert data_of(client.get(f"/api/bookings/{booking['id']}"))["status"] == end


@pytest.fixture
def doctor(new_slot: Maker, new_booking: Maker, begin: Callable[[str], None], conn: Any) -> str:
    """A doctor with a slot of each kind, soonest first: past, full, closed, open."""
    name = unique("Dr. Every")
    past = new_slot(doctor_name=name, specialization="Past")
    full = new_slot(doctor_name=name, specialization="Full", start_time="2100-01-01T00:00:00Z")
    new_slot(doctor_name=name, specialization="Closed", start_time="2100-01-02T00:00:00Z")
    new_slot(doctor_name=name, specialization="Open", start_time="2100-01-03T00:00:00Z")
    begin(past["id"])
    new_booking(full["id"], num_seats=10)
    with conn.cursor() as cursor:
        cursor.execute(
            "UPDATE slots SET status = 'CLOSED' WHERE doctor_name = %s "
            "AND specialization = 'Closed'",
            (name,),
        )
    return name


def _kinds(client: FlaskClient, path: str, **filters: Any) -> list[str]:
    rows, _ = page_of(client.get(path, query_string=filters))
    return [row["specialization"] for row in rows]


@pytest.mark.parametrize(
    ("filters", "kinds"),
    [
        ({}, ["Past", "Full", "Closed", "Open"]),
        ({"status": "OPEN"}, ["Past", "Full", "Open"]),
        ({"status": "CLOSED"}, ["Closed"]),
        ({"from": "2100-01-01T00:00:00Z"}, ["Full", "Closed", "Open"]),
        ({"to": "2100-01-02T00:00:00Z"}, ["Past", "Full"]),
        ({"from": "2100-01-01T00:00:00.000001Z", "to": "2100-01-03T00:00:00Z"}, ["Closed"]),
        ({"from": "2100-01-02T05:30:00+05:30", "to": "2100-01-02T05:30:01+05:30"}, ["Closed"]),
        ({"from": "2100-01-03T00:00:00Z", "to": "2100-01-01T00:00:00Z"}, []),
        ({"specialization": "pEn"}, ["Open"]),
        ({"specialization": "L"}, ["Full", "Closed"]),
        ({"specialization": "surgery"}, []),
        ({"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59.999999Z"}, None),
    ],
)
def test_list_shows_every_slot_that_the_filters_let_through(
    client: FlaskClient, doctor: str, filters: dict[str, str], kinds: list[str] | None
) -> None:
    expected = ["Past", "Full", "Closed", "Open"] if kinds is None else kinds
    assert _kinds(client, SLOTS, doctor_name=doctor, **filters) == expected


def test_list_finds_names_in_any_case(client: FlaskClient, doctor: str) -> None:
    assert len(_kinds(client, SLOTS, doctor_name=doctor.upper())) == 4
    assert len(_kinds(client, SLOTS, doctor_name=doctor[4:])) == 4


def test_list_has_an_order_among_equal_starts(client: FlaskClient, new_slot: Maker) -> None:
    name = unique("Dr. Tie")
    made = [new_slot(doctor_name=name, start_time="2100-01-01T00:00:00Z")["id"] for _ in range(5)]
    rows, _ = page_of(client.get(SLOTS, query_string={"doctor_name": name}))
    assert [row["id"] for row in rows] == sorted(made)


def test_public_list_shows_what_can_be_booked(client: FlaskClient, doctor: str) -> None:
    assert _kinds(client, "/api/slots", doctor_name=doctor) == ["Open"]


def test_row_of_a_list_is_the_slot(client: FlaskClient, new_slot: Maker) -> None:
    slot = new_slot(doctor_name=unique("Dr. Row"), specialization="Rows", duration_minutes=5)
    for path in (SLOTS, "/api/slots"):
        rows, _ = page_of(client.get(path, query_string={"doctor_name": slot["doctor_name"]}))
        assert rows == [slot]


def test_refused_slot_writes_no_row(client: FlaskClient, database_url: str) -> None:
    name = unique("Dr. Refused")
    for fields in ({"total_capacity": 0}, {"start_time": in_future(seconds=-1)}):
        body = slot_body(doctor_name=name, **fields)
        problem_of(client.post(SLOTS, json=body), 422, "VALIDATION_ERROR", *fields)
    assert query(database_url, "SELECT id FROM slots WHERE doctor_name = %s", name) == []
