"""Another user's booking and no booking at all are one and the same to whoever asks."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.controllers.answers import data_of, page_of, problem_of
from tests.security.callers import ADMIN, Headers, as_user
from tests.support.factories import UNKNOWN_ID, slot_body, unique
from tests.support.failpoints import breakpoint_at
from tests.support.rows import lapse
from tests.support.threads import background, result

Rows = Callable[[str], list[object]]
REQUEST_ID = {"X-Request-ID": "the-same-for-both"}
UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+Z")

OWNED = [("GET", ""), ("HEAD", ""), ("POST", "/confirm"), ("POST", "/cancel"), ("GET", "/events")]
STATES = ["PENDING", "CONFIRMED", "CANCELLED", "lapsed", "FAILED"]


@pytest.fixture
def alice() -> str:
    return unique("alice")


@pytest.fixture
def bob() -> str:
    return unique("bob")


@pytest.fixture
def slot_id(guarded: FlaskClient) -> str:
    created = data_of(guarded.post("/api/admin/slots", json=slot_body(), headers=ADMIN), 201)
    return str(created["id"])


def _book(client: FlaskClient, slot_id: str, headers: Headers, **fields: Any) -> TestResponse:
    body = {"slot_id": slot_id, "num_seats": 1, **fields}
    return client.post("/api/bookings", json=body, headers={**REQUEST_ID, **headers})


@pytest.fixture
def booking_in(
    guarded: FlaskClient, database_url: str, slot_id: str, alice: str
) -> Callable[[str], str]:
    """Makes a booking of alice's that has come to a state; returns its id."""

    def make(state: str) -> str:
        made = _book(guarded, slot_id, as_user(alice), hold=state != "CONFIRMED")
        booking_id: str = data_of(made, 201)["id"]
        if state == "CANCELLED":
            data_of(guarded.post(f"/api/bookings/{booking_id}/cancel", headers=as_user(alice)))
        if state in {"lapsed", "FAILED"}:
            lapse(database_url, booking_id)
        if state == "FAILED":
            data_of(guarded.get(f"/api/bookings/{booking_id}", headers=as_user(alice)))
        return booking_id

    return make


def _told(response: TestResponse, *names: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return all that an answer tells, with the ids that the request itself named taken out."""
    body = response.get_data()
    for name in names:
        body = body.replace(name.encode(), b"<named>")
    return response.status_code, sorted(response.headers.items()), body


WITH = {
    "nothing": {},
    "unknown query": {"query_string": "surprise=1"},
    "a cursor": {"query_string": "cursor=xyz"},
    "a body": {"json": {"surprise": 1}},
    "malformed": {"data": b"{", "content_type": "application/json"},
    "an empty object": {"json": {}},
}


@pytest.mark.parametrize("state", STATES)
def test_another_s_booking_is_told_like_none_to_the_byte(
    guarded: FlaskClient,
    booking_in: Callable[[str], str],
    rows_of: Rows,
    slot_id: str,
    bob: str,
    state: str,
) -> None:
    booking_id = booking_in(state)
    before = rows_of(slot_id)
    for (method, path), (name, sent) in product(OWNED, WITH.items()):
        answers = [
            _told(
                guarded.open(
                    f"/api/bookings/{named}{path}",
                    method=method,
                    headers={**as_user(bob), **REQUEST_ID},
                    **sent,  # type: ignore[arg-type] # werkzeug takes many
                ),
                named,
            )
            for named in (booking_id, booking_id.upper(), UNKNOWN_ID)
        ]
        assert answers[0] == answers[1] == answers[2], (method, path, name)
        if name == "nothing":
            assert answers[0][0] == 404
    assert rows_of(slot_id) == before


def test_admin_may(guarded: FlaskClient, booking_in: Callable[[str], str]) -> None:
    for method, path in OWNED:
        response = guarded.open(
            f"/api/bookings/{booking_in('PENDING')}{path}", method=method, headers=ADMIN
        )
        assert response.status_code == 200, (method, path)


def test_list_of_another_s_slot_is_told_like_that_of_none(
    guarded: FlaskClient,
    booking_in: Callable[[str], str],
    rows_of: Rows,
    slot_id: str,
    alice: str,
    bob: str,
) -> None:
    for state in ("PENDING", "lapsed"):
        booking_in(state)
    before = rows_of(slot_id)
    headers = {**as_user(bob), **REQUEST_ID}
    for status in ("", "&status=PENDING", "&status=FAILED"):
        path = f"/api/bookings?slot_id={{}}{status}"
        answers = [
            _told(guarded.get(path.format(named), headers=headers))
            for named in (slot_id, UNKNOWN_ID)
        ]
        assert answers[0] == answers[1]
        assert answers[0][2] == b'{"data":[],"meta":{"next_cursor":null,"limit":50}}'
        hers = f"{path.format(slot_id)}&user_id={alice}"
        listed, _ = page_of(guarded.get(hers, headers=as_user(alice)))
        assert listed
        assert page_of(guarded.get(hers, headers=ADMIN))[0] == listed
    assert rows_of(slot_id) == before


def test_list_of_a_user_who_exists_is_refused_like_that_of_none(
    guarded: FlaskClient, booking_in: Callable[[str], str], alice: str, bob: str
) -> None:
    booking_in("PENDING")
    headers = {**as_user(bob), **REQUEST_ID}
    answers = [
        _told(guarded.get("/api/bookings", query_string={"user_id": user}, headers=headers))
        for user in (alice, unique("nobody"))
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 403


def test_cursor_of_another_user_is_no_cursor(
    guarded: FlaskClient, booking_in: Callable[[str], str], alice: str, bob: str
) -> None:
    for _ in range(2):
        booking_in("PENDING")
    _, cursor = page_of(guarded.get("/api/bookings?limit=1", headers=as_user(alice)))
    assert cursor
    answers = [
        _told(
            guarded.get(
                "/api/bookings",
                query_string={"limit": "1", "cursor": sent},
                headers={**as_user(bob), **REQUEST_ID},
            )
        )
        for sent in (cursor, cursor[:-1] + ("A" if cursor[-1] != "A" else "B"))
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 422


def _without_what_is_new(response: TestResponse) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return what an answer tells, less the ids and times that every booking has of its own."""
    status, headers, body = _told(response)
    body = TIME.sub(b"<time>", UUID.sub(b"<id>", body))
    kept = [
        (name, UUID.sub(b"<id>", value.encode()).decode())
        for name, value in headers
        # Times have as many digits as they need.
        if name != "Content-Length"
    ]
    return status, kept, body


@pytest.mark.parametrize(
    "fields", [{}, {"num_seats": 2}, {"hold": True}, {"num_seats": 10_000}, {"num_seats": 10}]
)
def test_key_of_another_user_is_told_like_a_key_of_nobody(
    guarded: FlaskClient, slot_id: str, alice: str, bob: str, fields: dict[str, Any]
) -> None:
    key = {"Idempotency-Key": unique("key")}
    first = data_of(_book(guarded, slot_id, as_user(alice) | key), 201)
    answers = []
    for sent in (key, {"Idempotency-Key": unique("key")}):
        response = _book(guarded, slot_id, as_user(bob) | sent, **fields)
        answers.append(_without_what_is_new(response))
        if response.status_code == 201:
            made = response.get_json()["data"]
            assert made["id"] != first["id"]
            assert made["user_id"] == bob
            data_of(guarded.post(f"/api/bookings/{made['id']}/cancel", headers=as_user(bob)))
    assert answers[0] == answers[1]
    assert "Idempotency-Replayed" not in dict(answers[0][1])
    still = data_of(guarded.get(f"/api/bookings/{first['id']}", headers=as_user(alice)))
    assert still == first


def test_naming_the_owner_does_not_replay_their_key(
    guarded: FlaskClient, rows_of: Rows, slot_id: str, alice: str, bob: str
) -> None:
    key = {"Idempotency-Key": unique("key")}
    data_of(_book(guarded, slot_id, as_user(alice) | key), 201)
    before = rows_of(slot_id)
    answers = [
        _told(_book(guarded, slot_id, as_user(bob) | sent, user_id=alice))
        for sent in (key, {"Idempotency-Key": unique("key")})
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 403
    assert rows_of(slot_id) == before


def test_admin_replays_in_the_owner_s_name_alone(
    guarded: FlaskClient, slot_id: str, alice: str
) -> None:
    key = {"Idempotency-Key": unique("key")}
    first = data_of(_book(guarded, slot_id, as_user(alice) | key), 201)
    replayed = _book(guarded, slot_id, ADMIN | key, user_id=alice)
    assert data_of(replayed, 201) == first
    assert replayed.headers["Idempotency-Replayed"] == "true"
    own = data_of(_book(guarded, slot_id, ADMIN | key), 201)
    assert (own["user_id"], own["id"] != first["id"]) == ("root", True)


def test_key_in_progress_of_another_user_is_in_nobody_s_way(
    guarded: FlaskClient, database_url: str, slot_id: str, alice: str, bob: str
) -> None:
    other = data_of(guarded.post("/api/admin/slots", json=slot_body(), headers=ADMIN), 201)["id"]
    key = {"Idempotency-Key": unique("key")}
    with (
        breakpoint_at(database_url, "bookings", when=f"NEW.user_id = '{alice}'") as stop,
        background() as start,
    ):
        mine = guarded.application.test_client()
        hers = start(lambda: _book(mine, slot_id, as_user(alice) | key))
        stop.wait_for_stop()
        his = stop.run_beside(lambda: _book(guarded, other, as_user(bob) | key))
        stop.release()
        data_of(result(hers), 201)
    assert data_of(his, 201)["user_id"] == bob


def test_refusal_of_a_stranger_is_no_oracle_for_admin_routes(
    guarded: FlaskClient, slot_id: str, bob: str
) -> None:
    headers = {**as_user(bob), **REQUEST_ID}
    for method in ("GET", "PATCH", "DELETE"):
        answers = [
            _told(guarded.open(f"/api/admin/slots/{named}", method=method, headers=headers), named)
            for named in (slot_id, UNKNOWN_ID)
        ]
        assert answers[0] == answers[1]
        problem_of(
            guarded.open(f"/api/admin/slots/{slot_id}", method=method, headers=headers),
            403,
            "FORBIDDEN",
        )
