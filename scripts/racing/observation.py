"""Reads, once the race is over, what the server has: through the API, and in its database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import psycopg2

from scripts.racing.client import ApiClient
from scripts.racing.records import (
    ApiState,
    Booking,
    BookingRow,
    Call,
    DatabaseState,
    Event,
)

if TYPE_CHECKING:
    import psycopg2.extensions

MAX_READINGS = 5
CONNECT_TIMEOUT_SECONDS = 10

SELECT_SLOT = "SELECT total_capacity, remaining_capacity FROM slots WHERE id = %s::uuid"
SELECT_BOOKINGS = """
    SELECT
        id::text, user_id, num_seats, status, idempotency_key,
        coalesce(status = 'PENDING' AND expires_at <= clock_timestamp(), false) AS lapsed
    FROM bookings
    WHERE slot_id = %s::uuid
    ORDER BY id
"""
SELECT_RETURNS = """
    SELECT e.booking_id::text, count(*)
    FROM booking_events AS e
    INNER JOIN bookings AS b ON b.id = e.booking_id
    WHERE b.slot_id = %s::uuid AND e.to_status IN ('FAILED', 'CANCELLED')
    GROUP BY e.booking_id
    ORDER BY e.booking_id
"""


class DatabaseUnusable(Exception):
    """The DSN leads to no database, or to one that is not the server's."""


def observe(client: ApiClient, slot_id: str, calls: Iterable[Call]) -> ApiState:
    """Read the slot and all that hangs on it. Raises Unreachable.

    It is read again, up to MAX_READINGS times, while the slot changes meanwhile: a hold may
    lapse just then. Seats of a slot that nobody books any more only ever come back, so one
    that is the same before and after did not change in between.
    """
    acknowledged = {call.booking.id for call in calls if call.booking is not None}
    before = client.get_slot(slot_id)
    for reading in range(1, MAX_READINGS + 1):
        listed = client.list_bookings(slot_id)
        read_back: dict[str, Booking | None] = {}
        events: dict[str, list[Event]] = {}
        for booking_id in sorted(acknowledged | {booking.id for booking in listed}):
            read_back[booking_id] = client.find_booking(booking_id)
            events[booking_id] = client.list_events(booking_id)
        healthy, audit = client.audit()
        after = client.get_slot(slot_id)
        if after == before or reading == MAX_READINGS:
            break
        before = after
    return ApiState(
        slot=after,
        listed=listed,
        read_back=read_back,
        events=events,
        audit_healthy=healthy,
        audit=audit,
        at_rest=after == before,
    )


def connect(dsn: str) -> psycopg2.extensions.connection:
    """Connect for one consistent, read-only look at a time. Raises DatabaseUnusable."""
    try:
        connection = psycopg2.connect(dsn, connect_timeout=CONNECT_TIMEOUT_SECONDS)
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise DatabaseUnusable(f"--dsn: {reason}") from error
    except psycopg2.ProgrammingError:
        # Its text repeats parts of the DSN, which may hold a password.
        raise DatabaseUnusable("--dsn: not a PostgreSQL connection string") from None
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    return connection


def observe_database(connection: psycopg2.extensions.connection, slot_id: str) -> DatabaseState:
    """Read the slot's rows in one snapshot. Raises DatabaseUnusable where the slot is not there."""
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(SELECT_SLOT, (slot_id,))
            slot = cursor.fetchone()
            if slot is None:
                raise DatabaseUnusable(
                    f"--dsn: slot {slot_id} is not in this database, so it is not the server's"
                )
            cursor.execute(SELECT_BOOKINGS, (slot_id,))
            bookings = [BookingRow(*row) for row in cursor.fetchall()]
            cursor.execute(SELECT_RETURNS, (slot_id,))
            returns = {str(booking_id): int(count) for booking_id, count in cursor.fetchall()}
    except psycopg2.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise DatabaseUnusable(f"--dsn: {reason}") from error
    return DatabaseState(
        total_capacity=slot[0],
        remaining_capacity=slot[1],
        bookings=bookings,
        returns=returns,
    )
