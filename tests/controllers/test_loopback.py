"""AUTH_MODE=open is for whoever sits at the machine, and for no page in their browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from booking.app import create_app
from tests.controllers.answers import data_of, problem_of
from tests.controllers.conftest import Maker
from tests.controllers.test_authentication import ADMIN_CALLS, SECRET, USER_CALLS, _auth
from tests.security.wire import exchange
from tests.support.factories import UNKNOWN_ID, make_config
from tests.support.servers import LiveServer

Clients = Callable[..., FlaskClient]
CROSS_SITE = {"Sec-Fetch-Site": "cross-site"}
ORIGIN = "http://localhost:5173"
CALLS = [
    *ADMIN_CALLS,
    *USER_CALLS,
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/api/slots"),
    ("GET", "/api/slots/{slot_id}"),
    ("HEAD", "/api/slots"),
    ("OPTIONS", "/api/bookings"),
    ("PUT", "/api/slots"),
    ("GET", "/nowhere"),
]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:3000",
        "LocalHost",
        "localhost.",
        "localhost.:3000",
        "127.0.0.1",
        "127.0.0.1:3000",
        "127.255.0.7:80",
        "[::1]",
        "[::1]:3000",
        "[0:0:0:0:0:0:0:1]",
        "localhost:",
    ],
)
def test_host_of_loopback_is_served(offline: FlaskClient, host: str) -> None:
    data_of(offline.get("/health", headers={"Host": host}))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example.localhost",
        "127.0.0.1@evil.example",
        "128.0.0.1",
        "0.0.0.0",  # noqa: S104 (asked for, not bound to)
        "10.0.0.1:3000",
        "[::2]",
        "[::]",
        "[fe80::1]",
        "::1",
        "localhost..",
        "localhost:80:80",
        "localhost evil.example",
        "127.1",
        "2130706433",
        "localhost,evil.example",
    ],
)
def test_other_host_is_forbidden(offline: FlaskClient, host: str) -> None:
    problem_of(offline.get("/health", headers={"Host": host}), 403, "FORBIDDEN")


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_no_route_is_open_to_other_hosts_and_sites(
    offline: FlaskClient, method: str, path: str
) -> None:
    url = path.format(slot_id=UNKNOWN_ID, booking_id="not-a-uuid")
    for headers in ({"Host": "evil.example"}, CROSS_SITE, {"Sec-Fetch-Site": " Cross-Site"}):
        response = offline.open(url, method=method, headers=headers, data=b"{")
        if method == "HEAD":
            assert response.status_code == 403
        else:
            problem_of(response, 403, "FORBIDDEN")


def test_page_of_another_site_cancels_nothing(
    client: FlaskClient, new_slot: Maker, new_booking: Maker
) -> None:
    booking = new_booking(new_slot()["id"])
    path = f"/api/bookings/{booking['id']}"
    for headers in (CROSS_SITE, {"Host": "evil.example"}):
        problem_of(client.post(f"{path}/cancel", headers=headers), 403, "FORBIDDEN")
    assert data_of(client.get(path)) == booking
    for site in ("same-origin", "same-site", "none"):
        data_of(client.get(path, headers={"Sec-Fetch-Site": site}))


def test_page_of_a_listed_origin_may_call(make_client: Clients) -> None:
    """To a browser localhost and 127.0.0.1 are two sites: a listed origin was let in by name."""
    listed = make_client(cors_origins=frozenset({ORIGIN}))
    response = listed.get("/api/slots", headers={"Origin": ORIGIN, **CROSS_SITE})
    assert response.status_code == 200
    preflight = {"Access-Control-Request-Method": "POST", "Origin": ORIGIN, **CROSS_SITE}
    assert listed.options("/api/bookings", headers=preflight).status_code == 200
    for origin in ("https://evil.example", "null", ORIGIN + "0"):
        refused = listed.get("/api/slots", headers={"Origin": origin, **CROSS_SITE})
        problem_of(refused, 403, "FORBIDDEN")
    rebound = listed.get("/api/slots", headers={"Origin": ORIGIN, "Host": "evil.example"})
    problem_of(rebound, 403, "FORBIDDEN")
    assert rebound.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_host_counts_as_it_was_sent_whatever_is_said_of_another(make_client: Clients) -> None:
    """A page may send X-Forwarded-Host; its browser alone says the Host."""
    behind = make_client(trusted_proxies=1)
    forged = {"Host": "evil.example", "X-Forwarded-Host": "localhost"}
    problem_of(behind.get("/health", headers=forged), 403, "FORBIDDEN")


def test_with_tokens_every_host_and_site_may_call() -> None:
    client = create_app(make_config(auth=_auth(SECRET=SECRET))).test_client()
    data_of(client.get("/health", headers={"Host": "booking.example.com", **CROSS_SITE}))


def test_request_without_a_host_is_no_page_s(server: LiveServer) -> None:
    """HTTP/1.0 has none, and no browser speaks it."""
    assert exchange(server.port, b"GET /health HTTP/1.0\r\n\r\n").status == 200
    evil = b"GET /health HTTP/1.0\r\nHost: evil.example\r\n\r\n"
    assert exchange(server.port, evil).status == 403
