"""The table ``booking_events``, which is read here and written by the statements on bookings."""

from __future__ import annotations

from collections.abc import Sequence

from booking.db.connection import Connection
from booking.db.queries import load_queries
from booking.models import BookingEvent, BookingStatus, EventType

_queries = load_queries("booking_events")


def list_booking_events(
    conn: Connection, booking_id: str, *, after_id: int | None, max_rows: int
) -> Sequence[BookingEvent]:
    """Return the history of a booking, oldest first, from behind ``after_id`` on."""
    rows = _queries.list_booking_events(
        conn, booking_id=booking_id, after_id=after_id, max_rows=max_rows
    )
    return [
        BookingEvent(
            event_id,
            EventType(event_type),
            BookingStatus(from_status) if from_status else None,
            BookingStatus(to_status),
            seats,
            at,
        )
        for event_id, event_type, from_status, to_status, seats, at in rows
    ]
