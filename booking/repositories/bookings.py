"""The table ``bookings``. A change of a booking is one statement, with its event and seats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from booking.db.connection import Connection
from booking.db.queries import load_queries
from booking.models import (
    Bookability,
    Booking,
    BookingPosition,
    BookingStatus,
    PendingHold,
    SlotStatus,
)

_PREPARED = frozenset(
    {"insert_bookings", "explain_refusals", "find_booking", "confirm_booking", "cancel_booking"}
)
_queries = load_queries("bookings", prepared=_PREPARED)


@dataclass(frozen=True, slots=True)
class NewBooking:
    """A booking to be made. ``hold_ttl_seconds`` None confirms at once; ``hold_place`` is one of
    the places that limit the user's holds, None where nothing does.
    """

    booking_id: str
    slot_id: str
    user_id: str
    num_seats: int
    hold_ttl_seconds: float | None
    hold_place: int | None
    idempotency_key: str | None


@dataclass(frozen=True)
class FoundBooking:
    """A booking as it is shown; ``is_unswept`` while seats of a lapsed hold are not back yet."""

    booking: Booking
    is_unswept: bool


def insert_bookings(
    conn: Connection,
    wanted: Sequence[NewBooking],
    *,
    waits: bool,
    is_seat_limit_checked: bool = False,
) -> dict[str, Booking]:
    """Take the seats and write the bookings, in their order; return those that were made, by id.

    Left out is what does not fit, or bears a key or a hold's place that is used or in progress
    elsewhere. A slot with a limit of seats per user takes nothing unless ``is_seat_limit_checked``.
    Locks the slots until the commit. ``waits`` is for bookings of one slot; without it a slot that
    somebody has locked takes nothing either.
    """
    rows = _queries.insert_bookings(
        conn,
        slot_ids=[new.slot_id for new in wanted],
        booking_ids=[new.booking_id for new in wanted],
        user_ids=[new.user_id for new in wanted],
        num_seats=[new.num_seats for new in wanted],
        hold_ttl_seconds=[new.hold_ttl_seconds for new in wanted],
        hold_places=[new.hold_place for new in wanted],
        idempotency_keys=[new.idempotency_key for new in wanted],
        waits=waits,
        is_seat_limit_checked=is_seat_limit_checked,
    )
    return {row[0]: _booking(row) for row in rows}


def explain_refusals(
    conn: Connection, slot_id: str, wanted: Sequence[tuple[str, str | None]], *, most_seats: int
) -> tuple[Bookability | None, Sequence[FoundBooking | None]]:
    """Return, as of one moment, what the slot takes and what bears each user's key.

    ``wanted`` is of user ids and keys; the slot is None where there is none. Seats of lapsed holds
    count where fewer than ``most_seats`` are left without them. Locks nothing.
    """
    rows = list(
        _queries.explain_refusals(
            conn,
            slot_id=slot_id,
            most_seats=most_seats,
            user_ids=[user_id for user_id, _ in wanted],
            idempotency_keys=[key for _, key in wanted],
        )
    )
    status, *rest = rows[0][10:]
    slot = None if status is None else Bookability(SlotStatus(status), *rest)
    return slot, [_found(row[:10]) if row[0] else None for row in rows]


def is_key_free(conn: Connection, user_id: str, idempotency_key: str) -> bool:
    """Tell whether no request under way claims the user's key."""
    return bool(_queries.is_key_free(conn, user_id=user_id, idempotency_key=idempotency_key))


def wait_for_key(conn: Connection, user_id: str, idempotency_key: str) -> None:
    """Wait until no request under way claims the user's key. Holds no other lock."""
    _queries.wait_for_key(conn, user_id=user_id, idempotency_key=idempotency_key)


def list_free_hold_places(
    conn: Connection, user_ids: Sequence[str], max_active_holds: int
) -> dict[str, list[int]]:
    """Return the places that holds of these users may take, in no order. Locks nothing."""
    return dict(
        _queries.list_free_hold_places(
            conn, user_ids=list(user_ids), max_active_holds=max_active_holds
        )
    )


def sum_seats_of_users(
    conn: Connection, slot_id: str, user_ids: Sequence[str]
) -> tuple[dict[str, int], list[str]]:
    """Return how many seats of the slot each user has, those of lapsed holds that were not failed
    included, and the ids of these holds.
    """
    rows = list(_queries.sum_seats_of_users(conn, slot_id=slot_id, user_ids=list(user_ids)))
    seats = {user_id: num_seats for user_id, num_seats, _ in rows}
    return seats, [booking_id for *_, lapsed_ids in rows for booking_id in lapsed_ids]


def list_pending_holds(conn: Connection, user_id: str) -> Sequence[PendingHold]:
    """Return the user's holds, live and lapsed unswept, in the lock order of their slots."""
    return [PendingHold(*row) for row in _queries.list_pending_holds(conn, user_id=user_id)]


def find_booking(conn: Connection, booking_id: str, owner: str | None) -> FoundBooking | None:
    """Return one booking of ``owner``, or of anybody where that is None."""
    return _found(_queries.find_booking(conn, booking_id=booking_id, owner=owner))


def confirm_booking(
    conn: Connection, booking_id: str, owner: str | None, *, waits: bool
) -> Booking | None:
    """Confirm a live hold; None when there is none, or, unless it ``waits``, when somebody has
    locked it. Locks the booking until the commit.
    """
    row = _queries.confirm_booking(conn, booking_id=booking_id, owner=owner, waits=waits)
    return _booking(row) if row else None


def cancel_booking(
    conn: Connection, booking_id: str, owner: str | None, *, waits: bool
) -> Booking | None:
    """Cancel a booking that stands and give its seats back; None when it does not stand, or, unless
    it ``waits``, when somebody has locked it or its slot.

    Locks its slot, then the booking, until the commit.
    """
    row = _queries.cancel_booking(conn, booking_id=booking_id, owner=owner, waits=waits)
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
