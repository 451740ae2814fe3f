"""The database's clock is known as closely as the bookings allow, and no closer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.chaos.clock import PRECISION, fit_clock
from tests.faults.chaos.history import Call
from tests.faults.chaos.records import Answer, Operation, Request, ShownBooking

START = datetime(2030, 1, 1, tzinfo=UTC)


def booked(sent: float, created: float, answered: float, *, replayed: bool = False) -> Call:
    """A booking made when the database's clock was ``created`` seconds past START."""
    request = Request(
        id="1",
        client="c",
        operation=Operation.BOOK,
        sent=sent,
        user_id="ann",
        idempotency_key="k",
        slot_id="s",
        num_seats=1,
    )
    moment = START + timedelta(seconds=created)
    booking = ShownBooking(
        id="b",
        slot_id="s",
        user_id="ann",
        num_seats=1,
        status="CONFIRMED",
        failure_reason=None,
        expires_at=None,
        created_at=moment,
        updated_at=moment,
    )
    answer = Answer(
        request_id="1", answered=answered, status=201, replayed=replayed, booking=booking
    )
    return Call(request, answer)


def test_clock_is_bounded_by_every_booking() -> None:
    # The clocks are 5 seconds apart: each booking says so from one side.
    clock = fit_clock([booked(10.0, 15.1, 13.0), booked(20.0, 26.8, 21.9)])
    assert clock.low - START.timestamp() == pytest.approx(4.9)
    assert clock.high - START.timestamp() == pytest.approx(5.1)
    assert clock.jump == 0
    moment = START + timedelta(seconds=100)
    assert clock.earliest(moment) == pytest.approx(94.9 - PRECISION)
    assert clock.latest(moment) == pytest.approx(95.1 + PRECISION)


def test_replay_does_not_tell_when_it_was_booked() -> None:
    first = booked(10.0, 15.1, 10.2)
    assert fit_clock([first, booked(50.0, 15.1, 50.1, replayed=True)]) == fit_clock([first])


def test_clock_that_was_set_is_noticed_and_bounded_on_both_sides() -> None:
    clock = fit_clock([booked(10.0, 15.1, 10.2), booked(20.0, 28.1, 20.2)])
    assert clock.jump == pytest.approx(2.8)
    assert clock.low - START.timestamp() == pytest.approx(5.1)
    assert clock.high - START.timestamp() == pytest.approx(7.9)


def test_nothing_is_certain_without_bookings() -> None:
    lost = replace(booked(1.0, 2.0, 3.0), answer=None)
    clock = fit_clock([lost])
    assert clock.earliest(START) == float("-inf")
    assert clock.latest(START) == float("inf")
