"""Expiry and the audit, as an admin calls them."""

from __future__ import annotations

from collections.abc import Callable

from flask.testing import FlaskClient

from booking.config import PROJECT_ROOT
from tests.controllers.answers import data_of
from tests.controllers.conftest import Maker
from tests.support.factories import booking_body, slot_body
from tests.support.snapshots import query

Act = Callable[[str], None]
EXPIRE = "/api/admin/expire-pending"


def test_expiry_fails_what_is_stale_and_leaves_the_rest(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, lapse: Act
) -> None:
    data_of(client.post(EXPIRE))
    first, second = new_slot(), new_slot()
    live = new_booking(first["id"], num_seats=1, hold=True)
    booked = new_booking(first["id"], num_seats=1)
    for slot, seats in ((first, 2), (first, 3), (second, 4)):
        lapse(new_booking(slot["id"], num_seats=seats, hold=True)["id"])
    assert data_of(client.post(EXPIRE)) == {"expired": 3, "seats_restored": 9}
    assert data_of(client.post(EXPIRE)) == {"expired": 0, "seats_restored": 0}
    assert data_of(client.get(f"/api/bookings/{live['id']}"))["status"] == "PENDING"
    assert data_of(client.get(f"/api/bookings/{booked['id']}"))["status"] == "CONFIRMED"
    assert data_of(client.get(f"/api/slots/{first['id']}"))["remaining_capacity"] == 8
    assert data_of(client.get(f"/api/slots/{second['id']}"))["remaining_capacity"] == 10


def test_expiry_sums_the_seats_of_a_slot(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, lapse: Act
) -> None:
    slot = new_slot()
    for _ in range(3):
        lapse(new_booking(slot["id"], num_seats=2, hold=True)["id"])
    data_of(client.post(EXPIRE))
    shown = data_of(client.get(f"/api/slots/{slot['id']}"))
    assert (shown["remaining_capacity"], shown["version"]) == (10, 5)


def test_audit_runs_each_check_of_the_folder(client: FlaskClient, new_slot: Maker) -> None:
    new_slot()
    audit = data_of(client.get("/api/admin/audit"))
    names = sorted(path.stem for path in (PROJECT_ROOT / "sql" / "checks").glob("*.sql"))
    assert audit == {
        "healthy": True,
        "checks": [{"name": name, "violations": 0} for name in names],
    }


def test_audit_tells_what_is_violated(
    new_database: Callable[..., str], make_client: Callable[..., FlaskClient]
) -> None:
    url = new_database()
    client = make_client(database_url=url)
    slot = data_of(client.post("/api/admin/slots", json=slot_body()), 201)
    data_of(client.post("/api/bookings", json=booking_body(slot["id"], num_seats=2)), 201)
    query(url, "UPDATE slots SET remaining_capacity = 9 WHERE id = %s", slot["id"])
    audit = data_of(client.get("/api/admin/audit"))
    assert audit["healthy"] is False
    found = {check["name"]: check["violations"] for check in audit["checks"]}
    assert {name for name, count in found.items() if count} == {"seats_add_up"}
    assert found["seats_add_up"] == 1
