"""The concurrency test's client, against a server that answers by script or not at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts.racing import transport
from scripts.racing.client import ApiClient
from scripts.racing.records import Journal, Operation, Result
from scripts.racing.transport import MAX_ATTEMPTS, Connection, Stopped, Unreachable

BOOKING = {
    "id": "b-1",
    "slot_id": "s-1",
    "user_id": "ann",
    "num_seats": 2,
    "status": "CONFIRMED",
    "expires_at": None,
    "created_at": "2030-01-01T00:00:00Z",
}


@dataclass(frozen=True)
class Answer:
    """A scripted answer; with `cut` the connection is closed instead."""

    status: int = 201
    body: Any = field(default_factory=lambda: {"data": BOOKING, "meta": {}})
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


def problem(
    status: int, code: str, *, retryable: bool = False, headers: dict[str, str] | None = None
) -> Answer:
    return Answer(status, {"code": code, "detail": "why", "retryable": retryable}, headers or {})


REPLAYED = Answer(headers={"Idempotency-Replayed": "true"})
OVERLOADED = problem(503, "OVERLOADED", retryable=True, headers={"Retry-After": "0"})


@dataclass
class Script:
    """The answers to come, the last one for good, and what was asked."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    on_request: Callable[[], None] = lambda: None

    @property
    def keys(self) -> list[str | None]:
        return [headers.get("Idempotency-Key") for _, _, headers, _ in self.asked]


@dataclass
class Setup:
    script: Script
    base_url: str
    journal: Journal
    stop: threading.Event
    client: ApiClient


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
    monkeypatch.setattr(transport, "FIRST_BACKOFF_SECONDS", 0.001)
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            script.asked.append((self.command, self.path, dict(self.headers.items()), body))
            script.on_request()
            reply = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            if reply.cut:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body)
            data = content if isinstance(content, bytes) else content.encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    base_url = f"http://127.0.0.1:{server.server_address[1]}"
    journal, stop = Journal(), threading.Event()
    client = ApiClient(Connection(base_url, "a-token", 5.0), journal, stop)
    try:
        yield Setup(script, base_url, journal, stop, client)
    finally:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_key_is_written_down_before_it_is_sent(setup: Setup) -> None:
    known: list[list[str]] = []
    setup.script.answers = [Answer()]
    setup.script.on_request = lambda: known.append([i.key for i in setup.journal.intents])

    call = setup.client.book("s-1", "ann", 2)

    assert known == [setup.script.keys]
    assert known == [[call.key]]
    assert call.result is Result.ACCEPTED
    assert call.booking_id == "b-1"
    assert setup.script.asked[0][3] == {
        "slot_id": "s-1",
        "user_id": "ann",
        "num_seats": 2,
        "hold": False,
    }


def test_overload_is_retried_with_the_same_key(setup: Setup) -> None:
    setup.script.answers = [OVERLOADED, OVERLOADED, Answer()]

    call = setup.client.book("s-1", "ann", 2)

    assert call.result is Result.ACCEPTED
    assert not call.ambiguous
    assert [exchange.status for exchange in call.exchanges] == [503, 503, 201]
    assert len(setup.script.keys) == 3
    assert set(setup.script.keys) == {call.key}


def test_a_broken_connection_is_retried_with_the_same_key(setup: Setup) -> None:
    setup.script.answers = [Answer(cut=True), REPLAYED]

    call = setup.client.book("s-1", "ann", 2)

    assert call.result is Result.REPLAYED
    assert call.ambiguous
    assert [exchange.status for exchange in call.exchanges] == [None, 201]
    assert setup.script.keys == [call.key, call.key]


def test_a_refusal_after_a_lost_answer_stays_to_be_settled(setup: Setup) -> None:
    setup.script.answers = [Answer(cut=True), problem(409, "SLOT_FULL")]

    call = setup.client.book("s-1", "ann", 2)

    assert (call.result, call.code, call.ambiguous) == (Result.REFUSED, "SLOT_FULL", True)


@pytest.mark.parametrize(
    ("answer", "result", "ambiguous"),
    [
        (OVERLOADED, Result.ERROR, False),
        (Answer(cut=True), Result.UNKNOWN, True),
        (
            problem(503, "OUTCOME_UNKNOWN", retryable=True, headers={"Retry-After": "0"}),
            Result.UNKNOWN,
            True,
        ),
        (
            problem(409, "IDEMPOTENCY_IN_PROGRESS", retryable=True, headers={"Retry-After": "0"}),
            Result.REFUSED,
            True,
        ),
    ],
    ids=["overloaded", "cut", "outcome unknown", "in progress"],
)
def test_retries_are_bounded(
    setup: Setup,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    result: Result,
    ambiguous: bool,
) -> None:
    monkeypatch.setattr(transport, "MAX_BACKOFF_SECONDS", 0.005)
    setup.script.answers = [answer]

    call = setup.client.book("s-1", "ann", 2)

    assert (call.result, call.ambiguous, call.retryable) == (result, ambiguous, True)
    assert len(call.exchanges) == len(setup.script.asked) == MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "result", "code", "ambiguous"),
    [
        (problem(409, "SLOT_FULL"), Result.REFUSED, "SLOT_FULL", False),
        (problem(503, "OVERLOADED"), Result.ERROR, "OVERLOADED", False),
        (problem(500, "INTERNAL_ERROR"), Result.UNKNOWN, "INTERNAL_ERROR", True),
        (Answer(502, b"<html>"), Result.UNKNOWN, "HTTP 502", True),
        (Answer(201, {"data": {"id": "b-1"}}), Result.UNKNOWN, "MALFORMED_ANSWER", True),
        (Answer(201, b"not JSON"), Result.UNKNOWN, "MALFORMED_ANSWER", True),
        (Answer(200), Result.UNKNOWN, "MALFORMED_ANSWER", True),
        (
            problem(503, "BUSY", retryable=True, headers={"Retry-After": "3600"}),
            Result.ERROR,
            "BUSY",
            False,
        ),
    ],
    ids=["full", "not retryable", "500", "proxy", "no fields", "no JSON", "200", "an hour"],
)
def test_what_is_not_sent_again(
    setup: Setup, answer: Answer, result: Result, code: str, ambiguous: bool
) -> None:
    setup.script.answers = [answer]

    call = setup.client.book("s-1", "ann", 2)

    assert (call.result, call.code, call.ambiguous) == (result, code, ambiguous)
    assert len(setup.script.asked) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(setup: Setup, form: str) -> None:
    in_two_seconds = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    value = "1" if form == "seconds" else in_two_seconds
    busy = problem(503, "BUSY", retryable=True, headers={"Retry-After": value})
    setup.script.answers = [busy, Answer()]

    call = setup.client.book("s-1", "ann", 2)

    # An HTTP date has whole seconds, so up to one of the two may be gone already.
    assert 0.9 < call.ended - call.started < 3.0
    assert call.exchanges[0].seconds < 0.5


def test_the_token_goes_along_even_with_a_netrc(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password entirely\n")
    monkeypatch.setenv("NETRC", str(netrc))
    setup.script.answers = [Answer(200)]

    setup.client.confirm("b-1")

    assert setup.script.asked[0][2]["Authorization"] == "Bearer a-token"


def test_confirm_and_cancel_tell_what_was_answered(setup: Setup) -> None:
    setup.script.answers = [Answer(200), problem(409, "BOOKING_EXPIRED")]

    confirmed = setup.client.confirm("b-1")
    expired = setup.client.cancel("b-2")

    assert (confirmed.operation, confirmed.result) == (Operation.CONFIRM, Result.ACCEPTED)
    assert confirmed.booking is not None
    assert (expired.booking_id, expired.code) == ("b-2", "BOOKING_EXPIRED")
    assert [(method, path) for method, path, _, _ in setup.script.asked] == [
        ("POST", "/api/bookings/b-1/confirm"),
        ("POST", "/api/bookings/b-2/cancel"),
    ]
    assert setup.journal.calls == [confirmed, expired]


def test_the_list_is_read_to_its_last_page(setup: Setup) -> None:
    second = {**BOOKING, "id": "b-2"}
    setup.script.answers = [
        Answer(200, {"data": [BOOKING], "meta": {"next_cursor": "c/1+", "limit": 1}}),
        Answer(200, {"data": [second], "meta": {"next_cursor": None, "limit": 1}}),
    ]

    listed = setup.client.list_bookings("s-1")

    assert [booking.id for booking in listed] == ["b-1", "b-2"]
    assert "cursor=c%2F1%2B" in setup.script.asked[1][1]


def test_a_list_that_never_ends_is_an_error(setup: Setup) -> None:
    setup.script.answers = [
        Answer(200, {"data": [BOOKING], "meta": {"next_cursor": "same", "limit": 1}})
    ]

    with pytest.raises(Unreachable, match="never ends"):
        setup.client.list_bookings("s-1")


def test_a_booking_that_is_not_there_is_none(setup: Setup) -> None:
    setup.script.answers = [problem(404, "BOOKING_NOT_FOUND")]

    assert setup.client.find_booking("b-1") is None
    assert setup.client.list_events("b-1") == []


def test_reading_from_a_dead_server_is_an_error(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_BACKOFF_SECONDS", 0.005)
    setup.script.answers = [Answer(cut=True)]

    with pytest.raises(Unreachable, match="no answer"):
        setup.client.get_slot("s-1")


def test_a_stopped_client_sends_nothing(setup: Setup) -> None:
    setup.script.answers = [Answer()]
    setup.stop.set()

    with pytest.raises(Stopped):
        setup.client.book("s-1", "ann", 2)

    assert setup.script.asked == []


def test_a_refused_slot_says_what_to_give(setup: Setup) -> None:
    setup.script.answers = [problem(403, "FORBIDDEN")]

    with pytest.raises(Unreachable, match="--token"):
        setup.client.create_slot("Dr. No", datetime.now(UTC), 5)
