"""How the worker treats its connections: those that are slow, idle, greedy, or full of what is no
request.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psutil
import pytest
import requests

from booking.controllers.parsing import MAX_BODY_BYTES
from tests.support.factories import booking_body, slot_body, unique
from tests.support.servers import LiveServer
from tests.support.sessions import wait_until

IN_FLIGHT = 8
# A worker that is held up answers nobody: any answer within this shows that it is not.
AT_ONCE_SECONDS = 1.5
ENDING = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def narrow_server(worker_database_url: str) -> Iterator[LiveServer]:
    """One worker, in which few requests may be in flight."""
    with LiveServer(worker_database_url, WEB_CONCURRENCY=1, WEB_THREADS=IN_FLIGHT) as running:
        yield running


def connect(server: LiveServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def book(server: LiveServer) -> int:
    slot = requests.post(
        f"{server.base_url}/api/admin/slots", json=slot_body(), timeout=AT_ONCE_SECONDS
    ).json()["data"]
    body = booking_body(slot["id"])
    sent = requests.post(f"{server.base_url}/api/bookings", json=body, timeout=AT_ONCE_SECONDS)
    return sent.status_code


POST = b"POST /api/bookings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "dribble",
    [
        b"",
        POST + b"X-",
        POST + b'Content-Length: 90\r\n\r\n{"num_',
        POST + b'Transfer-Encoding: chunked\r\n\r\n90\r\n{"num_',
    ],
)
def test_slow_clients_hold_up_nobody(narrow_server: LiveServer, dribble: bytes) -> None:
    with ExitStack() as slow:
        for _ in range(10 * IN_FLIGHT):
            slow.enter_context(connect(narrow_server)).sendall(dribble)
        assert book(narrow_server) == 201


def test_client_that_does_not_close_holds_up_nobody(narrow_server: LiveServer) -> None:
    with connect(narrow_server) as lingering:
        lingering.sendall(ENDING)
        assert lingering.recv(65_536).startswith(b"HTTP/1.1 200")
        assert book(narrow_server) == 201


def test_client_that_sends_ahead_holds_up_nobody(narrow_server: LiveServer) -> None:
    ahead = 3000
    with connect(narrow_server) as greedy:
        greedy.settimeout(60)
        greedy.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * ahead)
        assert book(narrow_server) == 201
        answered = 0
        while answered < ahead:
            received = greedy.recv(1_000_000)
            assert received
            answered += received.count(b"HTTP/1.1 200")


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 3 * MAX_BODY_BYTES])
def test_connection_outlives_a_body_that_is_too_large(server: LiveServer, size: int) -> None:
    headers = {"Content-Type": "application/json"}
    url = f"{server.base_url}/api/bookings"
    with requests.Session() as session:
        for _ in range(5):
            sent = session.post(url, data=b" " * size, headers=headers, timeout=10)
            assert sent.json()["code"] == "PAYLOAD_TOO_LARGE"
            assert sent.headers["Connection"] == "keep-alive"


def test_body_that_nobody_will_read_ends_the_connection(server: LiveServer) -> None:
    with connect(server) as connection:
        connection.sendall(POST + b"Content-Length: 1000000000\r\n\r\n")
        head = connection.recv(65_536).partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 413")
    assert b"Connection: close" in head


@pytest.mark.parametrize("request_line", [b"GET /health", b"POST /nowhere", b"POST /api/bookings"])
@pytest.mark.parametrize("good", [0, MAX_BODY_BYTES + 100])
def test_request_with_chunks_that_are_none_has_one_answer(
    server: LiveServer, request_line: bytes, good: int
) -> None:
    chunk = b"%x\r\n%s\r\n" % (good, b" " * good) if good else b""
    with connect(server) as connection:
        connection.sendall(
            request_line + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"zz\r\n{}\r\n0\r\n\r\n"
        )
        received = b""
        while answer := connection.recv(65_536):
            received += answer
    assert received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("key", [b"a\x7f", b"a\x01b", b"\x00"])
def test_key_with_a_control_character_is_told_as_such(server: LiveServer, key: bytes) -> None:
    body = json.dumps(booking_body("x")).encode()
    with connect(server) as connection:
        connection.sendall(
            POST + b"Idempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s" % (key, len(body), body)
        )
        head, _, problem = connection.recv(65_536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(problem)["code"] == "IDEMPOTENCY_KEY_INVALID"


@pytest.mark.parametrize("sent", [b"", b"GET /health HT"], ids=["nothing", "half a head"])
def test_connection_that_says_nothing_more_ends(database_url: str, sent: bytes) -> None:
    with (
        LiveServer(database_url, WEB_CONCURRENCY=1, GUNICORN_CMD_ARGS="--keep-alive 1") as server,
        connect(server) as connection,
    ):
        connection.sendall(sent)
        assert connection.recv(100) == b""


def test_head_that_dribbles_in_has_no_more_time(database_url: str) -> None:
    with (
        LiveServer(database_url, WEB_CONCURRENCY=1, GUNICORN_CMD_ARGS="--keep-alive 1") as server,
        connect(server) as connection,
    ):
        began = time.monotonic()
        connection.sendall(b"GET /health HTTP/1.1\r\nX: ")
        connection.settimeout(0.1)
        ended = False
        while not ended and time.monotonic() - began < 10:
            with suppress(TimeoutError):
                connection.sendall(b"a")
                ended = connection.recv(100) == b""
        assert ended


def test_connection_is_as_patient_after_every_request(database_url: str) -> None:
    """However long it has been idle before, all in all."""
    with (
        LiveServer(database_url, WEB_CONCURRENCY=1, GUNICORN_CMD_ARGS="--keep-alive 2") as server,
        connect(server) as connection,
    ):
        for _ in range(10):
            time.sleep(0.25)
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "body",
    [b'Content-Length: 90\r\n\r\n{"num_', b'Transfer-Encoding: chunked\r\n\r\n90\r\n{"num_'],
    ids=["length", "chunks"],
)
def test_body_that_does_not_go_on_is_given_up(database_url: str, body: bytes) -> None:
    with (
        LiveServer(database_url, WEB_CONCURRENCY=1, GUNICORN_CMD_ARGS="--keep-alive 1") as server,
        connect(server) as connection,
    ):
        connection.sendall(POST + body)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
        assert "ERROR" not in server.log()


def test_answer_that_is_not_taken_is_given_up(database_url: str) -> None:
    with (
        LiveServer(database_url, WEB_CONCURRENCY=1, GUNICORN_CMD_ARGS="--keep-alive 1") as server,
        connect(server) as connection,
    ):
        # Many times what the sockets of both ends take in.
        connection.sendall(200 * b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: count_connections(server) == 1, "the server to have it")
        wait_until(lambda: count_connections(server) == 0, "the server to give it up")
        assert "ERROR" not in server.log()


@pytest.mark.parametrize("missing", [1, 40])
def test_body_that_ends_before_its_length_is_refused(
    narrow_server: LiveServer, missing: int
) -> None:
    """One byte: what came of it is a whole object, but nobody knows whether it is what was sent."""
    body = b'{"num_seats": 1}'
    with connect(narrow_server) as connection:
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % (len(body) + missing) + body)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert "ERROR" not in narrow_server.log()


def test_client_that_resets_in_a_body_is_no_defect(narrow_server: LiveServer) -> None:
    with connect(narrow_server) as connection:
        connection.sendall(POST + b"Content-Length: 90\r\n\r\n{")
        wait_until(lambda: count_connections(narrow_server) == 1, "the server to have it")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: count_connections(narrow_server) == 0, "the server to see it")
    assert requests.get(f"{narrow_server.base_url}/health", timeout=AT_ONCE_SECONDS).ok
    assert "defect" not in narrow_server.log()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"Idempotency-Key: a\x01b", 400),
        (101 * b"X: y\r\n" + b"X: y", 431),
        (b"Content-Length: 1\r\nContent-Length: 1", 400),
    ],
    ids=["control character", "many fields", "two lengths"],
)
def test_refusal_by_the_parser_bears_the_id_that_was_sent(
    narrow_server: LiveServer, line: bytes, status: int
) -> None:
    request_id = unique("mine")
    with connect(narrow_server) as connection:
        connection.sendall(POST + b"X-Request-ID: " + request_id.encode() + b"\r\n" + line)
        connection.sendall(b"\r\n\r\n")
        head, _, problem = connection.recv(65_536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert f"X-Request-ID: {request_id}" in head.decode().splitlines()
    assert json.loads(problem)["request_id"] == request_id
    [logged] = [line for line in narrow_server.log().splitlines() if request_id in line]
    assert "refused before the application" in logged


@pytest.mark.parametrize(
    "sent",
    [
        b"a b",
        b"",
        129 * b"x",
        b"a\r\nX-Request-ID: b",
        b"a\r\nX-Request-ID : b",
        b"<a>",
        b"a\r\n b",
    ],
    ids=repr,
)
def test_refusal_by_the_parser_makes_an_id_where_none_is_fit(
    narrow_server: LiveServer, sent: bytes
) -> None:
    with connect(narrow_server) as connection:
        connection.sendall(POST + b"X-Request-ID: " + sent + b"\r\nX: \x01\r\n\r\n")
        problem = connection.recv(65_536).partition(b"\r\n\r\n")[2]
    assert re.fullmatch("[0-9a-f]{32}", json.loads(problem)["request_id"])


def count_connections(server: LiveServer) -> int:
    assert server.process is not None
    [worker] = psutil.Process(server.process.pid).children()
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == server.port
        for each in worker.net_connections("tcp")
    )
