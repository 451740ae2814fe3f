"""What only a real server can be asked: bytes that no client library sends."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress

import pytest

from booking.controllers.parsing import MAX_BODY_BYTES
from tests.support.apps import api_over_http
from tests.support.factories import UNKNOWN_ID, booking_body, slot_body
from tests.support.servers import LiveServer

Answer = tuple[int, dict[str, str], bytes]


def _send(server: LiveServer, request: bytes) -> Answer:
    """Send bytes as they are and return the first answer: status, headers and body."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        # Refused before all of it was read, the answer is there all the same.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        received = b""
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65_536):
                received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), {name.lower(): value for name, value in headers.items()}, body


def _post(path: str, headers: list[str], body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def _chunked(body: bytes, size: int = 4096) -> bytes:
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: 2", "Content-Length: 2"],
        ["Content-Length: 2, 3"],
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: xchunked"],
        ["Content-Length: -1"],
        ["Content-Length: +2"],
        ["Content-Length: 0x2"],
        ["Content-Length : 2"],
        ["Bad Header: x"],
        [" Folded: x"],
    ],
)
def test_request_that_two_servers_could_read_in_two_ways_is_refused(
    server: LiveServer, headers: list[str]
) -> None:
    status, _, _ = _send(server, _post("/api/bookings", [JSON, *headers], b"{}0\r\n\r\n"))
    assert status in {400, 501}


@pytest.mark.parametrize(
    "refused",
    [
        b"GET /health HTTP/1.1\nHost: a\n\n",
        b"GET /health HTTP/1.1\r\nHost: a\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : a\r\n\r\n",
        b"\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_nothing_behind_a_refused_request_is_one(server: LiveServer, refused: bytes) -> None:
    behind = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    status, headers, rest = _send(server, refused + behind)
    assert (status, headers["connection"]) == (400, "close")
    assert b"HTTP/1.1" not in rest.partition(b"}")[2]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_requests_are_told_apart_however_they_come(server: LiveServer, size: int) -> None:
    """Two requests with bodies, and a line between them that is passed over (RFC 9112, 2.2)."""
    body = json.dumps(booking_body(UNKNOWN_ID)).encode()
    lines = b"POST /api/bookings HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % JSON.encode()
    sent = lines + b"Transfer-Encoding: chunked\r\n\r\n" + _chunked(body, 5)
    sent += b"\r\n" + lines + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    sent += b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(sent), size):
            connection.sendall(sent[start : start + size])
            time.sleep(0.001)
        while answer := connection.recv(65_536):
            received += answer
    statuses = [answer[:3] for answer in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"404", b"404", b"200"]


def test_body_in_chunks_is_taken(server: LiveServer) -> None:
    body = json.dumps(slot_body(doctor_name="Dr. Chunk")).encode()
    request = _post("/api/admin/slots", [JSON, "Transfer-Encoding: chunked"], _chunked(body, 7))
    status, _, answer = _send(server, request)
    assert status == 201
    assert json.loads(answer)["data"]["doctor_name"] == "Dr. Chunk"


@pytest.mark.parametrize("path", ["/api/bookings", "/api/admin/expire-pending"])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_body_over_the_limit_is_too_large_with_and_without_a_length(
    server: LiveServer, path: str, is_chunked: bool
) -> None:
    body = json.dumps(booking_body("x")).encode() + b" " * MAX_BODY_BYTES
    header = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    sent = _chunked(body) if is_chunked else body
    status, headers, answer = _send(server, _post(path, [JSON, header], sent))
    assert status == 413
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(answer)["code"] == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize("path", ["/api/bookings", "/api/admin/expire-pending"])
@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"5\r\n{}\r\n0\r\n\r\n",
        b"2;\x01\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_body_in_chunks_that_are_none_is_malformed(
    server: LiveServer, path: str, chunks: bytes
) -> None:
    request = _post(path, [JSON, "Transfer-Encoding: chunked"], chunks)
    status, _, answer = _send(server, request)
    assert (status, json.loads(answer)["code"]) == (400, "MALFORMED_REQUEST")
    assert "a defect of ours" not in server.log()


@pytest.mark.parametrize(
    ("header", "sent"),
    [("Content-Length: 50", b'{"num_'), ("Transfer-Encoding: chunked", b'40\r\n{"num_')],
)
def test_unfinished_body_is_no_defect(server: LiveServer, header: str, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(_post("/api/bookings", [JSON, header], sent))
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65_536)
    assert not answer.startswith(b"HTTP/1.1 5")
    assert "a defect of ours" not in server.log()


@pytest.mark.parametrize(
    "path",
    ["/api/slots/%", "/api/slots/%zz", "/api/slots?%", "/" + "a" * 3000],
)
def test_odd_paths_are_problems(server: LiveServer, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    status, headers, answer = _send(server, request.encode("latin-1"))
    assert status in {404, 422}
    assert json.loads(answer)["request_id"] == headers["x-request-id"]


@pytest.mark.parametrize(
    "keys", [["a", "b"], ["a", "a"], ['"a"', '"b"'], ['"a', 'b"'], ["a", ""], ["", "a"]]
)
def test_two_keys_are_none(server: LiveServer, keys: list[str]) -> None:
    api = api_over_http(server.base_url)
    body = json.dumps(booking_body(api.create_slot(total_capacity=5))).encode()
    lines = [JSON, f"Content-Length: {len(body)}", *(f"Idempotency-Key: {key}" for key in keys)]
    status, _, answer = _send(server, _post("/api/bookings", lines, body))
    assert (status, json.loads(answer)["code"]) == (400, "IDEMPOTENCY_KEY_INVALID")


def test_one_key_may_have_a_comma(server: LiveServer) -> None:
    api = api_over_http(server.base_url)
    body = json.dumps(booking_body(api.create_slot(total_capacity=5))).encode()
    lines = [JSON, f"Content-Length: {len(body)}", "Idempotency-Key: a,b"]
    told = [_send(server, _post("/api/bookings", lines, body)) for _ in range(2)]
    assert [status for status, _, _ in told] == [201, 201]
    assert told[1][1]["idempotency-replayed"] == "true"


@pytest.mark.parametrize("name", ["Content-Type", "Host"])
def test_header_with_one_value_comes_once(server: LiveServer, name: str) -> None:
    lines = [JSON, "Content-Length: 2", f"{name}: {'localhost' if name == 'Host' else JSON[14:]}"]
    status, _, answer = _send(server, _post("/api/bookings", lines, b"{}"))
    assert (status, json.loads(answer)["code"]) == (400, "MALFORMED_REQUEST")


def test_tags_in_two_lines_are_a_list(server: LiveServer) -> None:
    slot_id = api_over_http(server.base_url).create_slot(total_capacity=5)
    body = b'{"status": "CLOSED"}'
    lines = [JSON, f"Content-Length: {len(body)}", 'If-Match: "0"', 'If-Match: "1"']
    request = _post(f"/api/admin/slots/{slot_id}", lines, body).replace(b"POST", b"PATCH", 1)
    assert _send(server, request)[0] == 200


@pytest.mark.parametrize(
    "target",
    ["/api/slots?doctor_name=Müller", "/api/slots?doctor_name=Dr. House", "/api/\t", "/é x"],
)
def test_target_that_is_not_percent_encoded_is_told_so(server: LiveServer, target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    status, _, answer = _send(server, request.encode())
    problem = json.loads(answer)
    assert (status, problem["code"]) == (400, "MALFORMED_REQUEST")
    assert "percent-encoded" in problem["detail"]


@pytest.mark.parametrize(
    "line", ["get /é HTTP/1.1", "GET /é", "\x16\x03\x01\xfc\x03", "GET / HTTP/9"]
)
def test_what_is_no_request_line_is_not_told_to_be_encoded(server: LiveServer, line: str) -> None:
    status, _, answer = _send(server, f"{line}\r\nHost: localhost\r\n\r\n".encode())
    assert status == 400
    assert "percent-encoded" not in json.loads(answer)["detail"]


def test_request_id_cannot_split_the_answer(server: LiveServer) -> None:
    request = (
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"X-Request-ID: a\rSet-Cookie: x=1\r\n\r\n"
    )
    status, headers, _ = _send(server, request)
    assert status in {200, 400}
    assert "set-cookie" not in headers
    assert headers.get("x-request-id", "").count("\r") == 0
