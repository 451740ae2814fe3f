"""Damages for checks/answers.py."""

from __future__ import annotations

from tests.faults.chaos.damages.planting import Damage, shown
from tests.faults.chaos.records import Failure

DAMAGES = {
    "a defect": Damage(
        "answers_keep_to_the_contract",
        {"book busy 1"},
        lambda run: run.with_answer("book busy 1", status=500, code="INTERNAL_ERROR"),
    ),
    "an answer of another shape": Damage(
        "answers_keep_to_the_contract",
        {"book busy 1"},
        lambda run: run.with_answer("book busy 1", code=None, failure=Failure.UNREADABLE),
    ),
    "a booking answered with another user's": Damage(
        "answers_fit_their_requests",
        {"book booked 1"},
        lambda run: run.with_answer("book booked 1", booking={"user_id": "ann"}),
    ),
    "an instant booking answered as pending": Damage(
        "answers_fit_their_requests",
        {"book booked 1"},
        lambda run: run.with_answer("book booked 1", booking={"status": "PENDING"}),
    ),
    "a cancel answered with a booking that stands": Damage(
        "answers_fit_their_requests",
        {"cancel cancelled 1"},
        lambda run: run.with_answer("cancel cancelled 1", booking={"status": "CONFIRMED"}),
    ),
    "another's answer on the same connection": Damage(
        "answers_fit_their_requests",
        {"read_booking lapsed 1"},
        lambda run: run.with_answer("read_booking lapsed 1", booking=shown(run, "book booked 1")),
    ),
    "an ETag of another version": Damage(
        "answers_fit_their_requests",
        {"read_slot 1"},
        lambda run: run.with_answer("read_slot 1", etag='"6"'),
    ),
    "a capacity other than was asked for": Damage(
        "answers_fit_their_requests",
        {"change_slot 1"},
        lambda run: run.with_answer("change_slot 1", slot={"total_capacity": 11}),
    ),
    "a booking answered with 200": Damage(
        "answers_fit_their_requests",
        {"book booked 1"},
        lambda run: run.with_answer("book booked 1", status=200),
    ),
    "a success that shows nothing": Damage(
        "answers_fit_their_requests",
        {"book booked 1"},
        lambda run: run.with_answer("book booked 1", booking=None),
    ),
}
