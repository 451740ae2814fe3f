"""X-Forwarded-* counts where TRUSTED_PROXIES says so, and HSTS stands behind TLS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.controllers.answers import data_of
from tests.controllers.conftest import Maker
from tests.support.factories import UNKNOWN_ID, booking_body, slot_body, unique

FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "booking.example.com",
}
MOVED = {**FORWARDED, "X-Forwarded-Port": "8443", "X-Forwarded-Prefix": "/booking"}


@pytest.fixture
def page(new_slot: Maker) -> str:
    name = unique("Dr.")
    for _ in range(2):
        new_slot(doctor_name=name)
    return f"/api/slots?limit=1&doctor_name={name}"


def test_nobody_is_trusted_by_default(client: FlaskClient, page: str) -> None:
    response = client.get(page, headers=FORWARDED)

    assert response.headers["Link"].startswith("<http://localhost/api/slots?")
    assert "Strict-Transport-Security" not in response.headers


def test_trusted_proxy_tells_scheme_and_host(
    make_client: Callable[..., FlaskClient], page: str
) -> None:
    response = make_client(trusted_proxies=1).get(page, headers=FORWARDED)

    assert response.headers["Link"].startswith("<https://booking.example.com/api/slots?")
    assert response.headers["Strict-Transport-Security"] == "max-age=63072000"


def test_what_a_client_puts_before_the_proxy_is_not_trusted(
    make_client: Callable[..., FlaskClient], page: str
) -> None:
    forged = {**FORWARDED, "X-Forwarded-Host": "evil.example, booking.example.com"}

    response = make_client(trusted_proxies=1).get(page, headers=forged)

    assert response.headers["Link"].startswith("<https://booking.example.com/api/slots?")


def test_port_and_prefix_are_in_all_addresses(
    make_client: Callable[..., FlaskClient], page: str
) -> None:
    client = make_client(trusted_proxies=1)
    address = "https://booking.example.com:8443/booking/api/slots"

    assert client.get(page, headers=MOVED).headers["Link"].startswith(f"<{address}?")
    slot = client.post("/api/admin/slots", json=slot_body(), headers=MOVED)
    slot_id = data_of(slot, 201)["id"]
    assert slot.headers["Location"] == f"/booking/api/admin/slots/{slot_id}"
    booking = client.post("/api/bookings", json=booking_body(slot_id), headers=MOVED)
    booking_id = data_of(booking, 201)["id"]
    assert booking.headers["Location"] == f"/booking/api/bookings/{booking_id}"
    absent = client.get(f"/api/slots/{UNKNOWN_ID}", headers=MOVED).get_json()
    assert absent["instance"] == f"/booking/api/slots/{UNKNOWN_ID}"
    document = client.get("/openapi.json", headers=MOVED).get_json()
    assert [server["url"] for server in document["servers"]] == ["/booking"]


def test_nobody_is_trusted_with_port_and_prefix_by_default(client: FlaskClient, page: str) -> None:
    assert (
        client.get(page, headers=MOVED).headers["Link"].startswith("<http://localhost/api/slots?")
    )
    slot = client.post("/api/admin/slots", json=slot_body(), headers=MOVED)
    assert slot.headers["Location"].startswith("/api/admin/slots/")
    document = client.get("/openapi.json", headers=MOVED).get_json()
    assert [server["url"] for server in document["servers"]] == ["/"]


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/booking/", "/booking"),
        ("booking", "/booking"),
        ("/", ""),
        ("//evil.example", "/evil.example"),
        ("/a/b%20c", "/a/b%20c"),
        ("/<b>", "/%3Cb%3E"),
    ],
)
def test_prefix_is_a_path(make_client: Callable[..., FlaskClient], prefix: str, path: str) -> None:
    headers = {**FORWARDED, "X-Forwarded-Prefix": prefix}
    client = make_client(trusted_proxies=1)

    slot = client.post("/api/admin/slots", json=slot_body(), headers=headers)
    assert slot.headers["Location"].startswith(f"{path}/api/admin/slots/")
    document = client.get("/openapi.json", headers=headers).get_json()
    assert [server["url"] for server in document["servers"]] == [path or "/"]
