"""The Idempotency-Key: its forms, its replays and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from flask.testing import FlaskClient

from booking.repositories import bookings
from booking.uuid7 import uuid7
from tests.controllers.answers import data_of, problem_of
from tests.controllers.conftest import Maker
from tests.support.factories import booking_body, unique
from tests.support.sessions import LOCK_SLOT, holding
from tests.support.snapshots import query
from tests.support.threads import background, result

BOOKINGS = "/api/bookings"
Act = Callable[[str], None]


def _post(client: FlaskClient, body: dict[str, Any], key: str) -> Any:
    return client.post(BOOKINGS, json=body, headers={"Idempotency-Key": key})


def _replay(client: FlaskClient, body: dict[str, Any], key: str) -> dict[str, Any]:
    response = _post(client, body, key)
    assert response.headers.get("Idempotency-Replayed") == "true"
    booking: dict[str, Any] = data_of(response, 201)
    assert response.headers["Location"] == f"{BOOKINGS}/{booking['id']}"
    return booking


VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F))


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("abc", "abc"),
        ("abc", '"abc"'),
        ('"abc"', "abc"),
        ("7", "7"),
        ("x" * 255, '"' + "x" * 255 + '"'),
        ('"a\\"b"', 'a"b'),
        ('"a\\\\b"', "a\\b"),
        (VISIBLE, VISIBLE),
    ],
)
def test_key_is_the_same_bare_or_quoted(
    client: FlaskClient, new_slot: Maker, first: str, again: str
) -> None:
    body = booking_body(new_slot()["id"])
    made = _post(client, body, first)
    assert "Idempotency-Replayed" not in made.headers
    assert _replay(client, body, again) == data_of(made, 201)


def test_key_is_told_apart_by_case(client: FlaskClient, new_slot: Maker) -> None:
    body = booking_body(new_slot()["id"])
    ids = {data_of(_post(client, body, key), 201)["id"] for key in ("key", "Key", "KEY", "key-")}
    assert len(ids) == 4


@pytest.mark.parametrize(
    "key",
    [
        "",
        '""',
        " ",
        "a b",
        '"a b"',
        "a\tb",
        "x" * 256,
        '"' + "x" * 256 + '"',
        "caf\xe9",
        '"caf\xe9"',
        "\x7f",
        '"',
        '"abc',
        '"a"b"',
        '"a\\b"',
        '"abc"; q=1',
        "\xa0",
    ],
)
def test_anything_else_is_no_key(client: FlaskClient, new_slot: Maker, key: str) -> None:
    slot = new_slot()
    response = _post(client, booking_body(slot["id"]), key)
    problem_of(response, 400, "IDEMPOTENCY_KEY_INVALID")
    assert data_of(client.get(f"/api/slots/{slot['id']}"))["remaining_capacity"] == 10


@pytest.mark.parametrize("fate", ["full", "closed", "begun"])
@pytest.mark.parametrize("hold", [True, False])
def test_replay_stands_whatever_became_of_the_slot(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, begin: Act, fate: str, hold: bool
) -> None:
    slot = new_slot()
    body = booking_body(slot["id"], num_seats=2, hold=hold)
    made = data_of(_post(client, body, "k"), 201)
    if fate == "full":
        new_booking(slot["id"], num_seats=8)
    elif fate == "closed":
        data_of(client.patch(f"/api/admin/slots/{slot['id']}", json={"status": "CLOSED"}))
    else:
        begin(slot["id"])
    assert _replay(client, body, "k") == made


def test_replay_books_nothing_again(
    client: FlaskClient, new_slot: Maker, database_url: str
) -> None:
    slot = new_slot()
    body = booking_body(slot["id"], num_seats=2)
    made = data_of(_post(client, body, "k"), 201)
    for _ in range(3):
        _replay(client, body, "k")
    assert data_of(client.get(f"/api/slots/{slot['id']}"))["remaining_capacity"] == 8
    rows = query(database_url, "SELECT id FROM bookings WHERE user_id = %s", body["user_id"])
    assert rows == [(made["id"],)]


@pytest.mark.parametrize(
    ("hold", "step", "status"),
    [
        (True, "confirm", "CONFIRMED"),
        (True, "cancel", "CANCELLED"),
        (False, "cancel", "CANCELLED"),
        (True, "lapse", "FAILED"),
    ],
)
def test_replay_shows_the_booking_as_it_stands_now(
    client: FlaskClient, new_slot: Maker, lapse: Act, hold: bool, step: str, status: str
) -> None:
    slot = new_slot()
    body = booking_body(slot["id"], hold=hold)
    made = data_of(_post(client, body, "k"), 201)
    if step == "lapse":
        lapse(made["id"])
    else:
        data_of(client.post(f"{BOOKINGS}/{made['id']}/{step}"))
    again = _replay(client, body, "k")
    assert (again["id"], again["status"]) == (made["id"], status)
    expected = 9 if status == "CONFIRMED" else 10
    assert data_of(client.get(f"/api/slots/{slot['id']}"))["remaining_capacity"] == expected


def test_hold_left_out_is_false(client: FlaskClient, new_slot: Maker) -> None:
    body = booking_body(new_slot()["id"])
    made = data_of(_post(client, body, "k"), 201)
    assert _replay(client, {**body, "hold": False}, "k")["id"] == made["id"]


@pytest.mark.parametrize(
    ("hold", "step"),
    [
        (True, None),
        (True, "confirm"),
        (True, "cancel"),
        (True, "lapse"),
        (False, None),
        (False, "cancel"),
    ],
)
@pytest.mark.parametrize("change", ["num_seats", "slot_id", "hold", "unknown slot"])
def test_key_for_another_request_is_refused(
    client: FlaskClient,
    new_slot: Maker,
    lapse: Act,
    hold: bool,
    change: str,
    step: str | None,
) -> None:
    slot, other = new_slot(), new_slot()
    body = booking_body(slot["id"], num_seats=2, hold=hold)
    made = data_of(_post(client, body, "k"), 201)
    if step == "lapse":
        lapse(made["id"])
    elif step:
        data_of(client.post(f"{BOOKINGS}/{made['id']}/{step}"))
    before = data_of(client.get(f"/api/slots/{slot['id']}"))
    changes: dict[str, dict[str, Any]] = {
        "num_seats": {"num_seats": 3},
        "slot_id": {"slot_id": other["id"]},
        "hold": {"hold": not hold},
        "unknown slot": {"slot_id": uuid7()},
    }
    response = _post(client, {**body, **changes[change]}, "k")
    problem_of(response, 422, "IDEMPOTENCY_KEY_REUSED")
    assert data_of(client.get(f"/api/slots/{slot['id']}")) == before
    assert data_of(client.get(f"/api/slots/{other['id']}")) == other


def test_key_for_another_request_is_refused_when_the_slot_is_full(
    client: FlaskClient, new_slot: Maker
) -> None:
    body = booking_body(new_slot(total_capacity=2)["id"], num_seats=2)
    data_of(_post(client, body, "k"), 201)
    problem_of(_post(client, {**body, "num_seats": 1}, "k"), 422, "IDEMPOTENCY_KEY_REUSED")


def test_key_belongs_to_one_user(client: FlaskClient, new_slot: Maker) -> None:
    slot = new_slot()
    mine = data_of(_post(client, booking_body(slot["id"], num_seats=1), "k"), 201)
    theirs = data_of(_post(client, booking_body(slot["id"], num_seats=2), "k"), 201)
    assert mine["id"] != theirs["id"]
    assert data_of(client.get(f"/api/slots/{slot['id']}"))["remaining_capacity"] == 7


def test_refusal_is_not_remembered(
    client: FlaskClient, new_slot: Maker, new_booking: Maker, begin: Act
) -> None:
    slot = new_slot()
    blocker = new_booking(slot["id"], num_seats=10)
    body = booking_body(slot["id"])
    problem_of(_post(client, body, "k"), 409, "SLOT_FULL")
    data_of(client.patch(f"/api/admin/slots/{slot['id']}", json={"status": "CLOSED"}))
    problem_of(_post(client, body, "k"), 409, "SLOT_CLOSED")
    problem_of(_post(client, {**body, "num_seats": 0}, "k"), 422, "VALIDATION_ERROR", "num_seats")
    data_of(client.patch(f"/api/admin/slots/{slot['id']}", json={"status": "OPEN"}))
    data_of(client.post(f"{BOOKINGS}/{blocker['id']}/cancel"))
    made = _post(client, {**body, "num_seats": 2}, "k")
    assert "Idempotency-Replayed" not in made.headers
    assert data_of(made, 201)["num_seats"] == 2


def test_key_of_a_request_under_way_is_in_progress(
    client: FlaskClient,
    make_client: Callable[..., FlaskClient],
    new_slot: Maker,
    database_url: str,
) -> None:
    slot = new_slot()
    body = booking_body(slot["id"])
    hasty = make_client(db_lock_timeout_ms=100)
    with background() as start, holding(database_url, LOCK_SLOT, slot["id"]) as holder:
        first = start(lambda: _post(client, body, "k"))
        holder.wait_for_waiters()
        problem_of(_post(hasty, body, "k"), 409, "IDEMPOTENCY_IN_PROGRESS")
        problem_of(_post(hasty, body, "other"), 503, "BUSY")
        holder.commit()
        made = data_of(result(first), 201)
    assert _replay(hasty, body, "k") == made


def test_key_lives_on_the_booking(client: FlaskClient, new_slot: Maker, database_url: str) -> None:
    body = booking_body(new_slot()["id"], user_id=unique("owner"))
    made = data_of(_post(client, body, '"quoted"'), 201)
    rows = query(database_url, "SELECT idempotency_key FROM bookings WHERE id = %s", made["id"])
    assert rows == [("quoted",)]
    assert "idempotency_key" not in made


@pytest.mark.parametrize("method", ["commit", "rollback"])
def test_key_claimed_by_a_transaction_that_ends_is_free(
    client: FlaskClient, new_slot: Maker, database_url: str, method: str
) -> None:
    body = booking_body(new_slot()["id"])
    other = psycopg2.connect(database_url)
    try:
        assert bookings.is_key_free(other, body["user_id"], "k")
        getattr(other, method)()
        data_of(_post(client, body, "k"), 201)
    finally:
        other.close()
