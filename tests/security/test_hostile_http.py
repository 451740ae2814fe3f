"""Requests that no honest client sends, to a real server."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests

from booking.controllers.problems import PROBLEM_TYPE
from booking.middleware.headers import SECURITY_HEADERS
from booking.worker.arriving import MAX_HEAD_BYTES
from tests.controllers.answers import PROBLEM_MEMBERS
from tests.security.callers import ADMIN, as_user
from tests.security.wire import RawAnswer, exchange, request_bytes
from tests.support.factories import UNKNOWN_ID, booking_body, slot_body, unique
from tests.support.servers import LiveServer

Servers = Callable[[str], LiveServer]
ORIGIN = "https://app.example.com"


def _head_of(size: int) -> bytes:
    fields = request_bytes("GET", "/health", *["X: " + "a" * 8000] * 4)[:-2]
    return fields + b"Y: " + b"a" * (size - len(fields) - 7) + b"\r\n\r\n"


# gunicorn.conf.py's limits, each by one more than it takes, and what else its parser refuses.
REFUSED_BY_THE_PARSER: dict[str, tuple[int, bytes]] = {
    "request line too long": (414, request_bytes("GET", "/" + "a" * 8190)),
    "query too long": (414, request_bytes("GET", "/api/slots?doctor_name=" + "a" * 8190)),
    "header too large": (431, request_bytes("GET", "/health", "X-Large: " + "a" * 8190)),
    "header name too large": (431, request_bytes("GET", "/health", "X" * 8190 + ": a")),
    "too many headers": (431, request_bytes("GET", "/health", *["X-Many: a"] * 100)),
    "headers too large together": (
        431,
        request_bytes("GET", "/health", *["X: " + "a" * 8000] * 99),
    ),
    "head that does not end": (
        431,
        request_bytes("GET", "/health", *["X: " + "a" * 8000] * 5)[:-2],
    ),
    "head that is too large by a byte": (431, _head_of(MAX_HEAD_BYTES + 1)),
    "no version": (400, b"GET /health\r\n\r\n"),
    "a version of its own": (400, b"GET /health HTTP/9.9\r\n\r\n"),
    "no HTTP at all": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "method of marks": (400, b"G<script>T /health HTTP/1.1\r\nHost: a\r\n\r\n"),
    "header without a colon": (400, request_bytes("GET", "/health", "no colon here")),
    "two lengths": (400, request_bytes("POST", "/api/bookings", *["Content-Length: 1"] * 2)),
    "unknown coding": (501, request_bytes("POST", "/api/bookings", "Transfer-Encoding: x")),
}


@pytest.fixture(scope="module")
def proxied_server(worker_database_url: str) -> Iterator[LiveServer]:
    """gunicorn that believes one proxy and lists an origin."""
    with LiveServer(worker_database_url, TRUSTED_PROXIES=1, CORS_ORIGINS=ORIGIN) as server:
        yield server


def _is_hardened(answer: RawAnswer) -> None:
    for name in SECURITY_HEADERS:
        assert name.lower() in answer.headers, (name, answer)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_the_parser_refuses_is_refused_and_hurts_nobody(guarded_server: Servers) -> None:
    server = guarded_server("json")
    for name, (status, request) in REFUSED_BY_THE_PARSER.items():
        answer = exchange(server.port, request)
        assert answer.status == status, name
        assert answer.headers["connection"] == "close", name
        assert requests.get(server.base_url + "/health", timeout=20).status_code == 200, name


def test_what_the_parser_refuses_is_a_problem_with_every_header(guarded_server: Servers) -> None:
    for status, request in REFUSED_BY_THE_PARSER.values():
        answer = exchange(guarded_server("json").port, request)
        _is_hardened(answer)
        assert answer.headers["content-type"] == PROBLEM_TYPE
        problem = json.loads(answer.body)
        assert set(problem) == PROBLEM_MEMBERS
        assert problem["status"] == status
        assert problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("lines", "is_secure", "is_listed"),
    [
        (["X-Forwarded-Proto: https", f"Origin: {ORIGIN}"], True, True),
        (["x-forwarded-proto:http,https", "Origin: https://evil.example"], True, False),
        (
            ["X-Forwarded-Proto: https, http", f"Origin: {ORIGIN}", f"Origin: {ORIGIN}"],
            False,
            False,
        ),
        (["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], False, False),
        (["X-Forwarded-Proto: https", " folded"], False, False),
        ([], False, False),
    ],
)
def test_what_the_parser_refuses_bears_the_headers_of_every_answer(
    proxied_server: LiveServer, lines: list[str], *, is_secure: bool, is_listed: bool
) -> None:
    head = request_bytes("GET", "/health", *lines, "no colon here")
    answer = exchange(proxied_server.port, head)
    assert answer.status == 400
    assert ("strict-transport-security" in answer.headers) is is_secure
    told = answer.headers.get("access-control-allow-origin")
    assert told == (ORIGIN if is_listed else None)
    assert answer.headers["vary"] == "Origin"


def test_what_the_parser_refuses_believes_no_proxy_by_default(guarded_server: Servers) -> None:
    head = request_bytes("GET", "/health", "X-Forwarded-Proto: https", "no colon here")
    assert "strict-transport-security" not in exchange(guarded_server("json").port, head).headers


def test_the_largest_request_that_is_allowed_is_served(guarded_server: Servers) -> None:
    port = guarded_server("json").port
    target = "/health?" + "a" * (8190 - len("GET /health? HTTP/1.1\r\n"))
    assert exchange(port, request_bytes("GET", target)).status == 422
    # Two of the hundred are request_bytes's own.
    many = ["X-Many: a"] * 98
    assert exchange(port, request_bytes("GET", "/health", *many)).status == 200
    assert exchange(port, request_bytes("GET", "/health", "X-Large: " + "a" * 8000)).status == 200
    assert exchange(port, _head_of(MAX_HEAD_BYTES)).status == 200


def test_every_answer_bears_the_security_headers(guarded_server: Servers) -> None:
    server = guarded_server("json")
    port, user = server.port, as_user(unique("user"))["Authorization"]
    admin = ADMIN["Authorization"]
    slot = requests.post(
        server.base_url + "/api/admin/slots", json=slot_body(), headers=ADMIN, timeout=20
    ).json()["data"]["id"]

    def post(body: object, *headers: str) -> bytes:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = ("Content-Type: application/json", f"Content-Length: {len(sent)}", *headers)
        return request_bytes("POST", "/api/bookings", *lines, body=sent)

    wanted = {"slot_id": slot, "num_seats": 1}
    etag = exchange(port, request_bytes("GET", "/openapi.json")).headers["etag"]
    requested = {
        200: request_bytes("GET", "/api/slots"),
        201: post(wanted, f"Authorization: {user}"),
        304: request_bytes("GET", "/openapi.json", f"If-None-Match: {etag}"),
        400: post(b"{", f"Authorization: {user}"),
        401: post(wanted),
        403: request_bytes("GET", "/api/admin/audit", f"Authorization: {user}"),
        404: request_bytes("GET", f"/api/bookings/{UNKNOWN_ID}", f"Authorization: {user}"),
        405: request_bytes("DELETE", "/api/slots"),
        409: post({**wanted, "num_seats": 11}, f"Authorization: {user}"),
        412: request_bytes(
            "PATCH",
            f"/api/admin/slots/{slot}",
            'If-Match: "0"',
            "Content-Type: application/json",
            "Content-Length: 19",
            f"Authorization: {admin}",
            body=b'{"status":"CLOSED"}',
        ),
        413: post(b" " * 70_000, f"Authorization: {user}"),
        415: request_bytes(
            "POST", "/api/bookings", "Content-Length: 2", f"Authorization: {user}", body=b"{}"
        ),
        422: post({}, f"Authorization: {user}"),
    }
    for status, request in requested.items():
        answer = exchange(port, request)
        assert answer.status == status, answer
        _is_hardened(answer)
        # What is anybody's own is stored by nobody; the document is everybody's.
        kept = "public, no-cache" if status == 304 else "no-store"
        assert answer.headers["cache-control"] == kept
    for method in ("HEAD", "OPTIONS"):
        _is_hardened(exchange(port, request_bytes(method, "/api/bookings")))
    spare = requests.post(
        server.base_url + "/api/admin/slots", json=slot_body(), headers=ADMIN, timeout=20
    ).json()["data"]["id"]
    path = f"/api/admin/slots/{spare}"
    deleted = exchange(port, request_bytes("DELETE", path, f"Authorization: {admin}"))
    assert deleted.status == 204
    _is_hardened(deleted)


@contextmanager
def _dribbling(port: int, count: int) -> Iterator[Callable[[], int]]:
    """Hold so many connections that have begun a request, half of them in the head and half in
    the body of a booking; yields what sends one more byte on each and counts those that took it.
    """
    user = as_user(unique("slow"))["Authorization"]
    head = request_bytes("GET", "/api/slots")[:-2] + b"X-Slow: "
    body = request_bytes(
        "POST",
        "/api/bookings",
        "Content-Type: application/json",
        "Content-Length: 1000",
        f"Authorization: {user}",
    )
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            for _ in range(count)
        ]
        for number, connection in enumerate(connections):
            connection.sendall(head if number % 2 else body)

        def dribble() -> int:
            for connection in connections:
                connection.sendall(b" ")
            return len(connections)

        yield dribble


def test_twenty_slow_clients_keep_nobody_waiting(guarded_server: Servers) -> None:
    server = guarded_server("json")
    slot = requests.post(
        server.base_url + "/api/admin/slots", json=slot_body(), headers=ADMIN, timeout=20
    ).json()["data"]["id"]
    slowest = 0.0
    with _dribbling(server.port, 20) as dribble:
        for _ in range(10):
            assert dribble() == 20
            for method, path, body, status in (
                ("GET", "/health", None, 200),
                ("GET", "/ready", None, 200),
                ("POST", "/api/bookings", booking_body(slot), 201),
            ):
                begun = time.monotonic()
                response = requests.request(
                    method, server.base_url + path, json=body, headers=ADMIN, timeout=5
                )
                slowest = max(slowest, time.monotonic() - begun)
                assert response.status_code == status
            time.sleep(0.05)
    assert slowest < 2
