"""The table ``bookings``. A change of a booking is one statement, with its event and seats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from booking.db.connection import Connection
from booking.db.queries import load_queries
from booking.models import Booking, BookingPosition, BookingStatus, PendingHold

_queries = load_queries("bookings")


@dataclass(frozen=True)
class FoundBooking:
    """A booking as it is shown; ``is_unswept`` while seats of a lapsed hold are not back yet."""

    booking: Booking
    is_unswept: bool


def insert_booking(
    conn: Connection,
    *,
    booking_id: str,
    slot_id: str,
    user_id: str,
    num_seats: int,
    hold_ttl_seconds: float | None,
    idempotency_key: str | None,
    hold_place: int | None = None,
    is_seat_limit_checked: bool = False,
) -> Booking | None:
    """Take the seats and write the booking; None when the slot does not take it or the key is used.

    ``hold_ttl_seconds`` None confirms at once; ``hold_place`` is one of the places that limit the
    user's holds, None where nothing does. A slot with a limit of seats per user takes nothing
    unless ``is_seat_limit_checked``. Locks the slot until the commit. Raises the driver's
    UniqueViolation when another commits first with the key (bookings_user_id_idempotency_key_uq) or
    the place (bookings_user_id_hold_place_pending_uq).
    """
    row = _queries.insert_booking(
        conn,
        booking_id=booking_id,
        slot_id=slot_id,
        user_id=user_id,
        num_seats=num_seats,
        hold_ttl_seconds=hold_ttl_seconds,
        hold_place=hold_place,
        is_seat_limit_checked=is_seat_limit_checked,
        idempotency_key=idempotency_key,
    )
    return _booking(row) if row else None


def is_key_free(conn: Connection, user_id: str, idempotency_key: str) -> bool:
    """Tell whether no request under way claims the user's key."""
    return bool(_queries.is_key_free(conn, user_id=user_id, idempotency_key=idempotency_key))


def find_free_hold_place(conn: Connection, user_id: str, max_active_holds: int) -> int | None:
    """Return a place for one more hold of the user, None where all are taken. Locks nothing."""
    place: int | None = _queries.find_free_hold_place(
        conn, user_id=user_id, max_active_holds=max_active_holds
    )
    return place


def sum_seats_of_user(conn: Connection, slot_id: str, user_id: str) -> int:
    """Return how many seats of the slot the user has, lapsed holds left out."""
    return int(_queries.sum_seats_of_user(conn, slot_id=slot_id, user_id=user_id))


def list_pending_holds(conn: Connection, user_id: str) -> Sequence[PendingHold]:
    """Return the user's holds, live and lapsed unswept, in the lock order of their slots."""
    return [PendingHold(*row) for row in _queries.list_pending_holds(conn, user_id=user_id)]


def find_booking(conn: Connection, booking_id: str, owner: str | None) -> FoundBooking | None:
    """Return one booking of ``owner``, or of anybody where that is None."""
    return _found(_queries.find_booking(conn, booking_id=booking_id, owner=owner))


def find_booking_by_key(
    conn: Connection, user_id: str, idempotency_key: str
) -> FoundBooking | None:
    """Return the booking that bears the user's key."""
    return _found(
        _queries.find_booking_by_key(conn, user_id=user_id, idempotency_key=idempotency_key)
    )


def confirm_booking(conn: Connection, booking_id: str, owner: str | None) -> Booking | None:
    """Confirm a live hold; None when there is none. Locks the booking until the commit."""
    row = _queries.confirm_booking(conn, booking_id=booking_id, owner=owner)
    return _booking(row) if row else None


def cancel_booking(conn: Connection, booking_id: str, owner: str | None) -> Booking | None:
    """Cancel a booking that stands and give its seats back; None when it does not stand.

    Locks its slot, then the booking, until the commit.
    """
    row = _queries.cancel_booking(conn, booking_id=booking_id, owner=owner)
    return _booking(row) if row else None


def list_bookings(
    conn: Connection,
    *,
    user_id: str | None,
    slot_id: str | None,
    status: BookingStatus | None,
    before: BookingPosition | None,
    max_rows: int,
) -> Sequence[Booking]:
    """Return bookings as they are shown, newest first, from behind ``before`` on."""
    rows = _queries.list_bookings(
        conn,
        user_id=user_id,
        slot_id=slot_id,
        status=status.value if status else None,
        before_created_at=before.created_at if before else None,
        before_id=before.id if before else None,
        max_rows=max_rows,
    )
    return [_booking(row) for row in rows]


def _found(row: Sequence[Any] | None) -> FoundBooking | None:
    return FoundBooking(_booking(row[:-1]), row[-1]) if row else None


def _booking(row: Sequence[Any]) -> Booking:
    (
        booking_id,
        slot_id,
        user_id,
        num_seats,
        status,
        failure_reason,
        expires_at,
        created_at,
        updated_at,
    ) = row
    return Booking(
        booking_id,
        slot_id,
        user_id,
        num_seats,
        BookingStatus(status),
        failure_reason,
        expires_at,
        created_at,
        updated_at,
    )
