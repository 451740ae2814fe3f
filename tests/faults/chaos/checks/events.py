"""The events replay to what is stored, booking by booking and slot by slot."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.ledger import TAKING
from tests.faults.chaos.lives import FINAL
from tests.faults.chaos.records import BookingRow, EventRow
from tests.faults.chaos.violation import Finding

RETURNING = frozenset({"EXPIRED", "CANCELLED"})

# Written down here once more: what judges the application does not ask the application.
_LEGAL = frozenset(
    {
        ("HELD", None, "PENDING"),
        ("BOOKED", None, "CONFIRMED"),
        ("CONFIRMED", "PENDING", "CONFIRMED"),
        ("EXPIRED", "PENDING", "FAILED"),
        ("CANCELLED", "PENDING", "CANCELLED"),
        ("CANCELLED", "CONFIRMED", "CANCELLED"),
    }
)


def events_lead_to_status(evidence: Evidence) -> Iterator[Finding]:
    """Each booking's events are legal, follow one another, and end in the status that it has."""
    rows = {row.id: row for row in evidence.tables.bookings}
    for booking_id, events in evidence.events_of_bookings.items():
        if booking_id not in rows:
            yield Finding("events of no booking", (booking_id,))
        elif what := _broken_history(rows[booking_id], events):
            yield Finding(what, (booking_id,))
    for booking_id in rows.keys() - evidence.events_of_bookings.keys():
        yield Finding("a booking with no events", (booking_id,))


def _broken_history(row: BookingRow, events: list[EventRow]) -> str | None:
    status = None
    for event in events:
        step = (event.type, event.from_status, event.to_status)
        if event.from_status != status or step not in _LEGAL:
            return f"event {event.id} is {step} where it was {status}"
        if event.slot_id != row.slot_id:
            return f"event {event.id} names slot {event.slot_id}"
        if event.seats != (0 if event.type == "CONFIRMED" else row.num_seats):
            return f"event {event.id} moves {event.seats} of {row.num_seats} seats"
        if (event.slot_version is None) != (event.type == "CONFIRMED"):
            return f"event {event.id} has slot version {event.slot_version}"
        status = event.to_status
    return None if status == row.status else f"{row.status}, and its events lead to {status}"


def seats_move_once(evidence: Evidence) -> Iterator[Finding]:
    """A booking's seats leave once, and return once where it is final, else never."""
    for row in evidence.tables.bookings:
        events = evidence.events_of_bookings.get(row.id, [])
        left = sum(event.type in TAKING for event in events)
        returned = sum(event.type in RETURNING for event in events)
        if left != 1 or returned != (row.status in FINAL):
            yield Finding(
                f"{row.status}, and its seats left {left} times and returned {returned} times",
                (row.id,),
            )
