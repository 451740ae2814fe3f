"""One line a request, by the server's own hand; and none by a client's."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.security.callers import ADMIN, as_user, bearer, token
from tests.security.wire import exchange, request_bytes
from tests.support.factories import UNKNOWN_ID, slot_body, unique
from tests.support.servers import LiveServer

Servers = Callable[[str], LiveServer]
MEMBERS = {
    "timestamp",
    "level",
    "logger",
    "message",
    "request_id",
    "method",
    "route",
    "status",
    "milliseconds",
    "user",
    "bytes",
}
TEXT_LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) [a-z.]+ "
    r"\[[A-Za-z0-9._-]{1,128}\] \S.*"
)
PATIENCE_SECONDS = 10

FORGED = "FORGED 2099-01-01 00:00:00,000 INFO booking.access [-] POST /api/admin/slots 201 1.0ms"
LINE_ENDS = [
    "\n",
    "\r",
    "\r\n",
    "\v",
    "\f",
    "\x1b[2J\x1b[1;1H",
    "\x1c",
    "\x85",
    "\u2028",
    "\x08" * 80,
]
QUOTES = ['"', "'", '"}\n{"level":"INFO","message":"', "\\", "%s%n", "{0}", "${jndi:ldap://x}"]


def _lines(server: LiveServer, mark: str, count: int) -> list[str]:
    """Wait until so many lines bear the mark; return the whole log."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        log = server.log()
        if log.count(mark) >= count:
            break
        time.sleep(0.02)
    assert log.count(mark) == count, log[-2000:]
    # Not splitlines(): what a machine reads as a line ends with \n alone, and nothing else is left.
    assert log.endswith("\n")
    return log[:-1].split("\n")


def test_one_json_line_a_request_says_what_was_asked_and_answered(guarded_server: Servers) -> None:
    server = guarded_server("json")
    mark, user = unique("mark"), unique("user")
    slot = requests.post(
        server.base_url + "/api/admin/slots", json=slot_body(), headers=ADMIN, timeout=20
    ).json()["data"]
    calls: list[tuple[str, str, str, dict[str, str], Any]] = [
        ("GET", "/health", "/health", {}, None),
        ("GET", f"/api/slots/{slot['id']}", "/api/slots/<slot_id>", {}, None),
        ("GET", f"/api/slots/{UNKNOWN_ID}?a=b", "/api/slots/<slot_id>", {}, None),
        ("GET", "/api/bookings", "/api/bookings", {}, None),
        ("GET", "/api/bookings", "/api/bookings", as_user(user), None),
        ("POST", "/api/bookings", "/api/bookings", as_user(user), {"slot_id": slot["id"]}),
        (
            "POST",
            "/api/bookings",
            "/api/bookings",
            as_user(user),
            {"slot_id": slot["id"], "num_seats": 1},
        ),
        ("GET", "/api/admin/audit", "/api/admin/audit", as_user(user), None),
        ("GET", f"/{user}/nowhere", "-", {}, None),
        ("DELETE", "/health", "-", {}, None),
    ]
    answers = [
        requests.request(
            method,
            server.base_url + path,
            headers={"X-Request-ID": f"{mark}.{number}", **headers},
            json=body,
            timeout=20,
        )
        for number, (method, path, _, headers, body) in enumerate(calls)
    ]
    told = {}
    for line in _lines(server, mark, len(calls)):
        entry = json.loads(line)
        assert {"timestamp", "level", "logger", "message", "request_id"} <= set(entry)
        if entry["request_id"].startswith(mark):
            assert set(entry) == MEMBERS
            told[int(entry["request_id"].rpartition(".")[2])] = entry
    for number, ((method, _, route, headers, _), answer) in enumerate(
        zip(calls, answers, strict=True)
    ):
        entry = told[number]
        assert entry["logger"] == "booking.access"
        assert (entry["method"], entry["route"]) == (method, route)
        assert entry["status"] == answer.status_code
        assert entry["bytes"] == len(answer.content)
        assert 0 < entry["milliseconds"] < 20_000
        assert entry["user"] == (user if headers else None)
    assert sorted(told) == list(range(len(calls)))


def _hostile_requests(ending: str) -> list[bytes]:
    """Return requests with what would end a line wherever a client can put it."""
    text = f"x{ending}{FORGED}"
    escaped = "".join(f"%{byte:02X}" for byte in text.encode())
    raw = text.encode().decode("latin-1")
    body = json.dumps({"slot_id": text, "user_id": text, "num_seats": text, text: text}).encode()
    admin, alice = ADMIN["Authorization"], bearer(token(text))["Authorization"]
    sent = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return [
        request_bytes("GET", f"/{escaped}"),
        request_bytes("GET", f"/api/slots/{escaped}"),
        request_bytes("GET", f"/api/slots?{escaped}={escaped}&doctor_name={escaped}"),
        request_bytes("GET", f"/api/bookings/{escaped}", f"Authorization: {admin}"),
        request_bytes("GET", "/api/bookings", f"Authorization: {alice}"),
        request_bytes("POST", "/api/bookings", f"Authorization: {alice}", *sent, body=body),
        request_bytes("POST", "/api/admin/slots", f"Authorization: {admin}", *sent, body=body),
        # What follows gets as far as gunicorn's parser lets it.
        request_bytes("GET", f"/{raw.replace(' ', '_')}"),
        request_bytes("GET", "/health", f"X-Request-ID: {raw}"),
        request_bytes("GET", "/health", f"User-Agent: {raw}", f"Referer: {raw}"),
        request_bytes("GET", "/health", f"{raw}: x"),
        request_bytes("POST", "/api/bookings", f"Idempotency-Key: {raw}", f"Authorization: {raw}"),
        request_bytes("GET", "/api/bookings", f"Authorization: Bearer {raw}", f"Cookie: {raw}"),
        request_bytes(raw.partition(" ")[0] or "x", "/health"),
        f"GET / HTTP/{raw}\r\n\r\n".encode("latin-1"),
        f"{raw}\r\n\r\n".encode("latin-1"),
    ]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_client_begins_a_line(guarded_server: Servers, log_format: str) -> None:
    server = guarded_server(log_format)
    before = len(server.log())
    for ending in LINE_ENDS + QUOTES:
        for request in _hostile_requests(ending):
            exchange(server.port, request)
    mark = unique("end")
    requests.get(server.base_url + "/health", headers={"X-Request-ID": mark}, timeout=20)
    _lines(server, mark, 1)
    log = server.log()[before:]
    lines = log[:-1].split("\n")
    assert len(lines) >= 7 * len(LINE_ENDS + QUOTES)
    for line in lines:
        assert not line.startswith("FORGED")
        # A terminal that shows the log obeys none of it; Python's other line ends are none here.
        assert line.isprintable(), repr(line)
        if log_format == "json":
            entry = json.loads(line)
            assert entry["logger"].startswith(("booking.", "gunicorn.")), line
        else:
            assert TEXT_LINE.fullmatch(line), line
