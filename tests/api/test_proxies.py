"""X-Forwarded-* counts where TRUSTED_PROXIES says so, and HSTS stands behind TLS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.api.conftest import Maker
from tests.factories import unique

FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "booking.example.com",
}


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
