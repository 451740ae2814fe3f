"""Requests for seats, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from booking.app import Services
from booking.errors import DomainError, StatementRejected
from booking.models import SeatRequest
from booking.services.booking.service import Booked, BookingService
from tests.support.factories import in_future, unique
from tests.support.snapshots import query

Outcome = Booked | Exception


def new_slot(parts: Services, capacity: int, **fields: Any) -> str:
    """Return the id of a slot that is open from now on for a day."""
    return parts.slots.create_slot(
        doctor_name="Dr. Asha Rao",
        specialization=None,
        start_time=datetime.fromisoformat(in_future()),
        duration_minutes=None,
        total_capacity=capacity,
        **fields,
    ).id


def seats(slot_id: str, num_seats: int = 1, **fields: Any) -> SeatRequest:
    """Return a request, of a user of its own where ``fields`` names none."""
    fields = {"user_id": unique("user"), **fields}
    return SeatRequest(slot_id, num_seats=num_seats, **fields)


def outcome_of(bookings: BookingService, wanted: SeatRequest) -> Outcome:
    """Book, and return what came of it, refusals and failures too."""
    try:
        return bookings.book_seats(wanted)
    except (DomainError, StatementRejected) as error:
        return error


def told(outcomes: Sequence[Outcome]) -> list[str]:
    """Return each outcome's status, or the name of its error."""
    return [
        outcome.booking.status.value if isinstance(outcome, Booked) else type(outcome).__name__
        for outcome in outcomes
    ]


def versions_of(url: str, slot_id: str) -> list[int]:
    """Return the versions that the slot got by its bookings, in their order."""
    rows = query(
        url,
        "SELECT slot_version FROM booking_events WHERE slot_id = %s ORDER BY slot_version",
        slot_id,
    )
    return [version for (version,) in rows]
