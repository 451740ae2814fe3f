"""Security headers around a WSGI application: each of them once, and the application's own."""

from __future__ import annotations

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Response

from booking.middleware.headers import SECURITY_HEADERS, SecurityHeaders

STRICT_TRANSPORT = "Strict-Transport-Security"


@pytest.mark.parametrize("name", SECURITY_HEADERS)
def test_header_of_the_response_stays_the_only_one(name: str) -> None:
    response = Client(SecurityHeaders(Response(headers={name.lower(): "its own"}))).get("/")
    assert response.headers.getlist(name) == ["its own"]
    others = SECURITY_HEADERS.keys() - {name}
    assert {other: response.headers.getlist(other) for other in others} == {
        other: [SECURITY_HEADERS[other]] for other in others
    }


@pytest.mark.parametrize(("scheme", "is_told"), [("http", False), ("https", True)])
def test_transport_is_strict_where_it_is_secure(scheme: str, *, is_told: bool) -> None:
    response = Client(SecurityHeaders(Response())).get("/", base_url=f"{scheme}://localhost")
    assert (STRICT_TRANSPORT in response.headers) is is_told
    assert STRICT_TRANSPORT not in SECURITY_HEADERS
