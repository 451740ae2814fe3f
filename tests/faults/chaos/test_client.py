"""The clients of a run: recorded before they send, the same key again, no outcome made up."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.faults.chaos.client import Client
from tests.faults.chaos.history import History, read_history
from tests.faults.chaos.intent import Intent
from tests.faults.chaos.recorder import recorder
from tests.faults.chaos.records import Answer, Failure, Operation, Outcome
from tests.faults.chaos.tally import Tally
from tests.support.servers import free_port

PATIENCE = 30.0
BOOK = Intent(operation=Operation.BOOK, user_id="u", idempotency_key="k", slot_id="s", num_seats=1)
BOOKED = {
    "id": "b",
    "slot_id": "s",
    "user_id": "u",
    "num_seats": 1,
    "status": "CONFIRMED",
    "failure_reason": None,
    "expires_at": None,
    "created_at": "2030-01-01T00:00:00Z",
    "updated_at": "2030-01-01T00:00:00Z",
}
ACKNOWLEDGED = (201, {"data": BOOKED})
FULL = (409, {"code": "SLOT_FULL", "remaining_capacity": 0})
BUSY = (503, {"code": "BUSY"})
NO_ANSWER: tuple[int, Any] = (0, None)
NOT_JSON: tuple[int, Any] = (200, None)

Script = list[tuple[int, Any]]


class Told(ThreadingHTTPServer):
    """Answers as it is told to, and looks into the history at each request."""

    def __init__(self, script: Script, history: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.history = history
        self.asked: list[dict[str, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: Told
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        request_id = self.headers["X-Request-ID"]
        recorded = f'"id":"{request_id}"'.encode() in self.server.history.read_bytes()
        self.server.asked.append(
            {
                "id": request_id,
                "key": self.headers["Idempotency-Key"],
                "recorded": str(recorded),
            }
        )
        status, body = self.server.script.pop(0)
        if not status:
            self.close_connection = True
            return
        content = b"<html>" if body is None else orjson.dumps(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Keep the output of the tests to themselves."""


@contextmanager
def told(script: Script, history: Path) -> Iterator[Told]:
    with Told(script, history) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def history_path(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


@contextmanager
def client_of(port: int, path: Path) -> Iterator[tuple[Client, Tally]]:
    tally = Tally()
    with recorder(path) as record:
        client = Client("c", port, record, tally, random.Random(1), threading.Event(), timeout=10)
        yield client, tally
        client.close()


Perform = Callable[[Intent, Script], tuple[Outcome, bool, Told, History, Tally]]


@pytest.fixture
def perform(history_path: Path) -> Perform:
    """Perform an intent against a server that answers by a script."""

    def run(intent: Intent, script: Script) -> tuple[Outcome, bool, Told, History, Tally]:
        with (
            told(script, history_path) as server,
            client_of(server.server_port, history_path) as (client, tally),
        ):
            answer, is_open = client.perform(intent, PATIENCE)
        return answer.outcome, is_open, server, read_history([history_path]), tally

    return run


def test_a_request_is_recorded_before_it_is_sent(perform: Perform) -> None:
    outcome, is_open, server, history, _ = perform(BOOK, [ACKNOWLEDGED])
    assert (outcome, is_open) == (Outcome.ACKNOWLEDGED, False)
    assert [asked["recorded"] for asked in server.asked] == ["True"]
    [call] = history.calls
    assert call.request.id == server.asked[0]["id"]
    assert call.answer
    assert call.answer.booking
    assert call.answer.booking.id == "b"


@pytest.mark.parametrize("first", [NO_ANSWER, BUSY, (503, {"code": "OUTCOME_UNKNOWN"})])
def test_what_has_no_certain_outcome_is_sent_again_with_its_key(
    perform: Perform, first: tuple[int, Any]
) -> None:
    outcome, is_open, server, history, tally = perform(BOOK, [first, first, ACKNOWLEDGED])
    assert (outcome, is_open) == (Outcome.ACKNOWLEDGED, False)
    assert [asked["key"] for asked in server.asked] == ["k"] * 3
    assert len({asked["id"] for asked in server.asked}) == len(history.calls) == 3
    assert tally.counts().acknowledged == 1


def test_a_refusal_is_not_asked_again(perform: Perform) -> None:
    outcome, is_open, server, _, tally = perform(BOOK, [FULL])
    assert (outcome, is_open, len(server.asked)) == (Outcome.REFUSED, False, 1)
    assert tally.counts().codes == {"SLOT_FULL": 1}


@pytest.mark.parametrize(("first", "stays_open"), [(NO_ANSWER, True), (BUSY, False)])
def test_a_refusal_does_not_tell_what_became_of_a_request_before_it(
    perform: Perform, first: tuple[int, Any], stays_open: bool
) -> None:
    outcome, is_open, _, _, _ = perform(BOOK, [first, FULL])
    assert (outcome, is_open) == (Outcome.REFUSED, stays_open)


def test_a_read_is_sent_once(perform: Perform) -> None:
    read = Intent(operation=Operation.READ_SLOT, slot_id="s")
    outcome, _, server, _, _ = perform(read, [BUSY])
    assert (outcome, len(server.asked)) == (Outcome.NOT_DONE, 1)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [(NO_ANSWER, Failure.CONNECTION_LOST), (NOT_JSON, Failure.UNREADABLE)],
)
def test_a_failure_is_told_as_what_it_is(
    perform: Perform, answer: tuple[int, Any], failure: Failure
) -> None:
    read = replace(BOOK, operation=Operation.READ_BOOKING, booking_id="b")
    _, _, _, history, _ = perform(read, [answer])
    [call] = history.calls
    assert call.answer
    assert call.answer.failure == failure


def test_nothing_was_sent_where_nobody_listens(history_path: Path) -> None:
    with client_of(free_port(), history_path) as (client, _):
        answer, is_open = client.perform(BOOK, patience=0)
    assert (answer.failure, answer.outcome, is_open) == (
        Failure.NOT_SENT,
        Outcome.NOT_DONE,
        False,
    )


def test_first_acknowledged_is_one_that_was_sent_after_the_moment() -> None:
    tally = Tally()
    answers = [(1.0, 2.0), (2.5, 3.5), (1.5, 3.6), (3.1, 4.0)]
    for sent, answered in answers:
        tally.count(BOOK, sent, booked_at(answered))
    assert tally.first_acknowledged_after(0.5) == 2.0
    assert tally.first_acknowledged_after(1.2) == 3.5
    assert tally.first_acknowledged_after(3.0) == 4.0
    assert tally.first_acknowledged_after(3.2) is None


def booked_at(moment: float) -> Answer:
    return Answer(request_id="r", answered=moment, status=201)
