"""A small history told by hand: one call after another on a model database, at times of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from tests.faults.chaos.history import History
from tests.faults.chaos.model import ModelDatabase
from tests.faults.chaos.records import (
    Answer,
    BookingRow,
    EventRow,
    Failure,
    Fault,
    Operation,
    Record,
    Request,
    SlotRow,
    Tables,
)
from tests.faults.chaos.violation import Violation

LATENCY_SECONDS = 0.01


class Fate(Enum):
    """What becomes of a call."""

    ANSWERED = auto()
    ANSWER_LOST = auto()  # done, and nobody was told
    REQUEST_LOST = auto()  # nothing done, and nobody was told
    TURNED_AWAY = auto()  # nothing done: 503 BUSY


class Story:
    """Calls, one after another, each answered after ``LATENCY_SECONDS``.

    A request's id is its operation, its user where it has one, and which of these it is: "book ann
    1", "read_slot 2".
    """

    def __init__(self) -> None:
        self.database = ModelDatabase()
        self.records: list[Record] = []
        self.now = 100.0
        self._told: Counter[str] = Counter()

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def call(
        self, operation: Operation, fate: Fate = Fate.ANSWERED, **fields: Any
    ) -> tuple[str, Answer | None]:
        """Send a request; return its id and what was answered, or would have been."""
        name = " ".join(filter(None, (operation, fields.get("user_id"))))
        self._told[name] += 1
        request = Request(
            id=f"{name} {self._told[name]}",
            client="c",
            operation=operation,
            sent=self.now,
            **fields,
        )
        self.records.append(request)
        done_at, answered = self.now + LATENCY_SECONDS / 2, self.now + LATENCY_SECONDS
        self.now += 2 * LATENCY_SECONDS
        answer = None
        if fate in {Fate.ANSWERED, Fate.ANSWER_LOST}:
            answer = self.database.apply(request, done_at, answered, joins=False)
        told: dict[Fate, Answer | None] = {
            Fate.ANSWERED: answer,
            Fate.ANSWER_LOST: Answer(
                request_id=request.id, answered=answered, failure=Failure.CONNECTION_LOST
            ),
            Fate.REQUEST_LOST: None,
            Fate.TURNED_AWAY: Answer(
                request_id=request.id, answered=answered, status=503, code="BUSY"
            ),
        }
        if (recorded := told[fate]) is not None:
            self.records.append(recorded)
        return request.id, answer

    def create(self, total_capacity: int) -> str:
        """Open a slot and return its id."""
        _, answer = self.call(Operation.CREATE_SLOT, total_capacity=total_capacity)
        assert answer
        assert answer.slot
        return answer.slot.id

    def book(
        self, slot_id: str, name: str, seats: int, *, hold: bool = False, fate: Fate = Fate.ANSWERED
    ) -> str:
        """Book as user ``name`` with the key ``name``; return the request's id."""
        request_id, _ = self.call(
            Operation.HOLD if hold else Operation.BOOK,
            fate,
            user_id=name,
            idempotency_key=name,
            slot_id=slot_id,
            num_seats=seats,
        )
        return request_id

    def about(self, name: str, operation: Operation, fate: Fate = Fate.ANSWERED) -> str:
        """Confirm, cancel or read the booking of a user; return the request's id."""
        [booking_id] = [row.id for row in self.database.tables(0).bookings if row.user_id == name]
        request_id, _ = self.call(operation, fate, user_id=name, booking_id=booking_id)
        return request_id

    def end(self) -> Run:
        return Run(tuple(self.records), self.database.tables(self.now))


@dataclass(frozen=True)
class Run:
    """A history with its tables, and ways to damage them: each returns a damaged copy."""

    records: tuple[Record, ...]
    tables: Tables

    @property
    def history(self) -> History:
        return History.of(self.records)

    def booking(self, user_id: str) -> BookingRow:
        [row] = [row for row in self.tables.bookings if row.user_id == user_id]
        return row

    def answer(self, request_id: str) -> Answer:
        [answer] = [
            record
            for record in self.records
            if isinstance(record, Answer) and record.request_id == request_id
        ]
        return answer

    def with_records(self, *added: Record) -> Run:
        return replace(self, records=(*self.records, *added))

    def with_faults(self, *faults: Fault) -> Run:
        return self.with_records(*faults)

    def with_request(self, request_id: str, **changes: Any) -> Run:
        """Change what is recorded of a request."""
        return replace(
            self,
            records=tuple(
                replace(record, **changes)
                if isinstance(record, Request) and record.id == request_id
                else record
                for record in self.records
            ),
        )

    def with_answer(self, request_id: str, **changes: Any) -> Run:
        """Change what is recorded of an answer; ``booking`` and ``slot`` take changed fields."""
        old = self.answer(request_id)
        for name in ("booking", "slot"):
            if isinstance(changes.get(name), dict):
                changes[name] = replace(getattr(old, name), **changes[name])
        new = replace(old, **changes)
        return replace(
            self, records=tuple(new if record is old else record for record in self.records)
        )

    def without(self, *request_ids: str) -> Run:
        """Leave out requests and their answers, as if they had never been sent."""
        return replace(
            self,
            records=tuple(
                record
                for record in self.records
                if getattr(record, "request_id", getattr(record, "id", None)) not in request_ids
            ),
        )

    def with_booking(self, user_id: str, **changes: Any) -> Run:
        """Change a booking's row."""
        old = self.booking(user_id)
        rows = tuple(replace(row, **changes) if row is old else row for row in self.tables.bookings)
        return replace(self, tables=replace(self.tables, bookings=rows))

    def with_bookings(self, *rows: BookingRow) -> Run:
        return replace(self, tables=replace(self.tables, bookings=(*self.tables.bookings, *rows)))

    def without_booking(self, user_id: str) -> Run:
        """Take a booking away as if it had never been: its row, its events and its seats."""
        gone = self.booking(user_id)
        rows = tuple(row for row in self.tables.bookings if row is not gone)
        events = tuple(e for e in self.tables.events if e.booking_id != gone.id)
        return replace(self, tables=replace(self.tables, bookings=rows, events=events))

    def with_slot(self, slot_id: str, **changes: Any) -> Run:
        """Change a slot's row."""
        rows: tuple[SlotRow, ...] = tuple(
            replace(row, **changes) if row.id == slot_id else row for row in self.tables.slots
        )
        return replace(self, tables=replace(self.tables, slots=rows))

    def with_event(self, user_id: str, event_type: str, **changes: Any) -> Run:
        """Change an event of a booking."""
        old = self.event(user_id, event_type)
        events = tuple(replace(e, **changes) if e is old else e for e in self.tables.events)
        return replace(self, tables=replace(self.tables, events=events))

    def event(self, user_id: str, event_type: str) -> EventRow:
        booking_id = self.booking(user_id).id
        [event] = [
            event
            for event in self.tables.events
            if (event.booking_id, event.type) == (booking_id, event_type)
        ]
        return event

    def without_event(self, user_id: str, event_type: str) -> Run:
        gone = self.event(user_id, event_type)
        events = tuple(event for event in self.tables.events if event is not gone)
        return replace(self, tables=replace(self.tables, events=events))

    def with_events(self, *events: EventRow) -> Run:
        return replace(self, tables=replace(self.tables, events=(*self.tables.events, *events)))


def checks_of(violations: list[Violation]) -> set[str]:
    """Return the names of the checks that found something."""
    return {violation.check for violation in violations}
