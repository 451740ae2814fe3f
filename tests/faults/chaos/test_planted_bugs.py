"""A database with a bug, under simulated clients: the checker finds it with nobody's help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.faults.chaos.checker import find_violations
from tests.faults.chaos.model import ModelDatabase
from tests.faults.chaos.records import BOOKINGS, Answer, BookingRow, Operation, Request
from tests.faults.chaos.simulation import Simulation, Size
from tests.faults.chaos.story import checks_of

SIZE = Size(clients=20, slots=2, capacity=40, requests=1500)


class Oversells(ModelDatabase):
    """Decides on seats that it read before others took them: one request in ten sees three more."""

    asked = 0

    def apply(self, request: Request, at: float, answered: float, *, joins: bool) -> Answer:
        slot = self.slots.get(str(request.slot_id))
        self.asked += 1
        if request.operation not in BOOKINGS or slot is None or self.asked % 10:
            return super().apply(request, at, answered, joins=joins)
        self.move_seats(slot.row.id, 3, joins=True)
        answer = super().apply(request, at, answered, joins=joins)
        self.move_seats(slot.row.id, -3, joins=True)
        return answer


class ForgetsCommits(ModelDatabase):
    """Answers before the commit, and loses one booking in fifty in a crash."""

    booked = 0

    def apply(self, request: Request, at: float, answered: float, *, joins: bool) -> Answer:
        slots = {slot_id: replace(slot) for slot_id, slot in self.slots.items()}
        standing = {slot_id: list(ids) for slot_id, ids in self.standing.items()}
        bookings, keys, events = dict(self.bookings), dict(self.keys), list(self.events)
        answer = super().apply(request, at, answered, joins=joins)
        if request.operation == Operation.BOOK and answer.status == 201 and not answer.replayed:
            self.booked += 1
            if self.booked % 50 == 0:
                self.slots, self.standing = slots, standing
                self.bookings, self.keys, self.events = bookings, keys, events
        return answer


class ForgetsKeys(ModelDatabase):
    """Books a retry again."""

    def apply(self, request: Request, at: float, answered: float, *, joins: bool) -> Answer:
        self.keys.clear()
        return super().apply(request, at, answered, joins=joins)


class ReturnsSeatsTwice(ModelDatabase):
    """Cancels what is cancelled, and gives its seats back once more."""

    def settled(self, request: Request, now: datetime) -> BookingRow | None:
        row = super().settled(request, now)
        if row and row.status == "CANCELLED" and request.operation == Operation.CANCEL:
            self.standing[row.slot_id].append(row.id)
            return replace(row, status="CONFIRMED")
        return row


class ConfirmsDeadHolds(ModelDatabase):
    """Compares an expiry with a clock that is three seconds slow."""

    def sweep_at(self, slot_id: str, now: datetime) -> None:
        super().sweep_at(slot_id, now - timedelta(seconds=3))


class ExpiresEarly(ModelDatabase):
    """Compares an expiry with a clock that is half a second fast."""

    def sweep_at(self, slot_id: str, now: datetime) -> None:
        super().sweep_at(slot_id, now + timedelta(seconds=0.5))


class ServesStaleReads(ModelDatabase):
    """Answers one read of the first slot in ten from a copy of nine reads ago."""

    reads = 0
    copy: Answer | None = None

    def slot_answer(self, request: Request, slot_id: str) -> Answer:
        answer = super().slot_answer(request, slot_id)
        if request.operation != Operation.READ_SLOT or slot_id != min(self.slots):
            return answer
        self.reads += 1
        if self.reads % 10 == 1:
            self.copy = answer
        if self.copy and self.reads % 10 == 0:
            return replace(self.copy, request_id=request.id)
        return answer


class RefusesWithSeatsLeft(ModelDatabase):
    """Keeps the last two seats to itself."""

    def apply(self, request: Request, at: float, answered: float, *, joins: bool) -> Answer:
        slot = self.slots.get(str(request.slot_id))
        if request.operation not in BOOKINGS or slot is None:
            return super().apply(request, at, answered, joins=joins)
        kept = min(2, slot.row.remaining_capacity)
        self.move_seats(slot.row.id, -kept, joins=True)
        answer = super().apply(request, at, answered, joins=joins)
        self.move_seats(slot.row.id, kept, joins=True)
        return answer


class BooksWhenBusy(ModelDatabase):
    """Says BUSY now and then, and has done it."""

    said = 0

    def apply(self, request: Request, at: float, answered: float, *, joins: bool) -> Answer:
        answer = super().apply(request, at, answered, joins=joins)
        self.said += 1
        if self.said % 20:
            return answer
        return Answer(request_id=request.id, answered=answered, status=503, code="BUSY")


class LosesEvents(ModelDatabase):
    """Writes the history beside the transaction, and not every time."""

    def apply(self, request: Request, at: float, answered: float, *, joins: bool) -> Answer:
        answer = super().apply(request, at, answered, joins=joins)
        if len(self.events) % 20 == 0:
            del self.events[-1:]
        return answer


BUGS: dict[type[ModelDatabase], set[str]] = {
    Oversells: {"seats_add_up", "events_replay_to_slots"},
    ForgetsCommits: {"acknowledged_bookings_are_stored"},
    ForgetsKeys: {"keys_book_once", "replays_repeat_a_request"},
    ReturnsSeatsTwice: {"seats_move_once", "events_lead_to_status"},
    ConfirmsDeadHolds: {"holds_are_shown_until_they_lapse", "full_slots_were_full"},
    ExpiresEarly: {"holds_are_shown_until_they_lapse", "certain_seats_fit"},
    ServesStaleReads: {"slots_never_go_back", "shown_seats_were_possible"},
    RefusesWithSeatsLeft: {"full_slots_were_full"},
    BooksWhenBusy: {"bookings_were_asked_for"},
    LosesEvents: {"events_lead_to_status", "events_replay_to_slots"},
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_checker_finds_the_bug(bug: Callable[[], ModelDatabase]) -> None:
    run = Simulation(3, SIZE, bug()).run()
    expected = BUGS[bug]  # type: ignore[index] # a class, of which pytest knows that it is called
    found = checks_of(find_violations(run.history, run.tables))
    assert expected <= found, found
