"""What is recorded is read again as it was, and what is no record is named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults.chaos.history import History, read_history
from tests.faults.chaos.recorder import recorder
from tests.faults.chaos.records import (
    Answer,
    Failure,
    Fault,
    Operation,
    Outcome,
    Request,
    read_answer,
)
from tests.faults.chaos.story import Run

READ = Request(id="1", client="c", operation=Operation.READ_SLOT, sent=1.0, slot_id="s")
BOOK = Request(
    id="1",
    client="c",
    operation=Operation.BOOK,
    sent=1.0,
    user_id="ann",
    idempotency_key="k",
    slot_id="s",
    num_seats=1,
)


def test_history_is_read_as_it_was_recorded(story: Run, tmp_path: Path) -> None:
    begun = Fault(id="f", kind="worker_killed", target="4711", began=1.0)
    ended = Fault(id="f", kind="worker_killed", target="4711", began=1.0, ended=2.0, effect="gone")
    paths = [tmp_path / "one", tmp_path / "two"]
    with recorder(paths[0]) as one, recorder(paths[1]) as two:
        for number, record in enumerate(story.records):
            (one, two)[number % 2].write(record)
        one.write(begun)
        one.write(ended)
    history = read_history(paths)
    assert history == story.with_records(ended).history
    assert history.faults == (ended,)


def test_request_is_in_the_file_before_its_answer(tmp_path: Path) -> None:
    with recorder(tmp_path / "calls") as writer:
        writer.write(READ)
        [call] = read_history([tmp_path / "calls"]).calls
    assert (call.request, call.answer, call.outcome) == (READ, None, Outcome.UNKNOWN)


def test_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calls"
    with recorder(path) as writer:
        writer.write(READ)
    with path.open("ab") as file:
        file.write(b'{"Request":{"id":"2"')
    with pytest.raises(ValueError, match=r"calls:2: no record"):
        read_history([path])


def test_id_that_is_used_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="recorded twice"):
        History.of([READ, READ])


def test_answer_to_no_request_is_refused() -> None:
    with pytest.raises(ValueError, match="an answer to no request: 9"):
        History.of([READ, Answer(request_id="9", answered=2.0, status=200)])


def test_booking_without_a_key_is_not_recorded() -> None:
    with pytest.raises(ValueError, match="without its idempotency_key"):
        Request(
            id="1",
            client="c",
            operation=Operation.BOOK,
            sent=1.0,
            user_id="ann",
            slot_id="s",
            num_seats=1,
        )


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"status": 201}, Outcome.ACKNOWLEDGED),
        ({"status": 409, "code": "SLOT_FULL"}, Outcome.REFUSED),
        ({"status": 409, "code": "IDEMPOTENCY_IN_PROGRESS"}, Outcome.REFUSED),
        ({"status": 503, "code": "OVERLOADED"}, Outcome.NOT_DONE),
        ({"status": 503, "code": "BUSY"}, Outcome.NOT_DONE),
        ({"status": 503, "code": "DATABASE_UNAVAILABLE"}, Outcome.NOT_DONE),
        ({"status": 503, "code": "OUTCOME_UNKNOWN"}, Outcome.UNKNOWN),
        ({"status": 500, "code": "INTERNAL_ERROR"}, Outcome.UNKNOWN),
        ({"status": 502, "failure": Failure.UNREADABLE}, Outcome.UNKNOWN),
        ({"status": 201, "failure": Failure.UNREADABLE}, Outcome.UNKNOWN),
        ({"failure": Failure.TIMEOUT}, Outcome.UNKNOWN),
        ({"failure": Failure.CONNECTION_LOST}, Outcome.UNKNOWN),
        ({"failure": Failure.NOT_SENT}, Outcome.NOT_DONE),
    ],
)
def test_outcome_is_what_is_certain(answer: dict[str, object], outcome: Outcome) -> None:
    assert Answer(request_id="1", answered=2.0, **answer).outcome == outcome  # type: ignore[arg-type] # an answer's own fields


def test_booking_is_read_from_its_body() -> None:
    body = {
        "data": {
            "id": "b",
            "slot_id": "s",
            "user_id": "ann",
            "num_seats": 2,
            "status": "PENDING",
            "failure_reason": None,
            "expires_at": "2030-01-01T00:02:00Z",
            "created_at": "2030-01-01T00:00:00Z",
            "updated_at": "2030-01-01T00:00:00.5Z",
        }
    }
    answer = read_answer(BOOK, 2.0, 201, {"Idempotency-Replayed": "true"}, body)
    assert answer.replayed
    assert answer.booking
    assert answer.booking.num_seats == 2
    assert answer.booking.expires_at == datetime(2030, 1, 1, 0, 2, tzinfo=UTC)


def test_refusal_is_read_with_the_seats_that_are_left() -> None:
    full = {"code": "SLOT_FULL", "remaining_capacity": 3}
    answer = read_answer(BOOK, 2.0, 409, {}, full)
    assert (answer.code, answer.remaining_capacity) == ("SLOT_FULL", 3)


@pytest.mark.parametrize(
    ("status", "body"),
    [(201, None), (201, {"data": {"id": "b"}}), (503, "<html>"), (409, {"code": "SLOT_FULL"})],
)
def test_answer_of_another_shape_is_unreadable(status: int, body: object) -> None:
    answer = read_answer(BOOK, 2.0, status, {}, body)
    assert (answer.status, answer.failure) == (status, Failure.UNREADABLE)
