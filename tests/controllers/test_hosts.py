"""The Host that a request names, and the path as it was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.controllers.conftest import Maker
from tests.controllers.test_authentication import SECRET
from tests.controllers.test_proxies import FORWARDED
from tests.security.wire import exchange
from tests.support.factories import unique
from tests.support.servers import LiveServer

GOOD = [
    "booking.example.com",
    "booking.example.com:8080",
    "booking.example.com.",
    "booking_api:8080",
    "xn--bcher-kva.example",
    "127.0.0.1:8080",
    "[2001:db8::1]",
    "[2001:db8::1]:8080",
    "b%C3%BCcher.example",
    "a",
]
BAD = [
    "",
    ":8080",
    "a b",
    "a/b",
    "user@a",
    "a:b",
    "a:1:2",
    "a:65536",
    "a:999999",
    "a:-1",
    "::1",
    "[::1",
    "[]",
    "[1]",
    "[::1]x",
    "b\xfccher.example",
    "a%zz",
    "a?b",
    "a#b",
    "<a>",
    '"a"',
    "a\\b",
]
SLASHED = [
    "//api/slots",
    "///api/slots",
    "//health",
    "/%2Fapi/slots",
    "http://localhost//api/slots",
]


@pytest.fixture(scope="module")
def server(worker_database_url: str) -> Iterator[LiveServer]:
    """A server of a public name, which believes one proxy."""
    with LiveServer(
        worker_database_url, TRUSTED_PROXIES=1, AUTH_MODE="jwt", AUTH_JWT_SECRET=SECRET
    ) as running:
        yield running


def _head(target: str, version: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {target} {version}", *lines, "Connection: close", "", ""]).encode(
        "latin-1"
    )


@pytest.mark.parametrize("host", GOOD)
def test_link_names_the_host(server: LiveServer, new_slot: Maker, host: str) -> None:
    name = unique("Dr")
    for _ in range(2):
        new_slot(doctor_name=name)
    path = f"/api/slots?limit=1&doctor_name={name}"
    answer = exchange(server.port, _head(path, "HTTP/1.1", f"Host: {host}"))
    assert answer.status == 200
    assert answer.headers["link"].startswith(f"<http://{host}/api/slots?")


@pytest.mark.parametrize("host", BAD)
def test_host_that_is_none_is_malformed(server: LiveServer, host: str) -> None:
    for version, forwarded in (("HTTP/1.1", "X: a"), ("HTTP/1.0", "X-Forwarded-Host: a")):
        answer = exchange(server.port, _head("/health", version, f"Host: {host}", forwarded))
        problem = json.loads(answer.body)
        assert (answer.status, problem.get("code")) == (400, "MALFORMED_REQUEST")
        assert "Host" in problem["detail"]


def test_host_is_needed_since_http_1_1(server: LiveServer) -> None:
    missing = exchange(server.port, _head("/health", "HTTP/1.1"))
    assert (missing.status, json.loads(missing.body).get("code")) == (400, "MALFORMED_REQUEST")
    assert "Host" in json.loads(missing.body)["detail"]
    forwarded = exchange(server.port, _head("/health", "HTTP/1.1", "X-Forwarded-Host: a"))
    assert forwarded.status == 400
    assert exchange(server.port, _head("/health", "HTTP/1.0")).status == 200
    twice = exchange(server.port, _head("/health", "HTTP/1.1", "Host: a", "Host: a"))
    assert twice.status == 400


@pytest.mark.parametrize(
    "forwarded",
    [
        # It is read as a list: what is empty is left out, and so are quotes.
        *({"X-Forwarded-Host": host} for host in BAD if host.strip('"') == host != ""),
        *({"X-Forwarded-Port": port} for port in ("x", "-1", "65536", "1:2", "8 0", "/")),
        *({"X-Forwarded-Proto": scheme} for scheme in ("ftp", "x://y", "javascript")),
    ],
)
def test_what_a_proxy_says_has_to_be_a_host_too(
    server: LiveServer, forwarded: dict[str, str]
) -> None:
    lines = [f"{name}: {value}" for name, value in {**FORWARDED, **forwarded}.items()]
    answer = exchange(server.port, _head("/health", "HTTP/1.1", "Host: localhost", *lines))
    assert (answer.status, json.loads(answer.body).get("code")) == (400, "MALFORMED_REQUEST")


def test_port_of_a_proxy_counts_without_a_host_too(server: LiveServer) -> None:
    for port, status in (("8443", 200), ("x", 400), ("65536", 400)):
        head = _head("/health", "HTTP/1.0", f"X-Forwarded-Port: {port}")
        assert exchange(server.port, head).status == status


@pytest.mark.parametrize("target", SLASHED)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_two_slashes_at_the_beginning_are_another_path(
    server: LiveServer, target: str, method: str
) -> None:
    head = _head(target, "HTTP/1.1", "Host: localhost").replace(b"GET", method.encode(), 1)
    answer = exchange(server.port, head)
    assert (answer.status, json.loads(answer.body).get("code")) == (404, "NOT_FOUND")


def test_two_slashes_are_404_before_anybody_is_asked_who_they_are(server: LiveServer) -> None:
    head = _head("//api/admin/slots", "HTTP/1.1", "Host: localhost")
    assert exchange(server.port, head).status == 404
