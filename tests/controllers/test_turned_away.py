"""What a worker that is full says, on connections that stay open: at once, and whole."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.apps import api_over_http
from tests.support.factories import booking_body
from tests.support.servers import LiveServer
from tests.support.sessions import LOCK_SLOT, holding
from tests.support.threads import background

ORIGIN = "https://app.example.com"


@pytest.fixture
def full(database_url: str) -> Iterator[LiveServer]:
    """A server whose one place is taken by a booking that waits for its slot."""
    with LiveServer(
        database_url,
        WEB_CONCURRENCY=1,
        WEB_THREADS=1,
        DB_LOCK_TIMEOUT_MS=20_000,
        CORS_ORIGINS=ORIGIN,
        TRUSTED_PROXIES=2,
    ) as server:
        api = api_over_http(server.base_url)
        slot_id = api.create_slot(total_capacity=5)
        with background(1) as start, holding(database_url, LOCK_SLOT, slot_id) as holder:
            waiting = start(lambda: api.book(slot_id))
            holder.wait_for_waiters(1)
            yield server
            holder.rollback()
            assert waiting.result().status == 201


def test_connection_goes_on_after_it_was_turned_away(full: LiveServer) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", full.port, timeout=5)) as connection:
        for number in range(3):
            headers = {"Content-Type": "application/json", "X-Request-ID": f"try-{number}"}
            body = json.dumps(booking_body("x"))
            connection.request("POST", "/api/b%C3%BCcher?x=1", body=body, headers=headers)
            answer = connection.getresponse()
            problem = json.loads(answer.read())
            assert (answer.status, problem["code"]) == (503, "OVERLOADED")
            assert answer.headers["X-Request-ID"] == problem["request_id"] == f"try-{number}"
            assert problem["instance"] == "/api/b%C3%BCcher"
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Connection"] == "keep-alive"
            connection.request("GET", "/health")
            alive = connection.getresponse()
            assert (alive.status, alive.read()) == (200, b'{"data":{"status":"ok"},"meta":{}}')


def test_refusal_bears_the_headers_of_every_answer(full: LiveServer) -> None:
    """Of X-Forwarded-Proto the last but one counts, as for a request that is served."""
    for forwarded, is_secure in (
        (["https,http"], True),
        (["http,https"], False),
        (["https, http, http"], False),
        (["https"], False),
        (["https", "http"], True),
        ([], False),
    ):
        # The first two are refused, the one before gunicorn's parser reads it, the other after.
        for method, path in (("GET", "/api/slots"), ("PUT", "/api/slots"), ("GET", "/health")):
            headers = _headers_of_answer(full.port, method, path, forwarded)
            assert headers["Access-Control-Allow-Origin"] == ORIGIN
            assert ("Strict-Transport-Security" in headers) is is_secure, (forwarded, method)


def _headers_of_answer(
    port: int, method: str, path: str, forwarded: list[str]
) -> http.client.HTTPMessage:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.putrequest(method, path)
        connection.putheader("Origin", ORIGIN)
        for line in forwarded:
            connection.putheader("X-Forwarded-Proto", line)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == (200 if path == "/health" else 503)
        return answer.headers


def test_preflight_of_a_listed_origin_is_answered(full: LiveServer) -> None:
    """A browser tells its page of a refused one that the network failed, and not to come again."""
    asked = {"Access-Control-Request-Method": "POST"}
    for headers, status in (
        ({"Origin": ORIGIN, **asked}, 200),
        ({"Origin": "https://evil.example", **asked}, 503),
        ({"Origin": ORIGIN}, 503),
        (asked, 503),
    ):
        with closing(http.client.HTTPConnection("127.0.0.1", full.port, timeout=5)) as connection:
            connection.request("OPTIONS", "/api/bookings", headers=headers)
            answer = connection.getresponse()
            assert answer.status == status, headers
            if status == 200:
                assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
                assert "POST" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_probe_with_a_query_is_turned_away(full: LiveServer, method: str) -> None:
    """It is no probe: whoever sends one may ask for work that no probe costs."""
    with closing(http.client.HTTPConnection("127.0.0.1", full.port, timeout=5)) as connection:
        for path, status in (
            ("/health?", 200),
            ("/health?x=1", 503),
            ("/ready?x", 503),
            ("/%68ealth?x", 503),
            ("/%68ealth", 200),
        ):
            connection.request(method, path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status, path


def test_head_is_turned_away_without_a_body(full: LiveServer) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", full.port, timeout=5)) as connection:
        connection.request("HEAD", "/api/slots")
        assert connection.getresponse().read() == b""
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200


@pytest.mark.parametrize("header", ["Connection: close", "Expect: 100-continue"])
def test_connection_that_cannot_go_on_is_closed(full: LiveServer, header: str) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", full.port, timeout=5)) as connection:
        name, _, value = header.partition(": ")
        connection.putrequest("POST", "/api/bookings")
        connection.putheader(name, value)
        connection.putheader("Content-Length", "0" if name == "Connection" else "10")
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (503, "close")
        assert json.loads(answer.read())["code"] == "OVERLOADED"


@pytest.mark.parametrize("cuts", [[], [20, 150], [20, 300]])
def test_each_request_has_its_answer_however_it_comes(full: LiveServer, cuts: list[int]) -> None:
    body = json.dumps(booking_body("x"))
    request = (
        "POST /api/bookings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    both = request * 2
    assert all(cut < len(both) for cut in cuts)
    with (
        closing(socket.create_connection(("127.0.0.1", full.port), timeout=5)) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin, end in itertools.pairwise([0, *cuts, len(both)]):
            connection.sendall(both[begin:end])
        for _ in range(2):
            assert answers.readline() == b"HTTP/1.1 503 Service Unavailable\r\n"
            fields = http.client.parse_headers(answers)
            problem = json.loads(answers.read(int(fields["Content-Length"])))
            assert problem["code"] == "OVERLOADED"
