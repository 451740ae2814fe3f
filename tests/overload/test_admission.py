"""What is turned away under overload: each answer whole, and the log by the second."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from werkzeug.test import Client

from booking.controllers.problems import PROBLEMS, refusal
from booking.errors import Overloaded
from booking.middleware.headers import SECURITY_HEADERS
from booking.overload.admission import Admission, RefusalLog
from booking.overload.in_flight import InFlight

ORIGIN = "https://app.example.com"


@contextmanager
def full() -> Iterator[Client]:
    """A client of an application that has no place left; it says so if it is asked all the same."""
    application = Admission(
        lambda _environ, _start: pytest.fail("let in"),
        in_flight=InFlight(most=0, least=0),
        is_exempt=lambda _environ: False,
        refuse=refusal(PROBLEMS[Overloaded], Overloaded.detail, cors_origins=frozenset({ORIGIN})),
    )
    yield Client(application)


def test_refusal_is_a_whole_problem() -> None:
    with full() as client:
        answer = client.post("/api/b%C3%BCcher?x=1", headers={"X-Request-ID": "mine"})
    problem = json.loads(answer.data)
    assert answer.status_code == 503
    assert (problem["code"], problem["retryable"]) == ("OVERLOADED", True)
    assert (problem["instance"], problem["request_id"]) == ("/api/b%C3%BCcher", "mine")
    assert answer.headers["X-Request-ID"] == "mine"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_refusal_makes_a_request_id_where_none_is_fit() -> None:
    with full() as client:
        answer = client.get("/", headers={"X-Request-ID": "not fit"})
    assert answer.headers["X-Request-ID"] not in {"", "not fit"}


def test_refusal_can_be_read_by_pages_of_listed_origins_alone() -> None:
    with full() as client:
        listed = client.get("/", headers={"Origin": ORIGIN})
        other = client.get("/", headers={"Origin": "https://evil.example"})
    assert listed.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Retry-After" in listed.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in other.headers
    assert other.headers["Vary"] == "Origin"


def test_refusal_of_head_has_no_body() -> None:
    with full() as client:
        answer = client.head("/")
    assert (answer.status_code, answer.data) == (503, b"")


def test_place_comes_back_from_a_request_that_failed() -> None:
    def fail(_environ: object, _start: object) -> None:
        raise LookupError

    application = Admission(
        fail,  # type: ignore[arg-type] # it returns nothing
        in_flight=InFlight(most=1, least=1),
        is_exempt=lambda _environ: False,
        refuse=refusal(PROBLEMS[Overloaded], Overloaded.detail, cors_origins=frozenset()),
    )
    for _ in range(3):
        with pytest.raises(LookupError):
            Client(application).get("/")


def test_refusals_are_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    moments = iter([10.0, 10.1, 10.9, 11.0, 15.0])
    log = RefusalLog(clock=lambda: next(moments))
    for _ in range(5):
        log.count(7)
    counts = [record.args for record in caplog.records]
    assert counts == [(7, 1), (7, 3), (7, 1)]
